#include "service/session/race.h"

#include "service/clock.h"
#include "service/session/dial.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAGGER_MS = 250, RESOLUTION_MS = 50, WORDS = 320, ADDRESS = 64, RACERS = 16 };
enum { V6, V4, FAMILIES };

/* One address that is being tried. */
struct racer {
	uv_poll_t poll;
	struct race *race;
	struct racer *next;
	int fd; /* -1: handed over */
	uint64_t began_us;
	const struct sockaddr_storage *address;
};

struct race {
	uv_loop_t *loop;
	race_over *over;
	void *owner;
	const char *host;
	struct doubts *doubts;
	struct family {
		struct lookup *lookup; /* NULL: done */
		enum smtp_loss loss;
		struct sockaddr_storage addresses[LOOKUP_ADDRESSES];
		size_t count, tried;
	} families[FAMILIES];
	int turn;      /* the family whose address is next */
	bool is_asked; /* both families: an answer may come while the other is being asked */
	bool is_begun;
	struct racer *racers;
	size_t running;   /* of them, RACERS at most */
	uv_timer_t timer; /* when the next address joins */
	enum smtp_loss loss;
	char words[WORDS];
	char address[ADDRESS];
	struct sockaddr_storage winner;
};

static void free_data(uv_handle_t *handle)
{
	free(handle->data);
}

/* It has had the time that others are given before the next one joins. */
static void doubt_if_late(struct race *race, const struct racer *racer)
{
	uint64_t now = now_us();

	if (now - racer->began_us >= STAGGER_MS * UINT64_C(1000))
		doubt_address(race->doubts, racer->address, now);
}

static void remove_racer(struct race *race, struct racer *racer)
{
	struct racer **at = &race->racers;

	while (*at != racer)
		at = &(*at)->next;
	*at = racer->next;
	race->running--;
	uv_close((uv_handle_t *)&racer->poll, free_data);
	if (racer->fd >= 0)
		close(racer->fd);
}

static void remove_all(struct race *race)
{
	while (race->racers) {
		doubt_if_late(race, race->racers);
		remove_racer(race, race->racers);
	}
}

