#include "smtp/address/address.h"

#include "smtp/message/hidden.h"

#include <idn2.h>
#include <string.h>

enum { DOMAIN_MAX = 253, LABEL_MAX = 63 };

/* RFC 5322 3.2.3 */
static bool is_atext(char byte)
{
	return byte_is_letter(byte) || byte_is_digit(byte) ||
	       (byte && strchr("!#$%&'*+-/=?^_`{|}~", byte)) || (unsigned char)byte >= 0x80;
}

static enum err refuse(const char **why_out, const char *why)
{
	*why_out = why;
	return ERR_VALUE;
}

static bool is_dot_atom(struct text text)
{
	char before = '.';

	for (size_t i = 0; i < text.len; before = text.at[i++]) {
		if (text.at[i] == '.' ? before == '.' : !is_atext(text.at[i]))
			return false;
	}
	return text.len && before != '.';
}

/* `quoted` starts and ends with a double quote: the bytes between, escapes taken off, into `out`
 * (room for quoted.len). False: a quote or backslash where none may stand. */
static bool unquote(struct text quoted, char *out, size_t *len_out)
{
	size_t len = 0;

	if (quoted.len < 2 || quoted.at[quoted.len - 1] != '"')
		return false;
	for (size_t i = 1; i < quoted.len - 1; i++) {
		if (quoted.at[i] == '"')
			return false;
		if (quoted.at[i] == '\\' && ++i == quoted.len - 1)
			return false;
		out[len++] = quoted.at[i];
	}
	*len_out = len;
	return true;
}

/* Appends the local part, in quotes only where it needs them; gives its length. `out` has room for
 * twice SMTP_LOCAL_MAX and the quotes. */
static size_t write_local(struct text local, char *out)
{
	size_t len = 0;

	if (is_dot_atom(local)) {
		memcpy(out, local.at, local.len);
		return local.len;
	}
	out[len++] = '"';
	for (size_t i = 0; i < local.len; i++) {
		if (local.at[i] == '"' || local.at[i] == '\\')
			out[len++] = '\\';
		out[len++] = local.at[i];
	}
	out[len++] = '"';
	return len;
}

static const char *wrong_label(struct text label)
{
	if (label.len == 0)
		return "the domain has an empty label";
	if (label.len > LABEL_MAX)
		return "the domain has a label over 63 bytes";
	for (size_t i = 0; i < label.len; i++)
		if (!byte_is_letter(label.at[i]) && !byte_is_digit(label.at[i]) &&
			label.at[i] != '-' && label.at[i] != '_')
			return "the domain has a character that no host name has";
	if (label.at[0] == '-' || label.at[label.len - 1] == '-')
		return "a label of the domain starts or ends with a hyphen";
	return NULL;
}

static bool is_number(struct text text)
{
	size_t digits = 0;

	while (digits < text.len && byte_is_digit(text.at[digits]))
		digits++;
	return digits == text.len;
}

static const char *wrong_domain(struct text domain)
{
	const char *why = NULL;
	size_t dot;

	if (domain.len == 0)
		return "the domain is missing";
	if (domain.len > DOMAIN_MAX)
		return "the domain is over 253 bytes";
	do {
		dot = text_find(domain, '.');
		why = wrong_label(text_head(domain, dot));
		if (!why && dot + 1 == domain.len)
			why = "the domain ends with a dot";
		if (!why && dot == domain.len && is_number(domain))
			why = "the domain ends in a number, as no name does";
		domain = text_from(domain, dot + 1);
	} while (!why && domain.len);
	return why;
}

/* UTS-46 to A-labels in lower case, into `out` (DOMAIN_MAX + 1 bytes). */
static enum err map_domain(struct text domain, char *out, const char **why_out)
{
	char in[DOMAIN_MAX * 4 + 1], *ascii = NULL;
	const char *why;

	if (domain.len >= sizeof(in))
		return refuse(why_out, "the domain is over 253 bytes");
	for (size_t i = 0; i < domain.len; i++)
		in[i] = byte_lower(domain.at[i]);
	in[domain.len] = 0;
	if (!text_is_ascii(domain)) {
		if (idn2_to_ascii_8z(in, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) != IDN2_OK)
			return refuse(why_out, "the domain is no valid internationalised name");
		domain = text_of(ascii);
	} else {
		domain = (struct text){ in, domain.len };
	}
	why = wrong_domain(domain);
	if (!why)
		memcpy(out, domain.at, domain.len + 1);
	idn2_free(ascii);
	return why ? refuse(why_out, why) : OK;
}

/* Where the @ between local part and domain stands; text.len: nowhere. */
static size_t find_at(struct text text)
{
	size_t at = text.len;

	for (size_t i = 0; i < text.len; i++)
		if (text.at[i] == '@')
			at = i;
	return at;
}

static const char *read_local(struct text in, char *out, size_t *len_out)
{
	if (in.len == 0)
		return "there is nothing before the @";
	if (in.len > (size_t)SMTP_LOCAL_MAX * 2 + 2)
		return "the part before the @ is over 64 bytes";
	if (smtp_holds_hidden(in))
		return "the part before the @ has a character that is not seen";
	if (in.at[0] == '"') {
		if (!unquote(in, out, len_out) || *len_out == 0)
			return "the quoted part before the @ is malformed";
	} else if (is_dot_atom(in)) {
		memcpy(out, in.at, in.len);
		*len_out = in.len;
	} else {
		return "the part before the @ has a character that must not stand there";
	}
	return *len_out > SMTP_LOCAL_MAX ? "the part before the @ is over 64 bytes" : NULL;
}

