#include "http/intake/spool.h"
#include "unit.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MOST = 1 << 20 };

static char bytes[MOST], wire[MOST * 2], wanted[MOST * 2];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i * 31 >> 4);
}

static size_t read_all(const struct smtp_content *content, char *out)
{
	struct smtp_content_reader reader = { 0 };

	ck_assert_uint_lt(smtp_content_size(content), MOST * 2);
	return smtp_content_read(content, &reader, out, MOST * 2);
}

/* What comes out is what went in, in whatever pieces. */
static void check_spool(size_t len, size_t step)
{
	struct smtp_content held = { .encoding = SMTP_BASE64, .text = { bytes, len } }, spooled;
	struct spool spool;
	struct spool_part part = { .spool = &spool, .len = len };
	size_t wanted_len = read_all(&held, wanted);

	spool_open(&spool);
	for (size_t at = 0; at < len; at += step)
		ck_assert_int_eq(
			spool_add(&spool, text_head((struct text){ bytes + at, len - at }, step)),
			OK);
	ck_assert_uint_eq(spool.len, len);
	ck_assert_int_eq(spool.fd >= 0, len > SPOOL_IN_MEMORY);
	spooled = spool_content(&part);
	ck_assert_uint_eq(smtp_content_size(&spooled), wanted_len);
	ck_assert_uint_eq(read_all(&spooled, wire), wanted_len);
	ck_assert(memcmp(wire, wanted, wanted_len) == 0);
	spool_close(&spool);
}

START_TEST(test_what_goes_in_comes_out)
{
	static const size_t lens[] = { 0, 1, 57, SPOOL_IN_MEMORY - 1, SPOOL_IN_MEMORY,
		SPOOL_IN_MEMORY + 1, MOST };

	fill();
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		check_spool(lens[i], 4096);
		check_spool(lens[i], SPOOL_IN_MEMORY + 7);
		check_spool(lens[i], 977);
	}
}
END_TEST

/* Things of all sizes behind each other, held and in the file. */
START_TEST(test_parts_stand_one_behind_the_other)
{
	static const size_t lens[] = { 0, 1, 57, 4000, SPOOL_IN_MEMORY, 0, 58, 100000, 0 };
	enum { COUNT = sizeof(lens) / sizeof(lens[0]) };
	struct spool_part parts[COUNT];

	fill();
	for (size_t count = 1; count <= COUNT; count++) {
		struct spool spool;

		spool_open(&spool);
		for (size_t i = 0; i < count; i++) {
			parts[i] = (struct spool_part){
				.spool = &spool, .at = spool.len, .len = lens[i]
			};
			ck_assert_int_eq(
				spool_add(&spool, (struct text){ bytes + i, lens[i] }), OK);
		}
		for (size_t i = 0; i < count; i++) {
			struct smtp_content held = { .encoding = SMTP_BASE64,
				.text = { bytes + i, lens[i] } },
					    spooled = spool_content(&parts[i]);
			size_t wanted_len = read_all(&held, wanted);

			ck_assert_uint_eq(read_all(&spooled, wire), wanted_len);
			ck_assert(memcmp(wire, wanted, wanted_len) == 0);
		}
		spool_close(&spool);
	}
}
END_TEST

START_TEST(test_a_folder_that_cannot_be_written_is_passed_over)
{
	setenv("TMPDIR", "/proc", 1); /* nothing can be made there */
	fill();
	check_spool(MOST, 65536);
	unsetenv("TMPDIR");
}
END_TEST

/* What it takes of memory: a file's bytes count where the file lies in memory. */
START_TEST(test_what_is_held_is_known)
{
	struct spool spool;

	setenv("TMPDIR", "/dev/shm", 1);
	spool_open(&spool);
	ck_assert_uint_eq(spool_held(&spool), 0);
	ck_assert_int_eq(spool_add(&spool, (struct text){ bytes, SPOOL_IN_MEMORY }), OK);
	ck_assert_uint_eq(spool_held(&spool), SPOOL_IN_MEMORY);
	ck_assert_int_eq(spool_add(&spool, (struct text){ bytes, 100000 }), OK);
	ck_assert(spool.fd >= 0);
	ck_assert_uint_eq(spool_held(&spool), spool.in_memory ? spool.len : 0);
	spool.in_memory = !spool.in_memory;
	ck_assert_uint_eq(spool_held(&spool), spool.in_memory ? SPOOL_IN_MEMORY + 100000 : 0);
	spool_close(&spool);
	ck_assert_uint_eq(spool_held(&spool), 0);
	unsetenv("TMPDIR");
}
END_TEST

START_TEST(test_a_file_that_cannot_grow_is_said_so)
{
	struct rlimit limit = { SPOOL_IN_MEMORY * 2, SPOOL_IN_MEMORY * 2 };
	struct spool spool;
	enum err err = OK;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	spool_open(&spool);
	for (size_t at = 0; !err && at < MOST; at += 4096)
		err = spool_add(&spool, (struct text){ bytes, 4096 });
	ck_assert_int_eq(err, ERR_IO);
	spool_close(&spool);
	spool_close(&spool); /* again, is nothing */
}
END_TEST

UNIT_MAIN(spool, tcase_add_test(cases, test_what_goes_in_comes_out);
	  tcase_add_test(cases, test_parts_stand_one_behind_the_other);
	  tcase_add_test(cases, test_a_folder_that_cannot_be_written_is_passed_over);
	  tcase_add_test(cases, test_what_is_held_is_known);
	  tcase_add_test(cases, test_a_file_that_cannot_grow_is_said_so))
