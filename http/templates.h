/* templates - /templates: what messages are made of, kept by name */
#pragma once

#include "http/exchange.h"

enum handled templates_list(struct exchange *exchange);
enum handled templates_show(struct exchange *exchange);
enum handled templates_put(struct exchange *exchange);
enum handled templates_remove(struct exchange *exchange);
enum handled templates_render(struct exchange *exchange);
