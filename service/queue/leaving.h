/* leaving - who waits for the store hears something at his deadline
 *
 * What the store is asked goes on, in the memory of the request, which is held for it. */
#pragma once

#include "service/lettergate.h"
#include "service/store/store.h"

/* Hands in a job of the delivery, whose memory it is in. When its sender's time is over and it was
 * begun, `leave` is called as by struct job. */
void leaving_put(struct lettergate *lettergate, const struct delivery *delivery, struct job *job,
	bool (*leave)(struct job *job));
/* What its sender is to be told, as the delivery is; for leaving_end. NULL: out of memory. */
struct delivery *leaving_begin(struct delivery *delivery);
/* Tells him. */
void leaving_end(struct lettergate *lettergate, struct delivery *told);
/* Both, with the answer as it is. False: out of memory. */
bool leaving_tell(struct lettergate *lettergate, struct delivery *delivery);

/* Of those who ask something else: until when they wait, as struct job's until_us. */
uint64_t leaving_until(uint64_t patience_us);
/* As queue_why, of one who waited until then. */
const char *leaving_why(struct lettergate *lettergate, enum err err, uint64_t until_us);
