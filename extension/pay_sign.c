/*
 * pay_sign.c: see pay_sign.h.
 *
 * No function raises while it holds an object of OpenSSL: those are freed by hand, and
 * palloc may raise. Every failure leaves OpenSSL's error queue empty, which the server's
 * own TLS connections share.
 */
#include "pay_sign.h"

#include "common/base64.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include "errors.h"

#define GCM_TAG_BYTES 16
#define GCM_MAX_NONCE 64

/* ---- texts ---- */

/* Bytes of a base64 text that may be broken into lines; NULL: it is none. */
static uint8 *
from_base64(const char *text, int *length)
{
	size_t size = strlen(text);
	char *packed = palloc(size + 1);
	uint8 *bytes = palloc(size + 1);
	int n = 0;

	if (size > MaxAllocSize / 4)
		return NULL;
	for (; *text; text++)
		if (strchr(" \t\r\n", *text) == NULL)
			packed[n++] = *text;
	*length = pg_b64_decode(packed, n, (char *) bytes, (int) size + 1);
	return *length < 0 ? NULL : bytes;
}

static char *
to_base64(const uint8 *bytes, int length)
{
	int room = pg_b64_enc_len(length);
	char *text = palloc(room + 1);
	int n = pg_b64_encode((const char *) bytes, length, text, room);

	if (n < 0)
		elog(ERROR, "could not encode %d bytes", length);
	text[n] = '\0';
	return text;
}

char *
sign_digest(const char *text)
{
	uint8 hash[EVP_MAX_MD_SIZE];
	unsigned int length = 0;
	char *hex;

	if (EVP_Digest(text, strlen(text), hash, &length, EVP_sha256(), NULL) != 1)
		elog(ERROR, "could not compute SHA-256");
	hex = palloc(2 * length + 1);
	hex[hex_encode((const char *) hash, length, hex)] = '\0';
	return hex;
}

char *
sign_random(int length)
{
	static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
	char *text = palloc(length + 1);
	int i;

	if (!pg_strong_random(text, length))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not get random bytes")));
	for (i = 0; i < length; i++)
		text[i] = alphabet[(uint8) text[i] % (sizeof(alphabet) - 1)];
	text[length] = '\0';
	return text;
}

/* ---- keys ---- */

/* A key behind a passphrase is refused; OpenSSL would ask the terminal for it. */
static int
no_passphrase(char *buffer, int size, int writing, void *arg)
{
	return -1;
}

static BIO *
memory_of(const char *text)
{
	return BIO_new_mem_buf(text, -1);
}

static EVP_PKEY *
only_rsa(EVP_PKEY *key)
{
	if (key && EVP_PKEY_base_id(key) == EVP_PKEY_RSA && EVP_PKEY_bits(key) >= SIGN_MIN_BITS)
		return key;
	EVP_PKEY_free(key);
	return NULL;
}

static EVP_PKEY *
private_key_of(const char *text)
{
	EVP_PKEY *key = NULL;
	int length = 0;

	if (strstr(text, "-----BEGIN"))
	{
		BIO *memory = memory_of(text);

		key = PEM_read_bio_PrivateKey(memory, NULL, no_passphrase, NULL);
		BIO_free(memory);
	}
	else
	{
		const uint8 *bytes = from_base64(text, &length);

		if (bytes)
			key = d2i_AutoPrivateKey(NULL, &bytes, length);
	}
	key = only_rsa(key);
	ERR_clear_error();
	return key;
}

static X509 *
certificate_of(const char *text)
{
	BIO *memory = memory_of(text);
	X509 *certificate = PEM_read_bio_X509(memory, NULL, no_passphrase, NULL);

	BIO_free(memory);
	ERR_clear_error();
	return certificate;
}

