/* clock - the time, and chance */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <time.h>

/* Microseconds, monotonic. */
uint64_t now_us(void);
/* The same, and it goes on while the machine sleeps: for what is kept for hours. */
uint64_t now_boot_us(void);
/* Milliseconds since 1970. */
int64_t now_unix_ms(void);
/* The monotonic clock's moment that far from now: what condition variables wait until. */
struct timespec moment_in_ms(int64_t ms);
/* Rounded up, and 1 at least: for Retry-After. */
uint32_t whole_seconds(uint64_t us);
/* `len` (up to 4096) random bytes for identifiers and boundaries: the kernel's, in gulps, each
 * given out once. */
void random_bytes(unsigned char *out, size_t len);
