/* hint - what a relay's words tell beside its codes: when to come again, what it calls the message
 */
#include "smtp/verdict/verdict.h"

enum { DAY_S = 86400, WEEK_S = 7 * DAY_S };

static const struct {
	struct text word;
	uint32_t seconds;
} units[] = { { TEXT("s"), 1 }, { TEXT("sec"), 1 }, { TEXT("secs"), 1 }, { TEXT("second"), 1 },
	{ TEXT("seconds"), 1 }, { TEXT("m"), 60 }, { TEXT("min"), 60 }, { TEXT("mins"), 60 },
	{ TEXT("minute"), 60 }, { TEXT("minutes"), 60 }, { TEXT("h"), 3600 },
	{ TEXT("hour"), 3600 }, { TEXT("hours"), 3600 }, { TEXT("day"), DAY_S },
	{ TEXT("days"), DAY_S } };

static struct text word_at(struct text text)
{
	size_t len = 0;

	while (len < text.len && byte_is_letter(text.at[len]))
		len++;
	return text_head(text, len);
}

/* `text` starts with digits; "300 seconds", "5min", "60s". 0: no unit of time behind them. */
static uint32_t read_time(struct text text)
{
	size_t digits = 0;
	uint64_t number;
	struct text word;

	while (digits < text.len && byte_is_digit(text.at[digits]))
		digits++;
	word = word_at(text_trim(text_from(text, digits)));
	if (!text_to_u64(text_head(text, digits), &number))
		return 0;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (text_equal_nocase(word, units[i].word))
			return number < WEEK_S / units[i].seconds
				       ? (uint32_t)number * units[i].seconds
				       : WEEK_S;
	return 0;
}

/* The last word of it. */
static struct text word_before(struct text text)
{
	size_t end = text.len, start;

	while (end && !byte_is_letter(text.at[end - 1]))
		end--;
	for (start = end; start && byte_is_letter(text.at[start - 1]);)
		start--;
	return text_head(text_from(text, start), end - start);
}

static bool is_one_of(struct text word, const char *const *words)
{
	while (*words && !text_equal_nocase(word, text_of(*words)))
		words++;
	return *words;
}

/* "500 messages per 1 hour", "a domain 3 days old": a time, but not one to wait. */
static bool is_other_time(struct text before, struct text rest)
{
	static const char *const measures[] = { "per", "every", "each", "last", "past", NULL };
	static const char *const ages[] = { "old", "ago", NULL };
	size_t len = 0;

	while (len < rest.len && (byte_is_digit(rest.at[len]) || byte_is_blank(rest.at[len])))
		len++;
	rest = text_from(rest, len);
	rest = text_from(rest, word_at(rest).len);
	return is_one_of(word_before(before), measures) ||
	       is_one_of(word_at(text_trim(rest)), ages);
}

uint32_t smtp_retry_after_s(struct text said)
{
	static const char *const cues[] = { "try", "retry", "again", "wait", "later", "grey",
		"after" };
	bool is_cued = false;
	char before = ' ';

	for (size_t i = 0; i < sizeof(cues) / sizeof(cues[0]); i++)
		is_cued |= text_contains_nocase(said, text_of(cues[i]));
	for (size_t i = 0; is_cued && i < said.len; before = said.at[i++]) {
		bool starts = byte_is_digit(said.at[i]) && !byte_is_digit(before) &&
			      !byte_is_letter(before) && before != '.' && before != '-';
		uint32_t seconds = starts ? read_time(text_from(said, i)) : 0;

		if (seconds && !is_other_time(text_head(said, i), text_from(said, i)))
			return seconds;
	}
	return 0;
}

static bool is_id_byte(char byte)
{
	return byte_is_letter(byte) || byte_is_digit(byte) || byte == '-' || byte == '_' ||
	       byte == '.' || byte == '@';
}

static struct text id_at(struct text text)
{
	size_t len = 0;

	while (len < text.len && is_id_byte(text.at[len]))
		len++;
	while (len && text.at[len - 1] == '.')
		len--;
	return text_head(text, len);
}

/* Behind the first `cue`; empty: no such cue. */
static struct text behind(struct text said, struct text cue)
{
	for (size_t i = 0; i + cue.len <= said.len; i++)
		if (text_starts_nocase(text_from(said, i), cue))
			return text_from(said, i + cue.len);
	return (struct text){ 0 };
}

static bool looks_like_id(struct text id)
{
	size_t digits = 0;

	for (size_t i = 0; i < id.len; i++)
		digits += byte_is_digit(id.at[i]);
	return id.len >= 5 && digits > 0;
}

struct text smtp_queue_id(struct text said)
{
	static const struct text cues[] = {
		TEXT("queued as "),  /* Postfix */
		TEXT("OK id="),      /* Exim */
		TEXT("InternalId="), /* Exchange: the number that its own log has */
	};
	struct text first, rest, id;

	for (size_t i = 0; i < sizeof(cues) / sizeof(cues[0]); i++) {
		id = id_at(behind(said, cues[i]));
		if (id.len)
			return id;
	}
	rest = said;
	first = text_cut(&rest, ' ');
	if (text_starts_nocase(
		    rest, TEXT("Message accepted for delivery"))) { /* Sendmail, OpenSMTPD */
		id = id_at(looks_like_id(first) ? first : text_cut(&rest, ':'));
		return looks_like_id(id) ? id : (struct text){ 0 };
	}
	id = id_at(behind(said, TEXT("Message accepted for delivery: "))); /* OpenSMTPD, older */
	if (id.len)
		return id;
	if (!text_equal_nocase(first, TEXT("OK")))
		return (struct text){ 0 };
	rest = text_trim(rest);
	while (rest.len) { /* Gmail: "OK 1700000000 a1b2…si.12 - gsmtp"; SES: "Ok 0102…-000000" */
		id = id_at(text_cut(&rest, ' '));
		if (looks_like_id(id) && (rest.len == 0 || text_starts(rest, TEXT("- "))))
			return id;
	}
	return (struct text){ 0 };
}
