#include "service/settings/settings_draft.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HOST_MAX = 253, PIN_LEN = 44, API_KEY_LEAST = 16, QUOTED_MAX = 80 };

static void *field(struct draft *draft, size_t index)
{
	return (char *)draft->settings + settings_table[index].at;
}

/* "LABEL: "value" problem"; a secret is never quoted. */
static enum err wrong(struct draft *draft, size_t index, const char *problem)
{
	const struct given *given = &draft->given[index];

	if (settings_table[index].is_secret)
		return draft_refuse(draft, ERR_VALUE, "%s: the value %s", given->label, problem);
	return draft_refuse(draft, ERR_VALUE, "%s: \"%.*s%s\" %s", given->label, QUOTED_MAX,
		given->value, strlen(given->value) > QUOTED_MAX ? "…" : "", problem);
}

/* ---- quantities */

struct unit {
	const char *name;
	uint64_t worth;
};

static const struct unit time_units[] = { { "ms", 1 }, { "s", 1000 }, { "m", 60000 },
	{ "h", 3600000 }, { "d", 86400000 }, { 0 } };
static const struct unit byte_units[] = { { "", 1 }, { "K", 1 << 10 }, { "M", 1 << 20 },
	{ "G", 1 << 30 }, { 0 } };

/* Digits and a unit. A zero needs no unit. */
static bool read_quantity(const char *value, const struct unit *units, uint64_t *out)
{
	size_t digits = strspn(value, "0123456789");
	uint64_t number;

	if (!text_to_u64((struct text){ value, digits }, &number))
		return false;
	if (number == 0 && !value[digits]) {
		*out = 0;
		return true;
	}
	for (; units->name; units++)
		if (strcasecmp(value + digits, units->name) == 0)
			return !__builtin_mul_overflow(number, units->worth, out);
	return false;
}

bool setting_duration(const char *value, uint64_t *ms_out)
{
	return read_quantity(value, time_units, ms_out);
}

/* The largest unit that gives a whole number. */
static const char *write_quantity(uint64_t value, const struct unit *units, char room[32])
{
	const struct unit *best = units;

	for (; units->name; units++)
		if (value && value % units->worth == 0)
			best = units;
	snprintf(room, 32, "%" PRIu64 "%s", value / best->worth, best->name);
	return room;
}

static enum err out_of_bounds(
	struct draft *draft, size_t index, const struct unit *units, const char *what)
{
	const struct setting *row = &settings_table[index];
	char least[32], most[32], problem[200];

	snprintf(problem, sizeof(problem), "is not %s; give %s to %s", what,
		write_quantity(row->least, units, least), write_quantity(row->most, units, most));
	return wrong(draft, index, problem);
}

static enum err read_bounded(struct draft *draft, size_t index, const struct unit *units,
	const char *what, uint64_t *out)
{
	const struct setting *row = &settings_table[index];
	uint64_t value;

	if (!read_quantity(draft->given[index].value, units, &value))
		return out_of_bounds(draft, index, units, what);
	if (value < row->least || value > row->most)
		return out_of_bounds(draft, index, units, "within the bounds");
	*out = value;
	return OK;
}

static enum err read_duration(struct draft *draft, size_t index)
{
	const char *value = draft->given[index].value;
	uint64_t ms = 0;
	enum err err;

	if (strspn(value, "0123456789") == strlen(value) && strtoull(value, NULL, 10))
		return wrong(draft, index, "has no unit; give ms, s, m, h or d, as in 30s");
	err = read_bounded(draft, index, time_units, "a time like 500ms, 30s, 5m, 2h or 7d", &ms);
	if (!err)
		*(uint32_t *)field(draft, index) = (uint32_t)ms;
	return err;
}

static enum err read_period(struct draft *draft, size_t index)
{
	return read_bounded(
		draft, index, time_units, "a time like 30s, 5m, 2h or 7d", field(draft, index));
}

static enum err read_bytes(struct draft *draft, size_t index)
{
	return read_bounded(
		draft, index, byte_units, "a size like 64K, 32M or 1G", field(draft, index));
}

static enum err read_count(struct draft *draft, size_t index)
{
	static const struct unit none[] = { { "", 1 }, { 0 } };
	bool may_be_off =
		settings_table[index].usual && strcmp(settings_table[index].usual, "off") == 0;
	uint64_t count = 0;
	enum err err = OK;

