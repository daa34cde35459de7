#include "service/webhook/webhook_reach.h"

/* What is given out to the public (IPv6 Address Space, IANA): all of IPv4, and of IPv6 one eighth.
 */
static const char *const open[] = { "0.0.0.0/0", "2000::/3" };

/* And in these, what is not. */
static const char *const closed[] = {
	"0.0.0.0/8",       /* this network */
	"10.0.0.0/8",      /* private */
	"100.64.0.0/10",   /* shared, behind carriers' NAT */
	"127.0.0.0/8",     /* loopback */
	"169.254.0.0/16",  /* link-local: the clouds' metadata */
	"172.16.0.0/12",   /* private */
	"192.0.0.0/24",    /* IETF protocols */
	"192.0.2.0/24",    /* documentation */
	"192.88.99.0/24",  /* 6to4 relays */
	"192.168.0.0/16",  /* private */
	"198.18.0.0/15",   /* benchmarks */
	"198.51.100.0/24", /* documentation */
	"203.0.113.0/24",  /* documentation */
	"224.0.0.0/3",     /* multicast, reserved, broadcast */
	"2001::/23",       /* IETF protocols, Teredo */
	"2001:db8::/32",   /* documentation */
	"2002::/16",       /* 6to4: an IPv4 address in disguise */
	"3fff::/20",       /* documentation */
};

static bool is_in(const char *const *names, size_t count, const struct network_address *address)
{
	struct network network;

	for (size_t i = 0; i < count; i++)
		if (network_read(text_of(names[i]), &network) &&
			network_holds(&network, 1, address))
			return true;
	return false;
}

bool webhook_may_reach(
	const struct network_address *address, const struct network *allowed, size_t allowed_count)
{
	if (network_holds(allowed, allowed_count, address))
		return true;
	return is_in(open, sizeof(open) / sizeof(*open), address) &&
	       !is_in(closed, sizeof(closed) / sizeof(*closed), address);
}
