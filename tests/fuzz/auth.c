#include "fuzz.h"

#include "smtp/session/auth.h"

/* The first byte chooses the mechanism; every line is a challenge, the last the words of a 235. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct smtp_credentials credentials = { .user = TEXT("user"),
		.pass = TEXT("pencil"),
		.token = TEXT("token"),
		.host = TEXT("smtp.example.com"),
		.port = 587 };
	static const unsigned char nonce[18] = { 1, 2, 3 };
	struct buf out = buf_born(65536);
	struct smtp_auth auth = { 0 };
	struct text rest = input(bytes, len);

	if (!len)
		return 0;
	rest = text_from(rest, 1);
	if (smtp_auth_start(
		    &auth, (enum smtp_mechanism)(1u << bytes[0] % 6), &credentials, nonce, &out))
		must(false);
	for (int i = 0; i < 5 && rest.len; i++) {
		struct text challenge = text_cut(&rest, '\n');

		buf_clear(&out);
		if (smtp_auth_next(&auth, &credentials, challenge, &out) == OK)
			must(!text_has_control(buf_text(&out)));
	}
	(void)smtp_auth_is_proven(&auth, rest);
	smtp_auth_wipe(&auth);
	buf_free(&out);
	return 0;
}
