/* stock - templates that came over HTTP, kept in the store so that they outlive the process */
#pragma once

#include "service/lettergate.h"

/* Takes up what is kept, and has changes kept from then on; nothing without a store. A template
 * that cannot be used any more is told in the log, and stays where it is. A line in *why. */
MUST_USE enum err stock_open(struct lettergate *lettergate, struct buf *why);
