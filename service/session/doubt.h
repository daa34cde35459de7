/* doubt - addresses that lately did not answer: others are tried before them
 *
 * An address that swallows what is sent to it costs whoever tries it first a quarter of a second,
 * for each new session. Doubt passes with time, or when the address answers. Pure: the time is an
 * argument, monotonic. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { DOUBTS = 64, DOUBT_S = 60 };

/* { 0 } doubts nothing. With no room left, the oldest doubt goes. */
struct doubts {
	struct doubt {
		struct sockaddr_storage address;
		uint64_t until_us; /* 0: none */
	} at[DOUBTS];
	size_t next;
};

bool is_same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b);
/* Addresses are IPv4 or IPv6, with their port. */
void doubt_address(struct doubts *doubts, const struct sockaddr_storage *address, uint64_t now_us);
void trust_address(struct doubts *doubts, const struct sockaddr_storage *address);
bool is_doubted(
	const struct doubts *doubts, const struct sockaddr_storage *address, uint64_t now_us);
/* Puts those that are doubted behind the others; otherwise their order stays. */
void doubted_last(const struct doubts *doubts, struct sockaddr_storage *addresses, size_t count,
	uint64_t now_us);
