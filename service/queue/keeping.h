/* keeping - a delivery goes into the queue: its sender is answered when it is on disk */
#pragma once

#include "service/lettergate.h"

/* Puts it into the queue, for its time; done() is called when it is there, or is not: then the
 * verdict says why. */
void keep(struct lettergate *lettergate, struct delivery *delivery);
/* The store did not take it, or could not be asked: gives it back, as not sent, and its key is
 * free; with ERR_DOUBT, as unknown. */
void keep_failed(struct lettergate *lettergate, struct delivery *delivery, enum err err);
/* The same, noted in it alone; and what is noted. */
void keep_failed_note(struct lettergate *lettergate, struct delivery *delivery, enum err err);
struct smtp_verdict keep_failed_verdict(enum err err);
/* It was tried before it was kept, and is settled but for done(): what may still come right goes
 * into the queue, and what is unknown and to be held is held there. False: nothing of it may. */
bool keep_rest(struct lettergate *lettergate, struct delivery *delivery);
/* The same for what is settled for good: it is remembered in the store, with its text if that was
 * captured (`raw`; empty: no). False: it could not be; it is still to be given back. */
bool keep_record(struct lettergate *lettergate, struct delivery *delivery, struct text raw);
