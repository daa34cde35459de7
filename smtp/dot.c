#include "smtp/dot.h"

static void pass(struct smtp_dot *dot, struct text run, struct buf *out)
{
	if (run.len == 0)
		return;
	buf_add(out, run);
	dot->inside_line = run.at[run.len - 1] != '\n';
	dot->after_cr = run.at[run.len - 1] == '\r';
}

void smtp_dot_stuff(struct smtp_dot *dot, struct text in, struct buf *out)
{
	while (in.len) {
		size_t line = text_find(in, '\n');

		if (!dot->inside_line && in.at[0] == '.')
			buf_add_byte(out, '.');
		pass(dot, text_head(in, line + 1), out);
		in = text_from(in, line + 1);
	}
}

void smtp_dot_end(struct smtp_dot *dot, struct buf *out)
{
	if (dot->inside_line)
		buf_add(out, dot->after_cr ? TEXT("\n") : TEXT("\r\n"));
	buf_add(out, TEXT(".\r\n"));
}
