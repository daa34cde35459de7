#include "fuzz.h"

#include "http/exchange.h"
#include "http/mail/mail.h"
#include "http/mail/reading.h"

#include <string.h>

/* ---- a gateway that keeps one template, "kept", and one partial, "shared" */

static struct template kept;
static int held;

static const struct template *hold(void *self, struct text name)
{
	(void)self;
	if (!text_equal(name, TEXT("kept")))
		return NULL;
	held++;
	return &kept;
}

static void release(void *self, const struct template *template)
{
	(void)self;
	must(template == &kept && held-- > 0);
}

static enum err partial(void *self, struct text name, struct region *region, struct text *text_out)
{
	(void)self;
	if (!text_equal(name, TEXT("shared")))
		return ERR_MISSING;
	*text_out = region_copy(region, TEXT("[{{x}}{{> shared}}]\n"));
	return text_out->at ? OK : ERR_LIMIT;
}

static void keep_one(void)
{
	static const struct template_source source = { .name = { "kept", 4 },
		.parts = {
			{ "Hi {{x}}", 8 }, { "{{#l}}{{.}},{{/l}}", 18 }, { "<p>{{{x}}}", 10 } } };
	static struct region *region;
	struct template_fault fault;

	if (region)
		return;
	must(!region_open(1 << 20, &region));
	must(!template_parse(&source, NULL, region, &kept, &fault));
}

/* ---- what came of it */

static void check_text(struct text text)
{
	must(text_is_utf8(text) && !template_why_not(text));
}

/* Each goes to people, and into a log. */
static void check_complaints(const struct complaints *complaints)
{
	must(complaints->count > 0);
	for (size_t i = 0; i < complaints->count && i < COMPLAINTS_MAX; i++) {
		must(text_is_utf8(complaints->at[i].detail));
		must(!text_has_control(complaints->at[i].detail));
	}
}

static void check_code(const char *code)
{
	static const char *const codes[] = { "template_error", "template_not_found", "overloaded",
		"body_too_large" };
	size_t i = 0;

	while (code && strcmp(code, codes[i]) != 0)
		must(++i < sizeof(codes) / sizeof(codes[0]));
}

static void read(char *body, size_t len, struct region *region)
{
	struct gateway gateway = {
		.template_hold = hold, .template_release = release, .template_partial = partial
	};
	struct exchange exchange = { .gateway = &gateway, .region = region };
	struct posted posted = { .exchange = &exchange };
	struct complaints complaints = { .region = region };
	struct json json = { 0 };

	if (json_parse(body, len, region, &json))
		return;
	if (mail_read(&json, json.root, NULL, NULL, region, &posted, &complaints)) {
		must(!complaints.count && !text_has_control(posted.mail.subject));
		check_text(posted.mail.text);
		check_text(posted.mail.html);
	} else {
		check_complaints(&complaints);
		check_code(posted.refused_as);
	}
	must(!held && exchange.template_steps <= MUSTACHE_STEPS);
}

/* The value of the field `template` in a message; what stands behind it may be more fields. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct buf body = buf_born(1 << 20);
	struct region *region;
	char *own;

	keep_one();
	buf_add(&body, TEXT("{\"from\":\"a@example.com\",\"to\":\"b@example.org\",\"template\":"));
	buf_add(&body, input(bytes, len));
	buf_add(&body, TEXT("}"));
	own = malloc(body.len); /* of just this size: what is read behind it shows */
	must(!body.err && own);
	must(region_open(32 << 20, &region) == OK);
	memcpy(own, body.at, body.len);
	read(own, body.len, region);
	region_close(region);
	free(own);
	buf_free(&body);
	return 0;
}
