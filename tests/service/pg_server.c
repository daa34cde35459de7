#include "pg_server.h"

#include <check.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static char folder[80];
static pid_t server, starter;
static atomic_int *schemas; /* shared by all tests' processes */

static int run_script(const char *what, const char *more)
{
	char line[512];

	snprintf(
		line, sizeof(line), TEST_FOLDER "/postgres/server.sh %s %s %s", what, folder, more);
	return system(line);
}

static PGconn *connect_to_it(void)
{
	char words[256];

	snprintf(words, sizeof(words), "host=%s user=lettergate dbname=postgres", folder);
	return PQconnectdb(words);
}

static bool answers(void)
{
	PGconn *conn = connect_to_it();
	bool does = PQstatus(conn) == CONNECTION_OK;

	PQfinish(conn);
	return does;
}

/* libcheck's own are for tests only. */
static void require(bool is_so, const char *what)
{
	if (is_so)
		return;
	fprintf(stderr, "PostgreSQL for tests: %s\n", what);
	exit(EXIT_FAILURE);
}

/* As if it had started long ago: or whoever opens a store waits for others that were there before.
 */
static void make_aged(void)
{
	PGconn *conn = connect_to_it();
	PGresult *result =
		PQexec(conn, "CREATE SCHEMA aged; CREATE FUNCTION aged.pg_control_system("
			     "OUT pg_control_last_modified timestamptz) LANGUAGE sql AS 'SELECT "
			     "to_timestamp(0)'");

	require(PQresultStatus(result) == PGRES_COMMAND_OK, "it takes no function");
	PQclear(result);
	PQfinish(conn);
}

static void start_server(void)
{
	server = fork();
	if (server == 0) {
		execl(TEST_FOLDER "/postgres/server.sh", "server.sh", "run", folder, "-c",
			"listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50",
			(char *)NULL);
		_exit(1);
	}
	for (int i = 0; i < 3000 && !answers(); i++)
		usleep(10000);
	require(answers(), "it does not start");
	make_aged();
}

static void stop(void)
{
	char line[128];

	if (getpid() != starter) /* a test's process */
		return;
	if (server > 0) {
		kill(server, SIGQUIT);
		waitpid(server, NULL, 0);
	}
	snprintf(line, sizeof(line), "rm -rf %s", folder);
	if (system(line) != 0)
		fprintf(stderr, "%s is left behind\n", folder);
}

bool pg_server_start(void)
{
	int status;

	snprintf(folder, sizeof(folder), "%s/lettergate-pg-XXXXXX", fast_folder());
	require(mkdtemp(folder), "no folder");
	starter = getpid();
	atexit(stop);
	schemas = mmap(
		NULL, sizeof(*schemas), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	require(schemas != MAP_FAILED, "no memory");
	status = run_script("make", "");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("skipped: PostgreSQL is not installed\n");
		return false;
	}
	require(status == 0, "it cannot be made");
	start_server();
	return true;
}

char *pg_server_schema(void)
{
	PGconn *conn = connect_to_it();
	char line[64], *words = NULL;
	int number = ++*schemas;
	PGresult *result;

	ck_assert_int_eq(PQstatus(conn), CONNECTION_OK);
	snprintf(line, sizeof(line), "CREATE SCHEMA kit%d", number);
	result = PQexec(conn, line);
	ck_assert_int_eq(PQresultStatus(result), PGRES_COMMAND_OK);
	PQclear(result);
	PQfinish(conn);
	ck_assert_int_gt(asprintf(&words,
				 "postgresql:///"
				 "postgres?host=%s&user=lettergate&options=-csearch_path%%3Dkit%d,"
				 "aged,pg_catalog",
				 folder, number),
		0);
	return words;
}

const char *pg_server_folder(void)
{
	return folder;
}
