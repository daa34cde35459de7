/* raw_address - whom a raw message is from, and whom it is for */
#include "smtp/address/address_list.h"
#include "smtp/message/raw_part.h"

#include <string.h>

/* A set of kinds. */
#define KIND(kind) (UINT32_C(1) << (kind))
_Static_assert(SMTP_RAW_KINDS <= 32, "a set of kinds is 32 bits");

static const uint32_t sender_kinds = KIND(SMTP_RAW_FROM) | KIND(SMTP_RAW_SENDER) |
				     KIND(SMTP_RAW_RESENT_FROM) | KIND(SMTP_RAW_RESENT_SENDER);
static const uint32_t lone_kinds = KIND(SMTP_RAW_SENDER) | KIND(SMTP_RAW_RESENT_SENDER);
static const uint32_t plain_kinds = KIND(SMTP_RAW_TO) | KIND(SMTP_RAW_CC) | KIND(SMTP_RAW_BCC);
static const uint32_t resent_kinds =
	KIND(SMTP_RAW_RESENT_TO) | KIND(SMTP_RAW_RESENT_CC) | KIND(SMTP_RAW_RESENT_BCC);

static const char too_many_senders[] = "at most 100 senders are taken";
static const char too_many_recipients[] = "at most 1000 recipients are taken";

static const char no_plain[] = "To, Cc and Bcc name no recipient";
static const char no_resent[] = "Resent-To, Resent-Cc and Resent-Bcc name no recipient";

static bool is_of(const struct smtp_raw_field *field, uint32_t kinds)
{
	return kinds & KIND(field->kind);
}

static enum err refuse(struct smtp_raw_fault *fault, enum err err,
	const struct smtp_raw_field *field, size_t place, const char *why)
{
	*fault = (struct smtp_raw_fault){ field->line, field->name, place, why };
	return err;
}

static enum err read_list(const struct smtp_raw_field *field, size_t most, struct region *region,
	struct smtp_mailboxes *list_out, struct smtp_raw_fault *fault)
{
	struct smtp_list_fault wrong = { 0 };
	enum err err = smtp_address_list_parse(
		field->value, SMTP_COMMENTS_SKIPPED, most, region, list_out, &wrong);

	if (err == ERR_LIMIT)
		wrong.why = most == SMTP_RAW_SENDERS ? too_many_senders : too_many_recipients;
	return err ? refuse(fault, err, field, wrong.place, wrong.why) : OK;
}

/* ---- senders */

static enum err read_senders(const struct smtp_raw_field *field, struct region *region,
	struct smtp_mailboxes *list_out, struct smtp_raw_fault *fault)
{
	enum err err = read_list(field, SMTP_RAW_SENDERS, region, list_out, fault);

	if (!err && list_out->count == 0)
		return refuse(fault, ERR_VALUE, field, 0, "there is no address in it");
	if (!err && list_out->count > 1 && is_of(field, lone_kinds))
		return refuse(fault, ERR_VALUE, field, 0, "there is more than one address in it");
	return err;
}

static enum err add_senders(const struct smtp_raw_field *field, struct smtp_mailboxes list,
	struct region *region, struct smtp_raw *raw, struct smtp_raw_fault *fault)
{
	size_t count = raw->sender_count + list.count;
	struct smtp_raw_sender *senders;

	if (count > SMTP_RAW_SENDERS)
		return refuse(fault, ERR_LIMIT, field, 0, too_many_senders);
	senders = region_zalloc(region, count, sizeof(*senders));
	if (!senders)
		return ERR_MEMORY;
	if (raw->sender_count)
		memcpy(senders, raw->senders, raw->sender_count * sizeof(*senders));
	for (size_t i = 0; i < list.count; i++)
		senders[raw->sender_count + i] =
			(struct smtp_raw_sender){ field, list.at[i].address };
	raw->senders = senders;
	raw->sender_count = count;
	return OK;
}

