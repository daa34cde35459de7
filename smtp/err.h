/* err - the words with which every folder says that something failed
 *
 * What can fail returns an enum err; OK is 0, so `if (err)` reads well. A refusal by a relay is not
 * an error but a verdict (verdict.h). */
#pragma once

#define MUST_USE __attribute__((warn_unused_result))

enum err {
	OK = 0,
	ERR_MEMORY,  /* no memory */
	ERR_LIMIT,   /* a limit of ours would be passed */
	ERR_SYNTAX,  /* what arrived does not follow its grammar */
	ERR_VALUE,   /* follows the grammar, and is not allowed or makes no sense */
	ERR_MISSING, /* what was named does not exist */
	ERR_IO,      /* the system refused; errno has the reason */
	ERR_AWAY,    /* what is needed is not to be had for now */
	ERR_TLS,     /* certificate or key unusable */
	ERR_DOUBT,   /* the system failed, and whether it was done is not known */
};

/* A short lower-case phrase for a log line: "out of memory". Never NULL. */
const char *err_text(enum err err);
