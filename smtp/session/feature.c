#include "smtp/session/feature.h"

static const struct {
	struct text keyword;
	enum smtp_feature feature;
} features[] = {
	{ TEXT("8BITMIME"), SMTP_8BITMIME },
	{ TEXT("AUTH"), SMTP_AUTH },
	{ TEXT("CHUNKING"), SMTP_CHUNKING },
	{ TEXT("DSN"), SMTP_DSN },
	{ TEXT("ENHANCEDSTATUSCODES"), SMTP_ENHANCEDSTATUSCODES },
	{ TEXT("LIMITS"), SMTP_LIMITS },
	{ TEXT("PIPELINING"), SMTP_PIPELINING },
	{ TEXT("SIZE"), SMTP_SIZE },
	{ TEXT("SMTPUTF8"), SMTP_SMTPUTF8 },
	{ TEXT("STARTTLS"), SMTP_STARTTLS },
};

static void read_mechanisms(struct smtp_features *offered, struct text words)
{
	while (words.len)
		offered->mechanisms |= smtp_mechanism_named(text_cut(&words, ' '));
}

/* RFC 9422: NAME=number, separated by spaces; what is not a number in range is let be. */
static void read_limits(struct smtp_features *offered, struct text words)
{
	while (words.len) {
		struct text value = text_cut(&words, ' ');
		struct text name = text_cut(&value, '=');
		uint64_t number;

		if (!text_to_u64(value, &number) || number == 0 || number > UINT32_MAX)
			continue;
		if (text_equal_nocase(name, TEXT("MAILMAX")))
			offered->mail_max = (uint32_t)number;
		else if (text_equal_nocase(name, TEXT("RCPTMAX")))
			offered->rcpt_max = (uint32_t)number;
		else if (text_equal_nocase(name, TEXT("RCPTDOMAINMAX")))
			offered->rcpt_domain_max = (uint32_t)number;
	}
}

static void add(struct smtp_features *offered, enum smtp_feature feature, struct text words)
{
	uint64_t size;

	offered->offered |= feature;
	if (feature == SMTP_AUTH)
		read_mechanisms(offered, words);
	else if (feature == SMTP_LIMITS)
		read_limits(offered, words);
	else if (feature == SMTP_SIZE && text_to_u64(words, &size))
		offered->size_bytes = size;
}

void smtp_features_add(struct smtp_features *offered, struct text line)
{
	struct text words = text_trim(line);
	bool old_auth = text_starts_nocase(words, TEXT("AUTH="));
	struct text keyword = old_auth ? text_cut(&words, '=') : text_cut(&words, ' ');

	words = text_trim(words);
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
		if (text_equal_nocase(keyword, features[i].keyword))
			add(offered, features[i].feature, words);
}
