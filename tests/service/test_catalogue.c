/* The templates that are kept: a folder's, and those that came over HTTP. */
#include "service/template/catalogue.h"
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static char command[200];
static struct catalogue *catalogue;
static struct buf why;

static void make_folder(void)
{
	snprintf(folder, sizeof(folder), "/tmp/catalogue-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(folder));
	why = buf_born(2048);
}

static void remove_folder(void)
{
	catalogue_close(catalogue);
	catalogue = NULL;
	snprintf(command, sizeof(command), "rm -r %s", folder);
	ck_assert_int_eq(system(command), 0);
	buf_free(&why);
}

static void write_bytes(const char *name, struct text text)
{
	char path[400];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "wb");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text.at, 1, text.len, file), text.len);
	ck_assert_int_eq(fclose(file), 0);
}

static void write_file(const char *name, const char *text)
{
	write_bytes(name, text_of(text));
}

static void open_catalogue(void)
{
	enum err err = catalogue_open(folder, &catalogue, &why);

	ck_assert_msg(err == OK, "%.*s", (int)why.len, why.at);
}

static enum err reload(void)
{
	struct shelf *shelf = NULL;
	enum err err = catalogue_read(folder, &shelf, &why);

	if (!err)
		err = catalogue_exchange(catalogue, shelf, &why);
	if (err && shelf)
		catalogue_forget(shelf);
	return err;
}

/* Without a store that is right away. */
static void changed(struct changing *changing)
{
	ck_assert_int_ne(changing->change, 0);
}

static enum template_change put(const char *name, const char *html)
{
	struct template_source source = { .name = text_of(name),
		.parts[TEMPLATE_HTML] = text_of(html) };
	struct changing changing = { .name = source.name, .source = &source, .done = changed };

	catalogue_change(catalogue, &changing);
	if (changing.template) {
		ck_assert(text_equal(changing.template->source.name, source.name));
		catalogue_release(changing.template);
	}
	return changing.change;
}

static enum template_change take_away(const char *name)
{
	struct changing changing = { .name = text_of(name), .done = changed };

	catalogue_change(catalogue, &changing);
	ck_assert_ptr_null(changing.template);
	return changing.change;
}

/* What a part becomes without values; "-": there is no such template or part. */
static const char *rendered(const char *name, enum template_part part)
{
	static char result[1000];
	const struct template *template = catalogue_hold(catalogue, text_of(name));
	struct mustache_view view = { .steps = MUSTACHE_STEPS };
	struct template_fault fault;
	struct region *region;
	struct text text;

	if (!template)
		return "-";
	snprintf(result, sizeof(result), "-");
	ck_assert_int_eq(region_open(1 << 20, &region), OK);
	if (template->parts[part]) {
		ck_assert_int_eq(template_render(template, part, &view, region, &text, &fault), OK);
		snprintf(result, sizeof(result), "%.*s", (int)text.len, text.at);
	}
	region_close(region);
	catalogue_release(template);
	return result;
}

static void count(const struct template *template, void *context)
{
	ck_assert(template->source.name.len);
	++*(size_t *)context;
}

static size_t count_all(void)
{
	size_t all = 0;

	catalogue_list(catalogue, count, &all);
	return all;
}

START_TEST(a_folder_is_read)
{
	write_file("order.subject.mustache", "Order\n");
	write_file("order.text.mustache", "\xef\xbb\xbfText {{> foot}}");
	write_file("order.html.mustache", "<p>{{> foot.html}}</p>");
	write_file("a.b.html.mustache", "dots");
	write_file("_foot.mustache", "foot");
	write_file("_foot.html.mustache", "<hr>{{> foot}}");
	write_file("README", "no template");
	write_file("order.html.mustache~", "{{#an editor's");
	write_file(".order.html.mustache", "{{#hidden");
	open_catalogue();
	ck_assert_uint_eq(count_all(), 2);
	ck_assert_str_eq(rendered("order", TEMPLATE_SUBJECT), "Order");
	ck_assert_str_eq(rendered("order", TEMPLATE_TEXT), "Text foot");
	ck_assert_str_eq(rendered("order", TEMPLATE_HTML), "<p><hr>foot</p>");
	ck_assert_str_eq(rendered("a.b", TEMPLATE_HTML), "dots");
	ck_assert_str_eq(rendered("a.b", TEMPLATE_TEXT), "-");
	ck_assert_str_eq(rendered("foot", TEMPLATE_HTML), "-");
}
END_TEST

