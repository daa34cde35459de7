#include "service/keys/keys.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "load.h"
#include "unit.h"

static char directory[] = "/tmp/lettergate-keys-XXXXXX", path[100];

static void make_directory(void)
{
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/keys.json", directory);
}

static void remove_directory(void)
{
	unlink(path);
	ck_assert_msg(rmdir(directory) == 0, "something was left behind in %s", directory);
	snprintf(directory, sizeof(directory), "/tmp/lettergate-keys-XXXXXX");
}

/* Runs the command with standard output into `out`; standard error is not looked at. */
static int run(const char *const *args, char out[4096])
{
	FILE *caught = tmpfile();
	int real, status;
	size_t len;

	ck_assert_ptr_nonnull(caught);
	fflush(stdout);
	real = dup(STDOUT_FILENO);
	dup2(fileno(caught), STDOUT_FILENO);
	status = keys_command((char *const *)args, path);
	fflush(stdout);
	dup2(real, STDOUT_FILENO);
	close(real);
	rewind(caught);
	len = fread(out, 1, 4095, caught);
	out[len] = 0;
	fclose(caught);
	return status;
}

static bool admits(const char *secret, struct caller *caller, struct region *region)
{
	struct buf why = buf_born(1000);
	struct keys *keys = NULL;
	struct text key = { secret, strcspn(secret, "\n") };
	bool admitted;

	ck_assert_msg(keys_load(path, "", &keys, &why) == OK, "%.*s", (int)why.len, why.at);
	admitted = keys_admit(keys, key, (int64_t)time(NULL) * 1000, region, caller);
	keys_free(keys);
	buf_free(&why);
	return admitted;
}

