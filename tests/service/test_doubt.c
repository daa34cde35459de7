/* Addresses that did not answer, and their order. */
#include "service/session/doubt.h"
#include "unit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum { NOW = 5000000, LATER = NOW + DOUBT_S * 1000000 };

static struct doubts doubts;

static void forget(void)
{
	doubts = (struct doubts){ 0 };
}

static struct sockaddr_storage v4(const char *text, uint16_t port)
{
	struct sockaddr_storage address = { .ss_family = AF_INET };
	struct sockaddr_in *own = (void *)&address;

	own->sin_port = htons(port);
	ck_assert_int_eq(inet_pton(AF_INET, text, &own->sin_addr), 1);
	return address;
}

static struct sockaddr_storage v6(const char *text)
{
	struct sockaddr_storage address = { .ss_family = AF_INET6 };
	struct sockaddr_in6 *own = (void *)&address;

	own->sin6_port = htons(25);
	ck_assert_int_eq(inet_pton(AF_INET6, text, &own->sin6_addr), 1);
	return address;
}

START_TEST(doubt_passes)
{
	struct sockaddr_storage one = v4("192.0.2.1", 25);

	ck_assert(!is_doubted(&doubts, &one, NOW));
	doubt_address(&doubts, &one, NOW);
	ck_assert(is_doubted(&doubts, &one, NOW));
	ck_assert(is_doubted(&doubts, &one, LATER - 1));
	ck_assert(!is_doubted(&doubts, &one, LATER));
	doubt_address(&doubts, &one, LATER - 1);
	ck_assert(is_doubted(&doubts, &one, LATER));
	trust_address(&doubts, &one);
	ck_assert(!is_doubted(&doubts, &one, LATER));
}
END_TEST

START_TEST(it_is_of_one_address_alone)
{
	struct sockaddr_storage one = v4("192.0.2.1", 25), other = v4("192.0.2.2", 25),
				port = v4("192.0.2.1", 587), six = v6("2001:db8::1"),
				other_six = v6("2001:db8::2");

	doubt_address(&doubts, &one, NOW);
	doubt_address(&doubts, &six, NOW);
	ck_assert(is_doubted(&doubts, &one, NOW) && is_doubted(&doubts, &six, NOW));
	ck_assert(!is_doubted(&doubts, &other, NOW));
	ck_assert(!is_doubted(&doubts, &port, NOW));
	ck_assert(!is_doubted(&doubts, &other_six, NOW));
	trust_address(&doubts, &other);
	ck_assert(is_doubted(&doubts, &one, NOW));
}
END_TEST

START_TEST(without_room_the_oldest_goes)
{
	struct sockaddr_storage address = v4("192.0.2.0", 25);
	struct sockaddr_in *own = (void *)&address;

	for (uint32_t i = 0; i <= DOUBTS; i++) {
		own->sin_addr.s_addr = htonl(0xc0000200u + i);
		doubt_address(&doubts, &address, NOW + i);
	}
	ck_assert(is_doubted(&doubts, &address, NOW + 100));
	own->sin_addr.s_addr = htonl(0xc0000200u);
	ck_assert(!is_doubted(&doubts, &address, NOW + 100));
	own->sin_addr.s_addr = htonl(0xc0000201u);
	ck_assert(is_doubted(&doubts, &address, NOW + 100));
}
END_TEST

/* Letters are addresses; a capital one is doubted. */
static const struct {
	const char *before, *after;
} orders[] = {
	{ "", "" },
	{ "a", "a" },
	{ "A", "A" },
	{ "abc", "abc" },
	{ "Abc", "bcA" },
	{ "aBc", "acB" },
	{ "abC", "abC" },
	{ "AbC", "bAC" },
	{ "ABc", "cAB" },
	{ "ABC", "ABC" },
	{ "aBcDe", "aceBD" },
};

START_TEST(those_doubted_come_last)
{
	struct sockaddr_storage list[8];
	size_t count = 0;

	for (const char *at = orders[_i].before; *at; at++) {
		char text[16];

		snprintf(text, sizeof(text), "192.0.2.%d", *at);
		list[count] = v4(text, 25);
		if (*at < 'a')
			doubt_address(&doubts, &list[count], NOW);
		count++;
	}
	doubted_last(&doubts, list, count, NOW);
	for (size_t i = 0; i < count; i++) {
		const struct sockaddr_in *own = (const void *)&list[i];

		ck_assert_int_eq(ntohl(own->sin_addr.s_addr) & 0xff, orders[_i].after[i]);
	}
}
END_TEST

UNIT_MAIN(doubt, tcase_add_checked_fixture(cases, forget, NULL);
	  tcase_add_test(cases, doubt_passes); tcase_add_test(cases, it_is_of_one_address_alone);
	  tcase_add_test(cases, without_room_the_oldest_goes); tcase_add_loop_test(
		  cases, those_doubted_come_last, 0, (int)(sizeof(orders) / sizeof(orders[0])));)
