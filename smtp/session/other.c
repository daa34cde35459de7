#include "smtp/session/other.h"

const char *smtp_other_protocol(struct text start)
{
	static const struct {
		struct text start;
		const char *words;
	} others[] = {
		{ TEXT("HTTP/"), "it answers in HTTP" },
		{ TEXT("<"), "it answers in HTTP" },
		{ TEXT("SSH-"), "it answers in SSH" },
		{ TEXT("* OK"), "it answers in IMAP" },
		{ TEXT("* BYE"), "it answers in IMAP" },
		{ TEXT("* PREAUT"), "it answers in IMAP" },
		{ TEXT("+OK"), "it answers in POP3" },
		{ TEXT("\x15\x03"), "it answers in TLS: use SMTP_SECURE=TLS for this port" },
		{ TEXT("\x16\x03"), "it answers in TLS: use SMTP_SECURE=TLS for this port" },
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (text_starts(start, others[i].start))
			return others[i].words;
	return NULL;
}
