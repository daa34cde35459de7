/* messages - GET /messages, /messages/{id}, /messages/{id}/raw */
#pragma once

#include "http/exchange.h"

enum handled messages_list(struct exchange *exchange);
enum handled messages_show(struct exchange *exchange);
enum handled messages_raw(struct exchange *exchange);
