/* shelf_read - TEMPLATES_DIR: name.subject.mustache, name.text.mustache, name.html.mustache, and
 * partials as _name.mustache
 *
 * What does not end in .mustache, or begins with a dot, is no template: editors' copies, what
 * Kubernetes mounts beside the files. What ends so and is called otherwise is an error: it would be
 * missed only when a mail is to be sent. */
#include "service/template/shelf.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES_MAX = 4 * TEMPLATES_MAX, FOLDER_BYTES = 64 << 20 };

static const struct text ending = { ".mustache", sizeof(".mustache") - 1 };

struct file {
	struct text path; /* its name in the folder */
	struct text name; /* of the template or partial */
	bool is_partial;
	enum template_part part;
	struct text text;
	int64_t changed_ms;
};

/* One reading of a folder. */
struct reading {
	const char *folder;
	int fd;
	struct region *region; /* for the time of reading */
	struct file *files;    /* FILES_MAX of them */
	size_t count;
	struct shelf *shelf;
	struct buf *why;
};

static enum err wrong(const struct reading *reading, enum err err, struct text path,
	const char *format, ...) __attribute__((format(printf, 4, 5)));

/* "TEMPLATES_DIR: FOLDER/PATH: …"; without a path it is about the folder. */
static enum err wrong(
	const struct reading *reading, enum err err, struct text path, const char *format, ...)
{
	char words[800];
	va_list args;

	va_start(args, format);
	vsnprintf(words, sizeof(words), format, args);
	va_end(args);
	buf_clear(reading->why);
	buf_addf(reading->why, "TEMPLATES_DIR: %s%s%.*s: %s", reading->folder, path.len ? "/" : "",
		(int)path.len, path.len ? path.at : "", words);
	for (size_t i = 0; i < reading->why->len; i++) /* one line, whatever a file is called */
		if ((unsigned char)reading->why->at[i] < 0x20)
			reading->why->at[i] = '?';
	return err;
}

/* ---- names */

static bool cut_ending(struct text *text, struct text end)
{
	if (text->len < end.len || !text_equal(text_from(*text, text->len - end.len), end))
		return false;
	text->len -= end.len;
	return true;
}

/* "order.html" → its part; false: no part is called so. */
static bool cut_part(struct text *name, enum template_part *part_out)
{
	for (enum template_part part = 0; part < TEMPLATE_PARTS; part++) {
		struct text word = text_of(template_part_name(part)), rest = *name;

		if (cut_ending(&rest, word) && cut_ending(&rest, TEXT("."))) {
			*name = rest;
			*part_out = part;
			return true;
		}
	}
	return false;
}

static enum err name_file(const struct reading *reading, struct file *file)
{
	struct text name = file->path;

	(void)cut_ending(&name, ending);
	file->is_partial = name.len && name.at[0] == '_';
	if (file->is_partial)
		name = text_from(name, 1);
	else if (!cut_part(&name, &file->part))
		return wrong(reading, ERR_VALUE, file->path,
			"give it a name such as order.subject.mustache, order.text.mustache or "
			"order.html.mustache; a partial begins with _");
	if (!template_name_is_good(name))
		return wrong(reading, ERR_VALUE, file->path,
			"a template's name has 1 to %d of A-Z a-z 0-9 . _ -", TEMPLATE_NAME);
	file->name = name;
	return OK;
}

/* ---- texts */

static enum err read_whole(int fd, struct buf *out)
{
	ssize_t got = 1;

	while (got > 0 && !out->err) {
		char *room = buf_reserve(out, 16384);

		got = room ? read(fd, room, 16384) : 0;
		if (got > 0)
			buf_took(out, (size_t)got);
		else if (got < 0 && errno == EINTR)
			got = 1;
	}
	return got < 0 ? ERR_IO : out->err;
}

static struct text without_mark(struct text text)
{
	return text_starts(text, TEXT("\xef\xbb\xbf")) ? text_from(text, 3) : text;
}

static enum err keep_text(struct reading *reading, struct file *file, const struct buf *read)
{
	struct text text = without_mark(buf_text(read));
	const char *why = template_why_not(text);

