#include "service/queue/leaving.h"

#include "service/clock.h"
#include "service/queue/queue.h"
#include "service/relay/settle.h"

enum { LEAST_US = 1000000 }; /* where the relay took all of his time */

void leaving_put(struct lettergate *lettergate, const struct delivery *delivery, struct job *job,
	bool (*leave)(struct job *job))
{
	uint64_t least_us = now_us() + LEAST_US;

	if (!delivery->is_left)
		job->until_us = delivery->deadline_us > least_us ? delivery->deadline_us : least_us;
	job->leave = leave;
	queue_put(lettergate->queue, job);
}

struct delivery *leaving_begin(struct delivery *delivery)
{
	struct delivery *told = delivery->leave ? delivery->leave(delivery) : NULL;

	if (told)
		told->result.total_us = now_us() - told->began_us;
	return told;
}

void leaving_end(struct lettergate *lettergate, struct delivery *told)
{
	struct log_line line = log_line(lettergate->log, LOG_WARN, "store_late");

	log_delivery(&line, told);
	log_string(&line, "outcome", smtp_outcome_name(told->result.verdict.outcome));
	log_string(&line, "detail",
		"the store did not answer by the sender's deadline: he was told this without it");
	log_end(&line);
	told->done(told);
}

bool leaving_tell(struct lettergate *lettergate, struct delivery *delivery)
{
	struct delivery *told = leaving_begin(delivery);

	if (told)
		leaving_end(lettergate, told);
	return told;
}

uint64_t leaving_until(uint64_t patience_us)
{
	return patience_us ? now_us() + patience_us : 0;
}

const char *leaving_why(struct lettergate *lettergate, enum err err, uint64_t until_us)
{
	if (err == ERR_IO && until_us && now_us() >= until_us)
		return "the store did not answer in time";
	return queue_why(lettergate->queue, err);
}
