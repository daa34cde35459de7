/* settings_queue - where messages are kept, and when they are tried again */
#include "service/settings/settings_draft.h"

#include <libpq-fe.h>
#include <stdlib.h>
#include <strings.h>

enum { DELAY_LEAST_MS = 100, DELAY_MOST_MS = 7 * 24 * 3600 * 1000 };

static enum err wrong(struct draft *draft, const struct given *given, const char *problem)
{
	return draft_refuse(
		draft, ERR_VALUE, "%s: \"%.80s\" %s", given->label, given->value, problem);
}

/* Its own words are not told: they may have a piece of the password in them. */
static enum err read_postgres(struct draft *draft, const struct given *given)
{
	PQconninfoOption *options = PQconninfoParse(given->value, NULL);

	if (!options)
		return draft_refuse(draft, ERR_VALUE,
			"%s: is no connection string that PostgreSQL takes; give one like "
			"postgresql://user:password@host:5432/database?sslmode=verify-full, with "
			"%%40 and the like for what is no letter or digit in the password",
			given->label);
	PQconninfoFree(options);
	draft->settings->store = given->value;
	return OK;
}

enum err settings_read_store(struct draft *draft, const struct given *given)
{
	struct text value = text_of(given->value), file = TEXT("sqlite:");

	if (strcasecmp(given->value, "none") == 0)
		return OK;
	if (text_starts(value, TEXT("postgresql:")) || text_starts(value, TEXT("postgres:")))
		return read_postgres(draft, given);
	if (!text_starts(value, file))
		return draft_refuse(draft,
			ERR_VALUE, /* without its value: it may hold a password */
			"%s: is no store; give none, sqlite:/path/queue.db, or postgresql://…",
			given->label);
	if (given->value[file.len] != '/')
		return wrong(draft, given,
			"has no absolute path; give one like sqlite:/var/lib/lettergate/queue.db");
	if (text_has_control(value))
		return wrong(draft, given, "holds a control character");
	draft->settings->store = given->value + file.len;
	return OK;
}

enum err settings_read_delays(struct draft *draft, const struct given *given)
{
	struct schedule *schedule = &draft->settings->retry;
	struct text rest = text_of(given->value);
	uint64_t ms;

	schedule->count = 0;
	do {
		const char *delay = draft_copy(draft, text_trim(text_cut(&rest, ',')));

		if (!delay)
			return ERR_MEMORY;
		if (schedule->count == SCHEDULE_DELAYS)
			return wrong(draft, given, "has more than 32 delays");
		if (!setting_duration(delay, &ms) || ms < DELAY_LEAST_MS || ms > DELAY_MOST_MS)
			return wrong(draft, given,
				"is no list of delays; give times from 100ms to 7d with commas "
				"between, as in 1s,30s,10m");
		schedule->delays_ms[schedule->count++] = (uint32_t)ms;
	} while (rest.len);
	return OK;
}

enum err settings_read_share(
	struct draft *draft, const struct given *given, unsigned *thousandths_out)
{
	char *end;
	double share = strtod(given->value, &end);

	if (!byte_is_digit(given->value[0]) || *end || !(share >= 0 && share <= 1))
		return wrong(draft, given, "is no share; give a number from 0 to 1, as in 0.2");
	*thousandths_out = (unsigned)(share * 1000 + 0.5);
	return OK;
}
