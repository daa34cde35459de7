/* courier_claim - messages that are due are taken out of the queue, and handed over for delivery */
#include "service/queue/courier_own.h"

#include "service/clock.h"

#include <string.h>

static void claimed(struct job *job);

/* ---- how many, and out of which lanes */

enum { LANE_OF_ITS_OWN = '\0' };

/* Its name, to stay; at NULL: there is no room for it, or no message waits in such a lane. */
static struct text name_lane(struct claim_room *lanes, const char *relay, char kind)
{
	struct buf name;

	if (lanes->name_count == LANES_MOST)
		return (struct text){ 0 };
	name = buf_over(lanes->names[lanes->name_count], sizeof(lanes->names[0]));
	if (kind != LANE_OF_ITS_OWN)
		buf_add_byte(&name, kind);
	buf_add_string(&name, relay);
	if (name.err)
		return (struct text){ 0 };
	lanes->name_count++;
	return buf_text(&name);
}

static void put_narrow(struct claim_room *lanes, struct text name, size_t room)
{
	if (name.at)
		lanes->narrow[lanes->narrow_count++] = (struct narrow_lane){ name, room };
}

static void put_resting(struct claim_room *lanes, struct text name)
{
	if (name.at)
		lanes->resting[lanes->resting_count++] = name;
}

void claim_room_put(struct claim_room *lanes, const char *relay, size_t room, bool rests)
{
	if (rests) {
		put_resting(lanes, name_lane(lanes, relay, LANE_OF_ITS_OWN));
	} else if (room < CLAIM_MOST) {
		put_narrow(lanes, name_lane(lanes, relay, LANE_OF_ITS_OWN), room);
		put_narrow(lanes, name_lane(lanes, relay, LANE_OF_ROOM), room);
	}
}

/* ---- relays that there are no more; whoever has is_claiming */

static bool is_relay(const struct courier *courier, struct text name)
{
	struct delivery delivery = { .relay = name };

	return courier->settings.may_go(courier->settings.self, &delivery);
}

static void log_gone(const struct courier *courier, const char *relay)
{
	struct log_line line = log_line(courier->settings.log, LOG_WARN, "no_relay");

	log_string(&line, "relay", relay);
	log_string(&line, "detail",
		"no relay of the settings in force has this name: the messages for it wait until "
		"one has, or their time is over");
	log_end(&line);
}

/* False: there is no room for it. */
static bool note_gone(struct courier *courier, struct text relay)
{
	struct claim *claim = &courier->claim;
	struct buf name;

	for (size_t i = 0; i < claim->gone_count; i++)
		if (text_equal(text_of(claim->gone[i]), relay))
			return true;
	if (claim->gone_count == GONE_MOST || relay.len >= sizeof(claim->gone[0]))
		return false;
	name = buf_over(claim->gone[claim->gone_count], sizeof(claim->gone[0]));
	buf_add(&name, relay);
	buf_add_byte(&name, '\0');
	log_gone(courier, claim->gone[claim->gone_count++]);
	return true;
}

/* Their messages stay where they are; of those that are back they come. */
static void put_gone(struct courier *courier)
{
	struct claim *claim = &courier->claim;
	size_t kept = 0;

	for (size_t i = 0; i < claim->gone_count; i++) {
		if (is_relay(courier, text_of(claim->gone[i])))
			continue;
		if (kept != i)
			memcpy(claim->gone[kept], claim->gone[i], sizeof(claim->gone[0]));
		put_resting(
			&claim->room, name_lane(&claim->room, claim->gone[kept++], LANE_OF_NOBODY));
	}
	claim->gone_count = kept;
}

/* True: nobody may take it, and its time is not over. */
static bool has_nowhere_to_go(struct courier *courier, struct outing *outing)
{
	const struct stored *stored = outing->stored;

	if (!courier->settings.may_go || now_unix_ms() >= stored->expires_ms ||
		courier->settings.may_go(courier->settings.self, &outing->delivery))
		return false;
	outing->lacks_relay = true;
	outing->is_relay_gone = stored->wish.len && !is_relay(courier, stored->wish) &&
				note_gone(courier, stored->wish);
	return true;
}

/* ---- claims */

static bool begin_claim(struct courier *courier)
{
	bool may;

	pthread_mutex_lock(&courier->lock);
	may = courier->queue && !courier->is_stopped && !courier->is_claiming &&
	      courier->has_more && courier->count < courier->settings.most;
	if (may) {
		courier->is_claiming = true;
		courier->has_more = false;
	}
	pthread_mutex_unlock(&courier->lock);
	return may;
}