static EVP_PKEY *
public_key_of(const char *text)
{
	EVP_PKEY *key = NULL;
	int length = 0;

	if (strstr(text, "BEGIN CERTIFICATE"))
	{
		X509 *certificate = certificate_of(text);

		key = certificate ? X509_get_pubkey(certificate) : NULL;
		X509_free(certificate);
	}
	else if (strstr(text, "-----BEGIN"))
	{
		BIO *memory = memory_of(text);

		key = PEM_read_bio_PUBKEY(memory, NULL, no_passphrase, NULL);
		BIO_free(memory);
	}
	else
	{
		const uint8 *bytes = from_base64(text, &length);

		if (bytes)
			key = d2i_PUBKEY(NULL, &bytes, length);
	}
	key = only_rsa(key);
	ERR_clear_error();
	return key;
}

/* Frees the key. */
static char *
about(EVP_PKEY *key)
{
	uint8 *der = NULL;
	uint8 hash[EVP_MAX_MD_SIZE];
	char hex[2 * 8 + 1];
	unsigned int hashed = 0;
	int length;
	int bits;

	if (key == NULL)
		return NULL;
	bits = EVP_PKEY_bits(key);
	length = i2d_PUBKEY(key, &der);
	EVP_PKEY_free(key);
	if (length > 0 && EVP_Digest(der, length, hash, &hashed, EVP_sha256(), NULL) != 1)
		hashed = 0;
	OPENSSL_free(der);
	ERR_clear_error();
	if (hashed == 0)
		return NULL;
	hex[hex_encode((const char *) hash, 8, hex)] = '\0';
	return psprintf("RSA %d, public key SHA-256 %s…", bits, hex);
}

char *
sign_private_about(const char *key)
{
	return about(private_key_of(key));
}

char *
sign_public_about(const char *key)
{
	return about(public_key_of(key));
}

/* ---- signatures ---- */

char *
sign_text(const char *private_key, const char *text)
{
	EVP_PKEY *key = private_key_of(private_key);
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	uint8 signature[1024]; /* RSA up to 8192 bits */
	size_t length = sizeof(signature);
	bool done;

	done = key && context && (size_t) EVP_PKEY_size(key) <= sizeof(signature) &&
		   EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		   EVP_DigestSign(context, signature, &length, (const uint8 *) text, strlen(text)) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	ERR_clear_error();
	if (!done)
		ereport(ERROR, (errcode(ERRCODE_PP_PAYMENT_SETUP), errmsg("the private key cannot sign"),
						errhint("Set it anew with prepay.set_payment_key().")));
	return to_base64(signature, (int) length);
}

bool
sign_verify(const char *key_text, const char *data, size_t length, const char *signature)
{
	int n;
	uint8 *bytes = from_base64(signature, &n);
	EVP_PKEY *key = bytes ? public_key_of(key_text) : NULL;
	EVP_MD_CTX *context = key ? EVP_MD_CTX_new() : NULL;
	bool good;

	good = context && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
		   EVP_DigestVerify(context, bytes, n, (const uint8 *) data, length) == 1;
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return good;
}

/* ---- encryption ---- */

static bool
gcm_open(const char *key, const char *nonce, const char *associated, uint8 *sealed, int length,
		 uint8 *plain)
{
	EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
	int n = 0;
	bool good;

	good =
		context && EVP_DecryptInit_ex(context, EVP_aes_256_gcm(), NULL, NULL, NULL) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_IVLEN, (int) strlen(nonce), NULL) == 1 &&
		EVP_DecryptInit_ex(context, NULL, NULL, (const uint8 *) key, (const uint8 *) nonce) == 1 &&
		EVP_DecryptUpdate(context, NULL, &n, (const uint8 *) associated,
						  (int) strlen(associated)) == 1 &&
		EVP_DecryptUpdate(context, plain, &n, sealed, length) == 1 &&
		EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_GCM_SET_TAG, GCM_TAG_BYTES, sealed + length) == 1 &&
		EVP_DecryptFinal_ex(context, plain + length, &n) == 1;
	EVP_CIPHER_CTX_free(context);
	ERR_clear_error();
	return good;
}

