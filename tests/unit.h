/* unit - what every unit test program shares: UNIT_MAIN runs one suite
 *
 *   UNIT_MAIN(reply, tcase_add_test(cases, a_test); tcase_add_loop_test(cases, another, 0, 5);) */
#pragma once

#include <check.h>
#include <stdlib.h>
#include <unistd.h>

/* Where folders of tests are made: in memory where that can be, for what a sync costs is no matter.
 * FAST_FOLDER is set by who removes it afterwards, whatever a test left there. */
static inline const char *fast_folder(void)
{
	const char *folder = getenv("FAST_FOLDER");

	if (folder)
		return folder;
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

#define UNIT_MAIN(name, additions)                                                                 \
	int main(void)                                                                             \
	{                                                                                          \
		Suite *suite = suite_create(#name);                                                \
		TCase *cases = tcase_create(#name);                                                \
		SRunner *runner = srunner_create(suite);                                           \
		int failed;                                                                        \
                                                                                                   \
		tcase_set_timeout(cases, 60);                                                      \
		suite_add_tcase(suite, cases);                                                     \
		additions;                                                                         \
		srunner_run_all(runner, CK_NORMAL);                                                \
		failed = srunner_ntests_failed(runner);                                            \
		srunner_free(runner);                                                              \
		return failed ? EXIT_FAILURE : EXIT_SUCCESS;                                       \
	}
