#include "fake.h"
#include "unit.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A key and a certificate that it signs itself, as PEM. */
static void make(const char *name, gnutls_datum_t *cert, gnutls_datum_t *key)
{
	gnutls_x509_privkey_t private;
	gnutls_x509_crt_t public;

	ck_assert_int_eq(gnutls_x509_privkey_init(&private), 0);
	ck_assert_int_eq(gnutls_x509_privkey_generate(private, GNUTLS_PK_ECDSA,
				 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
		0);
	ck_assert_int_eq(gnutls_x509_crt_init(&public), 0);
	gnutls_x509_crt_set_version(public, 3);
	gnutls_x509_crt_set_serial(public, "\1", 1);
	gnutls_x509_crt_set_dn_by_oid(
		public, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name));
	gnutls_x509_crt_set_activation_time(public, time(NULL) - 60);
	gnutls_x509_crt_set_expiration_time(public, time(NULL) + 3600);
	gnutls_x509_crt_set_key(public, private);
	ck_assert_int_eq(gnutls_x509_crt_sign2(public, public, private, GNUTLS_DIG_SHA256, 0), 0);
	ck_assert_int_eq(gnutls_x509_crt_export2(public, GNUTLS_X509_FMT_PEM, cert), 0);
	ck_assert_int_eq(gnutls_x509_privkey_export2(private, GNUTLS_X509_FMT_PEM, key), 0);
	gnutls_x509_crt_deinit(public);
	gnutls_x509_privkey_deinit(private);
}

/* One request over TLS; the common name that the server showed goes to `name`. */
static void ask(int port, char *name, size_t room)
{
	static const char request[] =
		"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
	gnutls_certificate_credentials_t trust;
	gnutls_session_t session;
	gnutls_x509_crt_t shown;
	unsigned count;
	char answer[4096];
	ssize_t len;
	int fd = client_connect(port), result;

	gnutls_certificate_allocate_credentials(&trust);
	gnutls_init(&session, GNUTLS_CLIENT);
	gnutls_set_default_priority(session);
	gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, trust);
	gnutls_transport_set_int(session, fd);
	gnutls_handshake_set_timeout(session, 10000);
	do
		result = gnutls_handshake(session);
	while (result < 0 && !gnutls_error_is_fatal(result));
	ck_assert_msg(result == 0, "%s", gnutls_strerror(result));
	gnutls_x509_crt_init(&shown);
	gnutls_x509_crt_import(
		shown, gnutls_certificate_get_peers(session, &count), GNUTLS_X509_FMT_DER);
	gnutls_x509_crt_get_dn_by_oid(shown, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &room);
	gnutls_record_send(session, request, sizeof(request) - 1);
	do
		len = gnutls_record_recv(session, answer, sizeof(answer));
	while (len == GNUTLS_E_AGAIN || len == GNUTLS_E_INTERRUPTED);
	ck_assert_int_gt(len, 12);
	ck_assert_int_eq(memcmp(answer, "HTTP/1.1 200", 12), 0);
	gnutls_x509_crt_deinit(shown);
	gnutls_deinit(session);
	gnutls_certificate_free_credentials(trust);
	close(fd);
}

START_TEST(a_certificate_is_shown_and_exchanged)
{
	struct served served;
	gnutls_datum_t cert[2], key[2];
	char name[64];

	make("first", &cert[0], &key[0]);
	make("second", &cert[1], &key[1]);
	served_prepare(&served);
	served.settings.tls_cert = (char *)cert[0].data;
	served.settings.tls_key = (char *)key[0].data;
	served_start(&served);
	ask(served.port, name, sizeof(name));
	ck_assert_str_eq(name, "first");
	/* What does not belong together, or is none, changes nothing. */
	ck_assert_int_eq(server_renew_tls(served.server, (char *)cert[1].data, (char *)key[0].data),
		ERR_TLS);
	ck_assert_int_eq(server_renew_tls(served.server, "rubbish", (char *)key[1].data), ERR_TLS);
	ask(served.port, name, sizeof(name));
	ck_assert_str_eq(name, "first");
	ck_assert_int_eq(
		server_renew_tls(served.server, (char *)cert[1].data, (char *)key[1].data), OK);
	ask(served.port, name, sizeof(name));
	ck_assert_str_eq(name, "second");
	served_stop(&served);
	for (int i = 0; i < 2; i++) {
		gnutls_free(cert[i].data);
		gnutls_free(key[i].data);
	}
}
END_TEST

START_TEST(it_does_not_start_with_a_wrong_one)
{
	struct served served;
	gnutls_datum_t cert[2], key[2];

	make("first", &cert[0], &key[0]);
	make("second", &cert[1], &key[1]);
	served_prepare(&served);
	served.settings.tls_cert = (char *)cert[0].data;
	served.settings.tls_key = (char *)key[1].data;
	ck_assert_int_eq(
		server_open(&served.settings, &served.fake.gateway, &served.server), ERR_TLS);
	fake_close(&served.fake);
	close(served.listener.fd);
	for (int i = 0; i < 2; i++) {
		gnutls_free(cert[i].data);
		gnutls_free(key[i].data);
	}
}
END_TEST

START_TEST(a_handshake_does_not_take_for_ever)
{
	struct served served;
	gnutls_datum_t cert, key;
	int fd;

	make("first", &cert, &key);
	served_prepare(&served);
	served.settings.tls_cert = (char *)cert.data;
	served.settings.tls_key = (char *)key.data;
	served_start(&served);
	fd = client_connect(served.port);
	client_send(fd, "\x16\x03\x01");
	for (int i = 0; i < 50; i++) { /* until the server knows the connection */
		atomic_fetch_add(&served.fake.skew_us, 11000000);
		server_tick(served.server, fake_now_us(&served.fake));
		usleep(10000);
	}
	ck_assert(client_sees_end(fd));
	close(fd);
	served_stop(&served);
	gnutls_free(cert.data);
	gnutls_free(key.data);
}
END_TEST

UNIT_MAIN(certificate, tcase_add_test(cases, a_certificate_is_shown_and_exchanged);
	  tcase_add_test(cases, it_does_not_start_with_a_wrong_one);
	  tcase_add_test(cases, a_handshake_does_not_take_for_ever);)
