#include "fake.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PATIENCE_MS = 50000 };

int client_connect(int port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

void client_send(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len) {
		ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return; /* the test sees it in the answer */
		text += sent;
		len -= (size_t)sent;
	}
}

void client_post(int fd, const char *more, const char *body)
{
	char head[1000];

	snprintf(head, sizeof(head),
		"POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		"Content-Length: %zu\r\n%s\r\n",
		strlen(body), more);
	client_send(fd, head);
	client_send(fd, body);
}

/* Waits for bytes, takes `most` at the most. 0: the end. */
static size_t take(int fd, char *at, size_t most)
{
	struct pollfd wanted = { .fd = fd, .events = POLLIN };
	ssize_t len;

	ck_assert_msg(poll(&wanted, 1, PATIENCE_MS) == 1, "nothing came for fifty seconds");
	len = recv(fd, at, most, 0);
	return len > 0 ? (size_t)len : 0;
}

/* Up to the empty line and no byte more, for the next answer may stand behind it. */
static bool read_head(int fd, struct answer *answer)
{
	char byte;

	buf_clear(&answer->head);
	while (answer->head.len < 4 ||
		memcmp(answer->head.at + answer->head.len - 4, "\r\n\r\n", 4)) {
		if (!take(fd, &byte, 1))
			return false;
		buf_add_byte(&answer->head, byte);
	}
	buf_add_byte(&answer->head, '\0');
	return sscanf(answer->head.at, "HTTP/1.%*c %u", &answer->status) == 1;
}

bool client_read(int fd, bool is_head, struct answer *answer)
{
	size_t length;

	if (!answer->head.limit)
		*answer = (struct answer){ 0, buf_born(65536), buf_born(16 << 20) };
	if (!read_head(fd, answer))
		return false;
	buf_clear(&answer->body);
	length = answer->status == 100 || is_head
			 ? 0
			 : strtoul(answer_header(answer, "Content-Length"), NULL, 10);
	while (answer->body.len < length) {
		size_t wanted = length - answer->body.len;
		char *at = buf_reserve(&answer->body, wanted);
		size_t len = at ? take(fd, at, wanted) : 0;

		if (!len)
			return false;
		buf_took(&answer->body, len);
	}
	buf_add_byte(&answer->body, '\0');
	return true;
}

bool client_sees_end(int fd)
{
	char byte;

	return take(fd, &byte, 1) == 0;
}

void answer_free(struct answer *answer)
{
	buf_free(&answer->head);
	buf_free(&answer->body);
}

const char *answer_header(const struct answer *answer, const char *name)
{
	static _Thread_local char value[256];
	struct text rest = text_of(answer->head.at);

	while (rest.len) {
		struct text line = text_cut(&rest, '\n'), field = text_cut(&line, ':');

		if (text_equal_nocase(field, text_of(name))) {
			line.len -= line.len && line.at[line.len - 1] == '\r';
			line = text_trim(line);
			snprintf(value, sizeof(value), "%.*s", (int)line.len, line.at);
			return value;
		}
	}
	return "";
}

bool answer_has(const struct answer *answer, const char *words)
{
	return strstr(answer->body.at, words);
}

static unsigned ask(int port, const struct buf *request, struct answer *answer)
{
	int fd = client_connect(port);

	ck_assert_int_ge(fd, 0);
	client_send(fd, request->at);
	ck_assert(client_read(fd, false, answer));
	close(fd);
	return answer->status;
}

unsigned post(int port, const char *path, const char *json, struct answer *answer)
{
	struct buf request = buf_born(64 << 20);
	unsigned status;

	buf_addf(&request,
		"POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		path, strlen(json));
	buf_add_string(&request, json);
	buf_add_byte(&request, '\0');
	status = ask(port, &request, answer);
	buf_free(&request);
	return status;
}

unsigned get(int port, const char *path, struct answer *answer)
{
	struct buf request = buf_born(65536);
	unsigned status;

	buf_addf(&request, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer key\r\n\r\n", path);
	buf_add_byte(&request, '\0');
	status = ask(port, &request, answer);
	buf_free(&request);
	return status;
}
