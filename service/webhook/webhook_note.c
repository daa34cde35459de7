/* How far a webhook is, as the store keeps it, with a lease on it: one process sends its events. */
#include "service/clock.h"
#include "service/webhook/webhook_own.h"

#include <stdio.h>

enum { RENEW_US = 20000000, NOTE_REGION_BYTES = 16384, PLACE_BYTES = 100 };

void webhook_log_trouble(const struct webhook *webhook, enum err err, const char *detail)
{
	struct log_line line = log_line(webhook->webhooks->log, LOG_ERROR, "webhook_trouble");

	log_string(&line, "webhook", webhook->webhook->name);
	log_string(&line, "why", err_text(err));
	log_string(&line, "detail", detail);
	log_end(&line);
}

/* The newest event that there is, or was when the program began. */
static enum err find_newest(struct webhook *webhook, uint64_t *newest_out)
{
	struct events_job job = { .job.kind = JOB_EVENTS };
	enum err err = OK;

	if (webhook->begins_at_newest) {
		*newest_out = webhook->webhooks->newest;
		return OK;
	}
	err = queue_do(webhook->webhooks->queue, &job.job);
	if (!err)
		*newest_out = job.newest;
	return err;
}

/* Where it goes on, as the note says. */
static enum err take_place(struct webhook *webhook, struct text found)
{
	struct webhook_place place = { 0 };
	enum err err = found.len ? webhook_place_read(found, &place) : OK;

	if (err)
		webhook_log_trouble(
			webhook, err, "how far it was cannot be read: it goes on from now");
	if (err || !found.len)
		err = find_newest(webhook, &place.cursor);
	if (!err)
		webhook->place = place;
	return err;
}

enum err webhook_note(struct webhook *webhook, int64_t lease_ms)
{
	char name[64], content[PLACE_BYTES];
	struct buf said = buf_over(content, sizeof(content));
	struct note_job job = {
		.job.kind = JOB_NOTE, .token = webhook->token, .lease_for_ms = lease_ms
	};
	enum err err = region_open(NOTE_REGION_BYTES, &job.region);
	bool is_new;

	if (err)
		return err;
	snprintf(name, sizeof(name), "webhook/%s", webhook->webhook->name);
	job.name = text_of(name);
	if (webhook->has_lease) {
		webhook_place_write(&webhook->place, &said);
		job.content = buf_text(&said);
	}
	webhook->renew_us = now_us() + RENEW_US;
	err = queue_do(webhook->webhooks->queue, &job.job);
	is_new = !err && !webhook->has_lease && !job.found.len;
	if (!err && !webhook->has_lease)
		err = take_place(webhook, job.found);
	region_close(job.region);
	if (err)
		return err;
	webhook->has_lease = lease_ms > 0;
	webhook->is_elsewhere = false;
	webhook->is_behind = is_new;
	webhook->has_taken = false;
	webhook->noted_us = now_us();
	return OK;
}