START_TEST(a_key_is_made_listed_rotated_and_revoked)
{
	static const char *const create[] = { "create", "web", "--from", "*@example.com",
		"--from=a@b.example", "--to", "*", "--relay", "primary", "--scope", "send",
		"--scope=trace", "--rate", "5/m", "--daily", "70", "--expires", "2099-12-31",
		NULL };
	static const char *const list[] = { "list", NULL };
	static const char *const rotate[] = { "rotate", "web", NULL };
	static const char *const overlap[] = { "rotate", "web", "--overlap", "1h", NULL };
	static const char *const revoke[] = { "revoke", "web", NULL };
	char first[4096], second[4096], third[4096], out[4096];
	struct region *region;
	struct caller caller;
	struct stat about;

	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	ck_assert_int_eq(run(create, first), 0);
	ck_assert_uint_eq(strlen(first), strlen("lg_web_") + 43 + 1); /* the key and nothing else */
	ck_assert_uint_eq(
		strspn(first + 7,
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
		43);
	ck_assert_int_eq(stat(path, &about), 0);
	ck_assert_uint_eq(about.st_mode & 0777, 0600);
	ck_assert(admits(first, &caller, region));
	ck_assert_uint_eq(caller.scopes, SCOPE_SEND | SCOPE_TRACE);
	ck_assert_uint_eq(caller.from_count, 2);
	ck_assert(text_equal(caller.relays[0], TEXT("primary")));
	ck_assert_int_eq(run(list, out), 0);
	ck_assert_ptr_nonnull(strstr(out, "web\tsend,trace\t*@example.com,a@b.example\t*\t5/m\t70"
					  "\t2099-12-31T00:00:00Z\n"));
	ck_assert_int_eq(run(create, out), 1); /* it exists */
	ck_assert_int_eq(run(rotate, second), 0);
	ck_assert(!admits(first, &caller, region));
	ck_assert_int_eq(run(overlap, third), 0);
	ck_assert(admits(second, &caller, region));
	ck_assert(admits(third, &caller, region));
	ck_assert_uint_eq(caller.from_count, 2); /* what it may do has stayed */
	ck_assert_int_eq(run(revoke, out), 0);
	ck_assert(!admits(third, &caller, region));
	ck_assert_int_eq(run(revoke, out), 1);
	region_close(region);
}
END_TEST

static const struct {
	const char *args[5];
	int status;
} wrong[] = {
	{ { NULL }, 2 },
	{ { "make", "a" }, 2 },
	{ { "create" }, 2 },
	{ { "create", "a b" }, 2 },
	{ { "create", "a", "b" }, 2 },
	{ { "create", "a", "--form", "*" }, 2 },
	{ { "create", "a", "--from" }, 2 },
	{ { "create", "a", "--from", "example.com" }, 2 },
	{ { "create", "a", "--scope", "root" }, 2 },
	{ { "create", "a", "--rate", "5" }, 2 },
	{ { "create", "a", "--daily", "0" }, 2 },
	{ { "create", "a", "--expires", "2020-01-01" }, 2 },
	{ { "create", "a", "--overlap", "1h" }, 2 },
	{ { "rotate", "a", "--overlap", "1" }, 2 },
	{ { "rotate", "a" }, 1 },
	{ { "revoke", "a" }, 1 },
	{ { "list", "--from", "*" }, 2 },
	{ { "list" }, 1 },
	{ { "--help" }, 0 },
	{ { "create", "--help" }, 0 },
};

START_TEST(wrong_usage_changes_nothing)
{
	char out[4096];

	ck_assert_int_eq(run(wrong[_i].args, out), wrong[_i].status);
	ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(without_a_file_there_is_nothing_to_edit)
{
	char word[] = "list", *list[] = { word, NULL };

	ck_assert_int_eq(keys_command(list, NULL), 2);
	ck_assert_int_eq(keys_command(list, ""), 2);
}
END_TEST

START_TEST(a_broken_file_is_left_as_it_is)
{
	static const char *const create[] = { "create", "web", NULL };
	static const char broken[] = "{\"keys\":[{\"id\":\"a\"}]}";
	int fd = open(path, O_CREAT | O_WRONLY, 0640);
	char out[4096];

	ck_assert_int_eq(write(fd, broken, sizeof(broken) - 1), sizeof(broken) - 1);
	close(fd);
	ck_assert_int_eq(run(create, out), 1);
	ck_assert_str_eq(out, "");
	fd = open(path, O_RDONLY);
	ck_assert_int_eq(read(fd, out, sizeof(out)), sizeof(broken) - 1);
	ck_assert_int_eq(memcmp(out, broken, sizeof(broken) - 1), 0);
	close(fd);
}
END_TEST

START_TEST(mode_and_link_are_kept)
{
	static const char *const create[] = { "create", "web", NULL };
	char real[120], out[4096];
	struct stat about;
	int fd;

	snprintf(real, sizeof(real), "%s/real.json", directory);
	fd = open(real, O_CREAT | O_WRONLY, 0640);
	ck_assert_int_eq(fchmod(fd, 0640), 0);
	ck_assert_int_eq(write(fd, "{\"keys\":[]}", 11), 11);
	close(fd);
	ck_assert_int_eq(symlink("real.json", path), 0);
	ck_assert_int_eq(run(create, out), 0);
	ck_assert_int_eq(lstat(path, &about), 0);
	ck_assert(S_ISLNK(about.st_mode));
	ck_assert_int_eq(stat(real, &about), 0);
	ck_assert_uint_eq(about.st_mode & 0777, 0640);
	ck_assert_int_gt(about.st_size, 11);
	unlink(real);
}
END_TEST

/* Eight editors at once: every key that was shown is in the file. */
START_TEST(editors_take_turns)
{
	enum { EDITORS = 8 };
	pid_t editors[EDITORS];
	char out[4096];
	static const char *const list[] = { "list", NULL };

	for (int i = 0; i < EDITORS; i++) {
		editors[i] = fork();
		if (editors[i] == 0) {
			char id[16];
			const char *args[] = { "create", id, NULL };

			snprintf(id, sizeof(id), "k%d", i);
			_exit(run(args, out));
		}
	}
	for (int i = 0; i < EDITORS; i++) {
		int status = -1;

		ck_assert_int_eq(waitpid(editors[i], &status, 0), editors[i]);
		ck_assert_int_eq(status, 0);
	}
	ck_assert_int_eq(run(list, out), 0);
	for (int i = 0; i < EDITORS; i++) {
		char id[16];

		snprintf(id, sizeof(id), "\nk%d\t", i);
		ck_assert_msg(strstr(out, id) != NULL, "%s is lost: %s", id, out);
	}
}
END_TEST

UNIT_MAIN(keys_command, tcase_add_checked_fixture(cases, make_directory, remove_directory);
	  tcase_add_test(cases, a_key_is_made_listed_rotated_and_revoked); tcase_add_loop_test(
		  cases, wrong_usage_changes_nothing, 0, sizeof(wrong) / sizeof(wrong[0]));
	  tcase_add_test(cases, without_a_file_there_is_nothing_to_edit);
	  tcase_add_test(cases, a_broken_file_is_left_as_it_is);
	  tcase_add_test(cases, mode_and_link_are_kept); tcase_add_test(cases, editors_take_turns);)
