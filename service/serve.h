/* serve - `lettergate serve`: start, signals, reload, drain, stop */
#pragma once

/* `args` as argv behind "serve". Gives the exit code. */
int serve_command(char *const *args);
