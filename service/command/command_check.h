/* command_check - `lettergate check`: the troubleshooter */
#pragma once

/* `args` as argv behind "check". Gives the exit code: 0 only if a message could be sent. */
int check_command(char *const *args);
