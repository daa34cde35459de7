#include "service/store/strikes.h"

#include "service/store/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The file is text: a line that says of which start of the machine it is, and one for each slot, an
 * id and its checksum. A line without them is an empty slot. */
enum { LINE_BYTES = 64, FILE_BYTES = LINE_BYTES * (1 + STRIKES_MOST) };

struct strikes {
	int fd;
	char *left; /* the file as it was found, until that is counted */
	pthread_mutex_t lock;
	bool is_taken[STRIKES_MOST];
	size_t next; /* where the next free one is looked for */
};

/* ---- lines */

static void fill_line(char line[LINE_BYTES], const char *words)
{
	memset(line, ' ', LINE_BYTES);
	memcpy(line, words, strnlen(words, LINE_BYTES - 1));
	line[LINE_BYTES - 1] = '\n';
}

static void seal(char line[LINE_BYTES], const char *id)
{
	char words[LINE_BYTES];

	snprintf(words, sizeof(words), "%s %08x", id, (unsigned)pack_crc(0, text_of(id)));
	fill_line(line, words);
}

static bool write_line(const struct strikes *strikes, size_t place, const char line[LINE_BYTES])
{
	ssize_t len;

	do
		len = pwrite(strikes->fd, line, LINE_BYTES, (off_t)(place * LINE_BYTES));
	while (len < 0 && errno == EINTR);
	return len == LINE_BYTES;
}

/* A machine that went down is no message's fault. */
static void say_start(char line[LINE_BYTES])
{
	char words[LINE_BYTES] = "unknown";
	FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");

	if (file && !fgets(words, DELIVERY_ID_LEN + 1, file))
		words[0] = '\0';
	if (file)
		fclose(file);
	fill_line(line, words);
}

/* ---- life */

static bool read_left(struct strikes *strikes)
{
	char start[LINE_BYTES];

	say_start(start);
	strikes->left = calloc(1, FILE_BYTES);
	if (!strikes->left)
		return false;
	if (pread(strikes->fd, strikes->left, FILE_BYTES, 0) != FILE_BYTES ||
		memcmp(strikes->left, start, LINE_BYTES) != 0)
		memset(strikes->left, 0, FILE_BYTES);
	return true;
}

enum err strikes_open(const char *path, struct strikes **strikes_out)
{
	struct strikes *strikes = calloc(1, sizeof(*strikes));
	enum err err = OK;

	if (!strikes)
		return ERR_MEMORY;
	pthread_mutex_init(&strikes->lock, NULL);
	strikes->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (strikes->fd < 0)
		err = ERR_IO;
	else if (!read_left(strikes))
		err = ERR_MEMORY;
	/* all the room at once, so that a note is not what a full disk has none for */
	else if (posix_fallocate(strikes->fd, 0, FILE_BYTES) != 0)
		err = ERR_IO;
	if (err) {
		strikes_close(strikes);
		return err;
	}
	*strikes_out = strikes;
	return OK;
}

bool strikes_are_known(const struct strikes *strikes)
{
	return strikes->left && *strikes->left;
}

bool strikes_left(const struct strikes *strikes, size_t *place, char id_out[DELIVERY_ID_LEN + 1])
{
	char line[LINE_BYTES];

	while (strikes->left && *place < STRIKES_MOST) {
		const char *found = strikes->left + LINE_BYTES * ++*place;

		memcpy(id_out, found, DELIVERY_ID_LEN);
		id_out[DELIVERY_ID_LEN] = '\0';
		seal(line, id_out);
		if (memcmp(line, found, LINE_BYTES) == 0)
			return true;
	}
	return false;
}

void strikes_forget_left(struct strikes *strikes)
{
	char *fresh = strikes->left;

	say_start(fresh);
	for (size_t place = 1; place <= STRIKES_MOST; place++)
		fill_line(fresh + place * LINE_BYTES, "");
	(void)!pwrite(strikes->fd, fresh, FILE_BYTES, 0);
	free(fresh);
	strikes->left = NULL;
}

void strikes_close(struct strikes *strikes)
{
	if (!strikes)
		return;
	if (strikes->fd >= 0 && !strikes->left)
		(void)!ftruncate(strikes->fd, 0);
	if (strikes->fd >= 0)
		close(strikes->fd);
	free(strikes->left);
	pthread_mutex_destroy(&strikes->lock);
	free(strikes);
}

/* ---- notes */

/* STRIKES_MOST: all are taken. */
static size_t take_slot(struct strikes *strikes)
{
	size_t slot = STRIKES_MOST;

	pthread_mutex_lock(&strikes->lock);
	for (size_t i = 0; i < STRIKES_MOST && slot == STRIKES_MOST; i++) {
		size_t at = (strikes->next + i) % STRIKES_MOST;

		if (!strikes->is_taken[at])
			slot = at;
	}
	if (slot < STRIKES_MOST) {
		strikes->is_taken[slot] = true;
		strikes->next = slot + 1;
	}
	pthread_mutex_unlock(&strikes->lock);
	return slot;
}

static void free_slot(struct strikes *strikes, size_t slot)
{
	pthread_mutex_lock(&strikes->lock);
	strikes->is_taken[slot] = false;
	pthread_mutex_unlock(&strikes->lock);
}

int strikes_note(struct strikes *strikes, const char *id)
{
	size_t slot = take_slot(strikes);
	char line[LINE_BYTES];

	if (slot == STRIKES_MOST)
		return STRIKE_NONE;
	seal(line, id);
	if (write_line(strikes, slot + 1, line))
		return (int)slot;
	free_slot(strikes, slot);
	return STRIKE_NONE;
}

void strikes_clear(struct strikes *strikes, int slot)
{
	char line[LINE_BYTES];

	fill_line(line, "");
	(void)write_line(strikes, (size_t)slot + 1, line);
	free_slot(strikes, (size_t)slot);
}
