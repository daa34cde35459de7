/* certificate - what HTTPS shows its clients, exchangeable while running
 *
 * libmicrohttpd's TLS is GnuTLS, which asks for the certificate at each handshake, without saying
 * on whose behalf: hence one certificate a process. */
#pragma once

#include "smtp/err.h"

/* PEM text: chain and private key. ERR_TLS: unusable, and what was there stays. */
MUST_USE enum err certificate_set(const char *chain, const char *key);
/* The function that MHD_OPTION_HTTPS_CERT_CALLBACK takes. */
void *certificate_callback(void);
void certificate_forget(void);
