/* tls_words - why a handshake failed, in words for the people who must mend it */
#include "service/session/tls.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

static void add_names(X509 *leaf, struct buf *words)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	int count = names ? sk_GENERAL_NAME_num(names) : 0;
	const char *separator = "";

	for (int i = 0; i < count && i < 5; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
		char address[INET6_ADDRSTRLEN] = "";

		if (name->type == GEN_DNS)
			buf_addf(words, "%s%.*s", separator, ASN1_STRING_length(name->d.dNSName),
				(const char *)ASN1_STRING_get0_data(name->d.dNSName));
		else if (name->type == GEN_IPADD &&
			 inet_ntop(ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6,
				 ASN1_STRING_get0_data(name->d.iPAddress), address,
				 sizeof(address)))
			buf_addf(words, "%s%s", separator, address);
		else
			continue;
		separator = ", ";
	}
	if (!*separator)
		buf_add_string(words, "no name at all");
	GENERAL_NAMES_free(names);
}

static void add_issuer(X509 *leaf, struct buf *words)
{
	char issuer[256] = "";

	X509_NAME_oneline(X509_get_issuer_name(leaf), issuer, sizeof(issuer));
	buf_add_string(words, issuer);
}

static void add_time(const ASN1_TIME *time, struct buf *words)
{
	struct tm tm;

	if (ASN1_TIME_to_tm(time, &tm) == 1)
		buf_addf(words, "%04d-%02d-%02d", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday);
}

static void say_untrusted(X509 *leaf, const char *kind, const char *trust, struct buf *words)
{
	buf_addf(words, "the certificate is %s (issuer ", kind);
	add_issuer(leaf, words);
	buf_addf(words, "): set SMTP_CA_FILE to %s, or SMTP_TLS_PIN=", trust);
	tls_add_pin(leaf, words);
}

static void say_certificate(const struct tls *tls, X509 *leaf, long result, struct buf *words)
{
	switch (result) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		buf_add_string(words, "the certificate is for ");
		add_names(leaf, words);
		buf_addf(words,
			" and not for %s: set SMTP_HOST, or SMTP_TLS_NAME, to a name that it bears",
			tls_name(tls));
		break;
	case X509_V_ERR_CERT_HAS_EXPIRED:
		buf_add_string(words, "the certificate expired on ");
		add_time(X509_get0_notAfter(leaf), words);
		buf_add_string(words, ": the relay's operator must renew it");
		break;
	case X509_V_ERR_CERT_NOT_YET_VALID:
		buf_add_string(words, "the certificate is not valid before ");
		add_time(X509_get0_notBefore(leaf), words);
		buf_add_string(words, ": is the clock of this machine right?");
		break;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		say_untrusted(leaf, "self-signed", "the certificate itself", words);
		break;
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		say_untrusted(leaf, "signed by a CA that is not trusted here",
			"the CA that signed it", words);
		break;
	case X509_V_ERR_CERT_REJECTED:
		buf_add_string(words, "the certificate's key does not fit SMTP_TLS_PIN: it is ");
		tls_add_pin(leaf, words);
		break;
	default:
		buf_addf(words, "the certificate cannot be verified: %s",
			X509_verify_cert_error_string(result));
	}
}

static void say_handshake(unsigned long code, struct buf *words)
{
	const char *reason = code ? ERR_reason_error_string(code) : NULL;

	switch (ERR_GET_REASON(code)) {
	case SSL_R_WRONG_VERSION_NUMBER:
		buf_add_string(words, "it does not speak TLS on this port: use "
				      "SMTP_SECURE=STARTTLS here, or port 465");
		break;
	case SSL_R_UNSUPPORTED_PROTOCOL:
	case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
		buf_add_string(words, "the relay and this gateway have no TLS version in common: "
				      "1.2 or later is wanted (SMTP_TLS_MIN)");
		break;
	default:
		buf_addf(words, "the TLS handshake failed: %s", reason ? reason : "unknown reason");
	}
}

enum smtp_loss tls_diagnose(struct tls *tls, SSL *ssl, int reason, struct buf *words)
{
	long result = SSL_get_verify_result(ssl);
	X509 *leaf = tls_refused_leaf(ssl);
	unsigned long code = ERR_peek_error();
	enum smtp_loss loss = SMTP_LOSS_HANDSHAKE;

	if (reason == SSL_ERROR_SYSCALL ||
		ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		buf_add_string(words, "the relay hung up during the TLS handshake");
		loss = SMTP_LOSS_DISCONNECTED;
	} else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED && leaf) {
		say_certificate(tls, leaf, result, words);
		loss = SMTP_LOSS_CERTIFICATE;
	} else {
		say_handshake(code, words);
		if (ERR_GET_REASON(code) == SSL_R_WRONG_VERSION_NUMBER)
			loss = SMTP_LOSS_WRONG_PROTOCOL;
	}
	ERR_clear_error();
	return loss;
}