START_TEST(without_a_folder_there_is_none)
{
	ck_assert_int_eq(catalogue_open("", &catalogue, &why), OK);
	ck_assert_uint_eq(count_all(), 0);
	ck_assert_str_eq(rendered("order", TEMPLATE_HTML), "-");
}
END_TEST

/* As Kubernetes mounts them: each file a link through a hidden folder that is exchanged. */
START_TEST(links_are_followed)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/..data", folder);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	write_file("..data/order.html.mustache", "linked");
	snprintf(path, sizeof(path), "%s/order.html.mustache", folder);
	ck_assert_int_eq(symlink("..data/order.html.mustache", path), 0);
	open_catalogue();
	ck_assert_str_eq(rendered("order", TEMPLATE_HTML), "linked");
}
END_TEST

static const struct {
	const char *name;
	struct text text;
	enum err err;
	const char *words;
} wrong[] = {
	{ "a.html.mustache", TEXT("a\n {{#x}}"), ERR_SYNTAX,
		"a.html.mustache: line 2, column 2: " },
	{ "a.html.mustache", TEXT("{{> bad}}"), ERR_SYNTAX, "_bad.mustache: line 1, column 3: " },
	{ "_b.mustache", TEXT("{{x"), ERR_SYNTAX, "_b.mustache: line 1, column 1: " },
	{ "a.html.mustache", TEXT("a\0b"), ERR_VALUE, "a control character" },
	{ "a.text.mustache", TEXT("\xff"), ERR_VALUE, "not UTF-8" },
	{ "a.mustache", TEXT(""), ERR_VALUE, "order.subject.mustache" },
	{ "html.mustache", TEXT(""), ERR_VALUE, "order.subject.mustache" },
	{ "_.mustache", TEXT(""), ERR_VALUE, "A-Z a-z 0-9" },
	{ "a b.html.mustache", TEXT(""), ERR_VALUE, "A-Z a-z 0-9" },
	{ "a\nb.html.mustache", TEXT(""), ERR_VALUE, "a?b.html.mustache: " },
};

START_TEST(what_is_wrong_is_named_and_changes_nothing)
{
	write_file("good.html.mustache", "good");
	open_catalogue();
	write_file("good.html.mustache", "new");
	write_bytes(wrong[_i].name, wrong[_i].text);
	if (strstr(wrong[_i].words, "_bad.mustache"))
		write_file("_bad.mustache", "x {{/y}}");
	ck_assert_int_eq(reload(), wrong[_i].err);
	buf_add_byte(&why, '\0');
	ck_assert_msg(strstr(why.at, "TEMPLATES_DIR: ") == why.at, "%s", why.at);
	ck_assert_msg(strstr(why.at, folder) && strstr(why.at, wrong[_i].words), "%s", why.at);
	ck_assert_str_eq(rendered("good", TEMPLATE_HTML), "good");
}
END_TEST

START_TEST(no_folder_and_no_file_are_told)
{
	char path[200];

	ck_assert_int_eq(catalogue_open("/nowhere/at/all", &catalogue, &why), ERR_IO);
	buf_add_byte(&why, '\0');
	ck_assert_str_eq(why.at, "TEMPLATES_DIR: /nowhere/at/all: No such file or directory");
	snprintf(path, sizeof(path), "%s/a.html.mustache", folder);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(catalogue_open(folder, &catalogue, &why), ERR_VALUE);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* nobody writes: opening it must not wait */
	ck_assert_int_eq(catalogue_open(folder, &catalogue, &why), ERR_VALUE);
}
END_TEST

