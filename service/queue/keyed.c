#include "service/queue/keyed.h"

#include "http/result.h"
#include "service/clock.h"
#include "service/queue/awaited.h"
#include "service/queue/endings.h"
#include "service/queue/keeping.h"
#include "service/queue/leaving.h"
#include "service/relay/dispatch.h"
#include "service/relay/settle.h"
#include "service/store/pack.h"

#include <string.h>

enum { VERSION = 1, VERDICT_BYTES = 200, STATUS_MOST = 599 };

/* In the delivery's region. */
struct keyed {
	struct lettergate *lettergate;
	struct delivery *delivery;
	struct once once;
	int64_t began_ms;   /* its run; 0: none, it begins when its message is accepted */
	struct text answer; /* as it is told; empty: too long to be kept */
	union {
		struct once_begin_job begin;
		struct once_end_job end;
	};
};

static struct keyed *keyed_of(const struct delivery *delivery)
{
	return delivery->begun;
}

/* ---- the answer as it is kept: id, verdict, and the words where they are not too long */

static enum err pack(struct keyed *keyed, const struct delivery *told, struct buf *buf)
{
	const struct smtp_verdict *verdict = &told->result.verdict;

	pack_number(buf, VERSION);
	pack_text(buf, text_of(told->id));
	pack_number(buf, verdict->class);
	pack_number(buf, verdict->category);
	pack_number(buf, verdict->outcome);
	pack_number(buf, verdict->phase);
	pack_number(buf, verdict->status);
	pack_number(buf, verdict->retryable);
	pack_number(buf, verdict->retry_after_s);
	pack_text(buf, keyed->answer);
	pack_seal(buf, 0);
	if (!buf->err)
		keyed->once.answer = region_copy(told->region, buf_text(buf));
	return buf->err ? buf->err : keyed->once.answer.at ? OK : ERR_MEMORY;
}

static bool unpack(struct text bytes, struct delivery *delivery)
{
	struct smtp_verdict verdict = { .hint = "" };
	struct unpack unpack;
	struct text id, answer;

	if (!unpack_open(bytes, &unpack) || unpack_number(&unpack, VERSION) != VERSION)
		return false;
	id = unpack_text(&unpack);
	verdict.class = (enum smtp_class)unpack_number(&unpack, SMTP_UNCERTAIN);
	verdict.category = (enum smtp_category)unpack_number(&unpack, SMTP_CATEGORIES - 1);
	verdict.outcome = (enum smtp_outcome)unpack_number(&unpack, SMTP_OUTCOMES - 1);
	verdict.phase = (enum smtp_phase)unpack_number(&unpack, SMTP_PHASES - 1);
	verdict.status = (uint16_t)unpack_number(&unpack, STATUS_MOST);
	verdict.retryable = unpack_number(&unpack, 1);
	verdict.retry_after_s = (uint32_t)unpack_number(&unpack, UINT32_MAX);
	answer = unpack_text(&unpack);
	if (!unpack_is_done(&unpack) || id.len != DELIVERY_ID_LEN)
		return false;
	memcpy(delivery->id, id.at, id.len);
	delivery->result.verdict = verdict;
	delivery->first_answer = answer;
	return true;
}

/* As repeat_tell would write it; empty: it is too long. */
static struct text words_of(const struct delivery *told)
{
	struct buf words = buf_born(REPEATS_ANSWER_MOST);
	struct text copy = { 0 };

	result_add(&words, told, told->place > 0);
	if (!words.err)
		copy = region_copy(told->region, buf_text(&words));
	buf_free(&words);
	return copy;
}

static enum err write_answer(struct keyed *keyed, const struct delivery *told)
{
	struct buf packed = buf_born(REPEATS_ANSWER_MOST + VERDICT_BYTES);
	enum err err;

	keyed->answer = words_of(told);
	err = pack(keyed, told, &packed);
	buf_free(&packed);
	return err;
}

void keyed_tell_anew(struct delivery *delivery)
{
	if (delivery->begun)
		delivery->first_answer = words_of(delivery);
}

/* ---- giving it back */

