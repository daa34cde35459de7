/* command_send - `lettergate send`: a message, as JSON, through a running gateway
 *
 * LETTERGATE_URL (default http://127.0.0.1:8080) and LETTERGATE_KEY, or LETTERGATE_KEY_FILE, say
 * where and as whom. */
#pragma once

/* `args` as argv behind "send". Gives the exit code: 0 for a 2xx. */
int send_command(char *const *args);
