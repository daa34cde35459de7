#include "fuzz.h"

#include "http/json/json.h"

#include <string.h>

/* What was taken and written is taken again, and written the same. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct json json = { 0 }, again = { 0 };
	struct buf once = buf_born(1 << 20), twice = buf_born(1 << 20);
	struct region *region = NULL;
	char *body = malloc(len ? len : 1); /* of just this size: what is read behind it shows */
	struct text kept;

	must(body && region_open(64 << 20, &region) == OK);
	memcpy(body, bytes, len);
	if (json_parse(body, len, region, &json) == OK) {
		json_add_tree(&once, &json, json.root);
		kept = region_copy(region, buf_text(&once));
		must(json_parse(once.at, once.len, region, &again) == OK);
		json_add_tree(&twice, &again, again.root);
		must(text_equal(kept, buf_text(&twice)));
	} else {
		must(json.why && json.at <= len);
	}
	buf_free(&once);
	buf_free(&twice);
	region_close(region);
	free(body);
	return 0;
}
