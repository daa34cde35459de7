#include "http/server/acceptor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	LINGERERS = 64,
	LINGER_MS = 2000,
	PAUSE_MS = 20,
	PULSE_MS = 10,
	LAST_MS = 20,
	AT_ONCE = 64,
	LAST_ROUNDS = 256
};

struct lingerer {
	int fd;
	uint64_t until_ms;
};

struct acceptor {
	struct acceptor_user user;
	struct server_listener *listeners; /* fd -1: closed */
	size_t count;
	struct pollfd *polled; /* the wake-up, the listeners, the lingerers */
	pthread_t thread;
	bool has_thread;
	int wake;
	atomic_bool stop, end;
	pthread_mutex_t lock; /* over all below */
	pthread_cond_t stopped_too;
	bool is_stopped;
	struct lingerer lingerers[LINGERERS];
	size_t lingerer_count;
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void wake_up(struct acceptor *acceptor)
{
	(void)!write(acceptor->wake, &(uint64_t){ 1 }, sizeof(uint64_t));
}

/* ---- new connections */

/* False: it cannot go on for now (no room, no descriptors). */
static bool accept_from(struct acceptor *acceptor, const struct server_listener *listener)
{
	const struct acceptor_user *user = &acceptor->user;

	for (int i = 0; i < AT_ONCE; i++) {
		struct sockaddr_storage address = { 0 };
		socklen_t len = sizeof(address);
		int fd;

		if (!user->has_room(user->self, listener->is_admin))
			return false;
		fd = accept4(listener->fd, (struct sockaddr *)&address, &len,
			SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0)
			return errno != EMFILE && errno != ENFILE && errno != ENOBUFS &&
			       errno != ENOMEM;
		user->take(user->self, listener->is_admin, fd, (struct sockaddr *)&address, len);
	}
	return true;
}

/* Also who is about to be. */
static bool has_waiting(int fd)
{
	return poll(&(struct pollfd){ .fd = fd, .events = POLLIN }, 1, LAST_MS) == 1;
}

/* Nobody new begins to connect, while who has begun is let in: whoever is not yet accepted when the
 * socket is closed is cut off. One that is shared (systemd's) is as it was afterwards. */
static void hold_off(int fd, bool on)
{
	enum { FLAGS = 13, SYN = 2 }; /* in the TCP header, RFC 9293 section 3.1 */
	struct sock_filter no_syn[] = { BPF_STMT(BPF_LD | BPF_B | BPF_ABS, FLAGS),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, SYN, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, 0xffffffff) };
	struct sock_fprog program = { sizeof(no_syn) / sizeof(no_syn[0]), no_syn };

	(void)setsockopt(fd, SOL_SOCKET, on ? SO_ATTACH_FILTER : SO_DETACH_FILTER, &program,
		sizeof(program));
}

static void stop_listening(struct acceptor *acceptor)
{
	for (size_t i = 0; i < acceptor->count; i++) {
		struct server_listener *listener = &acceptor->listeners[i];

		if (listener->fd < 0)
			continue;
		hold_off(listener->fd, true);
		for (int round = 0; round < LAST_ROUNDS && has_waiting(listener->fd); round++)
			if (!accept_from(acceptor, listener))
				break;
		hold_off(listener->fd, false);
		close(listener->fd);
		listener->fd = -1;
	}
	pthread_mutex_lock(&acceptor->lock);
	acceptor->is_stopped = true;
	pthread_cond_broadcast(&acceptor->stopped_too);
	pthread_mutex_unlock(&acceptor->lock);
}

/* ---- lingering */

static bool is_spent(const struct lingerer *lingerer, uint64_t now)
{
	char rubbish[65536];
	ssize_t len = 0;

	for (int i = 0; i < 16; i++) {
		len = recv(lingerer->fd, rubbish, sizeof(rubbish), MSG_DONTWAIT);
		if (len <= 0)
			break;
	}
	return len == 0 || (len < 0 && errno != EAGAIN) || now >= lingerer->until_ms;
}

static void linger(struct acceptor *acceptor, bool all)
{
	uint64_t now = now_ms();

	pthread_mutex_lock(&acceptor->lock);
	for (size_t i = 0; i < acceptor->lingerer_count;) {
		if (!all && !is_spent(&acceptor->lingerers[i], now)) {
			i++;
			continue;
		}
		close(acceptor->lingerers[i].fd);
		acceptor->lingerers[i] = acceptor->lingerers[--acceptor->lingerer_count];
	}
	pthread_mutex_unlock(&acceptor->lock);
}

void acceptor_linger(struct acceptor *acceptor, int fd)
{
	pthread_mutex_lock(&acceptor->lock);
	if (acceptor->lingerer_count < LINGERERS) {
		int copy = dup(fd);

		if (copy >= 0)
			acceptor->lingerers[acceptor->lingerer_count++] =
				(struct lingerer){ copy, now_ms() + LINGER_MS };
	}
	pthread_mutex_unlock(&acceptor->lock);
	wake_up(acceptor);
}

