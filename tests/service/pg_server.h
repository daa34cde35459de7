/* pg_server - a PostgreSQL for a test program: started once, gone with it */
#pragma once

#include <stdbool.h>

/* As an unchecked fixture: before all tests of a case, in the parent of all. Where PostgreSQL is
 * not installed it says so, and pg_server_is_there() is false. */
void pg_server_start(void);
void pg_server_stop(void);
bool pg_server_is_there(void);
/* Makes a new schema, and a connection string for it: to be freed. */
char *pg_server_schema(void);
/* The folder of its socket. */
const char *pg_server_folder(void);
