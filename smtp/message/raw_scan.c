/* raw_scan - the line ends of a message, in one pass
 *
 * text_find_control takes eight bytes at a time: the cost is that of the lines, not of the bytes.
 */
#include "smtp/message/raw_part.h"

static void end_line(struct smtp_raw_scan *scan, size_t len)
{
	scan->lines++;
	if (len > scan->longest)
		scan->longest = len;
	if (len > SMTP_RAW_LINE && !scan->long_line)
		scan->long_line = scan->lines;
}

/* Many line ends in a row are not worth a call each. */
static size_t find_control(struct text bytes, size_t at)
{
	for (size_t i = 0; i < 4 && at < bytes.len; i++, at++)
		if ((unsigned char)bytes.at[at] < ' ')
			return at;
	return at + text_find_control(text_from(bytes, at));
}

enum err smtp_raw_scan(struct text bytes, struct smtp_raw_scan *scan_out, const char **why_out)
{
	struct smtp_raw_scan scan = { 0 };
	const char *why = NULL;
	size_t start = 0, at = 0;

	while (!why && (at = find_control(bytes, at)) < bytes.len) {
		char byte = bytes.at[at++];

		if (byte == '\n') {
			scan.bare++;
			end_line(&scan, at - 1 - start);
			start = at;
		} else if (byte == '\r' && at < bytes.len && bytes.at[at] == '\n') {
			end_line(&scan, at - 1 - start);
			start = ++at;
		} else if (byte == '\r') {
			why = "a CR stands without an LF";
		} else if (byte == 0) {
			why = "there is a NUL";
		}
	}
	if (!why && start < bytes.len)
		end_line(&scan, bytes.len - start);
	*scan_out = scan;
	*why_out = why;
	return why ? ERR_VALUE : OK;
}
