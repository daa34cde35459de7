/* mail_recipients - to, cc, bcc, reply_to: addresses, lists of them, groups (RFC 5322 3.4)
 *
 * A string is one address, or a list with commas and groups as it would stand in a header, but for
 * comments; it is taken as a whole or not at all. */
#include "http/mail/reading.h"

#include "smtp/address/address_list.h"

#include <string.h>

enum { LIST_BYTES = 1 << 18 }; /* a thousand addresses with their names */

/* A field's addresses, as they are found. */
struct gathering {
	struct reading *reading;
	struct smtp_mailbox *boxes;
	struct smtp_group *groups;
	size_t count, room, group_count, group_room;
	bool in_group, is_full;
};

/* Out of room, which is as much as there could be, up to the limit. */
static void complain_of_many(struct gathering *gathering, const struct json_at *at)
{
	if (!gathering->is_full)
		complain(gathering->reading->complaints, at,
			"recipients: at most %d are taken, and as many groups", RECIPIENTS_MAX);
	gathering->is_full = true;
}

static void add_box(
	struct gathering *gathering, const struct smtp_mailbox *box, const struct json_at *at)
{
	if (gathering->count == gathering->room)
		complain_of_many(gathering, at);
	else
		gathering->boxes[gathering->count++] = *box;
}

/* Its members are to follow. NULL was complained about. */
static struct smtp_group *add_group(
	struct gathering *gathering, struct text name, const struct json_at *at)
{
	struct smtp_group *group = NULL;

	if (gathering->in_group)
		complain(gathering->reading->complaints, at,
			"a group must not stand within a group");
	else if (gathering->group_count == gathering->group_room)
		complain_of_many(gathering, at);
	else
		group = &gathering->groups[gathering->group_count++];
	if (group)
		*group = (struct smtp_group){ .name = name, .first = gathering->count };
	return group;
}

/* ---- strings */

static const char *wrong_name(struct text name)
{
	return name.len > LINE_BYTES ? "line: a name is at most 998 bytes"
	       : smtp_name_misleads(name)
		       ? "the name has a character that turns the order of others"
		       : NULL;
}

static const char *wrong_in(struct smtp_mailboxes list)
{
	const char *why = NULL;

	for (size_t i = 0; !why && i < list.count; i++)
		why = wrong_name(list.at[i].name);
	for (size_t i = 0; !why && i < list.group_count; i++)
		why = list.groups[i].name.len ? wrong_name(list.groups[i].name)
					      : "a group needs a name";
	if (!why && list.count + list.group_count == 0)
		why = "there is no address in it";
	return why;
}

static void take_list(
	struct gathering *gathering, struct smtp_mailboxes list, const struct json_at *at)
{
	size_t box = 0;

	for (size_t i = 0; i < list.group_count; i++) {
		const struct smtp_group *from = &list.groups[i];
		struct smtp_group *group;

		while (box < from->first)
			add_box(gathering, &list.at[box++], at);
		group = add_group(gathering, from->name, at);
		for (size_t j = 0; j < from->count; j++)
			add_box(gathering, &list.at[box++], at);
		if (group)
			group->count = gathering->count - group->first;
	}
	while (box < list.count)
		add_box(gathering, &list.at[box++], at);
}

static void read_list(struct gathering *gathering, struct text line, const struct json_at *at)
{
	struct reading *reading = gathering->reading;
	struct smtp_list_fault fault = { 0 };
	struct smtp_mailboxes list;
	const char *why;
	enum err err = smtp_address_list_parse(
		line, SMTP_COMMENTS_REFUSED, RECIPIENTS_MAX, reading->region, &list, &fault);

	why = err ? NULL : wrong_in(list);
	if (err == ERR_LIMIT)
		complain_of_many(gathering, at);
	else if (err == ERR_MEMORY)
		complain(reading->complaints, at, "out of memory");
	else if (err)
		complain(reading->complaints, at, "address %zu: %s", fault.place, fault.why);
	else if (why)
		complain(reading->complaints, at, "%s", why);
	else
		take_list(gathering, list, at);
	if (err || why) /* so that there is a recipient, if a wrong one */
		add_box(gathering, &(struct smtp_mailbox){ 0 }, at);
}

static bool may_be_list(struct text line)
{
	return text_find(line, ',') < line.len || text_find(line, ';') < line.len;
}

/* "Team: ann@example.org" would be a group, were it closed. */
static bool lacks_semicolon(struct reading *reading, struct text line)
{
	struct smtp_list_fault fault;
	struct smtp_mailboxes list;
	char *closed;

	if (!memmem(line.at, line.len, ": ", 2))
		return false;
	closed = region_alloc(reading->region, line.len + 1);
	if (!closed)
		return false;
	memcpy(closed, line.at, line.len);
	closed[line.len] = ';';
	return !smtp_address_list_parse((struct text){ closed, line.len + 1 },
		SMTP_COMMENTS_REFUSED, RECIPIENTS_MAX, reading->region, &list, &fault);
}

