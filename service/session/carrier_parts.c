#include "service/session/carrier_parts.h"

#include "service/session/carrier_log.h"
#include "service/session/carrier_outcome.h"
#include "service/clock.h"
#include "service/relay/dispatch.h"
#include "service/session/fence.h"

static struct part_limits limits_of(const struct carrier *carrier)
{
	const struct smtp_features *offer = &carrier->session.features;

	return (struct part_limits){ lesser_limit(
					     offer->rcpt_max, relay_recipients(carrier->relay)),
		offer->rcpt_domain_max };
}

bool carrier_cut(struct carrier *carrier)
{
	struct delivery *delivery = carrier->delivery;
	struct part_limits limits = limits_of(carrier);
	bool is_cut = delivery->parts ||
		      (delivery->envelope.count > 1 && part_is_needed(delivery, limits));

	carrier->part = (struct part){ .envelope = delivery->envelope,
		.answers = delivery->result.answers };
	if (!is_cut)
		return true;
	if (delivery->all_or_none || !part_next(delivery, limits, &carrier->part))
		return false;
	delivery->parts++;
	return true;
}

void carrier_refuse_uncut(struct carrier *carrier)
{
	struct smtp_transaction *transaction = &carrier->transaction;

	transaction->verdict = smtp_verdict_of_loss(
		carrier->delivery->all_or_none ? SMTP_LOSS_NO_FEATURE : SMTP_LOSS_INTERNAL,
		SMTP_IN_RCPT, false);
	if (carrier->delivery->all_or_none)
		transaction->verdict.hint =
			"The relay takes fewer recipients in one transaction, and with partial: "
			"refuse the message must go in one. Send it to fewer at a time.";
	if (carrier->delivery->parts) /* others have their answers, which stand */
		carrier->part.envelope.count = 0;
	for (size_t i = 0; i < carrier->part.envelope.count; i++)
		transaction->answers[i].verdict = transaction->verdict;
	transaction->is_over = true;
}

void carrier_give_back(struct carrier *carrier)
{
	struct lettergate *lettergate = carrier->worker->lettergate;
	struct delivery *delivery = carrier->delivery;
	int worker;

	carrier->delivery = NULL;
	if (dispatch_goes_back(lettergate, delivery))
		dispatch_list(lettergate, delivery, "the gateway stops");
	else if (!relay_take_back(carrier->relay, delivery, RELAY_BEHIND, &worker))
		dispatch_list(lettergate, delivery, "there is no relay any more for the rest");
	else if (worker != NO_WORKER)
		worker_wake(lettergate->workers[worker]);
}

bool carrier_goes_on(struct carrier *carrier, struct delivery *delivery)
{
	const struct smtp_verdict *verdict = &carrier->transaction.verdict;
	bool is_for_all = verdict->class != SMTP_TAKEN && verdict->reach != SMTP_REACH_RECIPIENT;
	struct relay_news news;
	size_t most;
	bool is_more;

	if (delivery->envelope.count == 1)
		return false;
	is_more = part_settle(delivery, &carrier->part, &most);
	if (most) {
		relay_learn_recipients(carrier->relay, (uint32_t)most, now_us(), &news);
		carrier_log_news(carrier, &news);
	}
	if (is_more)
		delivery->parts += !delivery->parts;
	if (is_more && !is_for_all) /* each part that gets there earns another try */
		delivery->was_retried = false;
	if (is_more && (!is_for_all || verdict->class == SMTP_UNCERTAIN)) {
		if (!text_equal(delivery->result.relay_name,
			    text_of(relay_settings(carrier->relay)->name)))
			carrier_name_relay(carrier, delivery); /* some have its answer */
		if (delivery->fence && delivery->fence->part)
			delivery->fence->part(delivery->fence);
		carrier->delivery = delivery;
		carrier->transaction.is_over = false;
		if (verdict->class == SMTP_UNCERTAIN) /* here nobody says anything more */
			carrier_give_back(carrier);
		return true;
	}
	if (delivery->parts)
		parts_end_unsent(delivery, verdict);
	return false;
}
