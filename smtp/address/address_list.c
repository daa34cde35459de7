#include "smtp/address/address_list.h"

#include <string.h>

enum { COMMENTS_DEEP = 32 };

struct list_reader {
	struct text in;
	size_t at;
	struct region *region;
	struct smtp_mailbox *boxes;
	size_t count, most;
	struct smtp_group *groups; /* as many as `group_room` */
	size_t group_count, group_room;
	bool in_group;
	enum smtp_comments comments;
	const char *why;
};

/* A run of words with blanks and comments about them: a display name, or a local part. */
struct words {
	size_t start, end; /* of the words */
	size_t count;
	bool apart; /* blanks or a comment stand between the last word and what follows */
};

static enum err refuse(struct list_reader *reader, const char *why)
{
	reader->why = why;
	return ERR_SYNTAX;
}

/* 0 at the end. */
static char next(const struct list_reader *reader)
{
	return reader->at < reader->in.len ? reader->in.at[reader->at] : 0;
}

/* Atoms and the dots between them (RFC 5322 3.2.3; dots in names: 4.1). */
static bool is_word_byte(char byte)
{
	return (unsigned char)byte > ' ' && byte != 0x7f && !strchr("()<>[]:;@\\,\"", byte);
}

/* At a "(". */
static enum err skip_comment(struct list_reader *reader)
{
	size_t depth = 0;

	if (reader->comments == SMTP_COMMENTS_REFUSED)
		return refuse(reader, "a comment in ( and ) is not taken; put the name in double "
				      "quotes");
	do {
		char byte = next(reader);

		if (byte == '(' && ++depth > COMMENTS_DEEP)
			return refuse(reader, "comments are nested too deep");
		if (byte == ')')
			depth--;
		reader->at += byte == '\\' ? 2 : 1;
		if (depth && reader->at >= reader->in.len)
			return refuse(reader, "a comment is not closed");
	} while (depth);
	return OK;
}

/* CFWS (RFC 5322 3.2.2) */
static enum err skip_blanks(struct list_reader *reader)
{
	enum err err = OK;

	while (!err && (byte_is_space(next(reader)) || next(reader) == '(')) {
		if (next(reader) == '(')
			err = skip_comment(reader);
		else
			reader->at++;
	}
	return err;
}

/* At a double quote. */
static enum err skip_quoted(struct list_reader *reader)
{
	do {
		reader->at += next(reader) == '\\' ? 2 : 1;
		if (reader->at >= reader->in.len)
			return refuse(reader, "a double quote is not closed");
	} while (next(reader) != '"');
	reader->at++;
	return OK;
}

static enum err skip_word(struct list_reader *reader)
{
	if (next(reader) == '"')
		return skip_quoted(reader);
	while (is_word_byte(next(reader)))
		reader->at++;
	return OK;
}

static enum err skip_words(struct list_reader *reader, struct words *words_out)
{
	struct words words = { 0 };
	size_t before = reader->at;
	enum err err = skip_blanks(reader);

	words.apart = reader->at > before;
	words.start = words.end = reader->at;
	while (!err && (is_word_byte(next(reader)) || next(reader) == '"')) {
		if (words.count++ && !words.apart)
			return refuse(reader, "a double quote stands in the middle of a word");
		err = skip_word(reader);
		if (err)
			return err;
		words.end = reader->at;
		err = skip_blanks(reader);
		words.apart = reader->at > words.end;
	}
	if (!err)
		*words_out = words;
	return err;
}

/* What a word says, without quotes, backslashes and line ends; gives the length. */
static size_t copy_word(struct text word, char *out)
{
	size_t len = 0, i = 0, end = word.len;

	if (word.at[0] != '"') {
		memcpy(out, word.at, word.len);
		return word.len;
	}
	for (i = 1, end--; i < end; i++) {
		if (word.at[i] == '\\')
			i++;
		if (word.at[i] != '\r' && word.at[i] != '\n')
			out[len++] = word.at[i] == '\t' ? ' ' : word.at[i];
	}
	return len;
}