/* The first address of a field that counts; empty: there is none. */
static struct text sender_of(const struct smtp_raw *raw, enum smtp_raw_kind kind)
{
	for (size_t i = 0; i < raw->sender_count; i++)
		if (raw->senders[i].field->kind == kind && !raw->senders[i].field->older)
			return raw->senders[i].address;
	return (struct text){ 0 };
}

enum err smtp_raw_senders_read(
	struct region *region, struct smtp_raw *raw, struct smtp_raw_fault *fault_out)
{
	enum err err = OK;

	for (size_t i = 0; !err && i < raw->field_count; i++) {
		struct smtp_mailboxes list = { 0 };

		if (!is_of(&raw->fields[i], sender_kinds))
			continue;
		err = read_senders(&raw->fields[i], region, &list, fault_out);
		if (!err)
			err = add_senders(&raw->fields[i], list, region, raw, fault_out);
	}
	raw->envelope_from =
		sender_of(raw, raw->is_resent ? SMTP_RAW_RESENT_SENDER : SMTP_RAW_SENDER);
	if (raw->envelope_from.len == 0)
		raw->envelope_from =
			sender_of(raw, raw->is_resent ? SMTP_RAW_RESENT_FROM : SMTP_RAW_FROM);
	return err;
}

/* ---- recipients */

enum { SLOTS = 4096 }; /* over twice the recipients */

struct recipients {
	struct text *at;
	size_t count;
	uint16_t slots[SLOTS]; /* place in `at`, from 1; 0: free */
};

/* Nobody gets a message twice because the same address stands in To and in Cc. False: it is one
 * too many. */
static bool add_recipient(struct recipients *to, struct text address)
{
	uint32_t slot = 2166136261U; /* FNV-1a; who makes them meet compares 1000 with 1000 */

	for (size_t i = 0; i < address.len; i++)
		slot = (slot ^ (unsigned char)address.at[i]) * 16777619U;
	for (slot %= SLOTS; to->slots[slot]; slot = (slot + 1) % SLOTS)
		if (text_equal(to->at[to->slots[slot] - 1], address))
			return true;
	if (to->count == SMTP_RAW_RECIPIENTS)
		return false;
	to->at[to->count++] = address;
	to->slots[slot] = (uint16_t)to->count;
	return true;
}

/* To, Cc and Bcc, or their Resent- kin, each of which stands at most once. */
struct lists {
	const struct smtp_raw_field *fields[3];
	struct smtp_mailboxes at[3];
	size_t count, addresses;
};

static enum err read_lists(const struct smtp_raw *raw, struct region *region, struct lists *lists,
	struct smtp_raw_fault *fault)
{
	uint32_t kinds = raw->is_resent ? resent_kinds : plain_kinds;
	enum err err = OK;

	for (size_t i = 0; !err && i < raw->field_count; i++) {
		const struct smtp_raw_field *field = &raw->fields[i];

		if (!is_of(field, kinds) || field->older)
			continue;
		err = read_list(
			field, SMTP_RAW_RECIPIENTS, region, &lists->at[lists->count], fault);
		lists->addresses += lists->at[lists->count].count;
		lists->fields[lists->count++] = field;
	}
	if (!err && lists->addresses == 0) {
		*fault = (struct smtp_raw_fault){ .why = raw->is_resent ? no_resent : no_plain };
		err = ERR_VALUE;
	}
	return err;
}

enum err smtp_raw_recipients(const struct smtp_raw *raw, struct region *region,
	struct text **to_out, size_t *count_out, struct smtp_raw_fault *fault_out)
{
	struct lists lists = { .count = 0 };
	struct recipients to = { .at = NULL };
	enum err err = read_lists(raw, region, &lists, fault_out);

	if (err)
		return err;
	to.at = region_zalloc(region, lists.addresses, sizeof(*to.at));
	if (!to.at)
		return ERR_MEMORY;
	for (size_t list = 0; list < lists.count; list++)
		for (size_t i = 0; i < lists.at[list].count; i++)
			if (!add_recipient(&to, lists.at[list].at[i].address))
				return refuse(fault_out, ERR_LIMIT, lists.fields[list], i + 1,
					too_many_recipients);
	*to_out = to.at;
	*count_out = to.count;
	return OK;
}
