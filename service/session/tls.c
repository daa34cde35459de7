#include "service/session/tls.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SESSIONS_KEPT = 8, PIN_BYTES = 32, SECURITY_LEVEL = 2 };

/* Where to find struct tls from an SSL_CTX, and the leaf that was shown from an SSL: OpenSSL itself
 * forgets a certificate that it refused. */
static int tls_index = -1, leaf_index = -1;

struct tls {
	SSL_CTX *context;
	const char *name; /* to verify and to show; the settings' own */
	const char *pin;  /* base64, or "" */
	bool verifies;
	bool is_address; /* the name is an IP address */
	pthread_mutex_t lock;
	SSL_SESSION *sessions[SESSIONS_KEPT]; /* used once each (RFC 8446 C.4), newest last */
	size_t session_count;
};

static bool is_address(const char *name)
{
	unsigned char address[16];

	return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* ---- trust */

/* Has the directory the hashed names (`openssl rehash`) by which OpenSSL finds one CA by itself? */
static bool is_hashed(const char *path)
{
	DIR *directory = path ? opendir(path) : NULL;
	struct dirent *entry;
	bool found = false;

	while (directory && !found && (entry = readdir(directory)))
		found = strlen(entry->d_name) == 10 && strcmp(entry->d_name + 8, ".0") == 0;
	if (directory)
		closedir(directory);
	return found;
}

/* Reading the whole bundle costs 25 to 40 ms and 3 MB; a hashed directory nothing until a CA is
 * needed. */
static void trust_system(SSL_CTX *context)
{
	const char *directory = getenv(X509_get_default_cert_dir_env());

	if (!getenv(X509_get_default_cert_file_env()) &&
		is_hashed(directory ? directory : X509_get_default_cert_dir()))
		SSL_CTX_set_default_verify_dir(context);
	else
		SSL_CTX_set_default_verify_paths(context);
}

static BIO *bio_of(const char *pem)
{
	return BIO_new_mem_buf(pem, -1);
}

static bool trust(SSL_CTX *context, const char *pem)
{
	X509_STORE *store = SSL_CTX_get_cert_store(context);
	BIO *bio = bio_of(pem);
	X509 *certificate;
	bool any = false;

	while (bio && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
		any |= X509_STORE_add_cert(store, certificate) == 1;
		X509_free(certificate);
	}
	BIO_free(bio);
	ERR_clear_error(); /* the end of the file is an error, too */
	return any;
}

/* OpenSSL would ask whoever sits at the terminal. */
static int give_no_passphrase(char *out, int room, int is_writing, void *self)
{
	(void)out, (void)room, (void)is_writing, (void)self;
	return -1;
}

static bool present(SSL_CTX *context, const char *certificate_pem, const char *key_pem)
{
	BIO *bio = bio_of(certificate_pem), *key_bio = bio_of(key_pem);
	X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL, *issuer;
	EVP_PKEY *key =
		key_bio ? PEM_read_bio_PrivateKey(key_bio, NULL, give_no_passphrase, NULL) : NULL;
	bool ok = leaf && key && SSL_CTX_use_certificate(context, leaf) == 1 &&
		  SSL_CTX_use_PrivateKey(context, key) == 1;

	while (ok && (issuer = PEM_read_bio_X509(bio, NULL, NULL, NULL)))
		ok = SSL_CTX_add0_chain_cert(context, issuer) == 1;
	ERR_clear_error();
	X509_free(leaf);
	EVP_PKEY_free(key);
	BIO_free(bio);
	BIO_free(key_bio);
	return ok;
}

void tls_add_pin(X509 *leaf, struct buf *out)
{
	unsigned char digest[PIN_BYTES], *spki = NULL;
	int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(leaf), &spki);
	char *room;

	if (len > 0 && EVP_Digest(spki, (size_t)len, digest, NULL, EVP_sha256(), NULL)) {
		buf_add_string(out, "sha256/");
		room = buf_reserve(out, 45);
		if (room) {
			EVP_EncodeBlock((unsigned char *)room, digest, PIN_BYTES);
			buf_took(out, 44);
		}
	}
	OPENSSL_free(spki);
}

static bool fits_pin(const struct tls *tls, X509 *leaf)
{
	struct buf pin = buf_born(100);
	bool fits;

	tls_add_pin(leaf, &pin);
	fits = !pin.err && text_equal(text_from(buf_text(&pin), 7), text_of(tls->pin));
	buf_free(&pin);
	return fits;
}

static void remember_leaf(X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	if (ssl && leaf && !SSL_get_ex_data(ssl, leaf_index) && X509_up_ref(leaf))
		SSL_set_ex_data(ssl, leaf_index, leaf);
}

static int after_verifying(int ok, X509_STORE_CTX *store)
{
	if (!ok)
		remember_leaf(store);
	return ok;
}

/* A pin takes the place of chain, name and expiry. */
static int verify_pin(X509_STORE_CTX *store, void *self)
{
	X509 *leaf = X509_STORE_CTX_get0_cert(store);

	remember_leaf(store);
	if (leaf && fits_pin(self, leaf))
		return 1;
	X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
	return 0;
}

/* ---- resumption */