/* The words again, known to be well formed, with one blank between each two. */
static enum err read_name(
	struct list_reader *reader, const struct words *words, struct text *name_out)
{
	struct list_reader again = { .in = text_head(reader->in, words->end), .at = words->start };
	char *name = region_alloc(reader->region, words->end - words->start + 1);
	size_t len = 0, start;
	enum err err = name ? OK : ERR_MEMORY;

	while (!err && again.at < again.in.len) {
		start = again.at;
		err = skip_word(&again);
		if (len)
			name[len++] = ' ';
		len += copy_word(
			text_head(text_from(again.in, start), again.at - start), name + len);
		if (!err)
			err = skip_blanks(&again);
	}
	if (!err && text_has_control((struct text){ name, len }))
		return refuse(reader, "a name must not hold control characters");
	if (!err)
		*name_out = (struct text){ name, len };
	return err;
}

/* At the "@" behind a local part. */
static enum err read_address(
	struct list_reader *reader, const struct words *local, struct text *address_out)
{
	struct text spec;

	if (local->count > 1)
		return refuse(reader, "behind a name, the address must stand in < and >");
	if (local->count && local->apart)
		return refuse(reader, "blanks or a comment stand before the @");
	reader->at++;
	if (next(reader) == '[')
		return refuse(reader, "an address literal in [ and ] is not taken");
	while (is_word_byte(next(reader)))
		reader->at++;
	spec = text_head(text_from(reader->in, local->start), reader->at - local->start);
	return smtp_address_parse(spec, reader->region, address_out, &reader->why);
}

/* At the "<" behind a name or none. */
static enum err read_angle(struct list_reader *reader, struct text *address_out)
{
	struct words local;
	enum err err;

	reader->at++;
	err = skip_words(reader, &local);
	if (err)
		return err;
	if (next(reader) == '>')
		return refuse(reader, local.count ? "an address needs an @"
						  : "there is no address between < and >");
	if (next(reader) == '@' && local.count == 0)
		return refuse(reader, "a route before an address is not taken");
	if (next(reader) != '@')
		return refuse(reader, "there is no address behind a <");
	err = read_address(reader, &local, address_out);
	if (!err)
		err = skip_blanks(reader);
	if (!err && next(reader) != '>')
		err = refuse(reader, "the > behind an address is missing");
	reader->at++;
	return err;
}

static enum err read_mailbox(struct list_reader *reader, const struct words *words)
{
	struct smtp_mailbox box = { 0 };
	enum err err = OK;

	if (reader->count == reader->most) {
		reader->why = "there are too many addresses";
		return ERR_LIMIT;
	}
	if (next(reader) == '@')
		err = read_address(reader, words, &box.address);
	else if (words->count)
		err = read_name(reader, words, &box.name);
	if (!err && next(reader) == '<' && !box.address.len)
		err = read_angle(reader, &box.address);
	if (!err)
		reader->boxes[reader->count++] = box;
	return err;
}

/* Why what comes next cannot stand behind an address. */
static const char *wrong_behind(const struct list_reader *reader)
{
	switch (next(reader)) {
	case ';':
		return "a ; ends a group and there is none; addresses are separated by commas";
	case ':':
		return "a : may only stand behind the name of a group";
	case '@':
		return "there is an @ too many";
	case '>':
		return "there is a > without a <";
	case ')':
		return "there is a ) without a (";
	case '<':
		return "a comma is missing, or the name before the < needs double quotes";
	case '"':
		return "a comma is missing between two addresses";
	default:
		return is_word_byte(next(reader))
			       ? "a comma is missing between two addresses"
			       : "there is a character that must stand in double quotes";
	}
}

/* At the ":" behind a group's name. */
static enum err open_group(struct list_reader *reader, const struct words *name)
{
	struct smtp_group *group = &reader->groups[reader->group_count];
	enum err err;

