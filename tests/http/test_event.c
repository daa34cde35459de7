#include "http/event.h"
#include "unit.h"

#include <string.h>

static struct event sent = { .cursor = 7,
	.at_ms = 1790000000123,
	.type = { "message.sent", 12 },
	.content = { "{\"tags\":[\"a\",\"b\\u0063\"]}", 24 } };

START_TEST(it_is_told_as_json)
{
	char room[300];
	struct buf out = buf_over(room, sizeof(room));

	sent.content = TEXT("{\"tags\":[\"a\",\"b\\u0063\"]}");
	event_add(&out, &sent, NULL);
	buf_add_byte(&out, '\n');
	event_add(&out, &sent, "evt_1");
	buf_add_byte(&out, '\0');
	ck_assert_str_eq(room,
		"{\"type\":\"message.sent\",\"timestamp\":\"2026-09-21T14:13:20.123Z\","
		"\"data\":{\"tags\":[\"a\",\"b\\u0063\"]}}\n"
		"{\"id\":\"evt_1\",\"type\":\"message.sent\",\"timestamp\":\"2026-09-21T14:13:20."
		"123Z\","
		"\"data\":{\"tags\":[\"a\",\"b\\u0063\"]}}");
}
END_TEST

START_TEST(each_has_its_id)
{
	char id[EVENT_ID_LEN + 1], other[EVENT_ID_LEN + 1];
	struct event changed = sent;

	ck_assert(event_id(&sent, id));
	ck_assert_uint_eq(strlen(id), EVENT_ID_LEN);
	ck_assert(event_id(&changed, other));
	ck_assert_str_eq(id, other);
	changed.cursor++;
	ck_assert(event_id(&changed, other));
	ck_assert_str_ne(id, other);
	changed = sent;
	changed.content = TEXT("{}");
	ck_assert(event_id(&changed, other));
	ck_assert_str_ne(id, other);
}
END_TEST

START_TEST(a_filter_lets_some_through)
{
	static const struct {
		const char *types, *tag, *id;
		bool fits;
	} rows[] = { { "", "", "", true }, { "message.sent", "", "", true },
		{ "message.failed", "", "", false },
		{ "message.failed message.sent", "a", "", true }, { "", "bc", "", true },
		{ "", "c", "", false }, { "message.failed", "a", "", false }, { "", "", "7", true },
		{ "", "", "70", false }, { "", "a", "7", true }, { "", "c", "7", false },
		{ "", "a", "8", false } };

	sent.content = TEXT("{\"id\":\"7\",\"tags\":[\"a\",\"b\\u0063\"]}");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct event_filter filter = { .tag = text_of(rows[i].tag),
			.id = text_of(rows[i].id) };
		struct text types = text_of(rows[i].types);

		while (types.len)
			ck_assert(event_filter_add(&filter, text_cut(&types, ' ')));
		ck_assert_msg(event_fits(&sent, &filter) == rows[i].fits, "row %zu", i);
	}
}
END_TEST

START_TEST(what_cannot_be_read_has_neither_tags_nor_an_id)
{
	static const char *const contents[] = { "", "{", "[]", "{\"id\":7,\"tags\":7}",
		"{\"tags\":[7,null]}" };
	struct event_filter filter = { .tag = TEXT("a") }, one = { .id = TEXT("7") };
	struct event event = sent;

	for (int i = 0; i < 5; i++) {
		event.content = text_of(contents[i]);
		ck_assert(!event_fits(&event, &filter) && !event_fits(&event, &one));
	}
}
END_TEST

START_TEST(types_have_names)
{
	struct event_filter filter = { 0 };

	for (size_t i = 0; i < EVENT_TYPES; i++)
		ck_assert(event_filter_add(&filter, text_of(event_type_name(i))));
	ck_assert_uint_eq(filter.types, (1U << EVENT_TYPES) - 1);
	ck_assert_ptr_null(event_type_name(EVENT_TYPES));
	ck_assert(!event_filter_add(&filter, TEXT("message")));
	ck_assert(!event_filter_add(&filter, TEXT("")));
}
END_TEST

UNIT_MAIN(event, tcase_add_test(cases, it_is_told_as_json); tcase_add_test(cases, each_has_its_id);
	  tcase_add_test(cases, a_filter_lets_some_through);
	  tcase_add_test(cases, what_cannot_be_read_has_neither_tags_nor_an_id);
	  tcase_add_test(cases, types_have_names);)
