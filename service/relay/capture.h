/* capture - the relay that keeps messages instead of sending them (SMTP_HOST=capture) */
#pragma once

#include "service/lettergate.h"

/* Settles the delivery as captured, at once. */
void capture(struct lettergate *lettergate, struct delivery *delivery);
