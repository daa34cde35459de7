/* form_head - the headers of a part: which field it is, and of what kind
 *
 * They are decoded where they lie: every escape is longer than what it stands for. */
#include "http/intake/form_own.h"

#include "http/server/guard.h"

/* What Content-Disposition says; at NULL: it does not. */
struct said {
	struct text name, filename, extended;
};

/* ---- decoding in place */

/* The same bytes, to be written. */
static char *in_head(struct form *form, struct text text)
{
	return form->head + (text.at - form->head);
}

/* How many bytes the escape at the start of `text` takes, and what it stands for; 0: it is none. */
static size_t escape_at(struct text text, char *byte_out)
{
	if (text_starts(text, TEXT("\\\"")) || text_starts(text, TEXT("\\\\")))
		*byte_out = text.at[1];
	else if (text_starts(text, TEXT("%22")))
		*byte_out = '"';
	else if (text_starts_nocase(text, TEXT("%0D")))
		*byte_out = '\r';
	else if (text_starts_nocase(text, TEXT("%0A")))
		*byte_out = '\n';
	else
		return 0;
	return text.at[0] == '%' ? 3 : 2;
}

static struct text unescape(struct form *form, struct text quoted)
{
	char *out = in_head(form, quoted);
	size_t len = 0, taken;

	for (struct text left = quoted; left.len; left = text_from(left, taken)) {
		char byte = left.at[0];

		taken = escape_at(left, &byte);
		taken = taken ? taken : 1;
		out[len++] = byte;
	}
	return (struct text){ quoted.at, len };
}

/* ext-value = charset "'" [ language ] "'" *( pct-encoded / attr-char ) */
static bool decode_extended(struct form *form, struct text value, struct text *name_out)
{
	struct text charset = text_cut(&value, '\'');
	size_t len = 0;
	char *out;

	if (!text_equal_nocase(charset, TEXT("utf-8")))
		return form_fail(form, ERR_VALUE, "filename* is taken as UTF-8'' alone");
	if (text_find(value, '\'') == value.len)
		return form_fail(form, ERR_SYNTAX, "filename* is not UTF-8''name");
	out = in_head(form, value);
	(void)text_cut(&value, '\'');
	*name_out = (struct text){ out, 0 };
	for (size_t i = 0; i < value.len; i++, len++) {
		int high, low;

		out[len] = value.at[i];
		if (value.at[i] != '%')
			continue;
		high = i + 2 < value.len ? byte_hex(value.at[i + 1]) : -1;
		low = high < 0 ? -1 : byte_hex(value.at[i + 2]);
		if (low < 0)
			return form_fail(
				form, ERR_SYNTAX, "filename*: a % stands before two hex digits");
		out[len] = (char)(high * 16 + low);
		i += 2;
	}
	name_out->len = len;
	return true;
}

/* ---- Content-Disposition */

static bool check_name(struct form *form, struct text name)
{
	if (!text_is_utf8(name))
		return form_fail(form, ERR_VALUE, "a name or file name is not UTF-8");
	if (text_has_control(name))
		return form_fail(form, ERR_VALUE,
			"a name or file name holds a line end or another control character");
	return true;
}

static struct text last_step(struct text path)
{
	size_t start = path.len;

	while (start && path.at[start - 1] != '/' && path.at[start - 1] != '\\')
		start--;
	return text_from(path, start);
}

/* What is said twice may be read in two ways. Parameters of other names say nothing here. */
static bool take_parameter(
	struct form *form, const struct form_parameter *parameter, struct said *said)
{
	bool extended = text_equal_nocase(parameter->name, TEXT("filename*"));
	struct text *to = extended                                               ? &said->extended
			  : text_equal_nocase(parameter->name, TEXT("name"))     ? &said->name
			  : text_equal_nocase(parameter->name, TEXT("filename")) ? &said->filename
										 : NULL;

