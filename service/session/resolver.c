#include "service/session/resolver.h"

#include "service/session/channel.h"
#include "service/session/known.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* PATIENCE_MS: so long is waited for name servers before the last good addresses are used (RFC 8767
 * section 5: the client response timer). */
enum { PATIENCE_MS = 1800 };

struct resolver {
	uv_loop_t *loop;
	struct channel *channel;
	bool is_stale;       /* its list of name servers may be out of date */
	unsigned asked;      /* look-ups under way */
	struct known *known; /* NULL: nothing is kept */
	struct doubts doubts;
};

struct lookup {
	struct resolver *resolver;
	lookup_done *done; /* NULL: nobody waits any more */
	void *owner;
	int family;
	uint16_t port;
	bool has_patience;
	uv_timer_t patience; /* where there are other addresses than those asked for */
	char host[];
};

static void free_handle(uv_handle_t *handle)
{
	free(handle->data);
}

/* ---- life */

enum err resolver_open(uv_loop_t *loop, struct known *known, struct resolver **resolver_out)
{
	struct resolver *resolver = calloc(1, sizeof(*resolver));

	if (!resolver)
		return ERR_MEMORY;
	if (channel_open(loop, &resolver->channel)) {
		free(resolver);
		return ERR_MEMORY;
	}
	resolver->loop = loop;
	resolver->known = known;
	*resolver_out = resolver;
	return OK;
}

struct doubts *resolver_doubts(struct resolver *resolver)
{
	return &resolver->doubts;
}

void resolver_close(struct resolver *resolver)
{
	if (!resolver)
		return;
	channel_close(resolver->channel); /* calls back: all look-ups are cancelled by now */
	free(resolver);
}

/* ---- look-ups */

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET6)
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
	else
		((struct sockaddr_in *)address)->sin_port = htons(port);
}

static enum smtp_loss loss_of(int status)
{
	switch (status) {
	case ARES_SUCCESS:
		return SMTP_LOSS_NONE;
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
	case ARES_ENONAME:
	case ARES_EBADNAME:
		return SMTP_LOSS_NO_NAME;
	default:
		return SMTP_LOSS_NO_LOOKUP;
	}
}

static size_t copy_addresses(
	const struct ares_addrinfo *found, uint16_t port, struct sockaddr_storage *out)
{
	size_t count = 0;

	for (const struct ares_addrinfo_node *node = found->nodes; node && count < LOOKUP_ADDRESSES;
		node = node->ai_next) {
		memcpy(&out[count], node->ai_addr, node->ai_addrlen);
		set_port(&out[count++], port);
	}
	return count;
}

/* Gives what is known from before, with nobody asked. False: nothing is. */
static bool answer_from_known(struct lookup *lookup)
{
	struct sockaddr_storage addresses[KNOWN_ADDRESSES];
	struct known *known = lookup->resolver->known;
	lookup_done *done = lookup->done;
	bool is_stale;
	size_t count =
		known ? known_find(known, lookup->host, lookup->family, &is_stale, addresses) : 0;

	if (!count)
		return false;
	for (size_t i = 0; i < count; i++)
		set_port(&addresses[i], lookup->port);
	lookup->done = NULL;
	done(lookup->owner, lookup->family, SMTP_LOSS_NONE, addresses, count);
	return true;
}

/* The question stays: its answer is for those who ask later. */
static void lose_patience(uv_timer_t *timer)
{
	struct lookup *lookup = timer->data;

	if (lookup->done && answer_from_known(lookup))
		known_be_stale(lookup->resolver->known, lookup->host, lookup->family, true);
}

static void free_lookup(struct lookup *lookup)
{
	if (lookup->has_patience)
		uv_close((uv_handle_t *)&lookup->patience, free_handle);
	else
		free(lookup);
}

/* What is known changes with the answer. */
static void learn(struct lookup *lookup, enum smtp_loss loss,
	const struct sockaddr_storage *addresses, size_t count)
{
	struct known *known = lookup->resolver->known;

	if (!known)
		return;
	if (count)
		known_note(known, lookup->host, lookup->family, addresses, count);
	else if (loss == SMTP_LOSS_NO_NAME)
		known_drop(known, lookup->host, lookup->family);
	else
		known_be_stale(known, lookup->host, lookup->family, false);
}

