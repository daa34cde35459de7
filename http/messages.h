/* messages - /messages, /messages/{id} and what is below: looking, cancelling, trying again */
#pragma once

#include "http/exchange.h"

enum handled messages_list(struct exchange *exchange);
enum handled messages_show(struct exchange *exchange);
enum handled messages_raw(struct exchange *exchange);
enum handled messages_cancel(struct exchange *exchange);
enum handled messages_retry(struct exchange *exchange);
