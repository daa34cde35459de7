/* keep_failed - what is told where the store did not take a message */
#include "service/queue/keeping.h"

#include "http/problem.h"
#include "service/queue/keyed.h"
#include "service/queue/queue.h"

enum { FULL_PAUSE_S = 60 };

static const char *words_of(struct queue *queue, enum err err)
{
	if (err != ERR_DOUBT)
		return queue_why(queue, err);
	return queue_is_shared(queue)
		       ? "PostgreSQL went away while the message was put into the queue: it may be "
			 "there, and be sent"
		       : "The disk failed while the message was put into the queue: it may be sent "
			 "when the gateway is started again";
}

struct smtp_verdict keep_failed_verdict(enum err err)
{
	struct smtp_verdict verdict =
		smtp_verdict_of_loss(SMTP_LOSS_INTERNAL, SMTP_IN_QUEUE, err == ERR_DOUBT);

	verdict.hint = "";
	if (err == ERR_DOUBT)
		return verdict;
	verdict.category = err == ERR_LIMIT    ? SMTP_QUEUE_FULL
			   : err == ERR_MEMORY ? SMTP_INTERNAL
					       : SMTP_STORE_FAILED;
	verdict.retry_after_s = err == ERR_LIMIT ? FULL_PAUSE_S : PROBLEM_STORE_PAUSE_S;
	return verdict;
}

void keep_failed_note(struct lettergate *lettergate, struct delivery *delivery, enum err err)
{
	struct smtp_verdict verdict = keep_failed_verdict(err);

	if (err != ERR_LIMIT)
		delivery->result.detail = words_of(lettergate->queue, err);
	for (size_t i = 0; i < delivery->result.count; i++)
		delivery->result.answers[i].verdict = verdict;
	delivery->result.verdict = verdict;
	delivery->wait_s = 0;
}

void keep_failed(struct lettergate *lettergate, struct delivery *delivery, enum err err)
{
	keep_failed_note(lettergate, delivery, err);
	if (err == ERR_DOUBT)
		keyed_end_doubt(delivery);
	else if (keyed_runs(delivery) && keyed_end(delivery))
		return;
	atomic_fetch_sub(&lettergate->in_flight, 1);
	delivery->done(delivery);
}
