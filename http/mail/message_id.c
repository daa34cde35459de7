#include "http/mail/message_id.h"

#include <string.h>

enum { LOCAL_LEN = 32 };

static struct text write_id(const struct delivery *delivery, struct text local)
{
	struct text domain = smtp_address_domain(delivery->from);
	char *at = region_alloc(delivery->region, local.len + domain.len + 3), *to = at;

	if (!at)
		return (struct text){ 0 };
	*to++ = '<';
	memcpy(to, local.at, local.len);
	to += local.len;
	*to++ = '@';
	memcpy(to, domain.at, domain.len);
	to[domain.len] = '>';
	return (struct text){ at, local.len + domain.len + 3 };
}

struct text message_id_make(const struct delivery *delivery)
{
	return write_id(delivery, (struct text){ delivery->id, DELIVERY_ID_LEN });
}

struct text message_id_derive(
	const struct delivery *delivery, struct text key, const unsigned char says[DIGEST_LEN])
{
	static const char hex[] = "0123456789abcdef";
	struct digest digest = digest_begin();
	unsigned char bytes[DIGEST_LEN];
	char local[LOCAL_LEN];

	digest_add_text(&digest, delivery->key_id);
	digest_add_text(&digest, key);
	digest_add_number(&digest, delivery->place);
	digest_add_bytes(&digest, (struct text){ (const char *)says, DIGEST_LEN });
	if (!digest_end(&digest, bytes))
		return (struct text){ 0 };
	for (int i = 0; i < LOCAL_LEN / 2; i++) {
		local[2 * i] = hex[bytes[i] >> 4];
		local[2 * i + 1] = hex[bytes[i] & 15];
	}
	return write_id(delivery, (struct text){ local, sizeof(local) });
}
