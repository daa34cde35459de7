/* keys_command - `lettergate keys create|list|revoke|rotate`
 *
 * The key itself goes to standard output, alone on its line; everything for people to standard
 * error, so that KEY=$(lettergate keys create web) does what one hopes. */
#include "service/keys/keys.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "service/keys/keys_option.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE = KEYS_USAGE };
enum { COMMAND_BYTES = 64 << 20, SECRET_BYTES = 32 };

static const char usage[] =
	"usage: lettergate keys create ID [--from PATTERN]... [--to PATTERN]... [--relay NAME]...\n"
	"                              [--scope SCOPE]... [--rate N/s] [--daily N] [--expires T]\n"
	"       lettergate keys list\n"
	"       lettergate keys revoke ID\n"
	"       lettergate keys rotate ID [--overlap 24h]\n"
	"\n"
	"Edits the file that API_KEYS_FILE, or --file, names. A key is shown once, when it is "
	"made;\n"
	"the file holds its hash. A running gateway reads the file again on SIGHUP.\n"
	"\n"
	"  --from, --to   whom it may send as, and to: *, *@example.com, *@*.example.com or an\n"
	"                 address; may be repeated; without it: anyone\n"
	"  --relay        a relay that it may use; may be repeated; without it: any\n"
	"  --scope        send, read, templates, trace, admin; may be repeated; without it: send\n"
	"                 and read (its own messages)\n"
	"  --rate         messages: 50/s, 100/m or 1000/h\n"
	"  --daily        messages in a day (UTC)\n"
	"  --expires      2027-01-01T00:00:00Z, or a date\n"
	"  --overlap      how long the key that is replaced goes on working; without it: not at "
	"all\n";

/* ---- the key */

/* Appends "lg_<id>_<43 characters>" and a NUL. */
static bool make_key(struct text id, struct buf *out)
{
	unsigned char random[SECRET_BYTES], encoded[48];

	if (RAND_bytes(random, sizeof(random)) != 1)
		return false;
	EVP_EncodeBlock(encoded, random, sizeof(random));
	for (size_t i = 0; i < KEY_SECRET_LEN; i++) /* base64url (RFC 4648 section 5) */
		if (encoded[i] == '+' || encoded[i] == '/')
			encoded[i] = encoded[i] == '+' ? '-' : '_';
	buf_add(out, TEXT("lg_"));
	buf_add(out, id);
	buf_add_byte(out, '_');
	buf_add(out, (struct text){ (const char *)encoded, KEY_SECRET_LEN });
	buf_add_byte(out, 0);
	return !out->err;
}

static bool hash_key(const struct buf *key, unsigned char out[KEY_HASH_BYTES])
{
	return EVP_Digest(key->at, key->len - 1, out, NULL, EVP_sha256(), NULL) == 1;
}

/* ---- verbs */

struct editing {
	const struct wishes *wishes;
	const char *path;
	struct region *region;
	struct key_list list;
	struct buf why;
};

static struct key_entry *find(const struct editing *editing)
{
	for (size_t i = 0; i < editing->list.count; i++)
		if (text_equal(editing->list.at[i].id, editing->wishes->id))
			return &editing->list.at[i];
	return NULL;
}

static int fail(const struct editing *editing)
{
	fprintf(stderr, "lettergate keys: %.*s\n", (int)editing->why.len,
		editing->why.at ? editing->why.at : "");
	return EXIT_FAILED;
}

static int fail_with(const struct editing *editing, const char *what)
{
	fprintf(stderr, "lettergate keys: %s: %.*s %s\n", editing->path,
		(int)editing->wishes->id.len, editing->wishes->id.at, what);
	return EXIT_FAILED;
}

