#include "fuzz.h"

#include "service/template/catalogue.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 20 };

static char folder[] = "/dev/shm/fuzz-shelf-XXXXXX";
static int folder_fd = -1;

static void remove_folder(void)
{
	close(folder_fd);
	rmdir(folder);
}

static void make_folder(void)
{
	if (folder_fd >= 0)
		return;
	if (access("/dev/shm", W_OK))
		memcpy(folder, "/var/tmp", 8);
	must(mkdtemp(folder) != NULL);
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(folder_fd >= 0);
	atexit(remove_folder);
}

/* "name LF text"; a name that no file can have is left out. */
static void write_file(struct text file)
{
	struct text name = text_cut(&file, '\n');
	char path[256];
	int fd;

	if (!name.len || name.len >= sizeof(path) || memchr(name.at, '\0', name.len))
		return;
	memcpy(path, name.at, name.len);
	path[name.len] = '\0';
	if (strchr(path, '/') || strcmp(path, ".") == 0 || strcmp(path, "..") == 0)
		return;
	fd = openat(folder_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	must(fd >= 0 && write(fd, file.at, file.len) == (ssize_t)file.len);
	close(fd);
}

static void empty_folder(void)
{
	DIR *all = opendir(folder);
	const struct dirent *entry;

	must(all != NULL);
	while ((entry = readdir(all)))
		(void)unlinkat(folder_fd, entry->d_name, 0);
	closedir(all);
}

/* One line that says where. */
static void check_words(const struct buf *why)
{
	must(text_starts(buf_text(why), TEXT("TEMPLATES_DIR: ")));
	for (size_t i = 0; i < why->len; i++)
		must((unsigned char)why->at[i] >= 0x20);
}

static void render(const struct template *template, void *count)
{
	struct mustache_view view = { .steps = 20000 };
	struct template_fault fault;
	struct region *region;
	struct text text;

	must(template_name_is_good(template->source.name) && template->is_file);
	must(template_has_part(&template->source) && template->changed_ms > 0);
	must(!region_open(64 << 20, &region));
	for (enum template_part part = 0; part < TEMPLATE_PARTS; part++)
		if (template->parts[part] &&
			template_render(template, part, &view, region, &text, &fault))
			must(fault.mustache.why[0]);
	region_close(region);
	++*(size_t *)count;
}

/* What was read once is read again, and is the same. */
static void check_again(struct catalogue *catalogue, struct buf *why)
{
	size_t before = 0, after = 0;
	struct shelf *shelf;

	catalogue_list(catalogue, render, &before);
	must(!catalogue_read(folder, &shelf, why) && !catalogue_exchange(catalogue, shelf, why));
	catalogue_list(catalogue, render, &after);
	must(before == after && !why->len);
}

/* The files of TEMPLATES_DIR, form feeds between them. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct text rest = input(bytes, len);
	struct buf why = buf_born(4096);
	struct catalogue *catalogue;

	make_folder();
	for (int i = 0; rest.len && i < FILES; i++)
		write_file(text_cut(&rest, '\f'));
	if (catalogue_open(folder, &catalogue, &why)) {
		check_words(&why);
	} else {
		check_again(catalogue, &why);
		catalogue_close(catalogue);
	}
	empty_folder();
	buf_free(&why);
	return 0;
}