START_TEST(a_file_has_a_bound)
{
	static char text[TEMPLATE_BYTES + 1];

	memset(text, 'x', sizeof(text));
	write_bytes("a.html.mustache", (struct text){ text, TEMPLATE_BYTES });
	open_catalogue();
	write_bytes("a.html.mustache", (struct text){ text, TEMPLATE_BYTES + 1 });
	ck_assert_int_eq(reload(), ERR_LIMIT);
	buf_add_byte(&why, '\0');
	ck_assert_msg(strstr(why.at, "1048576 bytes"), "%s", why.at);
}
END_TEST

START_TEST(what_came_over_http_stays_and_takes_up_new_partials)
{
	write_file("_foot.mustache", "old");
	open_catalogue();
	ck_assert_int_eq(put("mine", "{{> foot}}"), TEMPLATE_MADE);
	ck_assert_int_eq(put("taken", "mine"), TEMPLATE_MADE);
	ck_assert_str_eq(rendered("mine", TEMPLATE_HTML), "old");
	write_file("_foot.mustache", "new");
	write_file("taken.html.mustache", "file");
	ck_assert_int_eq(reload(), OK);
	ck_assert_str_eq(rendered("mine", TEMPLATE_HTML), "new");
	ck_assert_str_eq(rendered("taken", TEMPLATE_HTML), "file");
	ck_assert_uint_eq(count_all(), 2);
}
END_TEST

START_TEST(templates_are_put_and_removed)
{
	write_file("file.html.mustache", "file");
	open_catalogue();
	ck_assert_int_eq(put("a", "1"), TEMPLATE_MADE);
	ck_assert_int_eq(put("a", "2"), TEMPLATE_CHANGED);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "2");
	ck_assert_int_eq(put("a", "{{/x}}"), TEMPLATE_IS_WRONG);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "2");
	ck_assert_int_eq(put("file", "x"), TEMPLATE_IS_FILE);
	ck_assert_int_eq(take_away("file"), TEMPLATE_IS_FILE);
	ck_assert_int_eq(take_away("a"), TEMPLATE_REMOVED);
	ck_assert_int_eq(take_away("a"), TEMPLATE_MISSING);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "-");
	ck_assert_str_eq(rendered("file", TEMPLATE_HTML), "file");
}
END_TEST

START_TEST(a_thousand_are_kept)
{
	char name[20];

	open_catalogue();
	for (int i = 0; i < TEMPLATES_MAX; i++) {
		snprintf(name, sizeof(name), "t%d", i * 7919 % TEMPLATES_MAX);
		ck_assert_int_eq(put(name, name), TEMPLATE_MADE);
	}
	ck_assert_int_eq(put("more", "x"), TEMPLATE_NO_ROOM);
	ck_assert_int_eq(put("t7", "changed"), TEMPLATE_CHANGED);
	ck_assert_str_eq(rendered("t7", TEMPLATE_HTML), "changed");
	ck_assert_str_eq(rendered("t8", TEMPLATE_HTML), "t8");
	ck_assert_uint_eq(count_all(), TEMPLATES_MAX);
	ck_assert_int_eq(take_away("t8"), TEMPLATE_REMOVED);
	ck_assert_int_eq(put("more", "x"), TEMPLATE_MADE);
}
END_TEST

START_TEST(their_memory_has_a_bound)
{
	static char html[TEMPLATE_BYTES];
	char name[20];
	int kept = 0;

	memset(html, 'x', sizeof(html) - 1);
	open_catalogue();
	while (kept <= TEMPLATES_BYTES / TEMPLATE_BYTES) {
		snprintf(name, sizeof(name), "t%d", kept);
		if (put(name, html) != TEMPLATE_MADE)
			break;
		kept++;
	}
	ck_assert_int_ge(kept, 200);
	ck_assert_int_lt(kept, TEMPLATES_BYTES / TEMPLATE_BYTES);
	ck_assert_int_eq(put("more", html), TEMPLATE_NO_ROOM);
	ck_assert_int_eq(put("t0", "small"), TEMPLATE_CHANGED);
	ck_assert_int_eq(put("more", html), TEMPLATE_MADE);
}
END_TEST

