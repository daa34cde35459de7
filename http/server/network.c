#include "http/server/network.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };

static bool is_mapped(const struct network_address *address)
{
	return memcmp(address->bytes, mapped, sizeof(mapped)) == 0;
}

struct network_address network_address_of(const struct sockaddr *socket_address)
{
	struct network_address address = { .is_unix = true };

	if (socket_address && socket_address->sa_family == AF_INET) {
		const struct sockaddr_in *v4 = (const void *)socket_address;

		address.is_unix = false;
		memcpy(address.bytes, mapped, sizeof(mapped));
		memcpy(address.bytes + 12, &v4->sin_addr, 4);
	} else if (socket_address && socket_address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)socket_address;

		address.is_unix = false;
		memcpy(address.bytes, &v6->sin6_addr, 16);
	}
	return address;
}

bool network_address_read(struct text text, struct network_address *address_out)
{
	struct network_address address = { 0 };
	char copy[NETWORK_NAME];

	if (text.len > 2 && text.at[0] == '[' && text.at[text.len - 1] == ']')
		text = (struct text){ text.at + 1, text.len - 2 };
	if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.at, 0, text.len))
		return false;
	memcpy(copy, text.at, text.len);
	copy[text.len] = 0;
	memcpy(address.bytes, mapped, sizeof(mapped));
	if (inet_pton(AF_INET, copy, address.bytes + 12) != 1 &&
		inet_pton(AF_INET6, copy, address.bytes) != 1)
		return false;
	*address_out = address;
	return true;
}

bool network_address_equal(const struct network_address *a, const struct network_address *b)
{
	return a->is_unix == b->is_unix && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}

void network_address_name(const struct network_address *address, char name_out[NETWORK_NAME])
{
	if (address->is_unix)
		memcpy(name_out, "unix", sizeof("unix"));
	else if (is_mapped(address))
		inet_ntop(AF_INET, address->bytes + 12, name_out, NETWORK_NAME);
	else
		inet_ntop(AF_INET6, address->bytes, name_out, NETWORK_NAME);
}

bool network_read(struct text text, struct network *network_out)
{
	struct text rest = text_trim(text), address = text_cut(&rest, '/');
	struct network network = { .prefix = 128 };
	bool is_v4, has_prefix = address.len < text_trim(text).len;
	uint64_t bits;

	if (text_equal(text_trim(text), TEXT("unix"))) {
		*network_out = (struct network){ .base.is_unix = true };
		return true;
	}
	if (!network_address_read(address, &network.base))
		return false;
	is_v4 = is_mapped(&network.base) && text_find(address, ':') == address.len;
	if (has_prefix) {
		if (!text_to_u64(rest, &bits) || bits > (is_v4 ? 32 : 128))
			return false;
		network.prefix = (unsigned)bits + (is_v4 ? 96 : 0);
	}
	*network_out = network;
	return true;
}

static bool holds(const struct network *network, const struct network_address *address)
{
	unsigned bytes = network->prefix / 8, bits = network->prefix % 8;

	if (network->base.is_unix || address->is_unix)
		return network->base.is_unix && address->is_unix;
	if (memcmp(network->base.bytes, address->bytes, bytes))
		return false;
	return bits == 0 ||
	       ((network->base.bytes[bytes] ^ address->bytes[bytes]) >> (8 - bits)) == 0;
}

bool network_holds(
	const struct network *networks, size_t count, const struct network_address *address)
{
	for (size_t i = 0; i < count; i++)
		if (holds(&networks[i], address))
			return true;
	return false;
}

/* Takes the last member of a comma-separated list off its end. */
static struct text take_last(struct text *list)
{
	size_t start = list->len;
	struct text last;

	while (start > 0 && list->at[start - 1] != ',')
		start--;
	last = text_from(*list, start);
	list->len = start ? start - 1 : 0;
	return text_trim(last);
}

struct network_address network_client(const struct network *networks, size_t count,
	const struct network_address *peer, struct text forwarded_for)
{
	struct network_address client = *peer, next;

	while (forwarded_for.len && network_holds(networks, count, &client)) {
		if (!network_address_read(take_last(&forwarded_for), &next))
			break;
		client = next;
	}
	return client;
}
