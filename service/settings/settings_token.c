/* settings_token - the OAuth token, read again from its file */
#include "service/settings/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { TOKEN_BYTES = 16384 };

static bool read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : 1;

	while (got > 0) {
		char *room = buf_reserve(out, 1024);

		got = room ? read(fd, room, 1024) : -1;
		if (got > 0)
			buf_took(out, (size_t)got);
		else if (got < 0 && room && errno == EINTR)
			got = 1;
	}
	if (fd >= 0)
		close(fd);
	return got == 0;
}

enum err settings_read_token(const struct relay_settings *relay, struct buf *token_out)
{
	struct buf read = buf_born(TOKEN_BYTES);
	struct text token = { 0 };

	if (relay->token_file[0] && read_file(relay->token_file, &read))
		token = buf_text(&read);
	while (token.len && (token.at[token.len - 1] == '\n' || token.at[token.len - 1] == '\r'))
		token.len--;
	if (token.len == 0 || !text_is_utf8(token) || text_has_control(token))
		token = text_of(relay->token);
	buf_add(token_out, token);
	buf_wipe(&read);
	return token_out->err;
}