static void answered(void *self, int status, int timeouts, struct ares_addrinfo *found)
{
	struct lookup *lookup = self;
	struct sockaddr_storage addresses[LOOKUP_ADDRESSES];
	size_t count = status == ARES_SUCCESS ? copy_addresses(found, lookup->port, addresses) : 0;
	enum smtp_loss loss = loss_of(status);

	(void)timeouts;
	if (!count && loss == SMTP_LOSS_NONE)
		loss = SMTP_LOSS_NO_NAME;
	if (found)
		ares_freeaddrinfo(found);
	lookup->resolver->asked--;
	lookup->resolver->is_stale |= loss == SMTP_LOSS_NO_LOOKUP;
	learn(lookup, loss, addresses, count);
	if (lookup->done && !(loss == SMTP_LOSS_NO_LOOKUP && answer_from_known(lookup)))
		lookup->done(lookup->owner, lookup->family, loss, addresses, count);
	free_lookup(lookup);
}

/* c-ares would send an address to the name servers as if it were a name. */
bool resolver_read_address(const char *host, uint16_t port, struct sockaddr_storage *address_out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)address_out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)address_out;

	memset(address_out, 0, sizeof(*address_out));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1)
		address_out->ss_family = AF_INET;
	else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1)
		address_out->ss_family = AF_INET6;
	else
		return false;
	set_port(address_out, port);
	return true;
}

void resolver_forget(struct resolver *resolver)
{
	resolver->is_stale = true;
}

/* RFC 6761 6.3: this name is loopback, and nobody is asked for it. */
static bool read_localhost(
	const char *host, int family, uint16_t port, struct sockaddr_storage *address)
{
	return strcasecmp(host, "localhost") == 0 &&
	       resolver_read_address(family == AF_INET6 ? "::1" : "127.0.0.1", port, address);
}

static struct lookup *lookup_new(struct resolver *resolver, const char *host, int family,
	uint16_t port, lookup_done *done, void *owner)
{
	size_t len = strlen(host);
	struct lookup *lookup = calloc(1, sizeof(*lookup) + len + 1);

	if (!lookup)
		return NULL;
	lookup->resolver = resolver;
	lookup->done = done;
	lookup->owner = owner;
	lookup->family = family;
	lookup->port = port;
	lookup->patience.data = lookup;
	memcpy(lookup->host, host, len);
	return lookup;
}

static enum err be_ready(struct resolver *resolver)
{
	if (resolver->is_stale && !resolver->asked) {
		channel_forget(resolver->channel);
		resolver->is_stale = false;
	}
	return channel_make_ready(resolver->channel);
}

/* The look-up ends in answered(), perhaps at once. */
static void ask(struct lookup *lookup)
{
	struct resolver *resolver = lookup->resolver;

	resolver->asked++;
	channel_ask(resolver->channel, lookup->host, lookup->family, answered, lookup);
}

/* For a name that is known: name servers that gave no answer the last time are not waited for, and
 * one question at a time finds out whether they do again; others have a while. True: all is done.
 */
static bool answer_early(struct lookup *lookup)
{
	struct resolver *resolver = lookup->resolver;
	struct sockaddr_storage addresses[KNOWN_ADDRESSES];
	bool is_stale = false;

	if (!resolver->known ||
		!known_find(resolver->known, lookup->host, lookup->family, &is_stale, addresses))
		return false;
	if (!is_stale || !answer_from_known(lookup)) {
		lookup->has_patience = true;
		uv_timer_init(resolver->loop, &lookup->patience);
		uv_timer_start(&lookup->patience, lose_patience, PATIENCE_MS, 0);
		return false;
	}
	if (known_claim(resolver->known, lookup->host, lookup->family))
		ask(lookup);
	else
		free_lookup(lookup);
	return true;
}

enum err resolver_ask(struct resolver *resolver, const char *host, int family, uint16_t port,
	lookup_done *done, void *owner, struct lookup **lookup_out)
{
	struct sockaddr_storage loopback;
	struct lookup *lookup;
	enum err err;

	if (read_localhost(host, family, port, &loopback)) {
		done(owner, family, SMTP_LOSS_NONE, &loopback, 1);
		return OK;
	}
	err = be_ready(resolver);
	if (err)
		return err;
	lookup = lookup_new(resolver, host, family, port, done, owner);
	if (!lookup)
		return ERR_MEMORY;
	if (answer_early(lookup))
		return OK;
	*lookup_out = lookup; /* before the question: done() may come at once */
	ask(lookup);
	return OK;
}

void lookup_cancel(struct lookup *lookup)
{
	lookup->done = NULL;
}
