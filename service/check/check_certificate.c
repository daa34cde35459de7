/* check_certificate - the certificate that a relay showed, in lines for people */
#include "service/check/check_run.h"

#include <openssl/x509v3.h>
#include <string.h>

enum { NAMES = 8, SOON_DAYS = 14, NAME_BYTES = 256 };

static struct text octets(const ASN1_STRING *string)
{
	return (struct text){ (const char *)ASN1_STRING_get0_data(string),
		(size_t)ASN1_STRING_length(string) };
}

static void add_address(const ASN1_OCTET_STRING *address, struct buf *words)
{
	char text[64] = "";
	struct text bytes = octets(address);

	(void)uv_inet_ntop(bytes.len == 4 ? AF_INET : AF_INET6, bytes.at, text, sizeof(text));
	buf_add_string(words, text);
}

static void add_names(X509 *leaf, struct buf *words)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	int count = names ? sk_GENERAL_NAME_num(names) : 0, shown = 0;

	for (int i = 0; i < count && shown < NAMES; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS && name->type != GEN_IPADD)
			continue;
		buf_add_string(words, shown++ ? ", " : "");
		if (name->type == GEN_DNS)
			check_add_foreign(words, octets(name->d.dNSName));
		else
			add_address(name->d.iPAddress, words);
	}
	if (!shown)
		buf_add_string(words, "no name at all");
	else if (count > shown)
		buf_addf(words, " and %d more", count - shown);
	GENERAL_NAMES_free(names);
}

/* "Let's Encrypt, R11": organisation and common name are what people know. */
static void add_entity(const X509_NAME *name, struct buf *words)
{
	char organisation[NAME_BYTES] = "", common[NAME_BYTES] = "";

	(void)X509_NAME_get_text_by_NID(
		(X509_NAME *)name, NID_organizationName, organisation, sizeof(organisation));
	(void)X509_NAME_get_text_by_NID((X509_NAME *)name, NID_commonName, common, sizeof(common));
	check_add_foreign(words, text_of(organisation));
	if (organisation[0] && common[0])
		buf_add_string(words, ", ");
	check_add_foreign(words, text_of(common));
	if (!organisation[0] && !common[0])
		buf_add_string(words, "a nameless issuer");
}

/* Days until then, below 0: it is over. */
static int days_until(const ASN1_TIME *time)
{
	int days = 0, seconds = 0;

	if (ASN1_TIME_diff(&days, &seconds, NULL, time) != 1)
		return 0;
	return seconds < 0 ? days - 1 : days;
}

static void add_time(const ASN1_TIME *time, struct buf *words)
{
	struct tm tm;
	int days = days_until(time);

	if (ASN1_TIME_to_tm(time, &tm) != 1)
		return;
	buf_addf(words, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
	if (days >= 0)
		buf_addf(words, " (%d day%s left)", days, days == 1 ? "" : "s");
	else
		buf_addf(words, " (over)");
}

static void add_chain(SSL *ssl, struct buf *words)
{
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);

	if (!chain)
		chain = SSL_get_peer_cert_chain(ssl);
	if (!chain || sk_X509_num(chain) < 2)
		return;
	buf_add_string(words, "\nchain: ");
	for (int i = 0; i < sk_X509_num(chain); i++) {
		buf_add_string(words, i ? " <- " : "");
		add_entity(X509_get_subject_name(sk_X509_value(chain, i)), words);
	}
}

void check_describe_leaf(X509 *leaf, struct buf *words)
{
	buf_add_string(words, "names: ");
	add_names(leaf, words);
	if (X509_NAME_cmp(X509_get_subject_name(leaf), X509_get_issuer_name(leaf)) == 0) {
		buf_add_string(words, "\nself-signed");
	} else {
		buf_add_string(words, "\nissued by ");
		add_entity(X509_get_issuer_name(leaf), words);
	}
	buf_add_string(words, ", valid until ");
	add_time(X509_get0_notAfter(leaf), words);
	buf_add_string(words, "\npin: ");
	tls_add_pin(leaf, words);
}

static const char *how_verified(const struct relay_settings *settings, const char **hint_out)
{
	if (settings->tls_pin[0])
		return "\nverified by SMTP_TLS_PIN alone";
	if (settings->ca_pem[0])
		return "\nverified against SMTP_CA_FILE";
	if (settings->tls != SMTP_TLS_OPPORTUNISTIC)
		return "\nverified against the system's certificates";
	*hint_out = "SMTP_SECURE=OPPORTUNISTIC verifies nothing without SMTP_CA_FILE or "
		    "SMTP_TLS_PIN: somebody in between could read and change messages.";
	return "\nnot verified";
}

void check_found_certificate(struct check_run *run)
{
	SSL *ssl = link_ssl(run->used->link);
	X509 *leaf = SSL_get1_peer_certificate(ssl);
	struct buf words = buf_born(16384);
	const char *hint = "";

	if (leaf) {
		check_describe_leaf(leaf, &words);
		add_chain(ssl, &words);
		buf_add_string(&words, how_verified(run->settings, &hint));
		if (!hint[0] && !run->settings->tls_pin[0] &&
			days_until(X509_get0_notAfter(leaf)) < SOON_DAYS)
			hint = "It expires in less than 14 days: unless the relay's operator "
			       "renews it by then, sending stops.";
		check_add(run, "certificate", hint[0] ? CHECK_WARNING : CHECK_OK, false, &words,
			hint);
	}
	X509_free(leaf);
	buf_free(&words);
}
