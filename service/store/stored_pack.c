/* A message's head and course as bytes, and back. */
#include "service/store/stored.h"

#include "service/store/pack.h"

/* The second version of a course tells more of the last try; where there is nothing of that, it is
 * written as the first, and that is read as well. */
enum { VERSION = 1, TRIED_VERSION = 2, LIST_MOST = 10000 };

enum openness { DONE, OPEN, GIVEN_UP };

/* ---- packing */

enum flag { NEEDS_UTF8 = 1, EIGHT_BIT = 2, ALL_OR_NONE = 4, HOLD_UNKNOWN = 8, FLAGS = 15 };

static uint64_t flags_of(const struct stored *stored)
{
	return (stored->needs_utf8 ? NEEDS_UTF8 : 0) | (stored->eight_bit ? EIGHT_BIT : 0) |
	       (stored->all_or_none ? ALL_OR_NONE : 0) | (stored->hold_unknown ? HOLD_UNKNOWN : 0);
}

static void pack_texts(struct buf *buf, const struct text *texts, size_t count)
{
	pack_number(buf, count);
	for (size_t i = 0; i < count; i++)
		pack_text(buf, texts[i]);
}

void stored_pack_head(const struct stored *stored, struct buf *buf)
{
	size_t start = buf->len;

	pack_number(buf, VERSION);
	pack_text(buf, stored->message_id);
	pack_text(buf, stored->request_id);
	pack_text(buf, stored->traceparent);
	pack_text(buf, stored->from);
	pack_text(buf, stored->subject);
	pack_text(buf, stored->metadata);
	pack_text(buf, stored->wish);
	pack_text(buf, stored->sender);
	pack_text(buf, stored->envelope_id);
	pack_number(buf, stored->notify);
	pack_number(buf, stored->ret);
	pack_number(buf, flags_of(stored));
	pack_texts(buf, stored->tags, stored->tag_count);
	pack_texts(buf, stored->relays, stored->relay_count);
	pack_number(buf, stored->count);
	for (size_t i = 0; i < stored->count; i++)
		pack_text(buf, stored->to[i].address);
	pack_seal(buf, start);
}

static void pack_said(struct buf *buf, const struct smtp_said *said)
{
	pack_number(buf, said->code);
	pack_number(buf, said->enhanced.class);
	pack_number(buf, said->enhanced.subject);
	pack_number(buf, said->enhanced.detail);
	pack_text(buf, said->text);
}

static void pack_outcome(struct buf *buf, enum smtp_outcome outcome, enum smtp_phase phase,
	enum smtp_category category)
{
	pack_number(buf, outcome);
	pack_number(buf, phase);
	pack_number(buf, category);
}

static bool is_tried(const struct stored *stored)
{
	const struct stored_try *last = &stored->last;
	bool any = last->host.len || last->detail.len || last->is_mixed || last->total_us;

	for (size_t i = 0; !any && i < stored->count; i++)
		any = stored->to[i].is_given_up;
	return any;
}

static void pack_recipients(const struct stored *stored, struct buf *buf)
{
	pack_number(buf, stored->count);
	for (size_t i = 0; i < stored->count; i++) {
		const struct stored_recipient *to = &stored->to[i];

		pack_number(buf, to->is_open ? OPEN : to->is_given_up ? GIVEN_UP : DONE);
		pack_outcome(buf, to->outcome, to->phase, to->category);
		pack_said(buf, &to->said);
	}
}

static void pack_attempts(const struct stored *stored, struct buf *buf)
{
	size_t first = 0;

	if (stored->attempt_count > STORED_ATTEMPTS)
		first = stored->attempt_count - STORED_ATTEMPTS;
	pack_number(buf, stored->attempt_count - first);
	for (size_t i = first; i < stored->attempt_count; i++) {
		const struct attempt *attempt = &stored->attempts[i].attempt;

		pack_number(buf, (uint64_t)stored->attempts[i].at_ms);
		pack_text(buf, attempt->relay);
		pack_outcome(buf, attempt->outcome, attempt->phase, attempt->category);
		pack_said(buf, &attempt->said);
		pack_number(buf, attempt->took_us);
	}
}

/* Some 30 bytes, 600 at the most. */
static void pack_try(const struct stored_try *last, struct buf *buf)
{
	pack_text(buf, text_head(last->host, STORED_HOST));
	pack_text(buf, last->tls);
	pack_text(buf, text_head(last->detail, STORED_DETAIL));
	pack_number(buf, last->is_mixed);
	pack_number(buf, last->queue_us);
	pack_number(buf, last->connect_us);
	pack_number(buf, last->send_us);
	pack_number(buf, last->total_us);
}

void stored_pack_course(const struct stored *stored, struct buf *buf)
{
	size_t start = buf->len;
	bool tried = is_tried(stored);

	pack_number(buf, tried ? TRIED_VERSION : VERSION);
	pack_recipients(stored, buf);
	pack_attempts(stored, buf);
	if (tried)
		pack_try(&stored->last, buf);
	pack_seal(buf, start);
}

/* ---- unpacking */

static enum err unpack_texts(struct unpack *unpack, struct region *region,
	const struct text **texts_out, size_t *count_out)
{
	size_t count = unpack_number(unpack, LIST_MOST);
	struct text *texts = count ? region_zalloc(region, count, sizeof(*texts)) : NULL;

	if (count && !texts)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++)
		texts[i] = unpack_text(unpack);
	*texts_out = texts;
	*count_out = count;
	return OK;
}