char *
sign_open(const char *key, const char *nonce, const char *associated, const char *ciphertext)
{
	int length;
	uint8 *sealed = from_base64(ciphertext, &length);
	uint8 *plain;

	if (sealed == NULL || length < GCM_TAG_BYTES || strlen(key) != SIGN_GCM_KEY_BYTES ||
		*nonce == '\0' || strlen(nonce) > GCM_MAX_NONCE)
		return NULL;
	length -= GCM_TAG_BYTES;
	plain = palloc(length + GCM_TAG_BYTES + 1);
	if (!gcm_open(key, nonce, associated, sealed, length, plain))
		return NULL;
	plain[length] = '\0';
	return strlen((char *) plain) == (size_t) length ? (char *) plain : NULL;
}

/* ---- certificates ---- */

char *
sign_serial(const char *pem, bool decimal)
{
	X509 *certificate = certificate_of(pem);
	BIGNUM *number =
		certificate ? ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL) : NULL;
	char *text = NULL;
	char copy[128] = "";

	if (number)
		text = decimal ? BN_bn2dec(number) : BN_bn2hex(number);
	if (text)
		strlcpy(copy, text, sizeof(copy));
	OPENSSL_free(text);
	BN_free(number);
	X509_free(certificate);
	ERR_clear_error();
	return *copy ? pstrdup(copy) : NULL;
}

static bool
common_name(X509 *certificate, char *name, size_t size)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	uint8 *utf8 = NULL;
	int length;

	if (at < 0)
		return false;
	length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
	if (length > 0 && (size_t) length < size && memchr(utf8, '\0', length) == NULL)
	{
		memcpy(name, utf8, length);
		name[length] = '\0';
	}
	else
		length = -1;
	OPENSSL_free(utf8);
	return length > 0;
}

/* A self-signed certificate is a root, any other leads to one. */
static void
load_certificates(const char *pem, X509_STORE *roots, STACK_OF(X509) * others)
{
	BIO *memory = memory_of(pem);
	X509 *next;

	while ((next = PEM_read_bio_X509(memory, NULL, no_passphrase, NULL)) != NULL)
	{
		if (X509_check_issued(next, next) == X509_V_OK)
		{
			X509_STORE_add_cert(roots, next);
			X509_free(next);
		}
		else if (sk_X509_push(others, next) == 0)
			X509_free(next);
	}
	BIO_free(memory);
	ERR_clear_error();
}

static bool
leads_to_root(X509 *certificate, const char *pem, TimestampTz at)
{
	X509_STORE *roots = X509_STORE_new();
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	STACK_OF(X509) *others = sk_X509_new_null();
	bool good = false;

	if (roots && context && others)
	{
		load_certificates(pem, roots, others);
		if (X509_STORE_CTX_init(context, roots, certificate, others) == 1)
		{
			X509_STORE_CTX_set_time(context, 0, timestamptz_to_time_t(at));
			good = X509_verify_cert(context) == 1;
		}
	}
	X509_STORE_CTX_free(context);
	X509_STORE_free(roots);
	sk_X509_pop_free(others, X509_free);
	ERR_clear_error();
	return good;
}

char *
sign_trusted_name(const char *certificate_text, const char *roots, TimestampTz at)
{
	X509 *certificate = certificate_of(certificate_text);
	char name[512];
	bool good;

	if (certificate == NULL)
		return NULL;
	good = leads_to_root(certificate, roots, at) && common_name(certificate, name, sizeof(name));
	X509_free(certificate);
	ERR_clear_error();
	return good ? pstrdup(name) : NULL;
}

char *
sign_certificates_about(const char *pem)
{
	BIO *memory = memory_of(pem);
	char first[512] = "";
	X509 *next;
	int n = 0;

	while ((next = PEM_read_bio_X509(memory, NULL, no_passphrase, NULL)) != NULL)
	{
		if (n++ == 0 && !common_name(next, first, sizeof(first)))
			first[0] = '\0';
		X509_free(next);
	}
	BIO_free(memory);
	ERR_clear_error();
	return n > 0 ? psprintf("%d of %s", n, first) : NULL;
}