static void give_back(struct keyed *keyed)
{
	atomic_fetch_sub(&keyed->lettergate->in_flight, 1);
	keyed->delivery->done(keyed->delivery);
}

static void set_repeat(struct keyed *keyed, enum repeat repeat)
{
	keyed->delivery->repeat = repeat;
	repeats_note(keyed->lettergate->repeats, repeat);
}

/* It counts as the first: its answer, `unknown`, is remembered from now on. */
static void tell_cut_short(struct keyed *keyed)
{
	static const struct smtp_said nothing;
	struct smtp_verdict verdict = smtp_verdict_of_loss(SMTP_LOSS_INTERNAL, SMTP_IN_DOT, true);

	set_repeat(keyed, REPEAT_FIRST);
	settle_failed(keyed->lettergate, keyed->delivery, &verdict, &nothing,
		"the gateway ended while the first request with this key was under way: "
		"nobody knows whether the relay took the message");
}

void keyed_found(struct delivery *delivery, enum once_found found, struct text answer)
{
	struct keyed *keyed = keyed_of(delivery);

	if (found == ONCE_CUT) {
		tell_cut_short(keyed);
		return;
	}
	if (found == ONCE_DONE && !unpack(answer, delivery)) {
		keep_failed(keyed->lettergate, delivery, ERR_SYNTAX);
		return;
	}
	set_repeat(keyed, found == ONCE_DONE      ? REPEAT_AGAIN
			  : found == ONCE_RUNNING ? REPEAT_RUNNING
						  : REPEAT_MISMATCH);
	if (found == ONCE_DONE && delivery->wait_until_us &&
		delivery->result.verdict.outcome == SMTP_QUEUED)
		awaited_look(keyed->lettergate->awaited, delivery);
	else
		give_back(keyed);
}

/* ---- ending it */

void keyed_kept(struct delivery *delivery)
{
	struct keyed *keyed = keyed_of(delivery);

	if (!keyed)
		return;
	if (delivery->repeat == REPEAT_NONE)
		set_repeat(keyed, REPEAT_FIRST);
	if (keyed->once.answer.len)
		delivery->first_answer = keyed->answer;
}

/* What cannot be written, or nobody knows whether it was, is written later. */
static void end_later(struct keyed *keyed, bool is_free)
{
	endings_keep(keyed->lettergate->endings, &keyed->once, is_free, keyed->began_ms);
}

/* The queue's thread. */
static void ended(struct job *job)
{
	struct keyed *keyed = job->waiter;

	if (!job->err)
		keyed_kept(keyed->delivery);
	else if (job->err == ERR_IO || job->err == ERR_MEMORY || job->err == ERR_DOUBT)
		end_later(keyed, keyed->end.is_free);
	give_back(keyed);
}

/* Its answer is what it is, whether it is remembered or not. */
static bool leave_end(struct job *job)
{
	struct keyed *keyed = job->waiter;

	return leaving_tell(keyed->lettergate, keyed->delivery);
}

static void put_end(struct keyed *keyed, bool is_free)
{
	keyed->end = (struct once_end_job){
		.job = { .kind = JOB_ONCE_END, .done = ended, .waiter = keyed, .stays = true },
		.once = &keyed->once,
		.is_free = is_free,
		.began_ms = keyed->began_ms,
		.now_ms = now_unix_ms()
	};
	leaving_put(keyed->lettergate, keyed->delivery, &keyed->end.job, leave_end);
}

bool keyed_runs(const struct delivery *delivery)
{
	return delivery->begun && delivery->repeat == REPEAT_FIRST;
}

/* False: out of memory. */
static bool read_end(struct keyed *keyed, bool *is_free_out)
{
	*is_free_out = !repeats_is_remembered(keyed->delivery->result.verdict.outcome);
	keyed->once.answer = (struct text){ 0 }; /* there may be that of a 202 that was not to be */
	return *is_free_out || write_answer(keyed, keyed->delivery) == OK;
}

bool keyed_end(struct delivery *delivery)
{
	struct keyed *keyed = keyed_of(delivery);
	bool is_free;

	if (!keyed || !read_end(keyed, &is_free)) /* out of memory: it runs on */
		return false;
	put_end(keyed, is_free);
	return true;
}

