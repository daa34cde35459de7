#include "http/server/certificate.h"

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { CHAIN_MAX = 8 };

struct certificate {
	struct certificate *older; /* kept: a handshake may still be using it */
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned count;
	gnutls_privkey_t key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct certificate *current;

static void certificate_free(struct certificate *certificate)
{
	for (unsigned i = 0; i < certificate->count; i++)
		gnutls_pcert_deinit(&certificate->chain[i]);
	if (certificate->key)
		gnutls_privkey_deinit(certificate->key);
	free(certificate);
}

static gnutls_datum_t datum(const char *text)
{
	return (gnutls_datum_t){ (unsigned char *)text, (unsigned)strlen(text) };
}

/* Does the key fit the first certificate? */
static bool belong_together(const struct certificate *certificate)
{
	unsigned char a[64], b[64];
	size_t a_len = sizeof(a), b_len = sizeof(b);
	gnutls_pubkey_t public;
	bool same = false;

	if (gnutls_pubkey_init(&public))
		return false;
	if (!gnutls_pubkey_import_privkey(public, certificate->key, 0, 0) &&
		!gnutls_pubkey_get_key_id(public, GNUTLS_KEYID_USE_SHA256, a, &a_len) &&
		!gnutls_pubkey_get_key_id(
			certificate->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, b, &b_len))
		same = a_len == b_len && memcmp(a, b, a_len) == 0;
	gnutls_pubkey_deinit(public);
	return same;
}

enum err certificate_set(const char *chain, const char *key)
{
	struct certificate *made = calloc(1, sizeof(*made));
	gnutls_datum_t chain_datum = datum(chain), key_datum = datum(key);

	if (!made)
		return ERR_MEMORY;
	made->count = CHAIN_MAX;
	if (gnutls_pcert_list_import_x509_raw(
		    made->chain, &made->count, &chain_datum, GNUTLS_X509_FMT_PEM, 0))
		made->count = 0;
	if (!made->count || gnutls_privkey_init(&made->key) ||
		gnutls_privkey_import_x509_raw(
			made->key, &key_datum, GNUTLS_X509_FMT_PEM, NULL, 0) ||
		!belong_together(made)) {
		certificate_free(made);
		return ERR_TLS;
	}
	pthread_mutex_lock(&lock);
	made->older = current;
	current = made;
	pthread_mutex_unlock(&lock);
	return OK;
}

static int show(gnutls_session_t session, const gnutls_datum_t *names, int name_count,
	const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain_out,
	unsigned *count_out, gnutls_privkey_t *key_out)
{
	(void)session, (void)names, (void)name_count, (void)algorithms, (void)algorithm_count;
	pthread_mutex_lock(&lock);
	*chain_out = current ? current->chain : NULL;
	*count_out = current ? current->count : 0;
	*key_out = current ? current->key : NULL;
	pthread_mutex_unlock(&lock);
	return *chain_out ? 0 : -1;
}

void *certificate_callback(void)
{
	return (void *)show;
}

void certificate_forget(void)
{
	while (current) {
		struct certificate *older = current->older;

		certificate_free(current);
		current = older;
	}
}
