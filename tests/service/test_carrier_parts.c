/* Parts of a message, at a carrier. */
#include "service/session/carrier_parts.h"
#include "service/session/fence.h"
#include "unit.h"

enum { COUNT = 6, MOST = 2 };

static struct region *region;
static struct relay *relay;
static struct carrier carrier;
static struct delivery delivery;
static struct text to[COUNT];
static struct smtp_answer answers[COUNT];

static void begin(void)
{
	char host[] = "SMTP_HOST=127.0.0.1", secure[] = "SMTP_SECURE=NONE";
	char *none[] = { NULL }, *given[] = { host, secure, NULL };
	struct buf why = buf_born(1000);
	struct settings *settings;

	ck_assert_int_eq(settings_load(none, given, &settings, &why), OK);
	ck_assert_int_eq(relay_open(settings, 0, 1, &relay, &why), OK);
	settings_free(settings);
	buf_free(&why);
	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	for (size_t i = 0; i < COUNT; i++) {
		to[i] = TEXT("somebody@example.org");
		answers[i] = (struct smtp_answer){ 0 };
	}
	delivery = (struct delivery){ .region = region,
		.envelope = { .to = to, .count = COUNT },
		.result = { .count = COUNT, .to = to, .answers = answers } };
	carrier = (struct carrier){ .relay = relay, .delivery = &delivery };
	carrier.session.features.rcpt_max = MOST;
}

static void end(void)
{
	region_close(region);
	relay_release(relay);
}

static void part_is_over(struct smtp_verdict verdict)
{
	for (size_t i = 0; i < carrier.part.envelope.count; i++)
		carrier.part.answers[i].verdict = verdict;
	carrier.transaction.verdict = verdict;
}

static struct smtp_verdict taken(void)
{
	return (struct smtp_verdict){
		.class = SMTP_TAKEN, .outcome = SMTP_ACCEPTED, .status = 200
	};
}

/* Nothing more fits the delivery's region. */
static void memory_ends(void)
{
	for (size_t size = 1 << 19; size; size /= 2)
		while (region_alloc(region, size))
			;
}

/* Else the caller sends it again to those who have it. */
START_TEST(where_memory_ends_those_who_have_it_stay_served)
{
	ck_assert(carrier_cut(&carrier));
	ck_assert_uint_eq(carrier.part.envelope.count, MOST);
	part_is_over(taken());
	ck_assert(carrier_goes_on(&carrier, &delivery));
	memory_ends();
	ck_assert(!carrier_cut(&carrier));
	carrier.transaction.answers = carrier.part.answers;
	carrier_refuse_uncut(&carrier);
	ck_assert(carrier.transaction.is_over);
	ck_assert(!carrier_goes_on(&carrier, &delivery));
	for (size_t i = 0; i < COUNT; i++)
		ck_assert_int_eq(
			answers[i].verdict.outcome, i < MOST ? SMTP_ACCEPTED : SMTP_NOT_SENT);
	ck_assert_int_eq(answers[MOST].verdict.category, SMTP_INTERNAL);
	ck_assert_int_eq(delivery.result.verdict.outcome, SMTP_PARTIAL);
}
END_TEST

START_TEST(where_memory_ends_at_once_all_are_told)
{
	memory_ends();
	ck_assert(!carrier_cut(&carrier));
	carrier.transaction.answers = carrier.part.answers;
	carrier_refuse_uncut(&carrier);
	for (size_t i = 0; i < COUNT; i++)
		ck_assert_int_eq(answers[i].verdict.category, SMTP_INTERNAL);
}
END_TEST

START_TEST(each_part_earns_another_try)
{
	ck_assert(carrier_cut(&carrier));
	delivery.was_retried = true;
	part_is_over(taken());
	ck_assert(carrier_goes_on(&carrier, &delivery));
	ck_assert(!delivery.was_retried);
}
END_TEST

static int told;

static void part(struct fence *fence)
{
	ck_assert_ptr_eq(fence, delivery.fence);
	ck_assert(answers[0].verdict.status); /* it is in the result */
	told++;
}

/* … but of the last, with which the delivery is over. */
START_TEST(each_part_is_told)
{
	struct fence fence = { .part = part };

	told = 0;
	delivery.fence = &fence;
	for (int i = 0; i < COUNT / MOST; i++) {
		ck_assert_int_eq(told, i);
		ck_assert(carrier_cut(&carrier));
		part_is_over(taken());
		ck_assert_int_eq(carrier_goes_on(&carrier, &delivery), i < COUNT / MOST - 1);
	}
	ck_assert_int_eq(told, COUNT / MOST - 1);
}
END_TEST

/* The second of three parts fails for `code` at the end of the data: what that means for whom? */
static void second_part_fails(uint16_t code, const char *words)
{
	struct smtp_said said = { .code = code, .text = text_of(words) };

	ck_assert(carrier_cut(&carrier));
	part_is_over(taken());
	ck_assert(carrier_goes_on(&carrier, &delivery));
	ck_assert(carrier_cut(&carrier));
	part_is_over(smtp_verdict_of_said(
		&said, SMTP_IN_DOT, (struct smtp_verdict_rules){ false, false }));
	ck_assert(!carrier_goes_on(&carrier, &delivery));
}

START_TEST(who_was_not_begun_is_not_sent)
{
	bool is_later = _i == 0;
	const struct smtp_verdict *refused, *unsent;

	second_part_fails(is_later ? 451 : 554, "no");
	refused = &answers[MOST].verdict;
	ck_assert_int_eq(refused->outcome, is_later ? SMTP_DEFERRED : SMTP_REJECTED);
	ck_assert_int_eq(refused->phase, SMTP_IN_DOT);
	for (size_t i = 2 * MOST; i < COUNT; i++) {
		unsent = &answers[i].verdict;
		ck_assert_int_eq(unsent->outcome, SMTP_NOT_SENT);
		ck_assert_int_eq(unsent->phase, SMTP_IN_QUEUE);
		ck_assert_int_eq(unsent->category, refused->category);
		ck_assert_int_eq(unsent->retryable, is_later);
		ck_assert_str_ne(unsent->hint, refused->hint);
	}
	ck_assert_int_eq(delivery.result.verdict.outcome, SMTP_PARTIAL);
}
END_TEST

UNIT_MAIN(carrier_parts, tcase_add_checked_fixture(cases, begin, end);
	  tcase_add_test(cases, where_memory_ends_those_who_have_it_stay_served);
	  tcase_add_test(cases, where_memory_ends_at_once_all_are_told);
	  tcase_add_test(cases, each_part_earns_another_try);
	  tcase_add_test(cases, each_part_is_told);
	  tcase_add_loop_test(cases, who_was_not_begun_is_not_sent, 0, 2);)
