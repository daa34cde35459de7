/* The last good addresses: found again, replaced, forgotten, and never too many. */
#include "service/session/known.h"

#include <netinet/in.h>
#include <stdio.h>

#include "unit.h"

/* That many addresses, told apart by `mark`. */
static void note(struct known *known, const char *host, int family, size_t count, uint32_t mark)
{
	struct sockaddr_storage addresses[4] = { 0 };

	for (size_t i = 0; i < count; i++)
		((struct sockaddr_in *)&addresses[i])->sin_addr.s_addr = mark + (uint32_t)i;
	known_note(known, host, family, addresses, count);
}

/* How many there are, which must be marked so. */
static size_t find(struct known *known, const char *host, int family, uint32_t mark)
{
	struct sockaddr_storage found[KNOWN_ADDRESSES];
	bool is_stale;
	size_t count = known_find(known, host, family, &is_stale, found);

	for (size_t i = 0; i < count; i++)
		ck_assert_uint_eq(((struct sockaddr_in *)&found[i])->sin_addr.s_addr, mark + i);
	return count;
}

static bool is_stale(struct known *known, const char *host, int family)
{
	struct sockaddr_storage found[KNOWN_ADDRESSES];
	bool stale = false;

	ck_assert_uint_gt(known_find(known, host, family, &stale, found), 0);
	return stale;
}

static struct known *open_known(void)
{
	struct known *known;

	ck_assert_int_eq(known_open(&known), OK);
	return known;
}

START_TEST(names_are_told_apart_by_family_and_not_by_case)
{
	struct known *known = open_known();

	ck_assert_uint_eq(find(known, "mx.test", AF_INET, 0), 0);
	note(known, "mx.test", AF_INET, 2, 10);
	note(known, "mx.test", AF_INET6, 1, 20);
	note(known, "mx.test.", AF_INET, 1, 30);
	ck_assert_uint_eq(find(known, "MX.test", AF_INET, 10), 2);
	ck_assert_uint_eq(find(known, "mx.test", AF_INET6, 20), 1);
	ck_assert_uint_eq(find(known, "mx", AF_INET, 0), 0);
	known_close(known);
}
END_TEST

START_TEST(what_was_noted_last_counts)
{
	struct known *known = open_known();

	note(known, "mx.test", AF_INET, 1, 10);
	known_be_stale(known, "mx.test", AF_INET, false);
	ck_assert(is_stale(known, "mx.test", AF_INET));
	note(known, "mx.test", AF_INET, 3, 20);
	ck_assert_uint_eq(find(known, "mx.test", AF_INET, 20), 3);
	ck_assert(!is_stale(known, "mx.test", AF_INET));
	known_drop(known, "mx.test", AF_INET6);
	known_drop(known, "mx.test", AF_INET);
	known_drop(known, "mx.test", AF_INET);
	known_be_stale(known, "mx.test", AF_INET, true);
	ck_assert_uint_eq(find(known, "mx.test", AF_INET, 0), 0);
	known_close(known);
}
END_TEST

START_TEST(one_at_a_time_asks_again)
{
	struct known *known = open_known();

	ck_assert(!known_claim(known, "mx.test", AF_INET));
	note(known, "mx.test", AF_INET, 1, 10);
	known_be_stale(known, "mx.test", AF_INET, true);
	ck_assert(!known_claim(known, "mx.test", AF_INET));
	known_be_stale(known, "mx.test", AF_INET, false);
	ck_assert(known_claim(known, "mx.test", AF_INET));
	ck_assert(!known_claim(known, "mx.test", AF_INET));
	note(known, "mx.test", AF_INET, 1, 10);
	ck_assert(known_claim(known, "mx.test", AF_INET));
	known_close(known);
}
END_TEST

START_TEST(the_one_noted_longest_ago_makes_room)
{
	struct known *known = open_known();
	char host[16];

	for (uint32_t i = 0; i < KNOWN_NAMES; i++) {
		snprintf(host, sizeof(host), "mx%u.test", i);
		note(known, host, AF_INET, 1, i);
	}
	note(known, "mx0.test", AF_INET, 1, 0); /* noted again: now the second is the oldest */
	note(known, "one.more.test", AF_INET, 1, 1);
	ck_assert_uint_eq(find(known, "mx0.test", AF_INET, 0), 1);
	ck_assert_uint_eq(find(known, "mx1.test", AF_INET, 0), 0);
	ck_assert_uint_eq(find(known, "mx2.test", AF_INET, 2), 1);
	ck_assert_uint_eq(find(known, "one.more.test", AF_INET, 1), 1);
	known_close(known);
}
END_TEST

UNIT_MAIN(known, tcase_add_test(cases, names_are_told_apart_by_family_and_not_by_case);
	  tcase_add_test(cases, what_was_noted_last_counts);
	  tcase_add_test(cases, one_at_a_time_asks_again);
	  tcase_add_test(cases, the_one_noted_longest_ago_makes_room);)
