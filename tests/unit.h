/* unit - what every unit test program shares: UNIT_MAIN runs one suite
 *
 *   UNIT_MAIN(reply, tcase_add_test(cases, a_test); tcase_add_loop_test(cases, another, 0, 5);) */
#pragma once

#include <check.h>
#include <stdlib.h>

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
