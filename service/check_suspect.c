/* check_suspect - does a port that keeps silent speak TLS?
 *
 * A relay that wants TLS from the first byte waits for ours, and says nothing until its patience
 * ends. So where no greeting comes, a second connection says a ClientHello: what answers that
 * speaks TLS. The first one goes on waiting meanwhile. */
#include "service/check_run.h"

#include "service/clock.h"

enum { SILENCE_US = 3000000, RECORD_ALERT = 0x15, RECORD_HANDSHAKE = 0x16 };

/* Appends a ClientHello. */
static void add_hello(struct buf *hello)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	SSL *ssl = context ? SSL_new(context) : NULL;
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	char *bytes;
	long len;

	if (ssl && in && out) {
		SSL_set_bio(ssl, in, out); /* takes both over */
		(void)SSL_connect(ssl);
		len = BIO_get_mem_data(out, &bytes);
		buf_add(hello, (struct text){ bytes, len > 0 ? (size_t)len : 0 });
	} else {
		BIO_free(in);
		BIO_free(out);
	}
	SSL_free(ssl);
	SSL_CTX_free(context);
}

static void told(void *self, enum link_event event)
{
	struct check_run *run = self;
	struct buf hello = buf_born(16384);
	char start[3];
	size_t len = 0;

	if (event == LINK_CONNECTED) {
		add_hello(&hello);
		(void)link_write(run->second, buf_text(&hello), &len);
	} else if (event == LINK_READY &&
		   link_read(run->second, start, sizeof(start), &len) == LINK_DONE) {
		run->speaks_tls |= len > 1 && start[1] == 3 &&
				   (start[0] == RECORD_ALERT || start[0] == RECORD_HANDSHAKE);
	}
	if (event != LINK_CONNECTED)
		run->second_is_over = true;
	buf_free(&hello);
}

void check_suspect(struct check_run *run)
{
	uint64_t patience = run->settings->command_ms * 1000ull / 2;
	bool is_silent =
		now_us() - run->since_us >= (patience < SILENCE_US ? patience : SILENCE_US);

	if (run->session.state != SMTP_AWAIT_GREETING || run->settings->tls == SMTP_TLS_IMPLICIT)
		return;
	if (is_silent && !run->second && !run->second_is_over)
		run->second_is_over = link_open(run->resolver, &run->loop, run->used->host,
					      run->settings->port, told, run, &run->second) != OK;
	if (run->second && run->second_is_over) {
		link_close(run->second);
		run->second = NULL;
	}
	if (run->speaks_tls)
		smtp_session_lost(&run->session, SMTP_LOSS_WRONG_PROTOCOL,
			"the port wants TLS from the first byte");
}