/* Those that are asked for are counted at once. 0: there is room for none, for now. */
static size_t take_room(struct courier *courier, size_t most, uint64_t bytes)
{
	unsigned room;

	pthread_mutex_lock(&courier->lock);
	room = courier->settings.most - courier->count;
	most = bytes == 0 ? 0 : most < room ? most : room;
	most = most < CLAIM_MOST ? most : CLAIM_MOST;
	courier->count += (unsigned)most;
	if (!most) {
		courier->is_claiming = false;
		courier->has_more = true;
	}
	pthread_mutex_unlock(&courier->lock);
	return most;
}

void courier_claim(struct courier *courier)
{
	struct claim *claim = &courier->claim;
	struct claim_room *lanes = &claim->room;
	uint64_t bytes = 0;
	size_t most;

	if (!begin_claim(courier))
		return;
	lanes->resting_count = lanes->narrow_count = lanes->name_count = 0;
	most = courier->settings.look(courier->settings.self, lanes, &bytes);
	put_gone(courier);
	most = take_room(courier, most, bytes);
	if (!most)
		return;
	claim->job = (struct claim_job){
		.job = { .kind = JOB_CLAIM, .done = claimed, .waiter = courier },
		.resting = lanes->resting,
		.resting_count = lanes->resting_count,
		.narrow = lanes->narrow,
		.narrow_count = lanes->narrow_count,
		.most = most,
		.most_bytes = bytes,
		.has_body = true,
		.now_ms = now_unix_ms(),
		.lease_for_ms = LEASE_MS,
		.claimed = claim->claimed,
		.bodies = claim->bodies,
		.damaged_ids = claim->damaged
	};
	while (!claim->job.token)
		random_bytes((unsigned char *)&claim->job.token, sizeof(claim->job.token));
	queue_put(courier->queue, &claim->job.job);
}

/* ---- what was claimed; the queue's thread */

static void delivered(struct delivery *delivery)
{
	courier_put_verdict(delivery->waiter);
}

static void log_held(const struct outing *outing)
{
	struct log_line line = log_line(outing->courier->settings.log, LOG_WARN, "held");

	log_string(&line, "id", outing->stored->id);
	log_u64(&line, "strikes", outing->stored->strikes);
	log_string(&line, "detail",
		outing->stored->hold_unknown && outing->stored->maybe_sent
			? "the process died behind the end of its data: it may have been sent"
			: "the process died each time that it was sent");
	log_end(&line);
}

static void log_damaged(const struct courier *courier, const char *id)
{
	struct log_line line = log_line(courier->settings.log, LOG_ERROR, "held");

	log_string(&line, "id", id);
	log_string(
		&line, "detail", "what is kept of it is damaged, and it cannot be sent: cancel it");
	log_end(&line);
}

static void send_out(struct courier *courier, struct outing *outing)
{
	struct delivery *delivery = &outing->delivery;

	outing->courier = courier;
	atomic_fetch_add(&courier->bytes, delivery->reserved_bytes);
	pthread_mutex_lock(&courier->lock);
	outing->next = courier->out;
	if (outing->next)
		outing->next->previous = outing;
	courier->out = outing;
	pthread_mutex_unlock(&courier->lock);
	delivery->done = delivered;
	delivery->waiter = outing;
	if (outing_is_held(outing)) {
		log_held(outing);
		courier_put_verdict(outing);
		return;
	}
	if (has_nowhere_to_go(courier, outing)) {
		courier_put_verdict(outing);
		return;
	}
	courier_put_fence(courier, outing);
	courier->settings.deliver(courier->settings.self, delivery);
}

static void claimed(struct job *job)
{
	struct courier *courier = job->waiter;
	struct claim_job *claim = &courier->claim.job;
	size_t count = job->err ? 0 : claim->count, lost = claim->most - count;

	for (size_t i = 0; !job->err && i < claim->damaged; i++)
		log_damaged(courier, courier->claim.damaged[i]);
	for (size_t i = 0; i < count; i++) {
		struct stored *stored = claim->claimed[i];
		struct outing *outing =
			outing_new(stored, claim->bodies[i], courier->settings.attempt_us);

		if (outing) {
			send_out(courier, outing);
		} else { /* out of memory: it comes back when its lease is over */
			stored_free(stored);
			lost++;
		}
	}
	pthread_mutex_lock(&courier->lock);
	courier->count -= (unsigned)lost;
	courier->is_claiming = false;
	courier->has_more = courier->has_more || (!job->err && claim->has_more);
	pthread_mutex_unlock(&courier->lock);
	courier_claim(courier);
}
