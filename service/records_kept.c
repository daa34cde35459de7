#include "service/records_kept.h"

#include <stdlib.h>
#include <string.h>

#include "smtp/message/message.h"

/* Copies strings one behind the other; with `at` NULL it only adds up their lengths. */
struct packing {
	char *at;
	size_t len;
};

/* The words of an answer that came late: of a message in parts, there may be several. */
struct late {
	struct late *next;
	char words[];
};

static struct text pack(struct packing *packing, struct text text)
{
	struct text copy = { packing->at ? packing->at + packing->len : NULL, text.len };

	if (packing->at && text.len)
		memcpy(packing->at + packing->len, text.at, text.len);
	packing->len += text.len;
	return copy;
}

/* The strings of a delivery: once to see how long they are, once to copy them. */
static void pack_all(struct packing *packing, const struct delivery *delivery, struct kept *kept)
{
	const struct result *result = &delivery->result;

	kept->key_id = pack(packing, delivery->key_id);
	kept->message_id = pack(packing, delivery->message_id);
	kept->from = pack(packing, delivery->from);
	kept->subject = pack(packing, delivery->subject);
	kept->metadata = pack(packing, delivery->metadata);
	kept->said.text = pack(packing, result->said.text);
	kept->relay_name = pack(packing, result->relay_name);
	kept->relay_host = pack(packing, result->relay_host);
	kept->queue_id = pack(packing, result->queue_id);
	for (size_t i = 0; i < kept->tag_count; i++) {
		struct text copy = pack(packing, delivery->tags[i]);

		if (packing->at)
			kept->tags[i] = copy;
	}
	for (size_t i = 0; i < kept->count; i++) {
		struct text to = pack(packing, result->to[i]);
		struct text said = pack(packing, result->answers[i].said.text);

		if (packing->at) {
			kept->to[i] = to;
			kept->answers[i].said.text = said;
		}
	}
	for (size_t i = 0; i < kept->attempt_count; i++) {
		struct text relay = pack(packing, result->attempts[i].relay);
		struct text said = pack(packing, result->attempts[i].said.text);

		if (packing->at) {
			kept->attempts[i].relay = relay;
			kept->attempts[i].said.text = said;
		}
	}
}

static struct kept plain_part(const struct delivery *delivery, int64_t now_ms)
{
	const struct result *result = &delivery->result;
	struct kept kept = {
		.added_ms = now_ms,
		.created_ms = delivery->created_ms,
		.updated_ms = now_ms,
		.size_bytes = delivery->message.size,
		.tag_count = delivery->tag_count,
		.verdict = result->verdict,
		.said = result->said,
		.tls = result->tls,
		.count = result->count,
		.attempt_count = result->attempt_count,
		.queue_us = result->queue_us,
		.connect_us = result->connect_us,
		.send_us = result->send_us,
		.total_us = result->total_us,
	};

	memcpy(kept.id, delivery->id, sizeof(kept.id));
	return kept;
}

struct kept *kept_new(const struct delivery *delivery, int64_t now_ms, struct text raw)
{
	const struct result *result = &delivery->result;
	struct kept plain = plain_part(delivery, now_ms), *kept;
	struct packing packing = { 0 };
	size_t lists = plain.count * (sizeof(*kept->answers) + sizeof(*kept->to)) +
		       plain.attempt_count * sizeof(*kept->attempts) +
		       plain.tag_count * sizeof(*kept->tags);

	pack_all(&packing, delivery, &plain);
	plain.bytes = sizeof(*kept) + lists + packing.len;
	if (raw.at && !(plain.raw_block = malloc(raw.len + 1)))
		return NULL;
	kept = malloc(plain.bytes);
	if (!kept) {
		free(plain.raw_block);
		return NULL;
	}
	*kept = plain;
	kept->answers = (struct smtp_answer *)(kept + 1);
	kept->attempts = (struct attempt *)(kept->answers + kept->count);
	kept->to = (struct text *)(kept->attempts + kept->attempt_count);
	kept->tags = kept->to + kept->count;
	if (kept->count)
		memcpy(kept->answers, result->answers, kept->count * sizeof(*kept->answers));
	memcpy(kept->attempts, result->attempts, kept->attempt_count * sizeof(*kept->attempts));
	packing = (struct packing){ (char *)(kept->tags + kept->tag_count), 0 };
	pack_all(&packing, delivery, kept);
	if (raw.at) {
		memcpy(kept->raw_block, raw.at, raw.len);
		kept->raw = (struct text){ kept->raw_block, raw.len };
	}
	return kept;
}