	if (text.len > TEMPLATE_BYTES)
		return wrong(reading, ERR_LIMIT, file->path, "it has more than %d bytes",
			TEMPLATE_BYTES);
	if (why)
		return wrong(reading, ERR_VALUE, file->path, "%s", why);
	file->text = region_copy(reading->region, text);
	return file->text.at ? OK
			     : wrong(reading, ERR_LIMIT, file->path,
				       "the files have more than %d MB in all", FOLDER_BYTES >> 20);
}

/* False: it is no file at all (a folder of this name, say). */
static bool is_file(int fd, struct file *file)
{
	struct stat stat;

	if (fd < 0 || fstat(fd, &stat) || !S_ISREG(stat.st_mode))
		return false;
	file->changed_ms = (int64_t)stat.st_mtim.tv_sec * 1000 + stat.st_mtim.tv_nsec / 1000000;
	return true;
}

static enum err read_file(struct reading *reading, struct file *file)
{
	/* one byte more than is taken, and a mark before them; and what is read in one go */
	struct buf read = buf_born(TEMPLATE_BYTES + 4 + 16384);
	int fd = openat(reading->fd, file->path.at, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	enum err err = fd < 0 ? ERR_IO : OK;

	if (!err && !is_file(fd, file))
		err = wrong(reading, ERR_VALUE, file->path, "it is no file");
	else if (!err)
		err = read_whole(fd, &read);
	if (err == ERR_LIMIT)
		err = wrong(reading, err, file->path, "it has more than %d bytes", TEMPLATE_BYTES);
	else if (err == ERR_IO)
		err = wrong(reading, err, file->path, "%s", strerror(errno));
	else if (!err)
		err = keep_text(reading, file, &read);
	if (fd >= 0)
		close(fd);
	buf_free(&read);
	return err;
}

/* ---- the folder */

static bool is_ours(struct text path)
{
	return path.at[0] != '.' && cut_ending(&path, ending);
}

static enum err add_file(struct reading *reading, const char *path)
{
	struct file *file = &reading->files[reading->count];
	struct text name = text_of(path);
	enum err err;

	if (!is_ours(name))
		return OK;
	if (reading->count == FILES_MAX)
		return wrong(reading, ERR_LIMIT, (struct text){ 0 },
			"more than %d files are not taken", FILES_MAX);
	file->path = region_copy(reading->region, name);
	if (!file->path.at)
		return ERR_MEMORY;
	err = name_file(reading, file);
	if (!err)
		err = read_file(reading, file);
	reading->count += !err;
	return err;
}

static enum err read_folder(struct reading *reading)
{
	DIR *folder = opendir(reading->folder);
	const struct dirent *entry;
	enum err err = OK;

	if (!folder)
		return wrong(reading, ERR_IO, (struct text){ 0 }, "%s", strerror(errno));
	reading->fd = dirfd(folder);
	while (!err && (errno = 0, entry = readdir(folder)))
		err = add_file(reading, entry->d_name);
	if (!err && errno)
		err = wrong(reading, ERR_IO, (struct text){ 0 }, "%s", strerror(errno));
	closedir(folder);
	return err;
}

/* Partials first, then by name. */
static int compare(const void *a, const void *b)
{
	const struct file *one = a, *other = b;

	if (one->is_partial != other->is_partial)
		return one->is_partial ? -1 : 1;
	return text_compare(&one->name, &other->name);
}

/* ---- onto the shelf */

static enum err put_partial(struct reading *reading, const struct file *file)
{
	struct shelf *shelf = reading->shelf;
	struct template_partial *partial = &shelf->partials[shelf->partial_count];

