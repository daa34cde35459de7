#include "dkim_unit.h"

#include <openssl/pem.h>
#include <openssl/rsa.h>

static const char *refused(struct text pem, const char *domain, const char *selector)
{
	struct dkim_key *key = NULL;
	const char *why = NULL;

	ck_assert_int_eq(
		dkim_key_open(pem, text_of(domain), text_of(selector), &key, &why), ERR_VALUE);
	ck_assert_ptr_null(key);
	ck_assert_ptr_nonnull(why);
	return why;
}

static struct text text_in(BIO *bio)
{
	struct text text;

	text.len = (size_t)BIO_get_mem_data(bio, &text.at);
	return text;
}

/* PEM of a key made here; `cipher` may be NULL. */
static struct buf pem_of(EVP_PKEY *pkey, const EVP_CIPHER *cipher)
{
	struct buf pem = buf_born(1 << 16);
	BIO *bio = BIO_new(BIO_s_mem());

	ck_assert_ptr_nonnull(pkey);
	ck_assert_int_eq(PEM_write_bio_PrivateKey(bio, pkey, cipher,
				 (const unsigned char *)(cipher ? "pass" : NULL), cipher ? 4 : 0,
				 NULL, NULL),
		1);
	buf_add(&pem, text_in(bio));
	BIO_free(bio);
	return pem;
}

static void check_refused(EVP_PKEY *pkey, const EVP_CIPHER *cipher, const char *word)
{
	struct buf pem = pem_of(pkey, cipher);
	const char *why = refused(buf_text(&pem), "example.com", "s");

	ck_assert_msg(strstr(why, word), "%s", why);
	buf_free(&pem);
	EVP_PKEY_free(pkey);
}

/* Four primes take a fraction of the time that two do. */
static EVP_PKEY *make_rsa(const char *kind, int bits, int primes)
{
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, kind, NULL);
	EVP_PKEY *pkey = NULL;

	ck_assert_int_eq(EVP_PKEY_keygen_init(context), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_keygen_bits(context, bits), 1);
	ck_assert_int_eq(EVP_PKEY_CTX_set_rsa_keygen_primes(context, primes), 1);
	ck_assert_int_eq(EVP_PKEY_keygen(context, &pkey), 1);
	EVP_PKEY_CTX_free(context);
	return pkey;
}

