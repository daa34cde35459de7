#include "fuzz.h"

#include "http/server/guard.h"

/* "METHOD path version" and headers, line by line. What passes can be read in one way only. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct guard_header headers[GUARD_HEADERS];
	struct text rest = input(bytes, len), first = text_cut(&rest, '\n');
	struct guard_request request = { .headers = headers };
	const char *why = NULL;
	unsigned framed = 0;

	request.method = text_cut(&first, ' ');
	request.path = text_cut(&first, ' ');
	request.version = first;
	while (rest.len && request.count < GUARD_HEADERS) {
		struct text line = text_cut(&rest, '\n');

		headers[request.count].name = text_cut(&line, ':');
		headers[request.count++].value = text_trim(line);
	}
	if (guard_check(&request, &why) != GUARD_PASS)
		return 0;
	for (size_t i = 0; i < request.count; i++) {
		must(guard_is_token(headers[i].name));
		framed += text_equal_nocase(headers[i].name, TEXT("content-length")) ||
			  text_equal_nocase(headers[i].name, TEXT("transfer-encoding"));
	}
	must(framed <= 1 && request.path.at[0] == '/');
	return 0;
}