static void expect_reload_is_too_much(void)
{
	buf_clear(&why);
	ck_assert_int_eq(reload(), ERR_LIMIT);
	buf_add_byte(&why, '\0');
	ck_assert_str_eq(why.at,
		"TEMPLATES_DIR: with those that came over HTTP there would be more than 1000 "
		"templates, or 256 MB: remove some there, or files");
}

START_TEST(the_folder_and_what_came_over_http_share_one_bound)
{
	char name[20];

	write_file("file.html.mustache", "old");
	open_catalogue();
	for (int i = 1; i < TEMPLATES_MAX; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		ck_assert_int_eq(put(name, "{{> foot}}"), TEMPLATE_MADE);
	}
	write_file("file.html.mustache", "new");
	write_file("_foot.mustache", "foot");
	write_file("t1.html.mustache", "in its place");
	ck_assert_int_eq(reload(), OK);
	write_file("file.html.mustache", "newer");
	write_file("more.html.mustache", "one more");
	write_file("_foot.mustache", "new foot");
	expect_reload_is_too_much();
	ck_assert_uint_eq(count_all(), TEMPLATES_MAX);
	ck_assert_str_eq(rendered("file", TEMPLATE_HTML), "new");
	ck_assert_str_eq(rendered("more", TEMPLATE_HTML), "-");
	ck_assert_str_eq(rendered("t2", TEMPLATE_HTML), "foot");
	ck_assert_int_eq(take_away("t2"), TEMPLATE_REMOVED);
	ck_assert_int_eq(reload(), OK);
	ck_assert_uint_eq(count_all(), TEMPLATES_MAX);
	ck_assert_str_eq(rendered("more", TEMPLATE_HTML), "one more");
	ck_assert_str_eq(rendered("t3", TEMPLATE_HTML), "new foot");
}
END_TEST

/* Each by itself may take up the partial. */
START_TEST(the_folder_and_what_came_over_http_share_their_memory)
{
	static char large[TEMPLATE_BYTES];
	char name[20];

	memset(large, 'x', sizeof(large));
	write_file("_foot.mustache", "foot");
	open_catalogue();
	for (int i = 0; i <= TEMPLATES_BYTES / TEMPLATE_BYTES; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		ck_assert_int_eq(put(name, "{{> foot}}"), TEMPLATE_MADE);
	}
	write_bytes("_foot.mustache", (struct text){ large, sizeof(large) });
	expect_reload_is_too_much();
	ck_assert_str_eq(rendered("t0", TEMPLATE_HTML), "foot");
	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		ck_assert_int_eq(take_away(name), TEMPLATE_REMOVED);
	}
	ck_assert_int_eq(reload(), OK);
}
END_TEST

/* Fifteen partials of a megabyte, which three parts name: there is room for them once. */
START_TEST(the_parts_of_a_template_share_their_partials)
{
	static char large[TEMPLATE_BYTES];
	struct buf html = buf_born(1000);
	char name[40];

	memset(large, 'x', sizeof(large));
	for (int i = 0; i < 15; i++) {
		snprintf(name, sizeof(name), "_p%d.mustache", i);
		write_bytes(name, (struct text){ large, sizeof(large) });
		buf_addf(&html, "{{> p%d}}", i);
	}
	buf_add_byte(&html, '\0');
	write_file("a.subject.mustache", html.at);
	write_file("a.text.mustache", html.at);
	write_file("a.html.mustache", html.at);
	open_catalogue();
	ck_assert_int_eq(put("b", html.at), TEMPLATE_MADE);
	buf_free(&html);
}
END_TEST

