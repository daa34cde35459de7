#include "http/prefer.h"

enum { SECOND_US = 1000000, WORDS = 40 };

struct preferences {
	bool is_async, waits;
	uint64_t wait_s;
};

static bool is_number(struct text value)
{
	for (size_t i = 0; i < value.len; i++)
		if (value.at[i] < '0' || value.at[i] > '9')
			return false;
	return value.len > 0;
}

/* `wait=10` or `wait="10"`; what is no number is no preference, and one that is too large for us is
 * a long time. */
static void read_wait(struct text value, struct preferences *preferences)
{
	value = text_trim(value);
	if (value.len >= 2 && value.at[0] == '"' && value.at[value.len - 1] == '"')
		value = (struct text){ value.at + 1, value.len - 2 };
	if (preferences->waits || !is_number(value))
		return;
	preferences->waits = true;
	if (!text_to_u64(value, &preferences->wait_s))
		preferences->wait_s = UINT64_MAX;
}

/* preference = token [ BWS "=" BWS word ] *( OWS ";" [ OWS parameter ] ); the first of a name
 * counts
 */
static struct preferences read_all(struct text list)
{
	struct preferences preferences = { 0 };

	while (list.len) {
		struct text one = text_cut(&list, ',');
		struct text value = text_cut(&one, ';'), name = text_trim(text_cut(&value, '='));

		if (text_equal_nocase(name, TEXT("wait")))
			read_wait(value, &preferences);
		else if (text_equal_nocase(name, TEXT("respond-async")))
			preferences.is_async = true;
	}
	return preferences;
}

static const char *words_of(struct exchange *exchange, bool is_async, const unsigned *wait_s)
{
	struct buf words = buf_born(WORDS);
	const char *copy;

	if (is_async)
		buf_add_string(&words, "respond-async");
	if (wait_s)
		buf_addf(&words, "%swait=%u", is_async ? ", " : "", *wait_s);
	copy = region_copy(exchange->region, buf_text(&words)).at;
	buf_free(&words);
	return copy;
}

/* No longer than a sender waits in all. */
static void take_wait(struct delivery *delivery, uint64_t wait_s)
{
	uint64_t most_us = delivery->deadline_us > delivery->began_us
				   ? delivery->deadline_us - delivery->began_us
				   : 0;
	uint64_t most_s = (most_us + SECOND_US - 1) / SECOND_US;

	if (wait_s < most_s)
		most_us = wait_s * SECOND_US;
	delivery->wait_s = (unsigned)(wait_s < most_s ? wait_s : most_s);
	if (most_us)
		delivery->wait_until_us = delivery->began_us + most_us;
}

void prefer_take(struct exchange *exchange, struct delivery *delivery)
{
	struct preferences preferences;
	bool is_later = delivery->send_at_ms > exchange->began.unix_ms;

	if (!exchange->gateway->has_store || delivery->dry_run)
		return;
	preferences = read_all(exchange_header_list(exchange, "Prefer"));
	preferences.waits = preferences.waits && !is_later;
	if (!preferences.is_async && !preferences.waits)
		return;
	delivery->way = DELIVER_QUEUED;
	if (preferences.waits)
		take_wait(delivery, preferences.wait_s);
	exchange->preference_applied = words_of(
		exchange, preferences.is_async, preferences.waits ? &delivery->wait_s : NULL);
}

const char *prefer_told(struct exchange *exchange, const struct delivery *delivery)
{
	return delivery->wait_s ? words_of(exchange, false, &delivery->wait_s) : NULL;
}
