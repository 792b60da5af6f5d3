/*
 * pay_sign.h: what payment channels sign and encrypt with, by OpenSSL's libcrypto.
 *
 * Keys and certificates are texts: PEM, or the bare base64 that Alipay's key tool gives.
 * Nothing of OpenSSL outlives a call.
 */
#ifndef PREPAY_PAY_SIGN_H
#define PREPAY_PAY_SIGN_H

#include "postgres.h"

#include "utils/timestamp.h"

#define SIGN_MIN_BITS 2048
#define SIGN_GCM_KEY_BYTES 32

/* SHA256withRSA, as base64. Raises PP090 for a key that cannot sign. */
extern char *sign_text(const char *private_key, const char *text);
/* key: a public key or a certificate. False also for what is no signature or no key. */
extern bool sign_verify(const char *key, const char *data, size_t length, const char *signature);

/* AEAD_AES_256_GCM: base64 of ciphertext and tag. NULL: it is not what was encrypted so. */
extern char *sign_open(const char *key, const char *nonce, const char *associated,
					   const char *ciphertext);

/* Lower-case hex. */
extern char *sign_digest(const char *text);
/* Random characters that are hard to take for one another. Raises when there is no randomness. */
extern char *sign_random(int length);

/* What a key is, without giving it away: "RSA 2048, public key SHA-256 ..."; NULL: unusable. */
extern char *sign_private_about(const char *key);
extern char *sign_public_about(const char *key);
/* Certificates in a text of PEM, and who the first is for; NULL: there is none. */
extern char *sign_certificates_about(const char *pem);

/* Serial number of the first certificate in a text; NULL: there is none. */
extern char *sign_serial(const char *pem, bool decimal);

/*
 * The common name of a certificate that leads to one of the roots at a time; intermediates
 * may stand beside the roots. NULL: it does not.
 */
extern char *sign_trusted_name(const char *certificate, const char *roots, TimestampTz at);

#endif
