#include "http/event.h"

#include "http/digest.h"
#include "http/json/json.h"

#include <cjson/cJSON.h>
#include <stdio.h>

enum { REGION_BYTES = 16 << 20, ID_BYTES = 16 };

static const char *const types[EVENT_TYPES] = { "message.queued", "message.sent",
	"message.deferred", "message.failed", "message.unknown", "message.cancelled" };

const char *event_type_name(size_t index)
{
	return index < EVENT_TYPES ? types[index] : NULL;
}

static unsigned type_bit(struct text name)
{
	for (unsigned i = 0; i < EVENT_TYPES; i++)
		if (text_equal(name, text_of(types[i])))
			return 1U << i;
	return 0;
}

bool event_filter_add(struct event_filter *filter, struct text name)
{
	unsigned bit = type_bit(name);

	filter->types |= bit;
	return bit != 0;
}

static bool has_id(const struct json *json, struct text id)
{
	return text_equal(
		json_string(json, cJSON_GetObjectItemCaseSensitive(json->root, "id")), id);
}

static bool has_tag(const struct json *json, struct text tag)
{
	const cJSON *tags = cJSON_GetObjectItemCaseSensitive(json->root, "tags"), *each;

	cJSON_ArrayForEach(each, tags)
	{
		if (text_equal(json_string(json, each), tag))
			return true;
	}
	return false;
}

static bool content_fits(struct text content, const struct event_filter *filter)
{
	struct region *region;
	struct json json = { 0 };
	struct text copy;
	bool fits;

	if (region_open(REGION_BYTES, &region) != OK)
		return false;
	copy = region_copy(region, content);
	fits = copy.at && json_parse((char *)copy.at, copy.len, region, &json) == OK &&
	       (!filter->id.len || has_id(&json, filter->id)) &&
	       (!filter->tag.len || has_tag(&json, filter->tag));
	region_close(region);
	return fits;
}

bool event_fits(const struct event *event, const struct event_filter *filter)
{
	if (filter->types && !(filter->types & type_bit(event->type)))
		return false;
	return (!filter->tag.len && !filter->id.len) || content_fits(event->content, filter);
}

bool event_id(const struct event *event, char id_out[EVENT_ID_LEN + 1])
{
	struct digest digest = digest_begin();
	unsigned char sum[DIGEST_LEN];

	digest_add_number(&digest, event->cursor);
	digest_add_number(&digest, (uint64_t)event->at_ms);
	digest_add_text(&digest, event->type);
	digest_add_text(&digest, event->content);
	if (!digest_end(&digest, sum))
		return false;
	snprintf(id_out, EVENT_ID_LEN + 1, "evt_");
	for (int i = 0; i < ID_BYTES; i++)
		snprintf(id_out + 4 + 2 * i, 3, "%02x", sum[i]);
	return true;
}

void event_add(struct buf *out, const struct event *event, const char *id)
{
	buf_add_byte(out, '{');
	if (id)
		json_add_member(out, "id", text_of(id));
	json_add_member(out, "type", event->type);
	json_add_name(out, "timestamp");
	json_add_time(out, event->at_ms);
	json_add_name(out, "data");
	buf_add(out, event->content);
	buf_add_byte(out, '}');
}