START_TEST(keys_that_cannot_sign_are_refused)
{
	check_refused(make_rsa("RSA", 1016, 2), NULL, "under 1024");
	check_refused(make_rsa("RSA", 4104, 4), NULL, "over 4096");
	check_refused(EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"), NULL, "an EC key");
	check_refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED448"), NULL, "kind");
	check_refused(EVP_PKEY_Q_keygen(NULL, NULL, "X25519"), NULL, "kind");
	check_refused(make_rsa("RSA-PSS", 1024, 2), NULL, "kind");
	check_refused(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"), EVP_aes_128_cbc(), "encrypted");
}
END_TEST

START_TEST(what_is_no_private_key_is_named)
{
	static const struct {
		struct text pem;
		const char *word;
	} rows[] = {
		{ TEXT(""), "no private key" },
		{ TEXT("example.key"), "no private key" },
		{ TEXT("-----BEGIN PRIVATE KEY-----"), "damaged" },
		{ TEXT("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
			"damaged" },
		{ TEXT("-----BEGIN PUBLIC KEY-----\n"
		       "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
		       "-----END PUBLIC KEY-----\n"),
			"public key" },
		{ TEXT("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
			"certificate" },
		{ TEXT("-----BEGIN OPENSSH PRIVATE KEY-----\n"
		       "AAAA\n-----END OPENSSH PRIVATE KEY-----\n"),
			"OpenSSH" },
		{ TEXT("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
		       "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
		       "AAAAAAAAAAAAAAAAAAAAAA==\n-----END RSA PRIVATE KEY-----\n"),
			"encrypted" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *why = refused(rows[i].pem, "example.com", "s");

		ck_assert_msg(strstr(why, rows[i].word), "%zu: %s", i, why);
	}
}
END_TEST

START_TEST(a_pem_too_long_is_refused)
{
	struct buf pem = buf_born(1 << 20);

	while (pem.len <= 1 << 16)
		buf_add_string(&pem, example_ed25519);
	ck_assert_ptr_nonnull(strstr(refused(buf_text(&pem), "example.com", "s"), "too long"));
	buf_free(&pem);
}
END_TEST

static void check_damaged(const unsigned char *der, int len)
{
	BIO *bio = BIO_new(BIO_s_mem());

	ck_assert_int_gt(PEM_write_bio(bio, "RSA PRIVATE KEY", "", der, len), 0);
	ck_assert_ptr_nonnull(strstr(refused(text_in(bio), "example.com", "s"), "damaged"));
	BIO_free(bio);
}

/* It still reads as a key with a bit of its modulus or exponent changed; what it signs then is good
 * for nobody. */
START_TEST(a_key_whose_halves_do_not_fit_is_refused)
{
	EVP_PKEY *pkey = make_rsa("RSA", 1024, 2);
	unsigned char *der = NULL, *exponent;
	int len = i2d_PrivateKey(pkey, &der);

	ck_assert_int_gt(len, 200);
	der[60] ^= 0x10;
	check_damaged(der, len);
	der[60] ^= 0x10;
	exponent = memmem(der, (size_t)len, "\x02\x03\x01\x00\x01", 5);
	ck_assert_ptr_nonnull(exponent);
	exponent[4] ^= 0x02;
	check_damaged(der, len);
	OPENSSL_free(der);
	EVP_PKEY_free(pkey);
}
END_TEST

#define NAME_255 LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63

START_TEST(names_that_are_none_are_refused)
{
	static const char *const domains[] = { "", "example", "example.com.", ".example.com",
		"example..com", "-a.example.com", "a-.example.com", "exa mple.com",
		"a_b.example.com",
		"b\xc3\xbc"
		"cher.example",
		"example.com;x=y", "example.com\r\nX: y", NAME_255, LABEL_63 "x.example.com",
		"a@example.com" };
	static const char *const selectors[] = { "", ".", "a.", ".a", "a..b", "-", "a-", "a b",
		"a;b", "a_b", "\xc3\xa4", "a\r\n", NAME_255, LABEL_63 "x" };
	struct text pem = text_of(example_ed25519);

	for (size_t i = 0; i < sizeof(domains) / sizeof(domains[0]); i++)
		(void)refused(pem, domains[i], "s");
	for (size_t i = 0; i < sizeof(selectors) / sizeof(selectors[0]); i++)
		(void)refused(pem, "example.com", selectors[i]);
	ck_assert_ptr_nonnull(
		strstr(refused(pem, LABEL_63 "." LABEL_63 "." LABEL_63, LABEL_63), "together"));
}
END_TEST

START_TEST(a_key_tells_its_names_and_its_record)
{
	struct dkim_key *small = open_key(example_rsa, "Football.Example.COM", "Test.2026-1");
	struct dkim_key *ed25519 = open_key(example_ed25519, "a.b", LABEL_63 ".s");
	EVP_PKEY *pkey = make_rsa("RSA", 2048, 2);
	struct buf pem = pem_of(pkey, NULL), record = buf_born(1024);
	struct dkim_key *usual;

	buf_add_byte(&pem, 0); /* as a string; and without its last line end */
	pem.at[strlen(pem.at) - 1] = 0;
	usual = open_key(pem.at, "example.com", "s");
	ck_assert(text_equal(dkim_key_domain(small), TEXT("football.example.com")));
	ck_assert(text_equal(dkim_key_selector(small), TEXT("Test.2026-1")));
	ck_assert(text_equal(dkim_key_selector(ed25519), TEXT(LABEL_63 ".s")));
	ck_assert_ptr_nonnull(strstr(dkim_key_warning(small), "2048"));
	ck_assert_ptr_null(dkim_key_warning(ed25519));
	ck_assert_ptr_null(dkim_key_warning(usual));
	dkim_key_record(small, &record);
	ck_assert(text_equal(buf_text(&record), text_of(example_rsa_record)));
	buf_clear(&record);
	dkim_key_record(ed25519, &record);
	ck_assert(text_equal(buf_text(&record), text_of(example_ed25519_record)));
	buf_free(&record);
	buf_free(&pem);
	EVP_PKEY_free(pkey);
	dkim_key_close(small);
	dkim_key_close(ed25519);
	dkim_key_close(usual);
	dkim_key_close(NULL);
}
END_TEST

UNIT_MAIN(dkim_key, tcase_add_test(cases, keys_that_cannot_sign_are_refused);
	  tcase_add_test(cases, what_is_no_private_key_is_named);
	  tcase_add_test(cases, a_pem_too_long_is_refused);
	  tcase_add_test(cases, a_key_whose_halves_do_not_fit_is_refused);
	  tcase_add_test(cases, names_that_are_none_are_refused);
	  tcase_add_test(cases, a_key_tells_its_names_and_its_record);)