	if (!may_be_off || strcasecmp(draft->given[index].value, "off") != 0)
		err = read_bounded(draft, index, none, "a whole number", &count);
	if (!err)
		*(unsigned *)field(draft, index) = (unsigned)count;
	return err;
}

static enum err read_port(struct draft *draft, size_t index)
{
	const char *value = draft->given[index].value;
	uint64_t port;

	if (!text_to_u64(text_of(value), &port) || port == 0 || port > 65535)
		return wrong(draft, index, "is not a port; give a number from 1 to 65535");
	*(uint16_t *)field(draft, index) = (uint16_t)port;
	return OK;
}

/* "10", "10/s", "600/m" */
static enum err read_rate(struct draft *draft, size_t index)
{
	const char *value = draft->given[index].value;
	char *end;
	double rate;

	errno = 0;
	rate = strtod(value, &end);
	if (strcasecmp(end, "/m") == 0)
		rate /= 60;
	else if (strcasecmp(end, "/h") == 0)
		rate /= 3600;
	else if (*end && strcasecmp(end, "/s") != 0)
		end = (char *)value;
	if (end == value || !byte_is_digit(*value) || errno || !isfinite(rate) || rate < 0.0001 ||
		rate > (double)settings_table[index].most)
		return wrong(draft, index,
			"is not a rate; give messages a second like 10, 10/s or "
			"600/m, up to 1000000/s");
	*(double *)field(draft, index) = rate;
	return OK;
}

/* ---- words and names */

static enum err read_word(struct draft *draft, size_t index)
{
	const struct setting *row = &settings_table[index];
	const struct setting_word *word = row->words;
	char problem[200] = "is none of its values; give";

	for (; word->word; word++) {
		size_t len = strlen(problem);

		if (strcasecmp(draft->given[index].value, word->word) == 0)
			break;
		snprintf(problem + len, sizeof(problem) - len, "%s%s",
			word == row->words ? " "
			: word[1].word     ? ", "
					   : " or ",
			word->word);
	}
	if (!word->word)
		return wrong(draft, index, problem);
	if (row->kind == SETTING_FLAG)
		*(bool *)field(draft, index) = word->value != 0;
	else
		memcpy(field(draft, index), &word->value, sizeof(word->value));
	return OK;
}

static enum err read_text(struct draft *draft, size_t index)
{
	struct text value = text_of(draft->given[index].value);

	if (!text_is_utf8(value))
		return wrong(draft, index, "is not UTF-8");
	if (text_has_control(value))
		return wrong(draft, index, "holds a control character, or more than one line");
	*(const char **)field(draft, index) = draft->given[index].value;
	return OK;
}

static enum err read_api_key(struct draft *draft, size_t index)
{
	const char *value = draft->given[index].value;

	for (const char *at = value; *at; at++)
		if (*at <= ' ' || *at > '~')
			return wrong(draft, index,
				"holds a blank or a character that no HTTP header may hold");
	if (strlen(value) < API_KEY_LEAST)
		return wrong(draft, index,
			"is too short; give 16 characters or more, e.g. from: openssl rand -hex "
			"24");
	return read_text(draft, index);
}

static bool is_v6(const char *value)
{
	unsigned char address[16];

	return inet_pton(AF_INET6, value, address) == 1;
}

/* Letters, digits, hyphen, dot, underscore: also what a v4 address is made of. */
static bool is_host(const char *value)
{
	size_t len = strlen(value);

	if (len == 0 || len > HOST_MAX || value[0] == '.' || value[0] == '-' || strstr(value, ".."))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!byte_is_letter(value[i]) && !byte_is_digit(value[i]) &&
			!strchr("-._", value[i]))
			return false;
	return true;
}

static bool is_literal(const char *value)
{
	size_t len = strlen(value);

	return len > 2 && value[0] == '[' && value[len - 1] == ']' &&
	       strspn(value + 1, "0123456789abcdefABCDEF.:IPv") == len - 2;
}

static enum err read_host(struct draft *draft, size_t index)
{
	const char *value = draft->given[index].value;
	bool is_ehlo = settings_table[index].at == offsetof(struct settings, relay.ehlo_name);
	size_t len = strlen(value);

