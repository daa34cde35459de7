/* settings - what the gateway is told: config file, then environment, then flags
 *
 * One table row per setting (settings_table.c): name, kind, default, bounds, field, meaning; the
 * docs and `lettergate settings` are printed from it. A loaded struct settings is frozen; a reload
 * loads a whole new one. Strings are owned by it and never NULL unless said. */
#pragma once

#include <stdatomic.h>

#include "http/event.h"
#include "http/server/network.h"
#include "service/queue/schedule.h"
#include "service/webhook/webhook_sign.h"
#include "smtp/buf.h"
#include "smtp/dkim/dkim.h"
#include "smtp/session/session.h"

enum { RELAYS_MAX = 64, WEBHOOKS_MAX = 16 };

struct relay_settings {
	const char *name;          /* "default" */
	unsigned priority, weight; /* lower goes first; shares among those of equal priority */
	const char *host; /* "": no relay; "capture": keep messages instead of sending them */
	uint16_t port;
	enum smtp_tls tls;
	const char *user, *pass, *token; /* "": none */
	const char *token_file;          /* that the token stood in; "": in none */
	/* Where a token is to be had (RFC 6749): "" none, then the others are "" as well. By
	 * refresh token if there is one (section 6), else by client credentials (4.4). */
	const char *oauth_token_url, *oauth_client_id, *oauth_client_secret, *oauth_refresh_token;
	const char *oauth_scope;
	enum smtp_mechanism mechanism; /* SMTP_AUTH_NONE: auto */
	/* PEM text, whatever way it was given; "": system's trust, no client certificate */
	const char *ca_pem, *client_cert_pem, *client_key_pem;
	const char *tls_name; /* name to verify and to send as SNI; "": the host */
	const char
		*tls_pin; /* "": none, else base64 of the leaf's SPKI SHA-256, without the prefix */
	unsigned tls_min; /* 12 or 13: TLS 1.2, TLS 1.3 */
	unsigned sessions, min_sessions, max_messages; /* max_messages 0: as many as allowed */
	double rate_per_s;                             /* messages a second; 0: no limit */
	uint64_t one_write_bytes;
	uint32_t idle_ms, connect_ms, command_ms, data_ms, dot_ms;
	const char *ehlo_name;     /* the host's name where it was not set */
	const char *const *values; /* as text, one per row of settings_table; NULL: not set */
};

/* Which relays a message may take: it has to fit all that is given. Empty: fits all. */
struct route_settings {
	/* Of the sender in the header, else the envelope's; of every recipient. As in addresses:
	 * A-labels, lower case. With a dot in front all under it, as ".example.org" was written
	 * "*.example.org". */
	struct text from_domain, to_domain;
	struct text key; /* id of the API key */
	struct text tag; /* one of the message's */
	uint64_t relays; /* bit i: settings->relays[i] */
};

/* Who is told of events. */
struct webhook_settings {
	const char *name; /* "default" */
	const char *url;  /* https */
	struct webhook_keys keys;
	struct event_filter filter;
};

struct listen_settings {
	enum listen_kind { LISTEN_TCP, LISTEN_UNIX, LISTEN_PASSED } kind;
	const char *address; /* numeric address (v6 without brackets), or the socket's path */
	uint16_t port;       /* LISTEN_PASSED: the descriptor */
};

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

/* Where development keeps its queue, in the folder where it was started. */
#define SETTINGS_DEV_STORE "/lettergate-dev/queue.db"

struct settings {
	struct relay_settings relay;         /* what SMTP_… say; the defaults of the list's */
	const struct relay_settings *relays; /* those there are: of the list, else that one; never
						none, though its host may be "" */
	size_t relay_count;
	const struct route_settings *routes; /* the first that fits decides */
	size_t route_count;
	const struct listen_settings *listen; /* for clients */
	size_t listen_count;
	const struct listen_settings *admin_listen; /* NULL: none */
	const char *http_cert_pem, *http_key_pem;   /* "": plain HTTP */
	uint64_t max_body;
	unsigned max_connections, max_per_ip;
	uint32_t headers_ms, body_ms, idle_ms;
	const char *const *trusted_proxies; /* networks: "10.0.0.0/8", "::1" */
	size_t trusted_proxy_count;
	const char *api_key, *api_keys_file;   /* "": none */
	const char *store;                     /* path of the queue's file; "": nothing is kept */
	struct schedule retry;                 /* of queued messages */
	bool hold_unknown;                     /* what is unknown is not tried again by itself */
	unsigned queue_max, queue_max_per_key; /* messages; per key 0: no limit */
	uint64_t queue_max_bytes;
	uint64_t keep_events_bytes; /* 0: no bound */
	int64_t keep_sent_ms, keep_failed_ms, keep_body_ms;
	const char *webhook_url, *webhook_secret; /* "": none */
	const char *const *webhook_allow;         /* networks, as text */
	size_t webhook_allow_count;
	const struct webhook_settings *webhooks; /* that one, or those of the list */
	size_t webhook_count;
	const struct network *webhook_networks; /* where they may be, beside public addresses */
	size_t webhook_network_count;
	const char *templates_dir;                                            /* "": none */
	const char *dkim_domain, *dkim_selector, *dkim_key_pem, *dkim_unsign; /* "": none */
	struct dkim_signer dkim; /* these, or those of the config file's list, opened */
	unsigned max_in_flight;
	uint64_t max_in_flight_bytes;
	uint32_t send_deadline_ms, idempotency_ttl_ms, drain_delay_ms, drain_timeout_ms;
	enum log_level log_level;
	bool log_text; /* LOG_FORMAT=text: for people; else JSON */
	enum log_addresses { LOG_MASKED, LOG_FULL, LOG_NONE } log_addresses;
	bool dev;
	const char *const *values; /* as text, one per row of settings_table; NULL: not set */
	atomic_uint references;
	struct region *region; /* all of it lives here, but for the keys in dkim */
};

/* Reads --config FILE, the environment (`environment` as environ), then flags out of `args` (as
 * argv behind the command's name): --dev, --config FILE, --listen ADDR, and --set NAME=VALUE.
 * An error is one line in *why that names the setting and the mend: ERR_VALUE, ERR_SYNTAX,
 * ERR_MISSING, ERR_IO, ERR_MEMORY. */
MUST_USE enum err settings_load(char *const *args, char *const *environment,
	struct settings **settings_out, struct buf *why);
/* References: settings_load gives the first; the last settings_free wipes the secrets. NULL is fine
 * for settings_free. */
struct settings *settings_hold(struct settings *settings);
void settings_free(struct settings *settings);

/* Appends every setting: name, value in force (secrets masked), default, meaning. As columns, or as
 * a Markdown table of name, default and meaning (settings may be NULL then). */
void settings_print(const struct settings *settings, bool markdown, struct buf *out);
/* Is there nothing but loopback addresses and unix sockets to listen on? */
bool settings_listens_locally(const struct settings *settings);
/* Appends the OAuth token as its file has it now: whoever renews it only writes the file. Where it
 * has none, or an unusable one, that which was read at first. */
MUST_USE enum err settings_read_token(const struct relay_settings *relay, struct buf *token_out);
/* Is that this machine, by its name or address? */
bool settings_host_is_local(const char *host);
/* Is the relay on this machine? Then credentials may go in clear. */
bool settings_relay_is_local(const struct relay_settings *relay);