	if (shelf->partial_count == PARTIALS_MAX)
		return wrong(reading, ERR_LIMIT, file->path, "more than %d partials are not taken",
			PARTIALS_MAX);
	partial->name = region_copy(shelf->region, file->name);
	partial->text = region_copy(shelf->region, file->text);
	if (!partial->name.at || !partial->text.at)
		return wrong(reading, ERR_LIMIT, file->path, "the partials are too large in all");
	shelf->partial_count++;
	return OK;
}

static const struct file *file_of(
	const struct reading *reading, const struct file *first, enum template_part part)
{
	for (const struct file *file = first; file < reading->files + reading->count; file++)
		if (file->part == part && text_equal(file->name, first->name))
			return file;
	return first;
}

static enum err refuse(const struct reading *reading, enum err err, const struct file *first,
	const struct template_fault *fault)
{
	struct text path = file_of(reading, first, fault->part)->path;
	const struct mustache_fault *mustache = &fault->mustache;

	if (err == ERR_MEMORY)
		return wrong(reading, err, path, "out of memory");
	return wrong(reading, err, path, "%s%sline %zu, column %zu: %s",
		fault->partial[0] ? fault->partial : "", fault->partial[0] ? ".mustache, " : "",
		mustache->line, mustache->column, mustache->why);
}

/* The files from `first` on that are the parts of one template. */
static enum err put_template(struct reading *reading, const struct file *first, size_t parts)
{
	struct template_source source = { .name = first->name };
	struct shelf *shelf = reading->shelf;
	struct template_fault fault;
	struct kept *kept;
	int64_t changed_ms = 0;
	enum err err;

	if (shelf->count == TEMPLATES_MAX)
		return wrong(reading, ERR_LIMIT, first->path,
			"more than %d templates are not taken", TEMPLATES_MAX);
	for (size_t i = 0; i < parts; i++) {
		source.parts[first[i].part] = first[i].text;
		if (first[i].changed_ms > changed_ms)
			changed_ms = first[i].changed_ms;
	}
	err = kept_make(shelf, &source, true, changed_ms, &kept, &fault);
	if (err)
		return refuse(reading, err, first, &fault);
	err = shelf_put(shelf, kept);
	if (err)
		kept_release(kept);
	else if (shelf->bytes > TEMPLATES_BYTES)
		err = wrong(reading, ERR_LIMIT, first->path,
			"the templates, parsed, have more than %d MB", TEMPLATES_BYTES >> 20);
	return err;
}

/* One that no template names is to be right, too. */
static enum err check_partial(const struct reading *reading, const struct file *file)
{
	struct template_source source = { .name = file->name, .parts[TEMPLATE_HTML] = file->text };
	struct template_fault fault;
	struct kept *kept;
	enum err err = kept_make(reading->shelf, &source, true, file->changed_ms, &kept, &fault);

	if (err)
		return refuse(reading, err, file, &fault);
	kept_release(kept);
	return OK;
}

static enum err fill_shelf(struct reading *reading)
{
	const struct file *files = reading->files;
	size_t partials = 0, parts;
	enum err err = OK;

	qsort(reading->files, reading->count, sizeof(*reading->files), compare);
	for (; !err && partials < reading->count && files[partials].is_partial; partials++)
		err = put_partial(reading, &files[partials]);
	for (size_t i = 0; !err && i < partials; i++)
		err = check_partial(reading, &files[i]);
	for (size_t i = partials; !err && i < reading->count; i += parts) {
		for (parts = 1; i + parts < reading->count &&
				text_equal(files[i].name, files[i + parts].name);)
			parts++;
		err = put_template(reading, &files[i], parts);
	}
	return err;
}

enum err catalogue_read(const char *folder, struct shelf **shelf_out, struct buf *why)
{
	struct reading reading = { .folder = folder, .why = why };
	enum err err = shelf_open(&reading.shelf);

	if (!err)
		err = region_open(FOLDER_BYTES, &reading.region);
	if (!err && folder[0]) {
		reading.files = region_zalloc(reading.region, FILES_MAX, sizeof(*reading.files));
		err = reading.files ? read_folder(&reading) : ERR_MEMORY;
		if (!err)
			err = fill_shelf(&reading);
	}
	region_close(reading.region);
	if (err) {
		shelf_close(reading.shelf);
		return err;
	}
	*shelf_out = reading.shelf;
	return OK;
}
