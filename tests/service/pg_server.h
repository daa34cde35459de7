/* pg_server - a PostgreSQL for a test program: started once, gone with it */
#pragma once

#include <stdbool.h>

/* Before tests are added. False where PostgreSQL is not installed, which it says. */
bool pg_server_start(void);
/* Makes a new schema, and a connection string for it: to be freed. */
char *pg_server_schema(void);
/* The folder of its socket. */
const char *pg_server_folder(void);
