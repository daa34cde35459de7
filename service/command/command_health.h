/* command_health - `lettergate health`: is the gateway on this machine ready?
 *
 * For health checks of containers that have no curl. */
#pragma once

/* `args` as argv behind "health": flags of settings_load. Gives the exit code: 0 if GET /readyz
 * answers 200 within two seconds, else 1; with one line of output. */
int health_command(char *const *args);
