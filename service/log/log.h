/* log - one event a line on stdout, JSON or text
 *
 * Lines are handed to a writer thread; nobody who logs ever waits for whoever reads. What does not
 * fit is dropped and counted, and the count is logged when there is room again. Every value is
 * escaped; addresses are shown as LOG_ADDRESSES says ("a***@example.com"). */
#pragma once

#include "service/settings/settings.h"

struct log;

MUST_USE enum err log_open(int fd, const struct settings *settings, struct log **log_out);
/* Writes what is left, for up to a second. What comes after that is not written any more. */
void log_finish(struct log *log);
/* The same, if that was not done, and closes it. NULL is fine. */
void log_close(struct log *log);
/* After a reload. */
void log_adjust(struct log *log, const struct settings *settings);
bool log_shows(const struct log *log, enum log_level level);
uint64_t log_dropped(const struct log *log);

/* A line is built on the caller's stack and handed over at its end:
 *   struct log_line line = log_line(log, LOG_INFO, "send");
 *   log_text(&line, "relay", name);
 *   log_end(&line);
 * Below the level in force nothing is built. */
struct log_line {
	struct log *log; /* NULL: not shown, the rest does nothing */
	bool is_text, cut;
	size_t len;
	char at[2048];
};
struct log_line log_line(struct log *log, enum log_level level, const char *event);
void log_text(struct log_line *line, const char *name, struct text value); /* empty: left out */
void log_string(struct log_line *line, const char *name, const char *value);
void log_u64(struct log_line *line, const char *name, uint64_t value);
void log_ms(struct log_line *line, const char *name, uint64_t us); /* microseconds, as ms */
void log_address(struct log_line *line, const char *name, struct text address);
/* A sentence that is not ours: addresses in it are shown as those of log_address. */
void log_words(struct log_line *line, const char *name, struct text words);
void log_end(struct log_line *line);
