/* events - GET /events: what happened to messages, for those who cannot take webhooks */
#pragma once

#include "http/exchange.h"

enum handled events_list(struct exchange *exchange);
