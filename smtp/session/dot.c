#include "smtp/session/dot.h"

#include <string.h>

static void pass(struct smtp_dot *dot, struct text run, struct buf *out)
{
	buf_add(out, run);
	dot->inside_line = run.at[run.len - 1] != '\n';
	dot->after_cr = run.at[run.len - 1] == '\r';
}

/* How many bytes stand before the next dot that starts a line, if not at the very start. Looks for
 * dots, as they are rarer than lines; memmem looks at every byte. */
static size_t plain_run(struct text in)
{
	const char *dot = in.at + 1, *end = in.at + in.len;

	while (dot < end && (dot = memchr(dot, '.', (size_t)(end - dot)))) {
		if (dot[-1] == '\n')
			return (size_t)(dot - in.at);
		dot++;
	}
	return in.len;
}

void smtp_dot_stuff(struct smtp_dot *dot, struct text in, struct buf *out)
{
	while (in.len) {
		size_t len = plain_run(in);

		if (!dot->inside_line && in.at[0] == '.')
			buf_add_byte(out, '.');
		pass(dot, text_head(in, len), out);
		in = text_from(in, len);
	}
}

void smtp_dot_end(struct smtp_dot *dot, struct buf *out)
{
	if (dot->inside_line)
		buf_add(out, dot->after_cr ? TEXT("\n") : TEXT("\r\n"));
	buf_add(out, TEXT(".\r\n"));
}
