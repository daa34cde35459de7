/* load - settings for a test, out of a literal environment */
#pragma once

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/settings/settings.h"

enum { LOAD_WHY = 2048 };

/* `environment`: lines of NAME=VALUE, NULL-ended. NULL: refused, the line is in `why`. */
static inline struct settings *load(
	const char *const *args, const char *const *environment, char why[LOAD_WHY])
{
	struct settings *settings = NULL;
	struct buf line = buf_born(LOAD_WHY);
	enum err err =
		settings_load((char *const *)args, (char *const *)environment, &settings, &line);

	snprintf(why, LOAD_WHY, "%.*s", (int)line.len, line.len ? line.at : "");
	ck_assert_int_eq(err != OK, settings == NULL);
	ck_assert_msg(!err || line.len, "refused without a word");
	buf_free(&line);
	return settings;
}

/* A file of that content; its path is to be unlinked and freed. */
static inline char *file_of(const char *content)
{
	char *path = strdup("/tmp/lettergate-test-XXXXXX");
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	close(fd);
	return path;
}

static inline void remove_file(char *path)
{
	unlink(path);
	free(path);
}

/* The same out of a file of that content, read as --config. */
static inline struct settings *load_file(
	const char *content, const char *const *environment, char why[LOAD_WHY])
{
	char *path = file_of(content);
	const char *args[] = { "--config", path, NULL };
	struct settings *settings = load(args, environment, why);

	remove_file(path);
	return settings;
}
