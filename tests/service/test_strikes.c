/* What a process leaves of the messages that it may have died of. */
#include "service/store/strikes.h"
#include "service/store/rules.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "unit.h"

#include <signal.h>

static char path[64], kept[1 << 17];
static ssize_t kept_len;

static struct strikes *open_them(void)
{
	struct strikes *strikes;

	ck_assert_int_eq(strikes_open(path, &strikes), OK);
	return strikes;
}

static void begin(void)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/lettergate-strikes-XXXXXX");
	fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	close(fd);
}

static const char *id_of(unsigned number)
{
	static char id[DELIVERY_ID_LEN + 1];

	snprintf(id, sizeof(id), "01990000-%04x-7000-8000-0000000000ff", number);
	return id;
}

/* The file as it is now, as if the process died here. */
static void keep_file(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	kept_len = read(fd, kept, sizeof(kept));
	ck_assert_int_gt(kept_len, 0);
	close(fd);
}

static void put_back(void)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

	ck_assert_int_eq(write(fd, kept, (size_t)kept_len), kept_len);
	close(fd);
}

static unsigned count_left(const struct strikes *strikes)
{
	char id[DELIVERY_ID_LEN + 1];
	unsigned count = 0;

	for (size_t place = 0; strikes_left(strikes, &place, id);)
		count++;
	return count;
}

START_TEST(what_was_noted_and_not_cleared_is_left)
{
	struct strikes *strikes;
	char id[DELIVERY_ID_LEN + 1];
	size_t place = 0;
	int slot;

	begin();
	strikes = open_them();
	ck_assert_uint_eq(count_left(strikes), 0);
	strikes_forget_left(strikes);
	slot = strikes_note(strikes, id_of(1));
	ck_assert_int_ne(slot, STRIKE_NONE);
	ck_assert_int_ne(strikes_note(strikes, id_of(2)), STRIKE_NONE);
	strikes_clear(strikes, slot);
	keep_file();
	strikes_close(strikes);
	put_back();
	strikes = open_them();
	ck_assert(strikes_left(strikes, &place, id));
	ck_assert_str_eq(id, id_of(2));
	ck_assert(!strikes_left(strikes, &place, id));
	strikes_close(strikes); /* it was not counted: the next one finds it again */
	strikes = open_them();
	ck_assert_uint_eq(count_left(strikes), 1);
	strikes_forget_left(strikes);
	ck_assert_uint_eq(count_left(strikes), 0);
	ck_assert_int_ne(strikes_note(strikes, id_of(3)), STRIKE_NONE);
	strikes_close(strikes); /* in order: nobody died */
	strikes = open_them();
	ck_assert_uint_eq(count_left(strikes), 0);
	strikes_close(strikes);
	unlink(path);
}
END_TEST

/* Half a line, a line that is damaged, another start of the machine: none of them counts. */
START_TEST(what_is_not_whole_does_not_count)
{
	struct strikes *strikes;
	char first[sizeof(kept)];

	begin();
	strikes = open_them();
	strikes_forget_left(strikes);
	ck_assert_int_eq(strikes_note(strikes, id_of(1)), 0);
	ck_assert_int_eq(strikes_note(strikes, id_of(2)), 1);
	keep_file();
	strikes_close(strikes);
	memcpy(first, kept, sizeof(first));
	for (int byte = 0; byte < 64; byte++) {
		memcpy(kept, first, sizeof(first));
		kept[64 + byte] ^= 1;
		put_back();
		strikes = open_them();
		ck_assert_uint_eq(count_left(strikes), 1);
		strikes_close(strikes);
	}
	memcpy(kept, first, sizeof(first));
	kept[0] ^= 1;
	put_back();
	strikes = open_them();
	ck_assert_uint_eq(count_left(strikes), 0);
	strikes_close(strikes);
	memcpy(kept, first, sizeof(first));
	kept_len /= 2;
	put_back();
	strikes = open_them();
	ck_assert_uint_eq(count_left(strikes), 0);
	strikes_close(strikes);
	unlink(path);
}
END_TEST

START_TEST(there_are_so_many_slots)
{
	struct strikes *strikes;

	begin();
	strikes = open_them();
	strikes_forget_left(strikes);
	for (unsigned i = 0; i < STRIKES_MOST; i++)
		ck_assert_int_eq(strikes_note(strikes, id_of(i)), (int)i);
	ck_assert_int_eq(strikes_note(strikes, id_of(1)), STRIKE_NONE);
	strikes_clear(strikes, 7);
	ck_assert_int_eq(strikes_note(strikes, id_of(1)), 7);
	strikes_close(strikes);
	strikes_close(NULL);
	unlink(path);
}
END_TEST

/* No room is no reason to send nothing: it is not noted then. */
START_TEST(without_room_nothing_is_noted)
{
	struct rlimit before, none;
	struct strikes *strikes;

	begin();
	strikes = open_them();
	strikes_forget_left(strikes);
	(void)signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	none = before;
	none.rlim_cur = 1;
	setrlimit(RLIMIT_FSIZE, &none);
	ck_assert_int_eq(strikes_note(strikes, id_of(1)), STRIKE_NONE);
	setrlimit(RLIMIT_FSIZE, &before);
	ck_assert_int_ne(strikes_note(strikes, id_of(1)), STRIKE_NONE);
	strikes_close(strikes);
	unlink(path);
	ck_assert_int_eq(strikes_open("/nowhere/strikes", &strikes), ERR_IO);
}
END_TEST

START_TEST(suspects_have_some_seconds_and_then_wait_for_each_other)
{
	struct suspicion suspicion = { 0 };
	int64_t now = 5;

	ck_assert(!suspicion_is_over(&suspicion, now));
	for (; now < 5 + ALONE_ALL_MS; now += 1000) {
		ck_assert(!suspicion_is_over(&suspicion, now));
		suspicion_note(&suspicion, now);
	}
	ck_assert(suspicion_is_over(&suspicion, now)); /* however many more there are */
	suspicion_note(&suspicion, now);
	ck_assert(suspicion_is_over(&suspicion, now));
	ck_assert(suspicion_is_over(&suspicion, now + ALONE_QUIET_MS));
	now += ALONE_QUIET_MS + 1; /* others died since */
	ck_assert(!suspicion_is_over(&suspicion, now));
	suspicion_note(&suspicion, now);
	ck_assert(!suspicion_is_over(&suspicion, now + ALONE_ALL_MS - 1));
}
END_TEST

/* Longer from strike to strike; who has as many as a message that is about to be set aside goes
 * when that is back, and no sooner. */
START_TEST(the_more_strikes_the_longer_it_is_alone)
{
	for (int64_t strikes = 1; strikes < 5; strikes++)
		ck_assert_int_gt(rules_alone_ms(strikes), rules_alone_ms(strikes - 1));
	ck_assert_int_eq(rules_alone_ms(0), 0);
	ck_assert_int_eq(rules_alone_ms(4), INT64_MAX);
	ck_assert_int_eq(rules_alone_ms(5), INT64_MAX);
}
END_TEST

UNIT_MAIN(strikes, tcase_add_test(cases, what_was_noted_and_not_cleared_is_left);
	  tcase_add_test(cases, what_is_not_whole_does_not_count);
	  tcase_add_test(cases, there_are_so_many_slots);
	  tcase_add_test(cases, without_room_nothing_is_noted);
	  tcase_add_test(cases, suspects_have_some_seconds_and_then_wait_for_each_other);
	  tcase_add_test(cases, the_more_strikes_the_longer_it_is_alone);)
