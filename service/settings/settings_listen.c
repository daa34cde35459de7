#include "service/settings/settings_draft.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { FIRST_PASSED = 3, PASSED_MAX = 64 };

static enum err wrong(
	struct draft *draft, const struct given *given, struct text part, const char *problem)
{
	return draft_refuse(draft, ERR_VALUE, "%s: \"%.*s\" %s", given->label,
		part.len > 80 ? 80 : (int)part.len, part.at, problem);
}

static size_t count_parts(struct text list)
{
	size_t count = 1;

	for (size_t i = 0; i < list.len; i++)
		count += list.at[i] == ',';
	return count;
}

static enum err read_unix(struct draft *draft, const struct given *given, struct text part,
	struct listen_settings *out)
{
	struct sockaddr_un address;
	struct text path = text_from(part, 5);

	if (path.len == 0 || path.len >= sizeof(address.sun_path) || path.at[0] != '/')
		return wrong(draft, given, part,
			"is no socket; give unix: and a path from / on of at most 107 bytes");
	*out = (struct listen_settings){ LISTEN_UNIX, draft_copy(draft, path), 0 };
	return out->address ? OK : ERR_MEMORY;
}

/* The last colon parts address and port; a v6 address stands in brackets. */
static enum err read_tcp(struct draft *draft, const struct given *given, struct text part,
	struct listen_settings *out)
{
	struct text host = part, port = { 0 };
	unsigned char bytes[16];
	uint64_t number;

	for (size_t i = 0; i < part.len; i++)
		if (part.at[i] == ':') {
			host = text_head(part, i);
			port = text_from(part, i + 1);
		}
	if (!port.at || host.len == 0 || text_equal(host, TEXT("*")))
		return wrong(draft, given, part,
			"lacks the address; give 127.0.0.1:8080 for this machine alone, "
			"0.0.0.0:8080 or [::]:8080 for all");
	if (!text_to_u64(port, &number) || number > 65535)
		return wrong(draft, given, part, "does not end in a port from 0 to 65535");
	if (text_equal_nocase(host, TEXT("localhost")))
		host = TEXT("127.0.0.1");
	if (host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']')
		host = text_head(text_from(host, 1), host.len - 2);
	else if (text_find(host, ':') < host.len)
		return wrong(draft, given, part, "needs its IPv6 address in [brackets]");
	*out = (struct listen_settings){ LISTEN_TCP, draft_copy(draft, host), (uint16_t)number };
	if (!out->address)
		return ERR_MEMORY;
	if (inet_pton(AF_INET, out->address, bytes) != 1 &&
		inet_pton(AF_INET6, out->address, bytes) != 1)
		return wrong(draft, given, part, "is not a numeric address and a port");
	return OK;
}

enum err settings_read_listen(struct draft *draft, const struct given *given,
	const struct listen_settings **listen_out, size_t *count_out)
{
	struct text list = text_of(given->value);
	size_t count = count_parts(list);
	struct listen_settings *all = region_zalloc(draft->region, count, sizeof(*all));
	enum err err = all ? OK : ERR_MEMORY;

	for (size_t i = 0; i < count && !err; i++) {
		struct text part = text_trim(text_cut(&list, ','));

		err = text_starts(part, TEXT("unix:")) ? read_unix(draft, given, part, &all[i])
						       : read_tcp(draft, given, part, &all[i]);
	}
	if (err)
		return err;
	*listen_out = all;
	*count_out = count;
	return OK;
}

/* ---- networks */

static enum err read_network(
	struct draft *draft, const struct given *given, struct text part, const char **out)
{
	size_t slash = text_find(part, '/');
	const char *address = draft_copy(draft, text_head(part, slash));
	unsigned char bytes[16];
	uint64_t bits = 0, most;

	if (!address)
		return ERR_MEMORY;
	most = inet_pton(AF_INET, address, bytes) == 1    ? 32
	       : inet_pton(AF_INET6, address, bytes) == 1 ? 128
							  : 0;
	if (most == 0 || (slash < part.len &&
				 (!text_to_u64(text_from(part, slash + 1), &bits) || bits > most)))
		return wrong(draft, given, part,
			"is not a network; give ones like 10.0.0.0/8, 192.0.2.7 or fd00::/8");
	*out = draft_copy(draft, part);
	return *out ? OK : ERR_MEMORY;
}

enum err settings_read_networks(struct draft *draft, const struct given *given,
	const char *const **networks_out, size_t *count_out)
{
	struct text list = text_of(given->value);
	size_t count = count_parts(list);
	const char **all = region_zalloc(draft->region, count, sizeof(*all));
	enum err err = all ? OK : ERR_MEMORY;

	for (size_t i = 0; i < count && !err; i++)
		err = read_network(draft, given, text_trim(text_cut(&list, ',')), &all[i]);
	if (err)
		return err;
	*networks_out = all;
	*count_out = count;
	return OK;
}

/* ---- sockets passed in by systemd (sd_listen_fds(3)) */

static const char *value_of(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}

enum err settings_take_passed(struct draft *draft, char *const *environment)
{
	const char *pid = value_of(environment, "LISTEN_PID");
	const char *count_said = value_of(environment, "LISTEN_FDS");
	struct listen_settings *all;
	uint64_t owner, count;

	if (!pid || !count_said || !text_to_u64(text_of(pid), &owner) ||
		owner != (uint64_t)getpid() || !text_to_u64(text_of(count_said), &count) ||
		count == 0)
		return OK; /* meant for another process, or for none */
	if (count > PASSED_MAX)
		return draft_refuse(
			draft, ERR_VALUE, "LISTEN_FDS: more than %d sockets", PASSED_MAX);
	all = region_zalloc(draft->region, count, sizeof(*all));
	if (!all)
		return ERR_MEMORY;
	for (size_t i = 0; i < count; i++)
		all[i] =
			(struct listen_settings){ LISTEN_PASSED, "", (uint16_t)(FIRST_PASSED + i) };
	draft->settings->listen = all;
	draft->settings->listen_count = count;
	return OK;
}

/* ---- */

static bool is_loopback(const struct sockaddr_storage *address)
{
	const struct sockaddr_in *v4 = (const void *)address;
	const struct sockaddr_in6 *v6 = (const void *)address;

	if (address->ss_family == AF_INET)
		return ntohl(v4->sin_addr.s_addr) >> 24 == 127;
	if (address->ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
	return address->ss_family == AF_UNIX;
}

static bool is_local(const struct listen_settings *listen)
{
	struct sockaddr_storage address = { 0 };
	socklen_t len = sizeof(address);

	if (listen->kind == LISTEN_UNIX)
		return true;
	if (listen->kind == LISTEN_PASSED)
		return getsockname(listen->port, (struct sockaddr *)&address, &len) == 0 &&
		       is_loopback(&address);
	if (inet_pton(AF_INET, listen->address, &((struct sockaddr_in *)&address)->sin_addr) == 1)
		address.ss_family = AF_INET;
	else if (inet_pton(AF_INET6, listen->address,
			 &((struct sockaddr_in6 *)&address)->sin6_addr) == 1)
		address.ss_family = AF_INET6;
	return is_loopback(&address);
}

bool settings_listens_locally(const struct settings *settings)
{
	bool local = true;

	for (size_t i = 0; i < settings->listen_count; i++)
		local &= is_local(&settings->listen[i]);
	return local && (!settings->admin_listen || is_local(settings->admin_listen));
}