/* One address is read strictly, and what is taken as one is never a list. */
static void read_string(struct gathering *gathering, const cJSON *value, const struct json_at *at)
{
	struct reading *reading = gathering->reading;
	struct smtp_mailbox box = { 0 };
	const char *why = "out of memory"; /* else the parser says what */
	struct text line;
	enum err err;

	if (!read_line_of(reading, value, at, LIST_BYTES, &line))
		return;
	err = smtp_mailbox_parse(line, reading->region, &box, &why);
	if (err == ERR_VALUE && may_be_list(line)) {
		read_list(gathering, line, at);
		return;
	}
	if (err == ERR_VALUE && lacks_semicolon(reading, line))
		why = "a group ends with a ;, which is missing";
	if (!err)
		why = wrong_name(box.name);
	if (why)
		complain(reading->complaints, at, "%s", why);
	add_box(gathering, &box, at);
}

/* ---- objects and lists of JSON */

static void read_one(struct gathering *gathering, const cJSON *value, const struct json_at *at);

static void read_each(struct gathering *gathering, const cJSON *value, const struct json_at *at)
{
	const cJSON *member;
	size_t i = 0;

	if (!cJSON_IsArray(value)) {
		read_one(gathering, value, at);
		return;
	}
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, { 0 }, i++ };

		if (gathering->is_full)
			break;
		read_one(gathering, member, &here);
	}
}

/* { "name": …, "group": [ … ] } */
static void read_group(struct gathering *gathering, const cJSON *value, const struct json_at *at)
{
	struct reading *reading = gathering->reading;
	struct smtp_group *group = add_group(gathering, (struct text){ 0 }, at);
	struct text name = { 0 };
	const cJSON *member;

	if (!group)
		return;
	gathering->in_group = true;
	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, json_name(reading->json, member), 0 };

		if (text_equal(here.name, TEXT("name")))
			read_name(reading, member, &here, &name);
		else if (text_equal(here.name, TEXT("group")))
			read_each(gathering, member, &here);
		else
			complain(reading->complaints, &here,
				"unknown field: a group has name and group");
	}
	gathering->in_group = false;
	group->name = name;
	group->count = gathering->count - group->first;
	if (!name.len)
		complain(reading->complaints, at, "a group needs a name");
}

static void read_one(struct gathering *gathering, const cJSON *value, const struct json_at *at)
{
	struct smtp_mailbox box = { 0 };

	if (cJSON_IsString(value)) {
		read_string(gathering, value, at);
	} else if (cJSON_GetObjectItemCaseSensitive(value, "group")) {
		read_group(gathering, value, at);
	} else {
		read_mailbox(gathering->reading, value, at, &box);
		add_box(gathering, &box, at);
	}
}

/* ---- a field as a whole */

/* How many addresses and groups there are at most: in a string, one more than commas, and as many
 * as colons. */
static void add_room(struct gathering *gathering, const cJSON *value)
{
	struct text line = json_string(gathering->reading->json, value);

	gathering->room += text_count(line, ',', RECIPIENTS_MAX) + 1;
	gathering->group_room += text_count(line, ':', RECIPIENTS_MAX);
}

static void add_room_of_each(struct gathering *gathering, const cJSON *value)
{
	const cJSON *member;

	if (cJSON_IsArray(value))
		cJSON_ArrayForEach(member, value) add_room(gathering, member);
	else
		add_room(gathering, value);
}

static void make_room(struct gathering *gathering, const cJSON *value)
{
	const cJSON *list = cJSON_IsArray(value) ? value->child : value, *group;

	for (; list; list = list->next) {
		group = cJSON_GetObjectItemCaseSensitive(list, "group");
		gathering->group_room += group != NULL;
		add_room_of_each(gathering, group ? group : list);
		if (!cJSON_IsArray(value))
			break;
	}
}

static size_t at_most(size_t count)
{
	return count < RECIPIENTS_MAX ? count : RECIPIENTS_MAX;
}

static void read_mailboxes(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_mailboxes *mailboxes)
{
	struct gathering gathering = { .reading = reading };

	if (!cJSON_IsNull(value))
		make_room(&gathering, value);
	if (gathering.room + gathering.group_room == 0)
		return;
	gathering.room = at_most(gathering.room);
	gathering.group_room = at_most(gathering.group_room);
	gathering.boxes = reading_room(reading, at, gathering.room + 1, sizeof(*gathering.boxes));
	if (gathering.group_room)
		gathering.groups =
			reading_room(reading, at, gathering.group_room, sizeof(*gathering.groups));
	if (!gathering.boxes || (gathering.group_room && !gathering.groups))
		return;
	read_each(&gathering, value, at);
	*mailboxes = (struct smtp_mailboxes){ gathering.boxes, gathering.count, gathering.groups,
		gathering.group_count };
}

void read_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->posted->mail.to);
}

void read_cc(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->posted->mail.cc);
}

void read_bcc(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->bcc);
}

void read_reply_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	read_mailboxes(reading, value, at, &reading->posted->mail.reply_to);
}