START_TEST(a_partial_is_copied)
{
	struct region *region;
	struct text text;

	write_file("_foot.mustache", "foot");
	open_catalogue();
	ck_assert_int_eq(region_open(1000, &region), OK);
	ck_assert_int_eq(catalogue_partial(catalogue, TEXT("head"), region, &text), ERR_MISSING);
	ck_assert_int_eq(catalogue_partial(catalogue, TEXT("foot"), region, &text), OK);
	write_file("_foot.mustache", "new");
	ck_assert_int_eq(reload(), OK);
	ck_assert(text_equal(text, TEXT("foot")));
	region_close(region);
	ck_assert_int_eq(region_open(0, &region), OK);
	ck_assert_int_eq(catalogue_partial(catalogue, TEXT("foot"), region, &text), ERR_LIMIT);
	region_close(region);
}
END_TEST

/* ---- kept elsewhere */

enum { CHANGES = 101 };

/* A store that answers when it is told to. */
static struct catalogue_change *kept[CHANGES];
static size_t kept_count;

static enum err keep(void *self, struct catalogue_change *change, struct text name,
	const struct template *template)
{
	ck_assert_ptr_eq(self, &kept_count);
	ck_assert(!template || text_equal(template->source.name, name));
	kept[kept_count++] = change;
	return OK;
}

/* Under way. */
struct way {
	struct changing changing;
	struct template_source source;
};

static void begin(struct way *way, const char *name, const char *html)
{
	*way = (struct way){ .source = { .name = text_of(name) } };
	if (html)
		way->source.parts[TEMPLATE_HTML] = text_of(html);
	way->changing = (struct changing){
		.name = way->source.name, .source = html ? &way->source : NULL, .done = changed
	};
	catalogue_change(catalogue, &way->changing);
}

/* What becomes of the oldest that is under way. */
static enum template_change end(struct way *way, enum err err, bool was_there)
{
	static size_t ended;

	ck_assert_int_eq(way->changing.change, 0);
	catalogue_kept(kept[ended++], err, was_there);
	if (ended == kept_count)
		ended = kept_count = 0;
	if (way->changing.template)
		catalogue_release(way->changing.template);
	return way->changing.change;
}

START_TEST(a_change_is_seen_when_it_is_kept)
{
	struct way one, other, gone;

	open_catalogue();
	catalogue_keep_in(catalogue, keep, &kept_count);
	begin(&one, "a", "1");
	begin(&other, "a", "2");
	begin(&gone, "b", NULL);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "-");
	ck_assert_int_eq(end(&one, OK, false), TEMPLATE_MADE);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "1");
	ck_assert_int_eq(end(&other, ERR_IO, false), TEMPLATE_NOT_KEPT);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "1");
	ck_assert_int_eq(end(&gone, ERR_MISSING, false), TEMPLATE_MISSING);
	begin(&one, "a", "{{/x}}");
	ck_assert_int_eq(one.changing.change, TEMPLATE_IS_WRONG);
	begin(&one, "b", "3");
	ck_assert_int_eq(end(&one, OK, true), TEMPLATE_CHANGED); /* another process had put it */
	begin(&gone, "c", NULL);
	ck_assert_int_eq(end(&gone, OK, true), TEMPLATE_REMOVED);
	begin(&gone, "a", NULL);
	ck_assert_int_eq(end(&gone, OK, true), TEMPLATE_REMOVED);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "-");
}
END_TEST

static struct changing left;

static struct changing *leave(struct changing *changing)
{
	left = *changing;
	return &left;
}

/* It is kept, or not, when the store can: nobody knows before. */
START_TEST(who_waits_no_longer_is_told_so)
{
	struct way one;

	open_catalogue();
	catalogue_keep_in(catalogue, keep, &kept_count);
	begin(&one, "a", "1");
	ck_assert_uint_eq(catalogue_until_us(kept[0]), 0);
	ck_assert_msg(!catalogue_leave(kept[0]), "he waits on");
	one.changing.leave = leave;
	ck_assert(catalogue_leave(kept[0]));
	ck_assert_int_eq(left.change, TEMPLATE_IN_DOUBT);
	ck_assert_ptr_null(left.template);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "-");
	ck_assert_int_eq(end(&one, OK, false), TEMPLATE_MADE);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "1");
	begin(&one, "a", "2");
	ck_assert_int_eq(end(&one, ERR_DOUBT, false), TEMPLATE_IN_DOUBT);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "1");
}
END_TEST

