/* one_server - the server of a test program whose tests want one with usual settings */
#pragma once

#include "fake.h"

static struct served served;
static struct answer answer; /* read last */

static void start(void)
{
	served_prepare(&served);
	served_start(&served);
}

static void stop(void)
{
	served_stop(&served);
	answer_free(&answer);
}
