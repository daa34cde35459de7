#include "service/session/doubt.h"

#include <netinet/in.h>
#include <string.h>

bool is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
	const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
	const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;

	if (a->ss_family != b->ss_family)
		return false;
	if (a->ss_family == AF_INET)
		return a4->sin_port == b4->sin_port &&
		       memcmp(&a4->sin_addr, &b4->sin_addr, sizeof(a4->sin_addr)) == 0;
	return a6->sin6_port == b6->sin6_port && a6->sin6_scope_id == b6->sin6_scope_id &&
	       memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

/* DOUBTS: it is not there. */
static size_t find(const struct doubts *doubts, const struct sockaddr_storage *address)
{
	size_t i = 0;

	while (i < DOUBTS &&
		!(doubts->at[i].until_us && is_same_address(&doubts->at[i].address, address)))
		i++;
	return i;
}

void doubt_address(struct doubts *doubts, const struct sockaddr_storage *address, uint64_t now_us)
{
	size_t i = find(doubts, address);

	if (i == DOUBTS) {
		i = doubts->next;
		doubts->next = (doubts->next + 1) % DOUBTS;
	}
	doubts->at[i].address = *address;
	doubts->at[i].until_us = now_us + DOUBT_S * UINT64_C(1000000);
}

void trust_address(struct doubts *doubts, const struct sockaddr_storage *address)
{
	size_t i = find(doubts, address);

	if (i < DOUBTS)
		doubts->at[i].until_us = 0;
}

bool is_doubted(
	const struct doubts *doubts, const struct sockaddr_storage *address, uint64_t now_us)
{
	size_t i = find(doubts, address);

	return i < DOUBTS && now_us < doubts->at[i].until_us;
}

void doubted_last(const struct doubts *doubts, struct sockaddr_storage *addresses, size_t count,
	uint64_t now_us)
{
	size_t end = count;

	for (size_t i = 0; i < end;) {
		struct sockaddr_storage one = addresses[i];

		if (!is_doubted(doubts, &one, now_us)) {
			i++;
			continue;
		}
		memmove(&addresses[i], &addresses[i + 1], (count - i - 1) * sizeof(one));
		addresses[count - 1] = one;
		end--;
	}
}