	if (reader->in_group)
		return refuse(reader, "a group must not stand within a group");
	if (reader->group_count == reader->group_room) {
		reader->why = "there are too many groups";
		return ERR_LIMIT;
	}
	err = read_name(reader, name, &group->name);
	if (err)
		return err;
	group->first = reader->count;
	reader->group_count++;
	reader->at++;
	reader->in_group = true;
	return OK;
}

static void close_group(struct list_reader *reader)
{
	struct smtp_group *group = &reader->groups[reader->group_count - 1];

	group->count = reader->count - group->first;
	reader->at++;
	reader->in_group = false;
}

/* What stands between two commas; nothing is fine. Behind the colon of a group, *opens_out says
 * that an address may follow at once. */
static enum err read_element(struct list_reader *reader, bool *opens_out)
{
	struct words words;
	enum err err = skip_words(reader, &words);

	*opens_out = false;
	if (err)
		return err;
	if (next(reader) == '@' || next(reader) == '<')
		return read_mailbox(reader, &words);
	if (next(reader) == ':' && words.count) {
		err = open_group(reader, &words);
		*opens_out = !err;
		return err;
	}
	if (words.count)
		err = refuse(reader, next(reader) == ','
					     ? "an address needs an @; a name with a comma needs "
					       "double quotes"
					     : "an address needs an @");
	return err;
}

/* A comma, the end of a group, or the end. */
static enum err read_separator(struct list_reader *reader)
{
	enum err err = skip_blanks(reader);

	if (!err && reader->in_group && next(reader) == ';') {
		close_group(reader);
		err = skip_blanks(reader);
	}
	if (err || reader->at >= reader->in.len)
		return err;
	if (next(reader) != ',')
		return refuse(reader, wrong_behind(reader));
	reader->at++;
	return OK;
}

/* CR, LF and NUL stand nowhere but in the line ends of folds (RFC 5322 2.2.3): parsers that meet
 * them elsewhere do not agree where a list ends. */
static bool is_folded(struct text value)
{
	for (size_t i = 0; i < value.len; i++) {
		char byte = value.at[i], after = i + 1 < value.len ? value.at[i + 1] : 0;

		if (byte == 0 || (byte == '\r' && after != '\n') ||
			(byte == '\n' && !byte_is_blank(after)))
			return false;
	}
	return true;
}

/* No list holds more addresses than one more than it has commas, nor more groups than colons. */
static enum err make_room(struct list_reader *reader)
{
	size_t room = text_count(reader->in, ',', reader->most - 1) + 1;

	reader->group_room = text_count(reader->in, ':', reader->most);
	reader->boxes = region_zalloc(reader->region, room, sizeof(*reader->boxes));
	reader->groups =
		region_zalloc(reader->region, reader->group_room + 1, sizeof(*reader->groups));
	return reader->boxes && reader->groups ? OK : ERR_MEMORY;
}

enum err smtp_address_list_parse(struct text value, enum smtp_comments comments, size_t most,
	struct region *region, struct smtp_mailboxes *list_out, struct smtp_list_fault *fault_out)
{
	struct list_reader reader = {
		.in = value, .region = region, .most = most, .comments = comments
	};
	size_t place = 1;
	bool opens;
	enum err err = make_room(&reader);

	if (err)
		return err;
	if (!text_is_utf8(value))
		err = refuse(&reader, "it is not UTF-8");
	else if (!is_folded(value))
		err = refuse(&reader, "a NUL or a line end that is no fold stands in it");
	while (!err && reader.at < value.len) {
		place = reader.count + 1;
		err = read_element(&reader, &opens);
		if (!err && !opens)
			err = read_separator(&reader);
	}
	if (!err && reader.in_group)
		err = refuse(&reader, "a group is not closed by a ;");
	if (err)
		*fault_out = (struct smtp_list_fault){ place, reader.why };
	else
		*list_out = (struct smtp_mailboxes){ reader.boxes, reader.count, reader.groups,
			reader.group_count };
	return err;
}
