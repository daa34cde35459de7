/* near - which known name was probably meant */
#pragma once

#include "smtp/text.h"

/* The index of the name that differs from `given` least: in case, in '_' and '-', or in one or two
 * letters; `count` where none is near. names_at(context, i) gives the names. */
size_t near_name(struct text given, size_t count,
	struct text (*name_at)(const void *context, size_t index), const void *context);
