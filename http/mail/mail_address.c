/* mail_address - senders, recipients, the envelope */
#include "http/mail/reading.h"

#include "smtp/address/address_list.h"

#include <stdlib.h>
#include <string.h>

static void read_address(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_mailbox *mailbox)
{
	struct text line;
	const char *why = "out of memory"; /* else the parser says what */

	if (read_line(reading, value, at, &line) &&
		smtp_address_parse(line, reading->region, &mailbox->address, &why))
		complain(reading->complaints, at, "%s", why);
}

void read_name(
	struct reading *reading, const cJSON *value, const struct json_at *at, struct text *name)
{
	if (!cJSON_IsNull(value) && read_line(reading, value, at, name) &&
		smtp_name_misleads(*name))
		complain(reading->complaints, at,
			"the name has a character that turns the order of others");
}

static const char no_group[] = "one address is wanted here, and no group";

static bool is_group(struct reading *reading, struct text line)
{
	struct smtp_mailboxes list;
	struct smtp_list_fault fault;

	return smtp_address_list_parse(line, SMTP_COMMENTS_SKIPPED, RECIPIENTS_MAX, reading->region,
		       &list, &fault) == OK &&
	       list.group_count;
}

static void read_mailbox_string(struct reading *reading, const cJSON *value,
	const struct json_at *at, struct smtp_mailbox *mailbox)
{
	struct text line;
	const char *why = "out of memory"; /* else the parser says what */

	if (read_line(reading, value, at, &line) &&
		smtp_mailbox_parse(line, reading->region, mailbox, &why))
		complain(reading->complaints, at, "%s", is_group(reading, line) ? no_group : why);
}

static void read_mailbox_object(struct reading *reading, const cJSON *value,
	const struct json_at *at, struct smtp_mailbox *mailbox)
{
	const cJSON *member;
	unsigned addresses = 0;

	cJSON_ArrayForEach(member, value)
	{
		struct json_at here = { at, json_name(reading->json, member), 0 };

		if (text_equal(here.name, TEXT("name"))) {
			read_name(reading, member, &here, &mailbox->name);
		} else if (text_equal(here.name, TEXT("address")) ||
			   text_equal(here.name, TEXT("email"))) {
			addresses++;
			read_address(reading, member, &here, mailbox);
		} else if (text_equal(here.name, TEXT("group"))) {
			complain(reading->complaints, &here, no_group);
			return;
		} else {
			complain(reading->complaints, &here,
				"unknown field: an address has name and address");
		}
	}
	if (addresses != 1)
		complain(reading->complaints, at,
			addresses ? "address and email are the same: give one of them"
				  : "an address is missing");
}

void read_mailbox(struct reading *reading, const cJSON *value, const struct json_at *at,
	struct smtp_mailbox *mailbox)
{
	if (cJSON_IsObject(value))
		read_mailbox_object(reading, value, at, mailbox);
	else if (cJSON_IsString(value))
		read_mailbox_string(reading, value, at, mailbox);
	else
		complain(reading->complaints, at, "an address is wanted: a string or an object");
}

void read_from(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	reading->has_from = true;
	read_mailbox(reading, value, at, &reading->posted->mail.from);
}

/* ---- the envelope */

static void read_envelope_from(
	struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct smtp_mailbox mailbox = { 0 };

	reading->has_envelope_from = true;
	if (cJSON_IsString(value) && json_string(reading->json, value).len == 0)
		return; /* the null sender */
	read_mailbox(reading, value, at, &mailbox);
	reading->posted->envelope.from = mailbox.address;
}

/* It holds addresses alone: names may be there, and are shown to nobody. */
static void read_envelope_to(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	size_t count =
		cJSON_IsArray(value) ? (size_t)cJSON_GetArraySize(value) : !cJSON_IsNull(value);
	struct smtp_envelope *envelope = &reading->posted->envelope;
	const cJSON *member = cJSON_IsArray(value) ? value->child : value;

	reading->has_envelope_to = true;
	if (count > RECIPIENTS_MAX) {
		complain(reading->complaints, at, "recipients: at most %d are taken, these are %zu",
			RECIPIENTS_MAX, count);
		return;
	}
	envelope->to = reading_room(reading, at, count + 1, sizeof(*envelope->to));
	for (size_t i = 0; envelope->to && i < count; i++, member = member->next) {
		struct json_at here = { at, { 0 }, i };
		struct smtp_mailbox mailbox = { 0 };

		read_mailbox(reading, member, cJSON_IsArray(value) ? &here : at, &mailbox);
		envelope->to[envelope->count++] = mailbox.address;
	}
}