/* Writes the file, then shows the key: one that was shown is in force. */
static int finish(struct editing *editing, const struct buf *key)
{
	if (keys_file_write(editing->path, &editing->list, &editing->why))
		return fail(editing);
	if (key)
		puts(key->at);
	fputs("A running gateway takes the change up on SIGHUP.\n", stderr);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int create(struct editing *editing, struct buf *key)
{
	const struct wishes *wishes = editing->wishes;
	struct key_list *list = &editing->list;
	struct key_entry *all, *made;

	if (find(editing))
		return fail_with(editing, "exists already; rotate or revoke it");
	all = region_zalloc(editing->region, list->count + 1, sizeof(*all));
	if (!all || !make_key(wishes->id, key))
		return fail_with(editing, "could not be made");
	if (list->count)
		memcpy(all, list->at, list->count * sizeof(*all));
	made = &all[list->count];
	*made = (struct key_entry){ .id = wishes->id,
		.scopes = wishes->scopes ? wishes->scopes : SCOPE_SEND | SCOPE_READ,
		.from = wishes->from.at,
		.from_count = wishes->from.count,
		.to = wishes->to.at,
		.to_count = wishes->to.count,
		.relays = wishes->relays.at,
		.relay_count = wishes->relays.count,
		.rate = wishes->rate,
		.rate_window_s = wishes->rate_window_s,
		.daily = wishes->daily,
		.expires_ms = wishes->expires_ms };
	if (!hash_key(key, made->hash))
		return fail_with(editing, "could not be made");
	*list = (struct key_list){ all, list->count + 1 };
	if ((made->scopes & SCOPE_SEND) && !made->from_count)
		fputs("This key may send as anyone; --from '*@example.com' would limit it.\n",
			stderr);
	return finish(editing, key);
}

static int revoke(struct editing *editing, struct buf *key)
{
	struct key_entry *entry = find(editing), *end;

	(void)key;
	if (!entry)
		return fail_with(editing, "does not exist");
	end = editing->list.at + editing->list.count;
	memmove(entry, entry + 1, (size_t)(end - entry - 1) * sizeof(*entry));
	editing->list.count--;
	return finish(editing, NULL);
}

static int rotate(struct editing *editing, struct buf *key)
{
	struct key_entry *entry = find(editing);

	if (!entry)
		return fail_with(editing, "does not exist");
	if (!make_key(entry->id, key))
		return fail_with(editing, "could not be made");
	entry->old_expires_ms = 0;
	if (editing->wishes->overlap_ms) {
		memcpy(entry->old_hash, entry->hash, sizeof(entry->hash));
		entry->old_expires_ms =
			(int64_t)time(NULL) * 1000 + (int64_t)editing->wishes->overlap_ms;
	}
	if (!hash_key(key, entry->hash))
		return fail_with(editing, "could not be made");
	return finish(editing, key);
}

/* ---- list */

static void add_limits(struct buf *out, const struct key_entry *entry)
{
	struct tm tm;
	time_t when = (time_t)(entry->expires_ms / 1000);
	char day[32] = "-";

	if (entry->rate)
		buf_addf(out, "%u/%s", entry->rate,
			entry->rate_window_s == 1    ? "s"
			: entry->rate_window_s == 60 ? "m"
						     : "h");
	else
		buf_add_string(out, "-");
	if (entry->daily)
		buf_addf(out, "\t%u", entry->daily);
	else
		buf_add_string(out, "\t-");
	if (entry->expires_ms && gmtime_r(&when, &tm))
		strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_addf(out, "\t%s%s", day, entry->expires_ms && when <= time(NULL) ? " (over)" : "");
}

static void add_patterns(struct buf *out, const struct text *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_byte(out, ',');
		buf_add(out, patterns[i]);
	}
	if (!count)
		buf_add_string(out, "*");
}

static int list(struct editing *editing)
{
	struct buf out = buf_born(COMMAND_BYTES);

	buf_add_string(&out, "ID\tSCOPES\tFROM\tTO\tRATE\tDAILY\tEXPIRES\n");
	for (size_t i = 0; i < editing->list.count; i++) {
		const struct key_entry *entry = &editing->list.at[i];

		buf_add(&out, entry->id);
		buf_add_byte(&out, '\t');
		key_scopes_add(&out, entry->scopes, ",");
		buf_add_byte(&out, '\t');
		add_patterns(&out, entry->from, entry->from_count);
		buf_add_byte(&out, '\t');
		add_patterns(&out, entry->to, entry->to_count);
		buf_add_byte(&out, '\t');
		add_limits(&out, entry);
		buf_add_byte(&out, '\n');
	}
	if (out.len)
		fwrite(out.at, 1, out.len, stdout);
	buf_free(&out);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int run_list(struct editing *editing)
{
	if (keys_file_read(editing->path, editing->region, &editing->list, &editing->why))
		return fail(editing);
	return list(editing);
}

static int run_edit(struct editing *editing, int (*edit)(struct editing *editing, struct buf *key))
{
	struct buf key = buf_born(256);
	const char *why;
	int lock, status;

	if (!editing->wishes->id.len)
		return keys_refuse("", editing->wishes->verb, "wants the id of a key");
	if (!key_id_is_good(editing->wishes->id, &why)) {
		fprintf(stderr, "lettergate keys: %s\n", why);
		return EXIT_USAGE;
	}
	if (keys_file_lock(editing->path, editing->region, &editing->list, &lock, &editing->why))
		return fail(editing);
	status = edit(editing, &key);
	keys_file_unlock(lock);
	buf_wipe(&key);
	return status;
}

static int run(struct editing *editing)
{
	static const struct {
		const char *name;
		int (*edit)(struct editing *editing, struct buf *key);
	} verbs[] = { { "create", create }, { "revoke", revoke }, { "rotate", rotate } };

	if (strcmp(editing->wishes->verb, "list") == 0)
		return run_list(editing);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(editing->wishes->verb, verbs[i].name) == 0)
			return run_edit(editing, verbs[i].edit);
	return keys_refuse("", editing->wishes->verb, "is none of create, list, revoke and rotate");
}

int keys_command(char *const *args, const char *path)
{
	struct wishes wishes = { 0 };
	struct editing editing = { .wishes = &wishes, .why = buf_born(8192) };
	int status;

	for (char *const *word = args; *word; word++)
		if (strcmp(*word, "--help") == 0 || strcmp(*word, "-h") == 0) {
			fputs(usage, stdout);
			return EXIT_DONE;
		}
	if (!*args) {
		fputs("lettergate keys: one of create, list, revoke and rotate is wanted; see "
		      "lettergate keys --help\n",
			stderr);
		return EXIT_USAGE;
	}
	status = keys_options_read(args, &wishes);
	if (status)
		return status;
	editing.path = wishes.file ? wishes.file : path;
	if (!editing.path || !*editing.path) {
		fputs("lettergate keys: API_KEYS_FILE is not set; set it, or give --file FILE\n",
			stderr);
		return EXIT_USAGE;
	}
	if (region_open(COMMAND_BYTES, &editing.region))
		return EXIT_FAILED;
	status = run(&editing);
	region_close(editing.region);
	buf_free(&editing.why);
	return status;
}
