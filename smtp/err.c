#include "smtp/err.h"

static const char *const phrases[] = {
	[OK] = "ok",
	[ERR_MEMORY] = "out of memory",
	[ERR_LIMIT] = "over a limit",
	[ERR_SYNTAX] = "syntax error",
	[ERR_VALUE] = "value not allowed",
	[ERR_MISSING] = "not found",
	[ERR_IO] = "system error",
	[ERR_AWAY] = "not to be had for now",
	[ERR_TLS] = "unusable certificate or key",
	[ERR_DOUBT] = "not known whether it was done",
};

const char *err_text(enum err err)
{
	return phrases[err];
}
