#include "service/session/carrier_fence.h"

#include "service/clock.h"
#include "service/session/fence.h"

enum { FENCE_MS = 15000 }; /* a store that is slower than that does not work */

bool carrier_wants_fence(const struct carrier *carrier)
{
	return carrier->delivery->fence && carrier->delivery->fence->ask;
}

static void stay(struct carrier *carrier, const char *words)
{
	carrier_forget_fence(carrier);
	smtp_session_lost(&carrier->session, SMTP_LOSS_UNFENCED, words);
}

static void ask(struct carrier *carrier)
{
	struct fence *fence = carrier->delivery->fence;

	fence->asks_for = &carrier->part;
	carrier->has_asked = fence_ask(fence, carrier->worker);
}

/* The answer to what this carrier asked. */
static enum fence_answer hear(struct carrier *carrier)
{
	enum fence_answer answer = fence_hear(carrier->delivery->fence);

	if (carrier->has_asked || answer == FENCE_ASKED)
		return answer;
	ask(carrier);
	return FENCE_ASKED;
}

bool carrier_pass_fence(struct carrier *carrier)
{
	/* the loop's time stands still while we do, and others while the machine sleeps */
	uint64_t now_ms = now_boot_us() / 1000;

	if (!carrier->is_asking) {
		carrier->is_asking = true;
		carrier->asked_ms = now_ms;
		carrier->worker->asking++;
		ask(carrier);
	}
	switch (hear(carrier)) {
	case FENCE_YES:
		if (now_ms - carrier->asked_ms >= FENCE_MS) {
			stay(carrier, "the store's answer is too old: we stood still meanwhile");
			return true;
		}
		carrier_forget_fence(carrier);
		smtp_session_let_go(&carrier->session, carrier_now_ms(carrier));
		return true;
	case FENCE_NO:
		stay(carrier, "the store did not let the end of the message go");
		return true;
	default:
		if (now_ms - carrier->asked_ms < FENCE_MS)
			return false;
		stay(carrier, "the store gave no answer before the end of the message");
		return true;
	}
}

void carrier_forget_fence(struct carrier *carrier)
{
	if (carrier->is_asking)
		carrier->worker->asking--;
	carrier->is_asking = false;
}
