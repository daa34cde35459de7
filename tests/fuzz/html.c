#include "fuzz.h"

#include "smtp/message/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct region *region;
	struct text text;

	if (!text_is_utf8(input(bytes, len)) || region_open(64 << 20, &region))
		return 0;
	if (smtp_html_to_text(input(bytes, len), region, &text) == OK) {
		must(text_is_utf8(text));
		must(text.len <= len * 4 + 64);
	}
	region_close(region);
	return 0;
}
