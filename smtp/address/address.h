/* address - mailboxes: one parser, one result
 *
 *   mailbox = addr-spec / [ display-name ] "<" addr-spec ">"
 *
 * Strict: no groups, comments, routes or obsolete forms (RFC 5322 4.4). The same value feeds
 * policy, envelope and header. Domains are mapped by UTS-46 to A-labels in lower case; a non-ASCII
 * local part stays UTF-8 and needs SMTPUTF8. A quoted local part is kept in quotes only where it
 * needs them. */
#pragma once

#include "smtp/region.h"

enum { SMTP_ADDRESS_MAX = 254, SMTP_LOCAL_MAX = 64 };

struct smtp_mailbox {
	struct text name;    /* display name, UTF-8, unquoted; empty: none */
	struct text address; /* addr-spec as it goes on the wire */
};

/* Reads "a@b" or "Name <a@b>". Copies into `region`. ERR_SYNTAX or ERR_VALUE with a phrase in
 * *why_out ("the domain has an empty label"), ERR_MEMORY. */
MUST_USE enum err smtp_mailbox_parse(struct text in, struct region *region,
	struct smtp_mailbox *mailbox_out, const char **why_out);
/* Reads an addr-spec alone. */
MUST_USE enum err smtp_address_parse(
	struct text in, struct region *region, struct text *address_out, const char **why_out);
/* Behind the last @; empty for the empty (null) address. */
struct text smtp_address_domain(struct text address);
bool smtp_address_needs_utf8(struct text address);
/* Does `address` fit a key's pattern: "*", "*@example.com", "a@example.com"? Domains without case,
 * local parts as they are. A pattern "*@*.example.com" takes every subdomain. */
bool smtp_address_matches(struct text address, struct text pattern);
