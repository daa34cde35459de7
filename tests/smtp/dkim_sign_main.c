/* dkim_sign TIME (DOMAIN SELECTOR PEM-FILE)…: signs messages for verifiers that are not ours
 *
 * Reads "FROM CUT LEN" LF and LEN bytes, over and over: the domain of the From, where the message
 * is cut into two segments, its size. Writes for each what the relay would get, as "LEN" LF and
 * bytes. */
#include "smtp/dkim/dkim.h"
#include "smtp/message/message.h"
#include "smtp/region.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 8, MESSAGE_MAX = 1 << 24 };

static _Noreturn void die(const char *what, const char *why)
{
	fprintf(stderr, "%s: %s\n", what, why);
	exit(1);
}

static void open_key(char *const *names, struct dkim_key **key_out)
{
	static char pem[1 << 16];
	FILE *file = fopen(names[2], "rb");
	size_t len = file ? fread(pem, 1, sizeof(pem), file) : 0;
	const char *why = "out of memory";

	if (!file)
		die(names[2], "cannot be read");
	fclose(file);
	if (dkim_key_open(
		    (struct text){ pem, len }, text_of(names[0]), text_of(names[1]), key_out, &why))
		die(names[2], why);
}

static void write_all(const struct smtp_message *message)
{
	struct smtp_message_reader reader = { 0 };
	struct text piece;
	char scratch[512];

	printf("%llu\n", (unsigned long long)message->size);
	do {
		piece = smtp_message_next(message, &reader, scratch, sizeof(scratch), 777);
		fwrite(piece.at, 1, piece.len, stdout);
	} while (piece.len);
	fflush(stdout);
}

static void sign(const struct dkim_signer *signer, struct text from, struct text bytes, size_t cut,
	int64_t time_s)
{
	const struct smtp_segment segments[] = {
		smtp_segment_of(text_head(bytes, cut)),
		smtp_segment_of(text_from(bytes, cut)),
	};
	struct smtp_message message = { .segments = segments, .count = 2, .size = bytes.len };
	struct region *region;
	enum err err = region_open(MESSAGE_MAX, &region);

	if (!err)
		err = dkim_sign_message(signer, from, time_s, region, &message);
	if (err)
		die("cannot sign", err_text(err));
	write_all(&message);
	region_close(region);
}

int main(int argc, char **argv)
{
	struct dkim_key *keys[KEYS_MAX];
	struct dkim_signer signer = { .keys = keys };
	char from[256];
	size_t cut, len;

	if (argc < 2 || argc > 2 + 3 * KEYS_MAX || argc % 3 != 2)
		die(argv[0], "TIME (DOMAIN SELECTOR PEM-FILE)…");
	for (int i = 2; i < argc; i += 3)
		open_key(argv + i, &keys[signer.key_count++]);
	while (scanf("%255s %zu %zu", from, &cut, &len) == 3) {
		char *bytes = len <= MESSAGE_MAX && cut <= len ? malloc(len + 1) : NULL;

		if (!bytes || getchar() != '\n' || fread(bytes, 1, len, stdin) != len)
			die("message", "not as it should be");
		sign(&signer, text_of(from), (struct text){ bytes, len }, cut,
			strtoll(argv[1], NULL, 10));
		free(bytes);
	}
	for (size_t i = 0; i < signer.key_count; i++)
		dkim_key_close(keys[i]);
	return 0;
}
