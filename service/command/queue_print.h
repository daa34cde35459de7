/* queue_print - what `lettergate queue` shows to people: what comes from outside is made harmless
 * to a terminal */
#pragma once

#include "http/json/json.h"

void queue_print_head(void);
/* One line of the list. */
void queue_print_line(const struct json *json, const struct cJSON *message);
/* All of one message. */
void queue_print_message(const struct json *json, const struct cJSON *message);
/* Out of the text of GET /metrics; false: it says nothing of a queue. */
bool queue_print_stats(struct text metrics, bool as_json);