void kept_free(struct kept *kept)
{
	for (struct late *late = kept->late, *next; late; late = next) {
		next = late->next;
		free(late);
	}
	free(kept->raw_block);
	free(kept);
}

/* ---- an answer that came late */

static bool settle_answer(struct smtp_answer *answer, const struct smtp_verdict *verdict,
	const struct smtp_said *said)
{
	if (answer->verdict.outcome != SMTP_UNKNOWN)
		return false;
	answer->verdict = *verdict;
	answer->said = *said;
	return true;
}

static bool settle_answers(struct kept *kept, struct places places,
	const struct smtp_verdict *verdict, const struct smtp_said *said)
{
	size_t count = places.at ? places.count : kept->count;
	bool any = false;

	for (size_t i = 0; i < count; i++) {
		size_t place = places.at ? places.at[i] : i;

		if (place < kept->count)
			any |= settle_answer(&kept->answers[place], verdict, said);
	}
	return any;
}

/* That the message was unknown as a whole was what came of its last attempt. */
static void settle_attempt(
	struct kept *kept, const struct smtp_verdict *verdict, const struct smtp_said *said)
{
	struct attempt *last = &kept->attempts[kept->attempt_count - 1];

	last->outcome = verdict->outcome;
	last->phase = verdict->phase;
	last->category = verdict->category;
	last->said = *said;
}

static struct late *late_new(const struct smtp_said *said, struct text queue_id,
	struct smtp_said *words_out, struct text *queue_id_out)
{
	struct late *late = malloc(sizeof(*late) + said->text.len + queue_id.len);
	struct packing packing = { late ? late->words : NULL, 0 };

	if (!late)
		return NULL;
	*words_out = *said;
	words_out->text = pack(&packing, said->text);
	*queue_id_out = pack(&packing, queue_id);
	return late;
}

size_t kept_settle(struct kept *kept, struct places places, const struct smtp_verdict *verdict,
	const struct smtp_said *said, struct text queue_id, int64_t now_ms)
{
	size_t size = sizeof(struct late) + said->text.len + queue_id.len;
	struct smtp_said words;
	struct text name;
	struct late *late = late_new(said, queue_id, &words, &name);

	if (!late || !settle_answers(kept, places, verdict, &words)) {
		free(late);
		return 0;
	}
	late->next = kept->late;
	kept->late = late;
	kept->verdict = smtp_verdict_of_all(kept->answers, kept->count);
	kept->said = words;
	kept->updated_ms = now_ms;
	if (!places.at || !kept->queue_id.len) /* else that is of another part */
		kept->queue_id = name;
	if (!places.at && kept->attempt_count)
		settle_attempt(kept, verdict, &words);
	kept->bytes += size;
	return size;
}

void kept_describe(const struct kept *kept, struct record *record_out)
{
	*record_out = (struct record){
		.id = kept->id,
		.key_id = kept->key_id,
		.message_id = kept->message_id,
		.from = kept->from,
		.subject = kept->subject,
		.tags = kept->tags,
		.tag_count = kept->tag_count,
		.metadata = kept->metadata,
		.created_ms = kept->created_ms,
		.updated_ms = kept->updated_ms,
		.size_bytes = kept->size_bytes,
		.result = { .verdict = kept->verdict,
			.said = kept->said,
			.relay_name = kept->relay_name,
			.relay_host = kept->relay_host,
			.tls = kept->tls,
			.queue_id = kept->queue_id,
			.count = kept->count,
			.to = kept->to,
			.answers = kept->answers,
			.attempt_count = kept->attempt_count,
			.queue_us = kept->queue_us,
			.connect_us = kept->connect_us,
			.send_us = kept->send_us,
			.total_us = kept->total_us },
	};
	for (size_t i = 0; i < kept->attempt_count; i++)
		record_out->result.attempts[i] = kept->attempts[i];
}