static void unpack_flags(struct unpack *unpack, struct stored *stored)
{
	uint64_t flags = unpack_number(unpack, FLAGS);

	stored->needs_utf8 = flags & NEEDS_UTF8;
	stored->eight_bit = flags & EIGHT_BIT;
	stored->all_or_none = flags & ALL_OR_NONE;
	stored->hold_unknown = flags & HOLD_UNKNOWN;
}

static enum err unpack_addresses(
	struct unpack *unpack, struct region *region, struct stored *stored)
{
	stored->count = unpack_number(unpack, STORED_RECIPIENTS);
	stored->to = region_zalloc(region, stored->count ? stored->count : 1, sizeof(*stored->to));
	if (!stored->to)
		return ERR_MEMORY;
	for (size_t i = 0; i < stored->count; i++)
		stored->to[i].address = unpack_text(unpack);
	return OK;
}

enum err stored_unpack_head(struct text bytes, struct region *region, struct stored *stored)
{
	struct unpack unpack;
	enum err err;

	if (!unpack_open(bytes, &unpack) || unpack_number(&unpack, VERSION) != VERSION)
		return ERR_SYNTAX;
	stored->message_id = unpack_text(&unpack);
	stored->request_id = unpack_text(&unpack);
	stored->traceparent = unpack_text(&unpack);
	stored->from = unpack_text(&unpack);
	stored->subject = unpack_text(&unpack);
	stored->metadata = unpack_text(&unpack);
	stored->wish = unpack_text(&unpack);
	stored->sender = unpack_text(&unpack);
	stored->envelope_id = unpack_text(&unpack);
	stored->notify = (unsigned)unpack_number(&unpack, UINT8_MAX);
	stored->ret = (enum smtp_return)unpack_number(&unpack, SMTP_RETURN_FULL);
	unpack_flags(&unpack, stored);
	err = unpack_texts(&unpack, region, &stored->tags, &stored->tag_count);
	if (!err)
		err = unpack_texts(&unpack, region, &stored->relays, &stored->relay_count);
	if (!err)
		err = unpack_addresses(&unpack, region, stored);
	return err ? err : unpack_is_done(&unpack) ? OK : ERR_SYNTAX;
}

static struct smtp_said unpack_said(struct unpack *unpack)
{
	struct smtp_said said = { .code = (uint16_t)unpack_number(unpack, UINT16_MAX) };

	said.enhanced.class = (uint8_t)unpack_number(unpack, UINT8_MAX);
	said.enhanced.subject = (uint16_t)unpack_number(unpack, UINT16_MAX);
	said.enhanced.detail = (uint16_t)unpack_number(unpack, UINT16_MAX);
	said.text = unpack_text(unpack);
	return said;
}

static void unpack_outcome(struct unpack *unpack, enum smtp_outcome *outcome,
	enum smtp_phase *phase, enum smtp_category *category)
{
	*outcome = (enum smtp_outcome)unpack_number(unpack, SMTP_OUTCOMES - 1);
	*phase = (enum smtp_phase)unpack_number(unpack, SMTP_PHASES - 1);
	*category = (enum smtp_category)unpack_number(unpack, SMTP_CATEGORIES - 1);
}

static enum err unpack_attempts(struct unpack *unpack, struct region *region, struct stored *stored)
{
	size_t count = unpack_number(unpack, STORED_ATTEMPTS);

	/* room for one more: whoever makes it */
	stored->attempts = region_zalloc(region, count + 1, sizeof(*stored->attempts));
	if (!stored->attempts)
		return ERR_MEMORY;
	stored->attempt_count = count;
	for (size_t i = 0; i < count; i++) {
		struct attempt *attempt = &stored->attempts[i].attempt;

		stored->attempts[i].at_ms = (int64_t)unpack_number(unpack, INT64_MAX);
		attempt->relay = unpack_text(unpack);
		unpack_outcome(unpack, &attempt->outcome, &attempt->phase, &attempt->category);
		attempt->said = unpack_said(unpack);
		attempt->took_us = unpack_number(unpack, UINT64_MAX);
	}
	return OK;
}

static struct stored_try unpack_try(struct unpack *unpack)
{
	struct stored_try last = { .host = unpack_text(unpack) };

	last.tls = unpack_text(unpack);
	last.detail = unpack_text(unpack);
	last.is_mixed = unpack_number(unpack, 1);
	last.queue_us = unpack_number(unpack, UINT64_MAX);
	last.connect_us = unpack_number(unpack, UINT64_MAX);
	last.send_us = unpack_number(unpack, UINT64_MAX);
	last.total_us = unpack_number(unpack, UINT64_MAX);
	return last;
}

enum err stored_unpack_course(struct text bytes, struct region *region, struct stored *stored)
{
	struct unpack unpack;
	uint64_t version;
	enum err err;

	if (!unpack_open(bytes, &unpack))
		return ERR_SYNTAX;
	version = unpack_number(&unpack, TRIED_VERSION);
	if (version < VERSION || unpack_number(&unpack, STORED_RECIPIENTS) != stored->count)
		return ERR_SYNTAX;
	for (size_t i = 0; i < stored->count; i++) {
		struct stored_recipient *to = &stored->to[i];
		uint64_t open = unpack_number(&unpack, version == VERSION ? OPEN : GIVEN_UP);

		to->is_open = open == OPEN;
		to->is_given_up = open == GIVEN_UP;
		unpack_outcome(&unpack, &to->outcome, &to->phase, &to->category);
		to->said = unpack_said(&unpack);
	}
	err = unpack_attempts(&unpack, region, stored);
	if (!err && version == TRIED_VERSION)
		stored->last = unpack_try(&unpack);
	return err ? err : unpack_is_done(&unpack) ? OK : ERR_SYNTAX;
}