static void name_address(struct race *race, const struct sockaddr_storage *address)
{
	char host[48] = "", port[8] = "";

	(void)getnameinfo((const struct sockaddr *)address, sizeof(*address), host, sizeof(host),
		port, sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(race->address, sizeof(race->address),
		address->ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

/* It is we who have too little, and no fault of the relay's. */
static bool is_shortage(int reason)
{
	return reason == EMFILE || reason == ENFILE || reason == ENOBUFS || reason == ENOMEM;
}

static void lose_address(struct race *race, const struct sockaddr_storage *address, int reason)
{
	char text[128];

	if (!is_shortage(reason))
		doubt_address(race->doubts, address, now_us());
	name_address(race, address);
	snprintf(race->words, sizeof(race->words), "%s: %s", race->address,
		strerror_r(reason, text, sizeof(text)));
	race->loss = is_shortage(reason)   ? SMTP_LOSS_INTERNAL
		     : reason == ETIMEDOUT ? SMTP_LOSS_TIMEOUT
					   : SMTP_LOSS_UNREACHABLE;
	race->address[0] = '\0';
}

static void win(struct race *race, struct racer *winner)
{
	int fd = winner->fd;

	winner->fd = -1;
	name_address(race, winner->address);
	race->winner = *winner->address;
	remove_racer(race, winner);
	remove_all(race);
	uv_timer_stop(&race->timer);
	race->over(race->owner, fd);
}

static void next_address(struct race *race);

static void racer_ready(uv_poll_t *poll, int status, int events)
{
	struct racer *racer = poll->data;
	struct race *race = racer->race;
	int reason = 0;
	socklen_t len = sizeof(reason);

	(void)events;
	(void)getsockopt(racer->fd, SOL_SOCKET, SO_ERROR, &reason, &len);
	if (!reason && status < 0) /* libuv says EBADF for any error: the socket's own is better */
		reason = -status;
	if (!reason) {
		win(race, racer);
		return;
	}
	lose_address(race, racer->address, reason);
	remove_racer(race, racer);
	next_address(race);
}

/* NULL with the reason in errno. */
static struct racer *racer_new(struct race *race, const struct sockaddr_storage *address)
{
	struct racer *racer = calloc(1, sizeof(*racer));
	int fd, status;

	if (!racer)
		return NULL;
	fd = dial(address);
	status = fd < 0 ? -errno : uv_poll_init(race->loop, &racer->poll, fd);
	if (fd >= 0 && status)
		close(fd);
	if (fd < 0 || status) {
		free(racer);
		errno = -status;
		return NULL;
	}
	racer->race = race;
	racer->next = race->racers;
	racer->fd = fd;
	racer->address = address;
	racer->began_us = now_us();
	racer->poll.data = racer;
	race->racers = racer;
	race->running++;
	uv_poll_start(&racer->poll, UV_WRITABLE, racer_ready);
	return racer;
}

/* The next of a family's, if it has one; without doubts, or whatever they are. */
static bool may_take(const struct race *race, const struct family *family, bool with_doubts)
{
	return family->tried < family->count &&
	       (with_doubts ||
		       !is_doubted(race->doubts, &family->addresses[family->tried], now_us()));
}

static const struct sockaddr_storage *take_one(struct race *race, bool with_doubts)
{
	for (int i = 0; i < FAMILIES; i++) {
		struct family *family = &race->families[(race->turn + i) % FAMILIES];

		if (!may_take(race, family, with_doubts))
			continue;
		race->turn = (race->turn + i + 1) % FAMILIES;
		return &family->addresses[family->tried++];
	}
	return NULL;
}

/* IPv6 and IPv4 take turns, beginning with IPv6 (RFC 8305 section 4), those last that are doubted.
 * NULL: none is left for now. */
static const struct sockaddr_storage *take_address(struct race *race)
{
	const struct sockaddr_storage *address = take_one(race, false);

	return address ? address : take_one(race, true);
}

static bool has_address(const struct race *race)
{
	return race->families[V6].tried < race->families[V6].count ||
	       race->families[V4].tried < race->families[V4].count;
}

static void time_for_another(uv_timer_t *timer)
{
	next_address(timer->data);
}

/* Lets the next address join; without any left or to come, and nobody running, the race is lost. */
static void next_address(struct race *race)
{
	const struct sockaddr_storage *address;
	struct racer *racer = NULL;

	while (!racer && race->running < RACERS && (address = take_address(race))) {
		racer = racer_new(race, address);
		if (!racer)
			lose_address(race, address, errno);
	}
	if (!race->racers && !race_is_looking_up(race))
		race->over(race->owner, -1);
	else if (has_address(race) && race->running < RACERS)
		uv_timer_start(&race->timer, time_for_another, STAGGER_MS, 0);
}

/* ---- life */

/* Neither family has an address: the better reason of the two, and words. */
static void lose_look_up(struct race *race)
{
	bool exists_not = race->families[V6].loss == SMTP_LOSS_NO_NAME &&
			  race->families[V4].loss == SMTP_LOSS_NO_NAME;

	race->loss = exists_not ? SMTP_LOSS_NO_NAME : SMTP_LOSS_NO_LOOKUP;
	snprintf(race->words, sizeof(race->words),
		exists_not ? "the name %s does not exist: check SMTP_HOST"
			   : "the name servers did not answer for %s",
		race->host);
}

static void begin(uv_timer_t *timer)
{
	struct race *race = timer->data;

	race->is_begun = true;
	if (!has_address(race))
		lose_look_up(race);
	next_address(race);
}

/* The race begins when both answers are there, or a little after the first that has addresses: one
 * family may be slow, or never come (RFC 8305 section 3). Never within race_open. */
static void wait_or_begin(struct race *race)
{
	if (race->is_begun && !race->racers)
		uv_timer_start(&race->timer, time_for_another, 0, 0);
	else if (race->is_begun && !uv_is_active((uv_handle_t *)&race->timer))
		uv_timer_start(&race->timer, time_for_another, STAGGER_MS, 0);
	else if (!race->is_begun && !race_is_looking_up(race))
		uv_timer_start(&race->timer, begin, 0, 0);
	else if (!race->is_begun && has_address(race))
		uv_timer_start(&race->timer, begin, RESOLUTION_MS, 0);
}

static void looked_up(void *self, int number, enum smtp_loss loss,
	const struct sockaddr_storage *addresses, size_t count)
{
	struct race *race = self;
	struct family *family = &race->families[number == AF_INET6 ? V6 : V4];

	family->lookup = NULL;
	family->loss = loss;
	family->count = count;
	memcpy(family->addresses, addresses, count * sizeof(addresses[0]));
	doubted_last(race->doubts, family->addresses, count, now_us());
	if (race->is_asked)
		wait_or_begin(race);
}

static enum err look_up(struct race *race, struct resolver *resolver, uint16_t port)
{
	struct family *v6 = &race->families[V6], *v4 = &race->families[V4];
	enum err err = OK;

	if (resolver_read_address(race->host, port, &v4->addresses[0]))
		v4->count = 1;
	else
		err = resolver_ask(
			resolver, race->host, AF_INET6, port, looked_up, race, &v6->lookup);
	if (!err && !v4->count)
		err = resolver_ask(
			resolver, race->host, AF_INET, port, looked_up, race, &v4->lookup);
	race->is_asked = true;
	if (!err)
		wait_or_begin(race);
	return err;
}

enum err race_open(struct resolver *resolver, uv_loop_t *loop, const char *host, uint16_t port,
	race_over *over, void *owner, struct race **race_out)
{
	struct race *race = calloc(1, sizeof(*race));
	enum err err;

	if (!race)
		return ERR_MEMORY;
	race->loop = loop;
	race->over = over;
	race->owner = owner;
	race->host = host;
	race->doubts = resolver_doubts(resolver);
	uv_timer_init(loop, &race->timer);
	race->timer.data = race;
	err = look_up(race, resolver, port);
	if (err) {
		race_close(race);
		return err;
	}
	*race_out = race;
	return OK;
}

void race_close(struct race *race)
{
	if (!race)
		return;
	for (int i = 0; i < FAMILIES; i++)
		if (race->families[i].lookup)
			lookup_cancel(race->families[i].lookup);
	remove_all(race);
	uv_close((uv_handle_t *)&race->timer, free_data);
}

bool race_is_looking_up(const struct race *race)
{
	return race->families[V6].lookup || race->families[V4].lookup;
}

enum smtp_loss race_loss(const struct race *race)
{
	return race->loss;
}

const char *race_words(const struct race *race)
{
	return race->words;
}

const char *race_address(const struct race *race)
{
	return race->address;
}

const struct sockaddr_storage *race_winner(const struct race *race)
{
	return &race->winner;
}

bool race_has_other(const struct race *race)
{
	uint64_t now = now_us();

	for (int i = 0; i < FAMILIES; i++)
		for (size_t j = 0; j < race->families[i].count; j++) {
			const struct sockaddr_storage *address = &race->families[i].addresses[j];

			if (!is_same_address(address, &race->winner) &&
				!is_doubted(race->doubts, address, now))
				return true;
		}
	return false;
}
