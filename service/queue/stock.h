/* stock - templates that came over HTTP, kept in the store so that they outlive the process, and
 * are there for all that share it */
#pragma once

#include "service/lettergate.h"

struct stock;

/* Takes up what is kept, as lettergate->stock, and has changes kept from then on; nothing without a
 * store. A template that cannot be used any more is told in the log, and stays where it is. A line
 * in *why. */
MUST_USE enum err stock_open(struct lettergate *lettergate, struct buf *why);
/* Some times a second: takes up what others have changed, within two or three of them. */
void stock_tick(struct stock *stock, uint64_t now_us);
/* The folder's templates, which come first, were exchanged: those that are kept may be seen again.
 */
void stock_reload(struct stock *stock);
/* When the queue was closed. NULL is fine. */
void stock_close(struct stock *stock);
