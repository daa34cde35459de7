#include "service/session/known.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct name {
	struct name *next;
	int family;    /* AF_INET or AF_INET6 */
	bool is_stale; /* the last question remained without an answer */
	bool is_asked; /* again, with nobody waiting */
	size_t count;
	struct sockaddr_storage *addresses;
	char host[];
};

struct known {
	pthread_mutex_t lock;
	struct name *first; /* which was noted last */
	size_t count;
};

/* Where the name hangs; where none hangs if it is not known. */
static struct name **place_of(struct known *known, const char *host, int family)
{
	struct name **at = &known->first;

	while (*at && ((*at)->family != family || strcasecmp((*at)->host, host) != 0))
		at = &(*at)->next;
	return at;
}

static void remove_name(struct known *known, struct name **at)
{
	struct name *name = *at;

	*at = name->next;
	known->count--;
	free(name->addresses);
	free(name);
}

static struct name *name_new(
	const char *host, int family, const struct sockaddr_storage *addresses, size_t count)
{
	size_t len = strlen(host);
	struct name *name = calloc(1, sizeof(*name) + len + 1);
	struct sockaddr_storage *copy = calloc(count, sizeof(*copy));

	if (!name || !copy) {
		free(name);
		free(copy);
		return NULL;
	}
	name->family = family;
	name->count = count;
	name->addresses = memcpy(copy, addresses, count * sizeof(*copy));
	memcpy(name->host, host, len);
	return name;
}

static void add_name(struct known *known, struct name *name)
{
	struct name **last = &known->first;

	name->next = known->first;
	known->first = name;
	if (++known->count <= KNOWN_NAMES)
		return;
	while ((*last)->next)
		last = &(*last)->next;
	remove_name(known, last);
}

/* ---- the interface */

enum err known_open(struct known **known_out)
{
	struct known *known = calloc(1, sizeof(*known));

	if (!known)
		return ERR_MEMORY;
	pthread_mutex_init(&known->lock, NULL);
	*known_out = known;
	return OK;
}

void known_close(struct known *known)
{
	if (!known)
		return;
	while (known->first)
		remove_name(known, &known->first);
	pthread_mutex_destroy(&known->lock);
	free(known);
}

void known_note(struct known *known, const char *host, int family,
	const struct sockaddr_storage *addresses, size_t count)
{
	struct name *name = name_new(host, family, addresses, count);

	known_drop(known, host, family);
	if (!name)
		return;
	pthread_mutex_lock(&known->lock);
	add_name(known, name);
	pthread_mutex_unlock(&known->lock);
}

void known_drop(struct known *known, const char *host, int family)
{
	struct name **at;

	pthread_mutex_lock(&known->lock);
	at = place_of(known, host, family);
	if (*at)
		remove_name(known, at);
	pthread_mutex_unlock(&known->lock);
}

void known_be_stale(struct known *known, const char *host, int family, bool is_asked)
{
	struct name *name;

	pthread_mutex_lock(&known->lock);
	name = *place_of(known, host, family);
	if (name) {
		name->is_stale = true;
		name->is_asked = is_asked;
	}
	pthread_mutex_unlock(&known->lock);
}

bool known_claim(struct known *known, const char *host, int family)
{
	struct name *name;
	bool is_first;

	pthread_mutex_lock(&known->lock);
	name = *place_of(known, host, family);
	is_first = name && !name->is_asked;
	if (is_first)
		name->is_asked = true;
	pthread_mutex_unlock(&known->lock);
	return is_first;
}

size_t known_find(struct known *known, const char *host, int family, bool *is_stale_out,
	struct sockaddr_storage *addresses_out)
{
	const struct name *name;
	size_t count = 0;

	pthread_mutex_lock(&known->lock);
	name = *place_of(known, host, family);
	if (name) {
		count = name->count;
		memcpy(addresses_out, name->addresses, count * sizeof(*addresses_out));
		*is_stale_out = name->is_stale;
	}
	pthread_mutex_unlock(&known->lock);
	return count;
}
