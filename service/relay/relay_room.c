/* relay_room - sessions that have a place and are of no use: those that wait for an answer that
 * comes late, and those that are more than the relay takes */
#include "service/relay/relay_own.h"

void relay_carrier_detached(struct relay *relay, bool is_detached)
{
	pthread_mutex_lock(&relay->lock);
	if (is_detached)
		relay->detached++;
	else
		relay->detached--;
	relay_show(relay);
	pthread_mutex_unlock(&relay->lock);
}

bool relay_has_detached_to_spare(const struct relay *relay)
{
	return relay->detached > relay->window.width / 2;
}

bool relay_wants_place(struct relay *relay, uint64_t now_us)
{
	bool is_full, has_work, wants;

	pthread_mutex_lock(&relay->lock);
	is_full = relay_sessions(relay) >= relay->window.width;
	has_work = relay->turns.count > relay->opening - relay->bringing + relay->idle_all;
	wants = is_full && has_work && relay_has_detached_to_spare(relay) &&
		window_has_room(&relay->window, 0, relay->opening, now_us) &&
		now_us >= relay->barren_until_us && !relay_is_retired(relay);
	pthread_mutex_unlock(&relay->lock);
	return wants;
}

void relay_made_place(struct relay *relay, uint64_t now_us)
{
	pthread_mutex_lock(&relay->lock);
	relay->made_us = now_us;
	pthread_mutex_unlock(&relay->lock);
}

bool relay_is_crowded(struct relay *relay)
{
	bool is_crowded;

	pthread_mutex_lock(&relay->lock);
	is_crowded = relay->established + relay->opening - relay->bringing > relay->window.width;
	pthread_mutex_unlock(&relay->lock);
	return is_crowded;
}
