/* Signatures of events (S-51), and where they may go (S-50). */
#include "service/webhook/webhook_reach.h"
#include "service/webhook/webhook_sign.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

static struct webhook_keys keys;
static char room[512];

static const char *sign(const char *secrets, const char *id, int64_t time_s, const char *body)
{
	struct buf out = buf_over(room, sizeof(room) - 1);

	ck_assert_ptr_null(webhook_keys_read(text_of(secrets), &keys));
	webhook_sign(&keys, text_of(id), time_s, text_of(body), &out);
	ck_assert_int_eq(out.err, OK);
	room[out.len] = '\0';
	return room;
}

/* The example of the specification's reference libraries. */
START_TEST(the_published_vector)
{
	ck_assert_str_eq(
		sign("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
			1614265330, "{\"test\": 2432232314}"),
		"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}
END_TEST

START_TEST(two_keys_sign_side_by_side)
{
	static const char first[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
			  other[] = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
	char expected[512], both[128];

	snprintf(both, sizeof(both), "%s  %s ", first, other);
	strcpy(expected, sign(first, "a", 1, "body"));
	strcat(expected, " ");
	strcat(expected, sign(other, "a", 1, "body"));
	ck_assert_str_eq(sign(both, "a", 1, "body"), expected);
}
END_TEST

START_TEST(all_that_is_signed_counts)
{
	static const char secret[] = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
	char first[512];

	strcpy(first, sign(secret, "a", 1, "body"));
	ck_assert_str_ne(sign(secret, "b", 1, "body"), first);
	ck_assert_str_ne(sign(secret, "a", 2, "body"), first);
	ck_assert_str_ne(sign(secret, "a", 1, "bodz"), first);
	ck_assert_str_ne(sign("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", "a", 1, "body"), first);
	ck_assert_str_eq(sign(secret, "a", 1, "body"), first);
}
END_TEST

static const struct {
	const char *secrets, *wrong;
} bad[] = {
	{ "", "there is no secret" },
	{ "  ", "there is no secret" },
	{ "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a secret begins with whsec_" },
	{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS", "behind whsec_ comes base64" },
	{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS\xff", "behind whsec_ comes base64" },
	{ "whsec_", "a secret has 24 to 64 bytes (as 32 to 88 letters of base64)" },
	{ "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa0=",
		"a secret has 24 to 64 bytes (as 32 to 88 letters of base64)" },
	{ "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
		"a secret has 24 to 64 bytes (as 32 to 88 letters of base64)" },
	{ "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX "
	  "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
		"at most two secrets at a time" },
	{ "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX,whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
		"behind whsec_ comes base64" },
};

START_TEST(a_bad_secret_is_told)
{
	ck_assert_str_eq(webhook_keys_read(text_of(bad[_i].secrets), &keys), bad[_i].wrong);
}
END_TEST

/* ---- reach */

static bool may_reach(const char *address, const char *allowed)
{
	struct network_address to;
	struct network network;

	ck_assert(network_address_read(text_of(address), &to));
	ck_assert(!allowed || network_read(text_of(allowed), &network));
	return webhook_may_reach(&to, &network, allowed ? 1 : 0);
}

static const struct {
	const char *address;
	bool is_public;
} addresses[] = {
	{ "1.1.1.1", true },
	{ "9.255.255.255", true },
	{ "11.0.0.0", true },
	{ "100.63.255.255", true },
	{ "100.128.0.0", true },
	{ "172.15.255.255", true },
	{ "172.32.0.0", true },
	{ "192.0.1.0", true },
	{ "223.255.255.255", true },
	{ "2606:4700:4700::1111", true },
	{ "2001:4860:4860::8888", true },
	{ "0.0.0.0", false },
	{ "10.0.0.1", false },
	{ "100.64.0.1", false },
	{ "127.0.0.1", false },
	{ "127.255.255.254", false },
	{ "169.254.169.254", false },
	{ "172.16.0.1", false },
	{ "172.31.255.255", false },
	{ "192.0.0.8", false },
	{ "192.168.1.1", false },
	{ "198.19.255.255", false },
	{ "224.0.0.1", false },
	{ "240.0.0.1", false },
	{ "255.255.255.255", false },
	{ "::", false },
	{ "::1", false },
	{ "::127.0.0.1", false },
	{ "::ffff:127.0.0.1", false },
	{ "::ffff:10.0.0.1", false },
	{ "64:ff9b::10.0.0.1", false },
	{ "2001::1", false },
	{ "2001:db8::1", false },
	{ "2002:7f00:1::", false },
	{ "3fff::1", false },
	{ "fc00::1", false },
	{ "fd12:3456::1", false },
	{ "fe80::1", false },
	{ "fec0::1", false },
	{ "ff02::1", false },
	{ "5f00::1", false },
};

START_TEST(only_public_addresses_are_reached)
{
	ck_assert_msg(may_reach(addresses[_i].address, NULL) == addresses[_i].is_public, "%s",
		addresses[_i].address);
}
END_TEST

START_TEST(what_is_named_is_reached)
{
	ck_assert(may_reach("10.1.2.3", "10.1.0.0/16"));
	ck_assert(may_reach("::1", "::1"));
	ck_assert(!may_reach("10.2.2.3", "10.1.0.0/16"));
	ck_assert(!may_reach("127.0.0.1", "10.0.0.0/8"));
	ck_assert(!webhook_may_reach(&(struct network_address){ .is_unix = true }, NULL, 0));
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

UNIT_MAIN(webhook_sign, tcase_add_test(cases, the_published_vector);
	  tcase_add_test(cases, two_keys_sign_side_by_side);
	  tcase_add_test(cases, all_that_is_signed_counts);
	  tcase_add_loop_test(cases, a_bad_secret_is_told, 0, COUNT(bad));
	  tcase_add_loop_test(cases, only_public_addresses_are_reached, 0, COUNT(addresses));
	  tcase_add_test(cases, what_is_named_is_reached);)
