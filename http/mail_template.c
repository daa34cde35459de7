/* mail_template - the field `template`: a message's subject, text and html out of a template */
#include "http/reading.h"

void read_template(struct reading *reading, const cJSON *value, const struct json_at *at)
{
	if (!cJSON_IsNull(value))
		complain(reading->complaints, at, "template is not supported yet");
}

bool fill_template(struct reading *reading, const struct json_at *at)
{
	(void)at;
	return !reading->complaints->count;
}
