/* check_dkim - who signs, and what DNS has to hold for it */
#include "service/check/check_run.h"

#include <string.h>

enum { WORDS_BYTES = 1 << 19, WARNINGS_BYTES = 1 << 16 }; /* for as many keys as there may be */

static bool is_new_domain(const struct dkim_signer *signer, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (text_equal(
			    dkim_key_domain(signer->keys[i]), dkim_key_domain(signer->keys[index])))
			return false;
	return true;
}

/* "signs what is from example.com or example.org, or from a name under it" */
static void tell_domains(const struct dkim_signer *signer, struct buf *words)
{
	buf_add_string(words, "signs what is from ");
	for (size_t i = 0; i < signer->key_count; i++) {
		if (!is_new_domain(signer, i))
			continue;
		buf_add_string(words, i ? " or " : "");
		buf_add(words, dkim_key_domain(signer->keys[i]));
	}
	buf_add_string(words, ", or from a name under it");
	for (size_t i = 0; i < signer->unsign_count; i++) {
		buf_add_string(words, i ? ", " : "; leaves unsigned ");
		buf_add(words, signer->unsign[i]);
	}
}

static void tell_name(const struct dkim_key *key, struct buf *words)
{
	buf_add(words, dkim_key_selector(key));
	buf_add_string(words, "._domainkey.");
	buf_add(words, dkim_key_domain(key));
}

void check_dkim(struct check_run *run, const struct dkim_signer *signer)
{
	struct buf words = buf_born(WORDS_BYTES), hint = buf_born(WARNINGS_BYTES);
	bool is_weak = false;

	if (!signer->key_count)
		return;
	tell_domains(signer, &words);
	for (size_t i = 0; i < signer->key_count; i++) {
		const struct dkim_key *key = signer->keys[i];
		const char *warning = dkim_key_warning(key);

		buf_add_string(&words, "\nTXT record in DNS at ");
		tell_name(key, &words);
		buf_add_string(&words, ":\n");
		dkim_key_record(key, &words);
		if (!warning)
			continue;
		buf_add_string(&hint, is_weak ? "\n" : "");
		tell_name(key, &hint);
		buf_addf(&hint, ": %s", warning);
		is_weak = true;
	}
	buf_add_byte(&hint, '\0');
	check_add(run, "DKIM", is_weak ? CHECK_WARNING : CHECK_OK, false, &words,
		hint.at ? hint.at : "");
	buf_free(&words);
	buf_free(&hint);
}
