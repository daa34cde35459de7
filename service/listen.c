#include "service/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 4096, SPARE_DESCRIPTORS = 2048 };

static enum err refuse(const struct listen_settings *where, struct buf *why)
{
	int reason = errno;

	if (where->kind == LISTEN_PASSED)
		buf_addf(why, "LISTEN_FDS: descriptor %u cannot be used: %s", where->port,
			strerror(reason));
	else if (where->kind == LISTEN_UNIX)
		buf_addf(why, "HTTP_LISTEN: cannot listen on unix:%s: %s", where->address,
			strerror(reason));
	else
		buf_addf(why, "HTTP_LISTEN: cannot listen on %s port %u: %s", where->address,
			where->port, strerror(reason));
	if (reason == EADDRINUSE)
		buf_add_string(why, "; something else does already, choose another");
	else if (reason == EACCES)
		buf_add_string(why, "; ports below 1024 need a privilege, choose one above");
	return ERR_IO;
}

static int listening(const struct sockaddr *address, socklen_t len)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int yes = 1, reason;

	if (fd < 0)
		return -1;
	if (address->sa_family != AF_UNIX)
		(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (address->sa_family == AF_INET6)
		(void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
	if (bind(fd, address, len) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	reason = errno;
	close(fd);
	errno = reason;
	return -1;
}

static int listen_tcp(const struct listen_settings *where)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(where->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(where->port) };

	if (inet_pton(AF_INET, where->address, &v4.sin_addr) == 1)
		return listening((struct sockaddr *)&v4, sizeof(v4));
	if (inet_pton(AF_INET6, where->address, &v6.sin6_addr) == 1)
		return listening((struct sockaddr *)&v6, sizeof(v6));
	errno = EADDRNOTAVAIL;
	return -1;
}

/* A socket that nobody listens on any more is in the way after a crash. */
static void clear_path(const struct sockaddr_un *address)
{
	struct stat status;
	int fd;

	if (lstat(address->sun_path, &status) || !S_ISSOCK(status.st_mode))
		return;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) &&
		errno == ECONNREFUSED)
		(void)unlink(address->sun_path);
	if (fd >= 0)
		close(fd);
}

static int listen_unix(const struct listen_settings *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(where->address) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(address.sun_path, where->address, strlen(where->address));
	clear_path(&address);
	return listening((struct sockaddr *)&address, sizeof(address));
}

/* sd_listen_fds(3) */
static int take_passed(int fd)
{
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	return fcntl(fd, F_SETFL, O_NONBLOCK) ? -1 : fd;
}

static int open_one(const struct listen_settings *where)
{
	switch (where->kind) {
	case LISTEN_PASSED:
		return take_passed(where->port);
	case LISTEN_UNIX:
		return listen_unix(where);
	default:
		return listen_tcp(where);
	}
}

enum err listen_open(const struct settings *settings, struct server_listener *sockets_out,
	size_t *count_out, struct buf *why)
{
	size_t count = 0, all = settings->listen_count + (settings->admin_listen != NULL);
	enum err err = OK;

	if (all > LISTEN_SOCKETS) {
		buf_addf(why, "HTTP_LISTEN: more than %d addresses", LISTEN_SOCKETS);
		return ERR_VALUE;
	}
	for (size_t i = 0; !err && i < all; i++) {
		bool is_admin = i == settings->listen_count;
		const struct listen_settings *where =
			is_admin ? settings->admin_listen : &settings->listen[i];
		int fd = open_one(where);

		if (fd < 0)
			err = refuse(where, why);
		else
			sockets_out[count++] = (struct server_listener){ fd, is_admin };
	}
	while (err && count)
		close(sockets_out[--count].fd);
	if (!err)
		*count_out = count;
	return err;
}

void listen_forget(const struct settings *settings)
{
	for (size_t i = 0; i < settings->listen_count; i++)
		if (settings->listen[i].kind == LISTEN_UNIX)
			(void)unlink(settings->listen[i].address);
	if (settings->admin_listen && settings->admin_listen->kind == LISTEN_UNIX)
		(void)unlink(settings->admin_listen->address);
}

bool listen_make_room(unsigned connections, unsigned *limit_out)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)connections + SPARE_DESCRIPTORS;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return true;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	*limit_out = (unsigned)limit.rlim_cur;
	return limit.rlim_cur >= wanted;
}
