/* send - POST /send and POST /send/batch */
#pragma once

#include "http/exchange.h"

enum handled send_one(struct exchange *exchange);
enum handled send_batch(struct exchange *exchange);
