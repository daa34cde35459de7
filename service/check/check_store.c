/* check_store - can the store be used? */
#include "service/check/check_run.h"

#include "service/clock.h"
#include "service/store/backend.h"

#include <inttypes.h>

enum { WORDS = 4096 };

static void add_schema(struct buf *words, const struct store_found *found)
{
	if (found->schema == 0)
		buf_add_string(words, "there is none yet, it is made at the start");
	else if (found->schema < found->newest)
		buf_addf(words, "schema %" PRId64 ", raised to %" PRId64 " at the start",
			found->schema, found->newest);
	else
		buf_addf(words, "schema %" PRId64, found->schema);
}

static void describe(struct buf *words, const char *path, const struct store_found *found)
{
	buf_add_string(words, found->server);
	if (*path == '/')
		buf_addf(words, ", %s", path);
	buf_add_string(words, ": ");
	add_schema(words, found);
	if (found->commits[0])
		buf_addf(words, ", synchronous_commit=%s", found->commits);
	buf_add_string(words,
		found->is_held
			? "; another process has it open (a gateway that runs): looked at from "
			  "outside"
			: ", can be written");
	if (found->unsafe[0])
		buf_addf(words, "; unsafe: %s", found->unsafe);
}

/* The line says which setting it is about; here that is plain. */
static void add_why(struct buf *words, const struct buf *why, enum err err)
{
	struct text text = buf_text(why);

	if (text_starts(text, TEXT("STORE: ")))
		text = text_from(text, sizeof("STORE: ") - 1);
	if (text.len)
		check_add_foreign(words, text);
	else
		buf_add_string(words, err_text(err));
}

static const char *hint_for(const struct store_found *found, enum err err)
{
	if (err == ERR_VALUE)
		return "run the version that wrote it, or a later one";
	if (err == ERR_SYNTAX)
		return "serve does not start with it: restore a backup, or name another place in "
		       "STORE";
	if (err)
		return "serve does not start without it: see STORE";
	if (found->unsafe[0])
		return "a crash of PostgreSQL may lose messages that were answered with 202: set "
		       "these to on";
	return "";
}

bool check_store(const struct settings *settings, const struct check_wish *wish)
{
	struct store_found found = { 0 };
	struct buf words = buf_born(WORDS), why = buf_born(WORDS);
	uint64_t began = now_us();
	enum err err = *settings->store == '/' ? store_sqlite_inspect(settings->store, &found, &why)
					       : store_pg_inspect(settings->store, &found, &why);
	struct check_step step = { .name = "store",
		.mark = err               ? CHECK_FAILED
			: found.unsafe[0] ? CHECK_WARNING
					  : CHECK_OK,
		.us = (int64_t)(now_us() - began),
		.hint = hint_for(&found, err) };

	if (err)
		add_why(&words, &why, err);
	else
		describe(&words, settings->store, &found);
	buf_add_byte(&words, '\0');
	step.words = words.at ? words.at : "";
	if (wish->told)
		wish->told(wish->owner, &step);
	buf_free(&words);
	buf_free(&why);
	return !err;
}
