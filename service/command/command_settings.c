#include "service/command/command_settings.h"

#include "service/settings/settings.h"

#include <stdio.h>
#include <string.h>

enum { EXIT_SETTINGS = 2, OUTPUT_BYTES = 1 << 20 };

extern char **environ;

static int print(struct buf *out)
{
	bool written = !out->err && fwrite(out->at, 1, out->len, stdout) == out->len;

	buf_free(out);
	return written ? 0 : 1;
}

int settings_command(char *const *args)
{
	struct buf out = buf_born(OUTPUT_BYTES), why = buf_born(2048);
	struct settings *settings;

	if (args[0] && strcmp(args[0], "--markdown") == 0) {
		settings_print(NULL, true, &out);
		return print(&out);
	}
	if (settings_load(args, environ, &settings, &why)) {
		fprintf(stderr, "lettergate: %.*s\n", (int)why.len, why.at ? why.at : "");
		buf_free(&why);
		return EXIT_SETTINGS;
	}
	settings_print(settings, false, &out);
	settings_free(settings);
	buf_free(&why);
	return print(&out);
}