	if (!to)
		return true;
	if (to->at)
		return form_fail(form, ERR_SYNTAX,
			"Content-Disposition holds name, filename or filename* twice");
	if (extended)
		return decode_extended(form, parameter->value, to) && check_name(form, *to);
	*to = parameter->is_quoted ? unescape(form, parameter->value) : parameter->value;
	return check_name(form, *to);
}

static bool read_disposition(struct form *form, struct text value)
{
	size_t type_len = text_find(value, ';');
	struct text rest = text_from(value, type_len);
	struct form_parameter parameter;
	struct said said = { 0 };

	if (!text_equal_nocase(text_trim(text_head(value, type_len)), TEXT("form-data")))
		return form_fail(form, ERR_VALUE, "Content-Disposition: form-data is wanted");
	do {
		if (!form_next_parameter(&rest, &parameter))
			return form_fail(form, ERR_SYNTAX,
				"Content-Disposition cannot be read: form-data; name=\"…\" is "
				"wanted");
		if (!take_parameter(form, &parameter, &said))
			return false;
	} while (parameter.name.len);
	if (!said.name.len)
		return form_fail(form, ERR_VALUE, "Content-Disposition gives the part no name");
	if (said.extended.at)
		said.filename = said.extended;
	form->now.name = said.name;
	form->now.is_file = said.filename.at != NULL;
	if (form->now.is_file)
		form->now.filename = last_step(said.filename);
	return true;
}

/* ---- the lines */

static bool check_line(struct form *form, struct text name, struct text value)
{
	if (!guard_is_token(name))
		return form_fail(form, ERR_SYNTAX, "a header's name holds what no name may hold");
	for (size_t i = 0; i < value.len; i++)
		if (((unsigned char)value.at[i] < 0x20 && value.at[i] != '\t') ||
			value.at[i] == 0x7f)
			return form_fail(form, ERR_SYNTAX, "a header holds a control character");
	return true;
}

static bool keep(struct form *form, struct text value, struct text *to)
{
	if (to->at)
		return form_fail(form, ERR_SYNTAX, "a part has the same header twice");
	if (!text_is_ascii(value))
		return form_fail(form, ERR_VALUE, "a header holds other characters than ASCII");
	*to = value;
	return true;
}

static bool read_type(struct form *form, struct text value)
{
	if (text_starts_nocase(value, TEXT("multipart/")))
		return form_fail(form, ERR_VALUE,
			"a part is a multipart itself: give each file a part of its own, all of "
			"them may have the same name");
	return keep(form, value, &form->now.content_type);
}

bool form_read_header(struct form *form, struct text line)
{
	size_t colon = text_find(line, ':');
	struct text name = text_head(line, colon), value = text_trim(text_from(line, colon + 1));

	if (text_starts(line, (struct text){ form->needle + 1, form->needle_len - 1 }))
		return form_fail(
			form, ERR_SYNTAX, "the blank line behind a part's headers is missing");
	if (line.at[0] == ' ' || line.at[0] == '\t')
		return form_fail(form, ERR_SYNTAX,
			"a header goes on in the next line: one line is "
			"wanted");
	if (colon == line.len)
		return form_fail(form, ERR_SYNTAX, "a part's headers hold a line without a colon");
	if (!check_line(form, name, value))
		return false;
	if (text_equal_nocase(name, TEXT("content-disposition")))
		return form->now.name.at
			       ? form_fail(form, ERR_SYNTAX, "a part has Content-Disposition twice")
			       : read_disposition(form, value);
	if (text_equal_nocase(name, TEXT("content-type")))
		return read_type(form, value);
	if (text_equal_nocase(name, TEXT("content-id")))
		return keep(form, value, &form->now.content_id);
	if (text_equal_nocase(name, TEXT("content-transfer-encoding")))
		return keep(form, value, &form->now.transfer_encoding);
	return true; /* RFC 7578 section 4.8: all others are to be ignored */
}

bool form_check_head(struct form *form)
{
	return form->now.name.at ||
	       form_fail(form, ERR_SYNTAX,
		       "a part has no Content-Disposition: form-data; name=\"…\" is wanted");
}
