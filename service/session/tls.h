/* tls - OpenSSL as connections to relays need it: trust, names, pin, resumption
 *
 * One struct tls per relay and configuration, shared by all workers: so a session is only ever
 * resumed under the settings that it was verified under. */
#pragma once

#include <openssl/ssl.h>

#include "service/settings/settings.h"

struct tls;

/* ERR_TLS with a line in *why: a CA file, certificate or key that cannot be used. */
MUST_USE enum err tls_open(
	const struct relay_settings *settings, struct tls **tls_out, struct buf *why);
void tls_close(struct tls *tls); /* NULL is fine */

/* A client connection on `fd`, with name, trust and a session to resume all set; NULL: no memory.
 * `tls` must outlive it. The caller frees it with tls_connection_free. */
SSL *tls_connection(struct tls *tls, int fd);
void tls_connection_free(SSL *ssl);
/* What made the handshake fail, in words for people, into *words; says whether it was the
 * certificate. `reason` is SSL_get_error's. */
enum smtp_loss tls_diagnose(struct tls *tls, SSL *ssl, int reason, struct buf *words);
/* The name that is verified and sent as SNI. */
const char *tls_name(const struct tls *tls);
/* The leaf that was refused, NULL: none was; borrowed from `ssl`. */
X509 *tls_refused_leaf(const SSL *ssl);
/* "TLSv1.3"; static. */
const char *tls_version(const SSL *ssl);
/* Appends the leaf's pin as the setting takes it: "sha256/…=". */
void tls_add_pin(X509 *leaf, struct buf *out);
