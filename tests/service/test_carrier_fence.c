/* The store's word before the end of the data, at a carrier: F-42. The clock is moved by setting
 * back when it was asked. */
#include "service/session/carrier_fence.h"

#include "service/session/fence.h"
#include "unit.h"

enum { PATIENCE_MS = 15000, SOME_MS = 1000 };

static struct worker worker;
static struct carrier carrier;
static struct delivery delivery;
static struct fence fence;
static int questions;
static const struct part *asked_for;

static void ask(struct fence *self)
{
	ck_assert_ptr_eq(self, &fence);
	asked_for = self->asks_for;
	questions++;
}

/* All but the end of the data is out. */
static void begin(void)
{
	static const struct smtp_policy policy;
	static const unsigned char nonce[18];

	worker.asking = 0;
	questions = 0;
	fence = (struct fence){ .ask = ask };
	delivery = (struct delivery){ .fence = &fence };
	carrier = (struct carrier){ .worker = &worker, .delivery = &delivery };
	smtp_session_open(&carrier.session, &policy, nonce, 0);
	carrier.session.state = SMTP_AWAIT_DOT;
	carrier.session.holds_end = true;
	ck_assert(carrier_wants_fence(&carrier));
	ck_assert(!carrier_pass_fence(&carrier));
	ck_assert(!carrier_pass_fence(&carrier));
	ck_assert_int_eq(questions, 1);
	ck_assert_uint_eq(worker.asking, 1);
}

static void end(void)
{
	ck_assert(!carrier.is_asking);
	ck_assert_uint_eq(worker.asking, 0);
	smtp_session_close(&carrier.session);
}

/* So much time has passed since it was asked. */
static void pass(uint64_t ms)
{
	carrier.asked_ms -= ms;
}

static void it_stays(void)
{
	ck_assert(carrier_pass_fence(&carrier));
	ck_assert(carrier.session.holds_end);
	ck_assert_int_eq(carrier.session.state, SMTP_CLOSED);
	ck_assert_int_eq(carrier.session.verdict.outcome, SMTP_NOT_SENT);
	ck_assert_int_eq(carrier.session.loss, SMTP_LOSS_UNFENCED);
}

static void it_goes(void)
{
	ck_assert(carrier_pass_fence(&carrier));
	ck_assert(!carrier.session.holds_end);
	ck_assert_int_eq(carrier.session.state, SMTP_AWAIT_DOT);
}

START_TEST(a_yes_lets_the_end_go)
{
	begin();
	fence.answer = FENCE_YES;
	it_goes();
	end();
}
END_TEST

START_TEST(a_no_does_not)
{
	begin();
	fence.answer = FENCE_NO;
	it_stays();
	end();
}
END_TEST

/* We stood still with the yes in hand: the lease may be another's by now. */
START_TEST(a_yes_that_is_too_old_lets_nothing_go)
{
	begin();
	fence.answer = FENCE_YES;
	pass(PATIENCE_MS);
	it_stays();
	end();
}
END_TEST

START_TEST(a_yes_that_took_its_time_is_one)
{
	begin();
	pass(PATIENCE_MS - SOME_MS);
	ck_assert(!carrier_pass_fence(&carrier));
	fence.answer = FENCE_YES;
	it_goes();
	end();
}
END_TEST

START_TEST(no_answer_is_no_yes)
{
	begin();
	pass(PATIENCE_MS);
	it_stays();
	end();
}
END_TEST

/* The yes that the one before waited for in vain is used up with it: who comes next asks anew. */
START_TEST(an_old_yes_is_not_kept_for_the_next)
{
	begin();
	fence.answer = FENCE_YES;
	pass(PATIENCE_MS);
	it_stays();
	smtp_session_close(&carrier.session);
	carrier.session = (struct smtp_session){ .state = SMTP_AWAIT_DOT, .holds_end = true };
	ck_assert(!carrier_pass_fence(&carrier));
	ck_assert_int_eq(questions, 2);
	carrier_forget_fence(&carrier);
	end();
}
END_TEST

/* The one before ended while it waited: its answer says nothing of this one's recipients. */
START_TEST(an_answer_to_another_is_not_ours)
{
	begin();
	carrier_forget_fence(&carrier);
	ck_assert(!carrier_pass_fence(&carrier));
	ck_assert_int_eq(questions, 1);
	fence.answer = _i ? FENCE_YES : FENCE_NO;
	ck_assert(!carrier_pass_fence(&carrier));
	ck_assert(carrier.session.holds_end);
	ck_assert_int_eq(questions, 2);
	fence.answer = FENCE_YES;
	it_goes();
	end();
}
END_TEST

/* Or the whole, of which some may have been refused by then. */
START_TEST(it_is_asked_for_a_part)
{
	begin();
	ck_assert_int_eq(questions, 1);
	ck_assert_ptr_eq(asked_for, &carrier.part);
	carrier_forget_fence(&carrier);
	end();
}
END_TEST

UNIT_MAIN(carrier_fence, tcase_add_test(cases, a_yes_lets_the_end_go);
	  tcase_add_test(cases, a_no_does_not);
	  tcase_add_test(cases, a_yes_that_is_too_old_lets_nothing_go);
	  tcase_add_test(cases, a_yes_that_took_its_time_is_one);
	  tcase_add_test(cases, no_answer_is_no_yes);
	  tcase_add_test(cases, an_old_yes_is_not_kept_for_the_next);
	  tcase_add_loop_test(cases, an_answer_to_another_is_not_ours, 0, 2);
	  tcase_add_test(cases, it_is_asked_for_a_part);)
