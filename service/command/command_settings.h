/* command_settings - `lettergate settings` */
#pragma once

/* `args` as argv behind "settings". Gives the exit code. */
int settings_command(char *const *args);