void read_envelope(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "from", read_envelope_from },
		{ "to", read_envelope_to } };

	if (!cJSON_IsNull(value))
		read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
}

/* Nobody gets a message twice because the same address stands in To and in Cc. Keeps the order. */
static void drop_twins(struct reading *reading, const struct json_at *at)
{
	struct smtp_envelope *envelope = &reading->posted->envelope;
	struct text *sorted = reading_room(reading, at, envelope->count, sizeof(*sorted));
	bool *seen = reading_room(reading, at, envelope->count, sizeof(*seen));
	size_t kept = 0, distinct = 0;

	if (!sorted || !seen)
		return;
	memcpy(sorted, envelope->to, envelope->count * sizeof(*sorted));
	qsort(sorted, envelope->count, sizeof(*sorted), text_compare);
	for (size_t i = 0; i < envelope->count; i++)
		if (!distinct || text_compare(&sorted[distinct - 1], &sorted[i]) != 0)
			sorted[distinct++] = sorted[i];
	for (size_t i = 0; i < envelope->count; i++) {
		size_t place = (size_t)((struct text *)bsearch(&envelope->to[i], sorted, distinct,
						sizeof(*sorted), text_compare) -
					sorted);

		if (!seen[place])
			envelope->to[kept++] = envelope->to[i];
		seen[place] = true;
	}
	envelope->count = kept;
}

static void add_recipients(struct smtp_envelope *envelope, struct smtp_mailboxes list)
{
	for (size_t i = 0; i < list.count; i++)
		envelope->to[envelope->count++] = list.at[i].address;
}

static void check_count(struct reading *reading, const struct json_at *at)
{
	size_t count = reading->posted->envelope.count;
	struct json_at envelope = { at, TEXT("envelope"), 0 };
	struct json_at to = { reading->has_envelope_to ? &envelope : at, TEXT("to"), 0 };

	if (count == 0)
		complain(reading->complaints, &to, "there is no recipient");
	else if (count > RECIPIENTS_MAX)
		complain(reading->complaints, &to,
			"recipients: at most %d are taken, to, cc and bcc are %zu together",
			RECIPIENTS_MAX, count);
}

static bool lists_need_utf8(struct smtp_mailboxes list)
{
	for (size_t i = 0; i < list.count; i++)
		if (smtp_address_needs_utf8(list.at[i].address))
			return true;
	return false;
}

void finish_envelope(struct reading *reading, const struct json_at *at)
{
	struct smtp_envelope *envelope = &reading->posted->envelope;

	if (envelope->count > 1)
		drop_twins(reading, at);
	check_count(reading, at);
	envelope->needs_utf8 |= smtp_address_needs_utf8(envelope->from);
	for (size_t i = 0; i < envelope->count; i++)
		envelope->needs_utf8 |= smtp_address_needs_utf8(envelope->to[i]);
}

void fill_envelope(struct reading *reading, const struct json_at *at)
{
	struct smtp_mail *mail = &reading->posted->mail;
	struct smtp_envelope *envelope = &reading->posted->envelope;
	size_t count = mail->to.count + mail->cc.count + reading->bcc.count;

	reading->posted->has_envelope_to = reading->has_envelope_to;
	if (!reading->has_envelope_from)
		envelope->from = mail->from.address;
	if (!reading->has_envelope_to) {
		envelope->to = reading_room(reading, at, count + 1, sizeof(*envelope->to));
		if (!envelope->to)
			return;
		add_recipients(envelope, mail->to);
		add_recipients(envelope, mail->cc);
		add_recipients(envelope, reading->bcc);
	}
	envelope->needs_utf8 = smtp_address_needs_utf8(mail->from.address) ||
			       lists_need_utf8(mail->to) || lists_need_utf8(mail->cc) ||
			       lists_need_utf8(mail->reply_to);
	finish_envelope(reading, at);
}
