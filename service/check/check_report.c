/* check_report - steps as they are added, and words made safe to print */
#include "service/check/check_run.h"

#include "service/clock.h"

#include <string.h>

static const char *keep(struct check_report *report, struct text text)
{
	struct text copy = region_copy(report->region, text);

	return copy.at ? copy.at : "";
}

void check_add(struct check_run *run, const char *name, enum check_mark mark, bool timed,
	const struct buf *words, const char *hint)
{
	struct check_report *report = run->report;
	uint64_t now = now_us();
	struct check_step *step = &report->steps[report->count];

	if (report->count == CHECK_STEPS)
		return;
	*step = (struct check_step){ .name = name,
		.mark = mark,
		.us = timed ? (int64_t)(now - run->since_us) : -1,
		.words = keep(report, buf_text(words)),
		.hint = keep(report, text_of(hint)) };
	report->count++;
	if (timed)
		run->since_us = now;
	if (run->wish->told)
		run->wish->told(run->wish->owner, step);
}

void check_note(struct check_run *run, const char *name, enum check_mark mark, const char *words,
	const char *hint)
{
	struct buf line = buf_born(4096);

	buf_add_string(&line, words);
	check_add(run, name, mark, false, &line, hint);
	buf_free(&line);
}

void check_fail(struct check_run *run, const char *name, const struct buf *words, const char *hint)
{
	struct text why = buf_text(words);

	check_add(run, name, CHECK_FAILED, true, words, hint);
	run->report->why = keep(run->report, text_cut(&why, '\n'));
	run->report->is_sendable = false;
	run->stage = CHECK_OVER;
}

/* Bytes of the UTF-8 character at the start, 0: none that may be shown. */
static size_t shown_character(struct text text)
{
	for (size_t len = 1; len <= 4 && len <= text.len; len++)
		if (text_is_utf8(text_head(text, len)))
			return text_has_control(text_head(text, len)) ? 0 : len;
	return 0;
}

void check_add_foreign(struct buf *out, struct text text)
{
	while (text.len) {
		size_t len = shown_character(text);

		buf_add(out, len ? text_head(text, len) : TEXT("?"));
		text = text_from(text, len ? len : 1);
	}
}

void check_add_said(struct buf *out, const struct smtp_said *said)
{
	buf_addf(out, "%u ", said->code);
	if (said->enhanced.class)
		buf_addf(out, "%u.%u.%u ", said->enhanced.class, said->enhanced.subject,
			said->enhanced.detail);
	check_add_foreign(out, said->text);
}

void check_report_free(struct check_report *report)
{
	region_close(report->region);
	*report = (struct check_report){ 0 };
}
