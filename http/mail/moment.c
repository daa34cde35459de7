#include "http/mail/moment.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* "Z", "+01:00" → seconds east of Greenwich. */
static bool parse_zone(const char *text, int64_t *seconds_out)
{
	int hours, minutes, used = 0;

	*seconds_out = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if ((*text != '+' && *text != '-') || !byte_is_digit(text[1]) ||
		sscanf(text + 1, "%2d:%2d%n", &hours, &minutes, &used) != 2 || used != 5 ||
		text[6] || hours > 23 || minutes < 0 || minutes > 59)
		return false;
	*seconds_out = (*text == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
	return true;
}

/* strptime takes blanks and short numbers, RFC 3339 does not. */
static bool has_form(struct text text)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd";

	if (text.len < sizeof(form) - 1)
		return false;
	for (size_t i = 0; i + 1 < sizeof(form); i++)
		if (form[i] == 'd' ? !byte_is_digit(text.at[i]) : text.at[i] != form[i])
			return false;
	return true;
}

bool moment_parse(struct text text, int64_t *seconds_out)
{
	struct tm when = { 0 };
	int64_t east, seconds;
	int day;
	char copy[40];
	const char *rest;

	if (text.len >= sizeof(copy) || !has_form(text))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = '\0';
	rest = strptime(copy, "%Y-%m-%dT%H:%M:%S", &when);
	if (!rest || when.tm_year < 70)
		return false;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (!parse_zone(rest, &east))
		return false;
	day = when.tm_mday;
	seconds = timegm(&when);
	if (when.tm_mday != day) /* 31 February became a day of March */
		return false;
	*seconds_out = seconds - east;
	return true;
}

bool moment_duration(struct text text, uint64_t *us_out)
{
	static const struct {
		const char *unit;
		uint64_t us;
	} units[] = { { "ms", 1000 }, { "s", 1000000 }, { "m", 60000000 }, { "h", 3600000000 },
		{ "d", 86400000000 } };
	size_t digits = 0;
	uint64_t number;

	while (digits < text.len && byte_is_digit(text.at[digits]))
		digits++;
	if (digits > 9 || !text_to_u64(text_head(text, digits), &number))
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (text_equal(text_from(text, digits), text_of(units[i].unit))) {
			*us_out = number * units[i].us;
			return true;
		}
	return false;
}
