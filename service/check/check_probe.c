#include "service/check/check_probe.h"

#include "service/clock.h"

#include <openssl/err.h>
#include <string.h>

static const struct text request = TEXT("GET / HTTP/1.0\r\n\r\n");

/* ---- TLS, without a look at the certificate */

static SSL *new_tls(const char *name)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context ? SSL_new(context) : NULL;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	SSL_CTX_free(context);
	if (!ssl || !in || !out) {
		BIO_free(in);
		BIO_free(out);
		SSL_free(ssl);
		return NULL;
	}
	SSL_set_bio(ssl, in, out); /* takes both over */
	SSL_set_connect_state(ssl);
	if (name[0])
		(void)SSL_set_tlsext_host_name(ssl, name);
	return ssl;
}

/* What TLS wants to say goes out. */
static void flush(struct probe *probe)
{
	BIO *out = SSL_get_wbio(probe->ssl);
	char *bytes;
	long len = BIO_get_mem_data(out, &bytes);
	size_t sent;

	if (len > 0)
		(void)link_write(probe->link, (struct text){ bytes, (size_t)len }, &sent);
	(void)BIO_reset(out);
}

/* ---- what is heard */

static void hear(struct probe *probe, struct text bytes)
{
	bytes = text_head(bytes, sizeof(probe->heard) - probe->heard_len);
	if (bytes.len)
		memcpy(probe->heard + probe->heard_len, bytes.at, bytes.len);
	probe->heard_len += bytes.len;
}

static void hear_through_tls(struct probe *probe)
{
	char bytes[PROBE_HEARD];
	size_t len;
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(probe->ssl);
	if (result != 1) {
		/* an alert, say: it is TLS, and more cannot be learned */
		probe->is_over = SSL_get_error(probe->ssl, result) != SSL_ERROR_WANT_READ;
		flush(probe);
		return;
	}
	while ((result = SSL_read_ex(probe->ssl, bytes, sizeof(bytes), &len)) == 1)
		hear(probe, (struct text){ bytes, len });
	probe->is_over |= SSL_get_error(probe->ssl, result) != SSL_ERROR_WANT_READ;
	flush(probe);
}

static void take(struct probe *probe, struct text bytes)
{
	bool is_first = probe->heard_len == 0 && !probe->is_tls;

	if (probe->ssl && is_first)
		probe->is_tls = speech_of(bytes) == SPEECH_TLS;
	if (probe->is_tls) {
		(void)BIO_write(SSL_get_rbio(probe->ssl), bytes.at, (int)bytes.len);
		hear_through_tls(probe);
	} else {
		hear(probe, bytes);
	}
}

static void read_some(struct probe *probe)
{
	char bytes[4096];
	size_t len;

	switch (link_read(probe->link, bytes, sizeof(bytes), &len)) {
	case LINK_DONE:
		take(probe, (struct text){ bytes, len });
		break;
	case LINK_LOST:
		probe->is_over = true;
		break;
	default:
		break;
	}
}

/* Says what the try begins with. */
static void speak_first(struct probe *probe)
{
	size_t len;

	probe->since_us = now_us();
	if (probe->now == PROBE_HTTP) {
		(void)link_write(probe->link, request, &len);
	} else if (probe->now == PROBE_TLS) {
		probe->ssl = new_tls(probe->wish.name);
		probe->is_over = !probe->ssl;
		if (probe->ssl) {
			(void)SSL_do_handshake(probe->ssl);
			flush(probe);
		}
	}
}

static void told(void *self, enum link_event event)
{
	struct probe *probe = self;

	if (event == LINK_CONNECTED)
		speak_first(probe);
	else if (event == LINK_READY)
		read_some(probe);
	else
		probe->is_over = true;
	if (probe->is_over) { /* or it would go on telling that its end can be read */
		link_close(probe->link);
		probe->link = NULL;
	}
}

/* ---- try by try */

static void begin_try(struct probe *probe)
{
	const struct probe_wish *wish = &probe->wish;

	probe->now = (enum probe_try)(probe->left & -probe->left); /* the lowest bit */
	probe->left &= ~(unsigned)probe->now;
	probe->is_tls = probe->has_asked = false;
	probe->heard_len = 0;
	probe->since_us = now_us();
	probe->is_over = link_open(wish->resolver, wish->loop, wish->host, wish->port, told, probe,
				 &probe->link) != OK;
}

static void end_try(struct probe *probe)
{
	link_close(probe->link);
	probe->link = NULL;
	SSL_free(probe->ssl);
	probe->ssl = NULL;
	probe->now = 0;
}

/* A server that greets does so soon; one that does not is asked. */
static void ask_behind_tls(struct probe *probe)
{
	bool is_silent = probe->is_tls && SSL_is_init_finished(probe->ssl) && !probe->heard_len;

	if (!is_silent || probe->has_asked || !probe->link)
		return;
	if (now_us() - probe->since_us < probe->wish.patience_us / 2)
		return;
	probe->has_asked = true;
	probe->since_us = now_us();
	(void)SSL_write(probe->ssl, request.at, (int)request.len);
	flush(probe);
}

static bool try_is_over(const struct probe *probe)
{
	struct text heard = { probe->heard, probe->heard_len };

	return probe->is_over || text_find(heard, '\n') < heard.len ||
	       heard.len == sizeof(probe->heard) ||
	       now_us() - probe->since_us >= probe->wish.patience_us;
}

/* What was heard, where it tells anything: whoever was spoken to out of turn may have answered
 * anything at all. */
static void conclude(struct probe *probe)
{
	struct text heard = { probe->heard, probe->heard_len };
	bool is_spontaneous = probe->now == PROBE_LISTEN || (probe->is_tls && !probe->has_asked);
	enum speech speech = speech_of(heard);

	if (!is_spontaneous && speech != SPEECH_HTTP && speech != SPEECH_SMTP)
		speech = SPEECH_NONE;
	if (probe->is_tls && speech == SPEECH_NONE)
		speech = SPEECH_TLS;
	probe->behind_tls = probe->is_tls;
	probe->speech = speech;
	probe->line = text_trim(text_head(heard, text_find_control(heard)));
}

/* ---- the interface */

void probe_begin(struct probe *probe, const struct probe_wish *wish)
{
	*probe = (struct probe){ .wish = *wish, .is_begun = true, .left = wish->tries };
}

bool probe_tick(struct probe *probe)
{
	if (!probe->is_begun)
		return true;
	if (probe->now && !try_is_over(probe)) {
		ask_behind_tls(probe);
		return false;
	}
	if (probe->now) {
		conclude(probe);
		end_try(probe);
	}
	if (probe->speech != SPEECH_NONE)
		probe->left = 0;
	if (probe->left)
		begin_try(probe);
	return !probe->now;
}

void probe_end(struct probe *probe)
{
	end_try(probe);
	probe->left = 0;
}
