/* mail_list - how a recipient leaves a list with one click (RFC 2369, RFC 8058) */
#include "http/mail/reading.h"

#include <string.h>

enum { URI_BYTES = 900 };

/* Printable ASCII without what ends a URI in a header. */
static bool is_uri_text(struct text uri)
{
	for (size_t i = 0; i < uri.len; i++)
		if (uri.at[i] <= 0x20 || uri.at[i] >= 0x7f || memchr("<>,\"", uri.at[i], 4))
			return false;
	return uri.len > 0 && uri.len <= URI_BYTES;
}

static void read_url(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text url;

	if (cJSON_IsNull(value) || !read_line(reading, value, at, &url))
		return;
	if (!is_uri_text(url) || (!text_starts_nocase(url, TEXT("https://")) &&
					 !text_starts_nocase(url, TEXT("http://"))))
		complain(reading->complaints, at, "a URL is wanted: https://…");
	else
		reading->list.url = url;
}

static void read_mailto(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	struct text mailto, address;
	const char *why = "not an address";

	if (cJSON_IsNull(value) || !read_line(reading, value, at, &mailto))
		return;
	if (text_starts_nocase(mailto, TEXT("mailto:")))
		mailto = text_from(mailto, 7);
	address = text_head(mailto, text_find(mailto, '?'));
	if (!is_uri_text(mailto) || smtp_address_parse(address, reading->region, &address, &why))
		complain(reading->complaints, at, "an address is wanted: %s", why);
	else
		reading->list.mailto = mailto;
}

static void read_one_click(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	(void)read_bool(reading, value, at, &reading->list.one_click);
}

void read_list_unsubscribe(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	static const struct field fields[] = { { "url", read_url }, { "mailto", read_mailto },
		{ "one_click", read_one_click } };
	const struct list_unsubscribe *list = &reading->list;
	struct buf line = buf_born(2 * URI_BYTES + 100);
	size_t before = reading->complaints->count;
	struct text kept;

	if (cJSON_IsNull(value))
		return;
	read_object(reading, value, at, fields, sizeof(fields) / sizeof(fields[0]));
	if (reading->complaints->count > before)
		return;
	if (!list->url.len && !list->mailto.len)
		complain(reading->complaints, at, "url or mailto is wanted");
	else if (list->one_click && !text_starts_nocase(list->url, TEXT("https://")))
		complain(reading->complaints, at, "one_click wants an https url (RFC 8058)");
	if (reading->complaints->count > before)
		return;
	if (list->url.len)
		buf_addf(&line, "<%.*s>", (int)list->url.len, list->url.at);
	if (list->mailto.len)
		buf_addf(&line, "%s<mailto:%.*s>", line.len ? ", " : "", (int)list->mailto.len,
			list->mailto.at);
	if (reading_keep(reading, at, &line, &kept))
		keep_header(reading, at, TEXT("List-Unsubscribe"), kept);
	if (list->one_click)
		keep_header(reading, at, TEXT("List-Unsubscribe-Post"),
			TEXT("List-Unsubscribe=One-Click"));
	buf_free(&line);
}