START_TEST(a_reload_waits_for_no_store)
{
	struct way mine, taken, gone;

	write_file("_foot.mustache", "old");
	open_catalogue();
	ck_assert_int_eq(put("gone", "x"), TEMPLATE_MADE);
	catalogue_keep_in(catalogue, keep, &kept_count);
	begin(&mine, "mine", "{{> foot}}");
	begin(&taken, "taken", "mine");
	begin(&gone, "gone", NULL);
	write_file("_foot.mustache", "new");
	write_file("taken.html.mustache", "file");
	write_file("gone.html.mustache", "file");
	ck_assert_int_eq(reload(), OK);
	ck_assert_int_eq(end(&mine, OK, false), TEMPLATE_MADE);
	ck_assert_str_eq(rendered("mine", TEMPLATE_HTML), "new");
	ck_assert_int_eq(end(&taken, OK, false), TEMPLATE_IS_FILE);
	ck_assert_str_eq(rendered("taken", TEMPLATE_HTML), "file");
	ck_assert_int_eq(end(&gone, OK, true), TEMPLATE_IS_FILE);
	ck_assert_str_eq(rendered("gone", TEMPLATE_HTML), "file");
}
END_TEST

START_TEST(what_is_under_way_has_a_bound)
{
	static struct way ways[CHANGES];

	open_catalogue();
	for (int i = 0; i < TEMPLATES_MAX - 1; i++) {
		char name[20];

		snprintf(name, sizeof(name), "t%d", i);
		ck_assert_int_eq(put(name, name), TEMPLATE_MADE);
	}
	catalogue_keep_in(catalogue, keep, &kept_count);
	begin(&ways[0], "last", "x");
	begin(&ways[1], "more", "x");
	ck_assert_int_eq(ways[1].changing.change, TEMPLATE_NO_ROOM);
	for (int i = 1; i < CHANGES; i++)
		begin(&ways[i], "t1", "x");
	ck_assert_int_eq(ways[CHANGES - 1].changing.change, TEMPLATE_TOO_MANY);
	for (int i = 0; i < CHANGES - 1; i++)
		ck_assert_int_eq(end(&ways[i], OK, i > 0), i ? TEMPLATE_CHANGED : TEMPLATE_MADE);
	begin(&ways[0], "t2", "x");
	ck_assert_int_eq(end(&ways[0], OK, true), TEMPLATE_CHANGED);
	ck_assert_uint_eq(count_all(), TEMPLATES_MAX);
}
END_TEST

static bool is_b(const void *context, struct text name)
{
	return text_equal(name, text_of(context));
}

START_TEST(what_others_have_changed_is_taken_up)
{
	struct template_source source = { .name = TEXT("a"), .parts[TEMPLATE_HTML] = TEXT("1") };
	struct template_fault fault;
	const struct template *held;

	write_file("file.html.mustache", "file");
	open_catalogue();
	ck_assert_int_eq(put("b", "b"), TEMPLATE_MADE);
	ck_assert_int_eq(catalogue_restore(catalogue, &source, 7, &fault), TEMPLATE_MADE);
	held = catalogue_hold(catalogue, TEXT("a"));
	ck_assert_int_eq(catalogue_restore(catalogue, &source, 7, &fault), TEMPLATE_CHANGED);
	ck_assert_msg(catalogue_hold(catalogue, TEXT("a")) == held, "the same is left as it is");
	catalogue_release(held);
	catalogue_release(held);
	source.parts[TEMPLATE_HTML] = TEXT("2");
	ck_assert_int_eq(catalogue_restore(catalogue, &source, 7, &fault), TEMPLATE_MADE);
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "2");
	source.parts[TEMPLATE_TEXT] = TEXT("");
	ck_assert_int_eq(catalogue_restore(catalogue, &source, 7, &fault), TEMPLATE_MADE);
	ck_assert_str_eq(rendered("a", TEMPLATE_TEXT), "");
	source.name = TEXT("file");
	ck_assert_int_eq(catalogue_restore(catalogue, &source, 7, &fault), TEMPLATE_IS_FILE);
	catalogue_retain(catalogue, is_b, "b");
	ck_assert_str_eq(rendered("a", TEMPLATE_HTML), "-");
	ck_assert_str_eq(rendered("b", TEMPLATE_HTML), "b");
	ck_assert_str_eq(rendered("file", TEMPLATE_HTML), "file");
}
END_TEST