	if (is_ehlo && is_literal(value)) {
		*(const char **)field(draft, index) = value;
		return OK;
	}
	if (len > 2 && value[0] == '[' && value[len - 1] == ']') {
		value = draft_copy(draft, (struct text){ value + 1, len - 2 });
		if (!value)
			return ERR_MEMORY;
		if (!is_v6(value))
			return wrong(draft, index, "is not an IPv6 address in brackets");
	}
	if (strstr(value, "://"))
		return wrong(draft, index, "is a URL; give the host's name alone, or use SMTP_URL");
	if (!is_v6(value) && strchr(value, ':'))
		return wrong(draft, index, "holds a colon; give the port as SMTP_PORT");
	if (!is_v6(value) && !is_host(value))
		return wrong(draft, index,
			is_ehlo ? "is not a host name; give one like "
				  "mail.example.com, or [192.0.2.1]"
				: "is not a host name or an address");
	*(const char **)field(draft, index) = value;
	return OK;
}

static enum err read_pin(struct draft *draft, size_t index)
{
	const char *value = draft->given[index].value, *pin = value + 7;

	if (strncasecmp(value, "sha256/", 7) != 0)
		return wrong(draft, index,
			"is not a pin; give sha256/ and 44 characters of "
			"base64, as lettergate check shows it");
	if (*pin == '/' && strlen(pin) == PIN_LEN + 1)
		pin++; /* as curl writes it; by itself a slash is a letter of base64 */
	if (strlen(pin) != PIN_LEN || pin[PIN_LEN - 1] != '=' ||
		strspn(pin, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") !=
			PIN_LEN - 1)
		return wrong(draft, index,
			"is not a pin; behind sha256/ stand 44 characters of "
			"base64, the last of them =");
	*(const char **)field(draft, index) = pin;
	return OK;
}

static enum err read_admin(struct draft *draft, size_t index)
{
	size_t count = 0;
	enum err err = settings_read_listen(
		draft, &draft->given[index], &draft->settings->admin_listen, &count);

	if (!err && count > 1)
		return wrong(draft, index, "names more than one address; give one");
	return err;
}

enum err setting_read(struct draft *draft, size_t index)
{
	switch (settings_table[index].kind) {
	case SETTING_TEXT:
		return read_text(draft, index);
	case SETTING_HOST:
		return read_host(draft, index);
	case SETTING_PORT:
		return read_port(draft, index);
	case SETTING_WORD:
	case SETTING_FLAG:
		return read_word(draft, index);
	case SETTING_COUNT:
		return read_count(draft, index);
	case SETTING_BYTES:
		return read_bytes(draft, index);
	case SETTING_DURATION:
		return read_duration(draft, index);
	case SETTING_PERIOD:
		return read_period(draft, index);
	case SETTING_RATE:
		return read_rate(draft, index);
	case SETTING_PEM:
		return settings_read_pem(draft, &draft->given[index], field(draft, index));
	case SETTING_PIN:
		return read_pin(draft, index);
	case SETTING_LISTEN:
		return settings_read_listen(draft, &draft->given[index], &draft->settings->listen,
			&draft->settings->listen_count);
	case SETTING_ADMIN_LISTEN:
		return read_admin(draft, index);
	case SETTING_NETWORKS:
		return settings_read_networks(draft, &draft->given[index],
			&draft->settings->trusted_proxies, &draft->settings->trusted_proxy_count);
	case SETTING_WEBHOOK_NETWORKS:
		return settings_read_networks(draft, &draft->given[index],
			&draft->settings->webhook_allow, &draft->settings->webhook_allow_count);
	case SETTING_API_KEY:
		return read_api_key(draft, index);
	case SETTING_TOKEN_URL:
		return settings_read_token_url(draft, &draft->given[index], field(draft, index));
	case SETTING_STORE:
		return settings_read_store(draft, &draft->given[index]);
	case SETTING_DELAYS:
		return settings_read_delays(draft, &draft->given[index]);
	case SETTING_SHARE:
		return settings_read_share(draft, &draft->given[index], field(draft, index));
	case SETTING_URL:
		break; /* taken apart before */
	}
	return OK;
}
