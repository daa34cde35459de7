/* address_list - what stands in From, To, Cc, Bcc and their kin (RFC 5322 3.4)
 *
 *   address-list = [ address ] *( "," [ address ] )
 *   address      = mailbox / display-name ":" address-list of mailboxes ";"
 *   mailbox      = addr-spec / [ display-name ] "<" addr-spec ">"
 *
 * Folds, comments (of raw headers only) and empty places are passed over; encoded words stay as
 * they are, and no address is looked for in them. Each addr-spec is read by smtp_address_parse, so
 * that an address is the same wherever it is read. Refused, though the RFC has them: blanks and
 * comments within an addr-spec, routes, address literals. One pass, no recursion. */
#pragma once

#include "smtp/message/mail.h"

/* A comment is a raw header's right; from one who means its words to be read, they would be lost.
 */
enum smtp_comments { SMTP_COMMENTS_SKIPPED, SMTP_COMMENTS_REFUSED };

/* Why a list was refused. */
struct smtp_list_fault {
	size_t place; /* at which of its addresses, from 1 */
	const char *why;
};

/* Reads a header's value, folded as it may be, or a list on one line. No address at all is fine: a
 * group may be empty ("undisclosed-recipients:;"). Names and addresses are copied into `region`.
 * ERR_SYNTAX or ERR_VALUE with *fault_out; ERR_LIMIT, likewise, for more than `most` addresses, or
 * so many groups; ERR_MEMORY. */
MUST_USE enum err smtp_address_list_parse(struct text value, enum smtp_comments comments,
	size_t most, struct region *region, struct smtp_mailboxes *list_out,
	struct smtp_list_fault *fault_out);
