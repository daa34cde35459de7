/* command_queue - `lettergate queue`: the queue of a running gateway, through its HTTP interface */
#pragma once

/* `args`: behind "queue". The exit code: 0 done, 1 failed, 2 wrong usage. */
int queue_command(char *const *args);