static int keep_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *tls = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), tls_index);
	SSL_SESSION *oldest = NULL;

	pthread_mutex_lock(&tls->lock);
	if (tls->session_count == SESSIONS_KEPT) {
		oldest = tls->sessions[0];
		memmove(tls->sessions, tls->sessions + 1,
			sizeof(tls->sessions[0]) * (SESSIONS_KEPT - 1));
		tls->session_count--;
	}
	tls->sessions[tls->session_count++] = session;
	pthread_mutex_unlock(&tls->lock);
	SSL_SESSION_free(oldest);
	return 1; /* it is ours now */
}

static SSL_SESSION *take_session(struct tls *tls)
{
	SSL_SESSION *session = NULL;

	pthread_mutex_lock(&tls->lock);
	if (tls->session_count)
		session = tls->sessions[--tls->session_count];
	pthread_mutex_unlock(&tls->lock);
	return session;
}

/* ---- life */

static void set_verification(struct tls *tls, const struct relay_settings *settings)
{
	tls->verifies = settings->tls != SMTP_TLS_OPPORTUNISTIC || settings->ca_pem[0] ||
			settings->tls_pin[0];
	if (settings->tls_pin[0])
		SSL_CTX_set_cert_verify_callback(tls->context, verify_pin, tls);
	else if (tls->verifies && !settings->ca_pem[0])
		trust_system(tls->context);
	SSL_CTX_set_verify(tls->context, tls->verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE,
		tls->verifies ? after_verifying : NULL);
}

static enum err configure(struct tls *tls, const struct relay_settings *settings, struct buf *why)
{
	SSL_CTX *context = tls->context;

	SSL_CTX_set_ex_data(context, tls_index, tls);
	SSL_CTX_set_security_level(context, SECURITY_LEVEL);
	SSL_CTX_set_min_proto_version(
		context, settings->tls_min == 13 ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_read_ahead(context, 1); /* a record in one read, not in two */
	SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	/* one record a write: what SSL_write took has reached the kernel */
	SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE |
					  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					  SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context, keep_session);
	set_verification(tls, settings);
	if (settings->ca_pem[0] && !trust(context, settings->ca_pem)) {
		buf_add_string(why, "SMTP_CA_FILE: no certificate in it; give a PEM file");
		return ERR_TLS;
	}
	if (settings->client_cert_pem[0] &&
		!present(context, settings->client_cert_pem, settings->client_key_pem)) {
		buf_add_string(why, "SMTP_CLIENT_CERT: certificate and SMTP_CLIENT_KEY cannot be "
				    "used together; give a PEM chain and its unencrypted key");
		return ERR_TLS;
	}
	return OK;
}

enum err tls_open(const struct relay_settings *settings, struct tls **tls_out, struct buf *why)
{
	struct tls *tls = calloc(1, sizeof(*tls));
	enum err err;

	if (!tls)
		return ERR_MEMORY;
	if (tls_index < 0) { /* the first relay is opened before there are threads */
		tls_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
		leaf_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	}
	pthread_mutex_init(&tls->lock, NULL);
	tls->name = settings->tls_name[0] ? settings->tls_name : settings->host;
	tls->pin = settings->tls_pin;
	tls->is_address = is_address(tls->name);
	tls->context = SSL_CTX_new(TLS_client_method());
	err = tls->context ? configure(tls, settings, why) : ERR_MEMORY;
	if (err) {
		tls_close(tls);
		return err;
	}
	*tls_out = tls;
	return OK;
}

void tls_close(struct tls *tls)
{
	if (!tls)
		return;
	while (tls->session_count)
		SSL_SESSION_free(tls->sessions[--tls->session_count]);
	SSL_CTX_free(tls->context);
	pthread_mutex_destroy(&tls->lock);
	free(tls);
}

/* ---- connections */

static bool set_name(struct tls *tls, SSL *ssl)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (!tls->is_address && SSL_set_tlsext_host_name(ssl, tls->name) != 1)
		return false;
	if (!tls->verifies || tls->pin[0])
		return true;
	X509_VERIFY_PARAM_set_hostflags(
		param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
	if (tls->is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(param, tls->name) == 1;
	return X509_VERIFY_PARAM_set1_host(param, tls->name, 0) == 1;
}

SSL *tls_connection(struct tls *tls, int fd)
{
	SSL *ssl = SSL_new(tls->context);
	SSL_SESSION *session;

	if (!ssl)
		return NULL;
	if (!set_name(tls, ssl) || SSL_set_fd(ssl, fd) != 1) {
		SSL_free(ssl);
		return NULL;
	}
	session = take_session(tls);
	if (session) {
		SSL_set_session(ssl, session);
		SSL_SESSION_free(session);
	}
	SSL_set_connect_state(ssl);
	return ssl;
}

void tls_connection_free(SSL *ssl)
{
	if (!ssl)
		return;
	/* without this, a connection that is dropped would take its session with it */
	SSL_set_quiet_shutdown(ssl, 1);
	SSL_shutdown(ssl);
	X509_free(SSL_get_ex_data(ssl, leaf_index));
	SSL_free(ssl);
	ERR_clear_error();
}

const char *tls_name(const struct tls *tls)
{
	return tls->name;
}

X509 *tls_refused_leaf(const SSL *ssl)
{
	return SSL_get_ex_data(ssl, leaf_index);
}

const char *tls_version(const SSL *ssl)
{
	return SSL_version(ssl) == TLS1_3_VERSION ? "TLSv1.3" : "TLSv1.2";
}
