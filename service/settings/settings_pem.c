/* settings_pem - certificates and keys: PEM text itself, or the path of a file that holds it */
#include "service/settings/settings_draft.h"

#include <string.h>

/* Environment files hold one line a value: then line ends are written as \n. */
static const char *unfold(struct draft *draft, const char *value)
{
	char *out, *at;

	if (strchr(value, '\n') || !strstr(value, "\\n"))
		return value;
	out = at = region_alloc(draft->region, strlen(value) + 1);
	for (; out && *value; value++) {
		if (value[0] == '\\' && value[1] == 'n') {
			*at++ = '\n';
			value++;
		} else {
			*at++ = *value;
		}
	}
	if (out)
		*at = 0;
	return out;
}

enum err settings_read_pem(struct draft *draft, const struct given *given, const char **pem_out)
{
	struct buf read = buf_born(SETTING_FILE_BYTES + 8192);
	const char *pem = given->value;
	enum err err;

	if (strstr(pem, "-----BEGIN")) {
		pem = unfold(draft, pem);
		*pem_out = pem ? pem : "";
		return pem ? OK : ERR_MEMORY;
	}
	err = draft_read_file(draft, pem, given->label, &read);
	if (!err) {
		pem = draft_copy(draft, buf_text(&read));
		err = pem ? OK : ERR_MEMORY;
	}
	if (!err && !strstr(pem, "-----BEGIN"))
		err = draft_refuse(draft, ERR_VALUE,
			"%s: there is no PEM text (-----BEGIN …) in %s", given->label,
			given->value);
	if (!err)
		*pem_out = pem;
	buf_wipe(&read);
	return err;
}
