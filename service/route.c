#include "service/route.h"

uint64_t route_choose(const struct settings *settings, const struct route_question *question)
{
	(void)question; /* there are none yet */
	return settings->relay_count == RELAYS_MAX ? UINT64_MAX
						   : (UINT64_C(1) << settings->relay_count) - 1;
}
