#include "fuzz.h"

#include "smtp/address/address.h"

/* What was taken can be read again as the same, and holds nothing that ends a command. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct region *region;
	struct smtp_mailbox mailbox;
	struct text again;
	const char *why = NULL;

	if (region_open(1 << 20, &region))
		return 0;
	if (smtp_mailbox_parse(input(bytes, len), region, &mailbox, &why) == OK) {
		must(mailbox.address.len <= SMTP_ADDRESS_MAX);
		must(!text_has_control(mailbox.address) && !text_has_control(mailbox.name));
		must(text_is_utf8(mailbox.address));
		must(smtp_address_parse(mailbox.address, region, &again, &why) == OK);
		must(text_equal(again, mailbox.address));
		must(smtp_address_matches(again, TEXT("*")));
	} else {
		must(why != NULL);
	}
	region_close(region);
	return 0;
}