/* ---- the thread */

static size_t prepare_poll(struct acceptor *acceptor, bool paused)
{
	struct pollfd *polled = acceptor->polled;
	size_t count = 0;

	polled[count++] = (struct pollfd){ .fd = acceptor->wake, .events = POLLIN };
	for (size_t i = 0; i < acceptor->count; i++)
		polled[count++] = (struct pollfd){ .fd = paused ? -1 : acceptor->listeners[i].fd,
			.events = POLLIN };
	pthread_mutex_lock(&acceptor->lock);
	for (size_t i = 0; i < acceptor->lingerer_count; i++)
		polled[count++] =
			(struct pollfd){ .fd = acceptor->lingerers[i].fd, .events = POLLIN };
	pthread_mutex_unlock(&acceptor->lock);
	return count;
}

static void *run(void *self)
{
	struct acceptor *acceptor = self;
	bool paused = false, pulsing = false;

	while (!atomic_load(&acceptor->end)) {
		size_t count = prepare_poll(acceptor, paused);
		bool lingering = count > acceptor->count + 1;
		int patience = pulsing ? PULSE_MS : paused ? PAUSE_MS : lingering ? LINGER_MS : -1;
		uint64_t woken;

		if (poll(acceptor->polled, (nfds_t)count, patience) < 0 && errno != EINTR)
			break;
		paused = false;
		if (acceptor->polled[0].revents)
			(void)!read(acceptor->wake, &woken, sizeof(woken));
		for (size_t i = 0; i < acceptor->count; i++)
			if (acceptor->polled[i + 1].revents)
				paused |= !accept_from(acceptor, &acceptor->listeners[i]);
		pulsing = acceptor->user.pulse(acceptor->user.self);
		linger(acceptor, false);
		if (atomic_exchange(&acceptor->stop, false))
			stop_listening(acceptor);
	}
	return NULL;
}

/* ---- life */

/* Only now, with everything else in place, for the caller keeps the descriptors on failure. */
static enum err start(struct acceptor *acceptor)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&acceptor->thread, NULL, run, acceptor);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	acceptor->has_thread = !failed;
	return failed ? ERR_MEMORY : OK;
}

enum err acceptor_open(const struct server_listener *listeners, size_t count,
	const struct acceptor_user *user, struct acceptor **acceptor_out)
{
	struct acceptor *acceptor = calloc(1, sizeof(*acceptor));
	enum err err = OK;

	if (!acceptor)
		return ERR_MEMORY;
	acceptor->user = *user;
	acceptor->count = count;
	pthread_mutex_init(&acceptor->lock, NULL);
	pthread_cond_init(&acceptor->stopped_too, NULL);
	acceptor->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	acceptor->listeners = calloc(count, sizeof(*acceptor->listeners));
	acceptor->polled = calloc(count + 1 + LINGERERS, sizeof(*acceptor->polled));
	if (acceptor->wake < 0 || !acceptor->listeners || !acceptor->polled)
		err = ERR_MEMORY;
	for (size_t i = 0; !err && i < count; i++) {
		acceptor->listeners[i] = listeners[i];
		if (fcntl(listeners[i].fd, F_SETFL, O_NONBLOCK))
			err = ERR_IO;
	}
	*acceptor_out = acceptor; /* before the thread: what it shares out asks for it */
	if (!err)
		err = start(acceptor);
	if (err) {
		*acceptor_out = NULL;
		acceptor->count = 0;
		acceptor_close(acceptor);
	}
	return err;
}

void acceptor_stop(struct acceptor *acceptor)
{
	atomic_store(&acceptor->stop, true);
	wake_up(acceptor);
	pthread_mutex_lock(&acceptor->lock);
	while (!acceptor->is_stopped)
		pthread_cond_wait(&acceptor->stopped_too, &acceptor->lock);
	pthread_mutex_unlock(&acceptor->lock);
}

void acceptor_close(struct acceptor *acceptor)
{
	if (!acceptor)
		return;
	if (acceptor->has_thread) {
		atomic_store(&acceptor->end, true);
		wake_up(acceptor);
		pthread_join(acceptor->thread, NULL);
	}
	for (size_t i = 0; acceptor->listeners && i < acceptor->count; i++)
		if (acceptor->listeners[i].fd >= 0)
			close(acceptor->listeners[i].fd);
	linger(acceptor, true);
	if (acceptor->wake >= 0)
		close(acceptor->wake);
	pthread_cond_destroy(&acceptor->stopped_too);
	pthread_mutex_destroy(&acceptor->lock);
	free(acceptor->listeners);
	free(acceptor->polled);
	free(acceptor);
}
