/* deadline - the process ends by then, whatever it waits for */
#pragma once

#include <stdint.h>

/* In so many microseconds it ends with status 1, and a line on standard error; what it has open is
 * left as by a crash. 0: not any more. One at a time. */
void deadline_set(uint64_t left_us);