/* "a@x, b@y": more than one, in whatever form? */
static bool are_several(struct text in)
{
	bool quoted = false, has_at = false, parted = false;

	for (size_t i = 0; i < in.len; i++) {
		char byte = in.at[i];

		if (byte == '"')
			quoted = !quoted;
		else if (quoted)
			i += byte == '\\';
		else if (byte == '@' && parted)
			return true;
		else if (byte == '@')
			has_at = true;
		else if (byte == ',' || byte == ';')
			parted = has_at;
	}
	return false;
}

static enum err explain(enum err err, struct text in, const char **why_out)
{
	if (err == ERR_VALUE && are_several(in))
		*why_out = "one address is wanted here; several go as a list of strings";
	return err;
}

static enum err read_address(
	struct text in, struct region *region, struct text *address_out, const char **why_out)
{
	char local[SMTP_LOCAL_MAX * 2 + 2], domain[DOMAIN_MAX + 1];
	char whole[SMTP_LOCAL_MAX * 2 + 3 + DOMAIN_MAX + 1];
	size_t at = find_at(in), local_len = 0, len;
	const char *why;
	enum err err;

	if (!text_is_utf8(in) || text_has_control(in))
		return refuse(
			why_out, "an address must not hold control characters or broken UTF-8");
	if (at == in.len)
		return refuse(why_out, "an address needs an @");
	why = read_local(text_head(in, at), local, &local_len);
	if (why)
		return refuse(why_out, why);
	err = map_domain(text_from(in, at + 1), domain, why_out);
	if (err)
		return err;
	len = write_local((struct text){ local, local_len }, whole);
	whole[len++] = '@';
	memcpy(whole + len, domain, strlen(domain));
	len += strlen(domain);
	if (len > SMTP_ADDRESS_MAX)
		return refuse(why_out, "the address is over 254 bytes");
	*address_out = region_copy(region, (struct text){ whole, len });
	return address_out->at ? OK : ERR_MEMORY;
}

/* A display name: unquoted, or phrase as it is. */
static enum err read_name(
	struct text in, struct region *region, struct text *name_out, const char **why_out)
{
	char *out;
	size_t len = in.len;

	if (smtp_name_misleads(in))
		return refuse(why_out, "the name has a character that turns the order of others");
	if (in.len && in.at[0] == '"') {
		out = region_alloc(region, in.len);
		if (!out)
			return ERR_MEMORY;
		if (!unquote(in, out, &len))
			return refuse(why_out, "the quotes around the name do not match");
		*name_out = (struct text){ out, len };
		return OK;
	}
	for (size_t i = 0; i < in.len; i++)
		if (strchr("<>\"@;,", in.at[i]))
			return refuse(
				why_out, "a name with special characters must stand in quotes");
	*name_out = region_copy(region, in);
	return name_out->at ? OK : ERR_MEMORY;
}

static enum err read_mailbox(struct text in, struct region *region,
	struct smtp_mailbox *mailbox_out, const char **why_out)
{
	struct smtp_mailbox mailbox = { 0 };
	size_t open;
	enum err err;

	if (!text_is_utf8(in) || text_has_control(in))
		return refuse(
			why_out, "an address must not hold control characters or broken UTF-8");
	in = text_trim(in);
	if (in.len == 0)
		return refuse(why_out, "the address is empty");
	if (in.at[in.len - 1] == '>') {
		for (open = in.len; open && in.at[open - 1] != '<';)
			open--;
		if (open == 0)
			return refuse(why_out, "there is a > without a <");
		err = read_name(text_trim(text_head(in, open - 1)), region, &mailbox.name, why_out);
		if (err)
			return err;
		in = text_head(text_from(in, open), in.len - open - 1);
	}
	err = read_address(in, region, &mailbox.address, why_out);
	if (!err)
		*mailbox_out = mailbox;
	return err;
}

enum err smtp_mailbox_parse(struct text in, struct region *region, struct smtp_mailbox *mailbox_out,
	const char **why_out)
{
	return explain(read_mailbox(in, region, mailbox_out, why_out), in, why_out);
}

enum err smtp_address_parse(
	struct text in, struct region *region, struct text *address_out, const char **why_out)
{
	return explain(read_address(in, region, address_out, why_out), in, why_out);
}

struct text smtp_address_domain(struct text address)
{
	return text_from(address, find_at(address) + 1);
}

bool smtp_address_needs_utf8(struct text address)
{
	return !text_is_ascii(address);
}

bool smtp_address_matches(struct text address, struct text pattern)
{
	size_t address_at = find_at(address), pattern_at = find_at(pattern);
	struct text local = text_head(pattern, pattern_at);
	struct text domain = text_from(address, address_at + 1);
	struct text wanted = text_from(pattern, pattern_at + 1);

	if (text_equal(pattern, TEXT("*")))
		return true;
	if (!text_equal(local, TEXT("*")) && !text_equal(local, text_head(address, address_at)))
		return false;
	if (text_starts(wanted, TEXT("*."))) {
		wanted = text_from(wanted, 1); /* the dot stays */
		return domain.len > wanted.len &&
		       text_equal_nocase(text_from(domain, domain.len - wanted.len), wanted);
	}
	return text_equal_nocase(domain, wanted);
}
