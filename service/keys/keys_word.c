/* keys_word - the words of API_KEYS_FILE and of `lettergate keys` */
#include "service/keys/keys_file.h"

#include <string.h>
#include <time.h>

static const struct {
	const char *name;
	unsigned scope;
} scopes_named[] = { { "send", SCOPE_SEND }, { "read", SCOPE_READ },
	{ "templates", SCOPE_TEMPLATES }, { "trace", SCOPE_TRACE }, { "admin", SCOPE_ADMIN } };

enum { SCOPES = sizeof(scopes_named) / sizeof(scopes_named[0]), RATE_MOST = 1000000 };

bool key_id_is_good(struct text id, const char **why_out)
{
	*why_out = "an id has 1 to 64 letters, digits, dots, hyphens and underscores, and starts "
		   "with a letter or digit";
	if (id.len == 0 || id.len > KEY_ID_MAX)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!byte_is_letter(id.at[i]) && !byte_is_digit(id.at[i]) &&
			(i == 0 || !strchr("._-", id.at[i]) || !id.at[i]))
			return false;
	*why_out = "default is the id of API_KEY, whose messages such a key would see; choose "
		   "another";
	return !text_equal(id, TEXT("default"));
}

bool key_pattern_is_good(struct text pattern, const char **why_out)
{
	size_t at = text_find(pattern, '@');

	*why_out = NULL;
	if (!text_is_utf8(pattern) || text_has_control(pattern) || pattern.len > SMTP_ADDRESS_MAX)
		*why_out = "is no address";
	else if (text_equal(pattern, TEXT("*")))
		return true;
	else if (at == pattern.len)
		*why_out = "is no pattern; give *, *@example.com, *@*.example.com or an address";
	else if (at == 0 || at + 1 == pattern.len)
		*why_out = "lacks what stands before or behind the @; give *@example.com for all";
	else if (!text_is_ascii(text_from(pattern, at)))
		*why_out = "has a domain that is not ASCII; give its form that begins with xn--";
	return !*why_out;
}

bool key_scope_named(struct text name, unsigned *scope_out)
{
	for (size_t i = 0; i < SCOPES; i++)
		if (text_equal(name, text_of(scopes_named[i].name))) {
			*scope_out = scopes_named[i].scope;
			return true;
		}
	return false;
}

void key_scopes_add(struct buf *out, unsigned scopes, const char *separator)
{
	const char *between = "";

	for (size_t i = 0; i < SCOPES; i++) {
		if (!(scopes & scopes_named[i].scope))
			continue;
		buf_addf(out, "%s%s", between, scopes_named[i].name);
		between = separator;
	}
}

bool key_rate_read(struct text text, uint32_t *rate_out, uint32_t *window_s_out)
{
	struct text unit = text, count = text_cut(&unit, '/');
	uint64_t rate;

	if (!text_to_u64(count, &rate) || rate == 0 || rate > RATE_MOST || unit.len != 1)
		return false;
	if (!strchr("smh", unit.at[0]))
		return false;
	*rate_out = (uint32_t)rate;
	*window_s_out = unit.at[0] == 's' ? 1 : unit.at[0] == 'm' ? 60 : 3600;
	return true;
}

/* Exactly `digits` of them, off the front of *text. */
static bool take_number(struct text *text, size_t digits, int *out)
{
	uint64_t value;

	if (text->len < digits || !text_to_u64(text_head(*text, digits), &value))
		return false;
	*out = (int)value;
	*text = text_from(*text, digits);
	return true;
}

static bool take_byte(struct text *text, const char *any)
{
	if (text->len == 0 || !text->at[0] || !strchr(any, text->at[0]))
		return false;
	*text = text_from(*text, 1);
	return true;
}

/* "Z" or "+01:00" */
static bool take_offset(struct text *text, int *minutes_out)
{
	bool west = text->len && text->at[0] == '-';
	int hours, minutes;

	*minutes_out = 0;
	if (take_byte(text, "Zz"))
		return true;
	if (!take_byte(text, "+-") || !take_number(text, 2, &hours) || !take_byte(text, ":") ||
		!take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*minutes_out = (hours * 60 + minutes) * (west ? -1 : 1);
	return true;
}

static bool take_clock(struct text *text, struct tm *tm, int *offset_out)
{
	if (!take_byte(text, "Tt ") || !take_number(text, 2, &tm->tm_hour) ||
		!take_byte(text, ":") || !take_number(text, 2, &tm->tm_min) ||
		!take_byte(text, ":") || !take_number(text, 2, &tm->tm_sec))
		return false;
	if (take_byte(text, "."))
		while (text->len && byte_is_digit(text->at[0]))
			*text = text_from(*text, 1);
	return tm->tm_hour < 24 && tm->tm_min < 60 && tm->tm_sec < 61 &&
	       take_offset(text, offset_out);
}

bool key_time_read(struct text text, int64_t *unix_ms_out)
{
	struct tm tm = { 0 };
	int month, day, offset = 0;
	time_t when;

	if (!take_number(&text, 4, &tm.tm_year) || !take_byte(&text, "-") ||
		!take_number(&text, 2, &month) || !take_byte(&text, "-") ||
		!take_number(&text, 2, &day) || tm.tm_year < 1970)
		return false;
	if (text.len && (!take_clock(&text, &tm, &offset) || text.len))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	when = timegm(&tm);
	if (tm.tm_mon != month - 1 || tm.tm_mday < day || when < 0)
		return false; /* there is no such day */
	*unix_ms_out = ((int64_t)when - offset * 60) * 1000;
	return *unix_ms_out > 0;
}
