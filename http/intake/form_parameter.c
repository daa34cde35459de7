/* form_parameter - name=value behind a type, and the one that names the boundary */
#include "http/intake/form_own.h"

#include "http/server/guard.h"

#include <string.h>

static bool take_quoted(struct text *rest, struct form_parameter *parameter)
{
	size_t end = 1;

	while (end < rest->len && rest->at[end] != '"')
		end += rest->at[end] == '\\' ? 2 : 1;
	if (end >= rest->len)
		return false;
	parameter->is_quoted = true;
	parameter->value = (struct text){ rest->at + 1, end - 1 };
	*rest = text_from(*rest, end + 1);
	return true;
}

static bool take_token(struct text *rest, struct form_parameter *parameter)
{
	size_t end = text_find(*rest, ';');

	parameter->is_quoted = false;
	parameter->value = text_trim(text_head(*rest, end));
	*rest = text_from(*rest, end);
	return guard_is_token(parameter->value);
}

/* parameters = *( OWS ";" OWS [ token "=" ( token / quoted-string ) ] ) */
bool form_next_parameter(struct text *rest, struct form_parameter *parameter_out)
{
	*parameter_out = (struct form_parameter){ 0 };
	*rest = text_trim(*rest);
	if (rest->len && rest->at[0] != ';')
		return false;
	while (rest->len && rest->at[0] == ';')
		*rest = text_trim(text_from(*rest, 1));
	if (!rest->len)
		return true;
	parameter_out->name = text_head(*rest, text_find(*rest, '='));
	*rest = text_from(*rest, parameter_out->name.len);
	if (!rest->len || !guard_is_token(parameter_out->name))
		return false;
	*rest = text_from(*rest, 1);
	return rest->len && rest->at[0] == '"' ? take_quoted(rest, parameter_out)
					       : take_token(rest, parameter_out);
}

/* boundary := 0*69<bchars> bcharsnospace */
static bool is_boundary(struct text text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!byte_is_letter(text.at[i]) && !byte_is_digit(text.at[i]) &&
			!memchr("'()+_,-./:=? ", text.at[i], 13))
			return false;
	return text.len > 0 && text.len <= FORM_BOUNDARY && text.at[text.len - 1] != ' ';
}

static enum err refuse(const char **why_out, enum err err, const char *why)
{
	*why_out = why;
	return err;
}

enum err form_boundary(struct text content_type, struct text *boundary_out, const char **why_out)
{
	size_t type_len = text_find(content_type, ';');
	struct text rest = text_from(content_type, type_len), boundary = { 0 };
	struct form_parameter parameter;

	if (!text_equal_nocase(
		    text_trim(text_head(content_type, type_len)), TEXT("multipart/form-data")))
		return refuse(why_out, ERR_VALUE, "Content-Type is not multipart/form-data");
	do {
		if (!form_next_parameter(&rest, &parameter))
			return refuse(why_out, ERR_SYNTAX,
				"Content-Type cannot be read behind its ;: boundary=\"…\" is "
				"wanted");
		if (!text_equal_nocase(parameter.name, TEXT("boundary")))
			continue;
		if (boundary.at)
			return refuse(why_out, ERR_SYNTAX, "Content-Type names its boundary twice");
		boundary = parameter.value;
	} while (parameter.name.len);
	if (!boundary.at)
		return refuse(why_out, ERR_MISSING,
			"Content-Type names no boundary: leave this header to the HTTP library, "
			"which adds it");
	if (!is_boundary(boundary))
		return refuse(why_out, ERR_VALUE,
			"the boundary is not 1 to 70 letters, digits and '()+_,-./:=? (RFC 2046 "
			"section 5.1.1)");
	*boundary_out = boundary;
	return OK;
}
