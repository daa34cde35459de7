/* sink_smtp - the talk of the sink: commands and content in, replies out. See sink.h. */
#include "sink.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void sink_say(struct sink_conn *conn, const char *line)
{
	size_t len = strlen(line);

	if (conn->out_len + len > SINK_OUT) {
		conn->closing = true; /* a client that reads no answers */
		return;
	}
	memcpy(conn->out + conn->out_len, line, len);
	conn->out_len += len;
}

static void say_features(struct sink_conn *conn, const struct sink_settings *settings)
{
	sink_say(conn, "250-sink\r\n");
	if (settings->pipelining)
		sink_say(conn, "250-PIPELINING\r\n");
	if (settings->chunking)
		sink_say(conn, "250-CHUNKING\r\n");
	if (settings->tls && !conn->ssl)
		sink_say(conn, "250-STARTTLS\r\n");
	sink_say(conn, "250-SIZE 0\r\n250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n");
}

static void message_taken(struct sink_conn *conn, struct sink_counts *counts)
{
	char line[64];

	counts->messages++;
	snprintf(line, sizeof(line), "250 2.0.0 Ok: queued as S%llX\r\n",
		(unsigned long long)counts->messages);
	sink_say(conn, line);
	conn->mode = SINK_COMMAND;
	if (counts->hold_ms) {
		conn->due_ms = counts->hold_ms;
		conn->due_reply = true;
	}
}

static void begin_chunk(struct sink_conn *conn, const char *args)
{
	char *end;

	conn->chunk_left = strtoull(args, &end, 10);
	conn->last = strncasecmp(end, " LAST", 5) == 0;
	conn->mode = SINK_BDAT;
}

static void take_command(
	struct sink_conn *conn, const struct sink_settings *settings, const char *line)
{
	if (strncasecmp(line, "EHLO", 4) == 0) {
		say_features(conn, settings);
	} else if (strncasecmp(line, "BDAT ", 5) == 0) {
		begin_chunk(conn, line + 5);
	} else if (strncasecmp(line, "DATA", 4) == 0) {
		sink_say(conn, "354 End data with <CR><LF>.<CR><LF>\r\n");
		conn->mode = SINK_DATA;
		conn->dot = 2;
	} else if (strncasecmp(line, "QUIT", 4) == 0) {
		sink_say(conn, "221 2.0.0 Bye\r\n");
		conn->closing = true;
	} else if (strncasecmp(line, "STARTTLS", 8) == 0) {
		sink_say(conn, "220 2.0.0 Ready to start TLS\r\n");
		conn->starting = true;
	} else if (strncasecmp(line, "MAIL", 4) == 0) {
		sink_say(conn, "250 2.1.0 Ok\r\n");
	} else if (strncasecmp(line, "RCPT", 4) == 0) {
		sink_say(conn, "250 2.1.5 Ok\r\n");
	} else {
		sink_say(conn, "250 2.0.0 Ok\r\n");
	}
}

/* How many bytes of `at` belong to the content; conn->dot is 5 once its end was seen. Jumps from CR
 * to CR, as most lines hold nothing else of interest. */
static size_t scan_data(struct sink_conn *conn, const char *at, size_t len)
{
	static const char end[] = "\r\n.\r\n";
	size_t place = 0;

	while (place < len && conn->dot < 5) {
		if (conn->dot == 0) {
			const char *cr = memchr(at + place, '\r', len - place);

			if (!cr)
				return len;
			place = (size_t)(cr - at) + 1;
			conn->dot = 1;
		} else if (at[place] == end[conn->dot]) {
			conn->dot++;
			place++;
		} else {
			conn->dot = at[place] == '\r';
			place++;
		}
	}
	return place;
}

static size_t take_content(
	struct sink_conn *conn, struct sink_counts *counts, const char *at, size_t len)
{
	size_t used;

	if (conn->mode == SINK_DATA) {
		used = scan_data(conn, at, len);
		counts->bytes += used;
		if (conn->dot == 5) {
			conn->dot = 0;
			message_taken(conn, counts);
		}
		return used;
	}
	used = len < conn->chunk_left ? len : (size_t)conn->chunk_left;
	counts->bytes += used;
	conn->chunk_left -= used;
	if (conn->chunk_left == 0) {
		if (conn->last)
			message_taken(conn, counts);
		else
			sink_say(conn, "250 2.0.0 Ok\r\n");
		conn->mode = SINK_COMMAND;
	}
	return used;
}

/* A line's length with its end, or 0; the line is ended with NUL in place. */
static size_t cut_line(char *at, size_t len)
{
	char *lf = memchr(at, '\n', len);

	if (!lf)
		return 0;
	*lf = '\0';
	return (size_t)(lf - at) + 1;
}

void sink_take(
	struct sink_conn *conn, const struct sink_settings *settings, struct sink_counts *counts)
{
	size_t place = 0;

	while (!conn->closing && !conn->starting && !conn->due_ms) {
		size_t left = conn->in_len - place, used;
		char *at = conn->in + place;

		if (conn->mode == SINK_BDAT && conn->chunk_left == 0) {
			(void)take_content(conn, counts, at, 0);
			continue;
		}
		if (left == 0)
			break;
		if (conn->mode == SINK_COMMAND) {
			used = cut_line(at, left);
			if (used == 0)
				break;
			take_command(conn, settings, at);
		} else {
			used = take_content(conn, counts, at, left);
		}
		place += used;
	}
	conn->in_len -= place;
	memmove(conn->in, conn->in + place, conn->in_len);
	if (conn->in_len == SINK_IN)
		conn->closing = true; /* a line without an end */
}
