/* looking - what callers ask of the queue: a message, a page of them, its text, a change */
#pragma once

#include "service/lettergate.h"

/* As struct gateway's. */
void looking_ask(struct lettergate *lettergate, struct asking *asking);