/* ---- at the same time */

static atomic_bool is_over;

static void *use(void *unused)
{
	struct region *region;
	size_t used = 0;

	for (; !atomic_load(&is_over); used++) {
		const struct template *template = catalogue_hold(catalogue, TEXT("a"));
		struct mustache_view view = { .steps = MUSTACHE_STEPS };
		struct template_fault fault;
		struct text text;
		size_t all = 0;

		ck_assert_ptr_nonnull(template);
		ck_assert_int_eq(region_open(1 << 20, &region), OK);
		ck_assert_int_eq(
			template_render(template, TEMPLATE_HTML, &view, region, &text, &fault), OK);
		ck_assert(text_equal(text, TEXT("one")) || text_equal(text, TEXT("two")));
		catalogue_release(template);
		catalogue_list(catalogue, count, &all);
		ck_assert_uint_ge(all, 1);
		region_close(region);
	}
	return unused;
}

START_TEST(who_uses_one_is_not_disturbed_by_changes)
{
	pthread_t threads[3];

	write_file("_x.mustache", "x");
	open_catalogue();
	ck_assert_int_eq(put("a", "one"), TEMPLATE_MADE);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, use, NULL), 0);
	for (int i = 0; i < 300; i++) {
		ck_assert_int_eq(put("a", i % 2 ? "one" : "two"), TEMPLATE_CHANGED);
		ck_assert_int_eq(put("b", "{{> x}}"), TEMPLATE_MADE);
		ck_assert_int_eq(reload(), OK);
		ck_assert_int_eq(take_away("b"), TEMPLATE_REMOVED);
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

UNIT_MAIN(catalogue, tcase_add_checked_fixture(cases, make_folder, remove_folder);
	  tcase_add_test(cases, a_folder_is_read);
	  tcase_add_test(cases, without_a_folder_there_is_none);
	  tcase_add_test(cases, links_are_followed);
	  tcase_add_loop_test(cases, what_is_wrong_is_named_and_changes_nothing, 0,
		  (int)(sizeof(wrong) / sizeof(wrong[0])));
	  tcase_add_test(cases, no_folder_and_no_file_are_told);
	  tcase_add_test(cases, a_file_has_a_bound);
	  tcase_add_test(cases, what_came_over_http_stays_and_takes_up_new_partials);
	  tcase_add_test(cases, templates_are_put_and_removed);
	  tcase_add_test(cases, a_thousand_are_kept);
	  tcase_add_test(cases, their_memory_has_a_bound);
	  tcase_add_test(cases, the_folder_and_what_came_over_http_share_one_bound);
	  tcase_add_test(cases, the_folder_and_what_came_over_http_share_their_memory);
	  tcase_add_test(cases, the_parts_of_a_template_share_their_partials);
	  tcase_add_test(cases, a_partial_is_copied);
	  tcase_add_test(cases, a_change_is_seen_when_it_is_kept);
	  tcase_add_test(cases, who_waits_no_longer_is_told_so);
	  tcase_add_test(cases, a_reload_waits_for_no_store);
	  tcase_add_test(cases, what_is_under_way_has_a_bound);
	  tcase_add_test(cases, what_others_have_changed_is_taken_up);
	  tcase_add_test(cases, who_uses_one_is_not_disturbed_by_changes);)