void keyed_end_doubt(struct delivery *delivery)
{
	bool is_free;

	if (keyed_runs(delivery) && read_end(keyed_of(delivery), &is_free))
		end_later(keyed_of(delivery), is_free);
}

enum err keyed_join(
	struct delivery *delivery, const struct delivery *told, struct accept_job *accept)
{
	struct keyed *keyed = keyed_of(delivery);

	if (!keyed)
		return OK;
	accept->once = &keyed->once;
	accept->region = delivery->region;
	accept->step = delivery->repeat == REPEAT_NONE ? ACCEPT_BEGINS : ACCEPT_ENDS;
	if (repeats_is_remembered(told->result.verdict.outcome))
		return write_answer(keyed, told);
	accept->step = ACCEPT_FREES;
	return OK;
}

/* ---- beginning it */

enum err keyed_open(struct lettergate *lettergate, struct delivery *delivery)
{
	struct keyed *keyed = region_zalloc(delivery->region, 1, sizeof(*keyed));
	struct buf word = buf_born(delivery->idempotency_key.len + 32);

	buf_add(&word, delivery->idempotency_key);
	if (delivery->place) /* which no key has a line's end before */
		buf_addf(&word, "\n%zu", delivery->place);
	if (keyed && !word.err) {
		keyed->lettergate = lettergate;
		keyed->delivery = delivery;
		keyed->once.key_id = delivery->key_id;
		keyed->once.key = region_copy(delivery->region, buf_text(&word));
		memcpy(keyed->once.hash, delivery->digest, sizeof(keyed->once.hash));
		delivery->begun = keyed;
	}
	buf_free(&word);
	return keyed && keyed->once.key.at ? OK : ERR_MEMORY;
}

/* Nobody takes it, and its sender hears why, as if its key had never been seen. */
static void refuse(struct keyed *keyed, enum submission submission)
{
	keyed->delivery->refused = submission;
	put_end(keyed, true);
}

/* Nobody came with its key before. */
static enum submission start(struct lettergate *lettergate, struct delivery *delivery)
{
	enum submission submission;

	if (delivery->way != DELIVER_QUEUED || delivery->dry_run)
		return dispatch(lettergate, delivery);
	submission = dispatch_may(lettergate, delivery);
	if (!submission)
		keep(lettergate, delivery);
	return submission;
}

/* Nothing was sent, and nothing will be. */
static bool leave_begin(struct job *job)
{
	struct keyed *keyed = job->waiter;
	struct delivery *told = leaving_begin(keyed->delivery);

	if (!told)
		return false;
	keep_failed_note(keyed->lettergate, told, ERR_IO);
	leaving_end(keyed->lettergate, told);
	return true;
}

/* The queue's thread. */
static void looked_up(struct job *job)
{
	struct keyed *keyed = job->waiter;
	enum submission submission;

	if (job->err == ERR_DOUBT)
		end_later(keyed, true);
	if (job->err) {
		keep_failed(keyed->lettergate, keyed->delivery,
			job->err == ERR_DOUBT ? ERR_IO : job->err); /* nothing was sent */
		return;
	}
	if (keyed->begin.found != ONCE_NEW) {
		keyed_found(keyed->delivery, keyed->begin.found, keyed->begin.answer);
		return;
	}
	if (keyed->delivery->is_left) {
		put_end(keyed, true);
		return;
	}
	set_repeat(keyed, REPEAT_FIRST);
	submission = start(keyed->lettergate, keyed->delivery);
	if (submission)
		refuse(keyed, submission);
}

void keyed_start(struct delivery *delivery)
{
	struct keyed *keyed = keyed_of(delivery);

	_Static_assert((int)STORE_ONCE_HASH == (int)DIGEST_LEN, "the digest is what is compared");
	keyed->began_ms = now_unix_ms();
	keyed->begin = (struct once_begin_job){
		.job = { .kind = JOB_ONCE_BEGIN, .done = looked_up, .waiter = keyed },
		.once = &keyed->once,
		.now_ms = keyed->began_ms,
		.region = delivery->region
	};
	leaving_put(keyed->lettergate, delivery, &keyed->begin.job, leave_begin);
}
