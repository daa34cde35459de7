/* relays - /relays and /relays/{name}/check: how the relays are, and trying one step by step */
#pragma once

#include "http/exchange.h"

enum handled relays_list(struct exchange *exchange);
enum handled relays_check(struct exchange *exchange);
