#include "digest.h"

#include "fmgr.h"

#include <openssl/evp.h>

/*
 * Fetched once a backend: the server's own pg_cryptohash looks the algorithm up anew for
 * each text, which takes three times as long as hashing a row.
 */
static EVP_MD_CTX *
prepared(const EVP_MD **algorithm)
{
	static const EVP_MD *sha256 = NULL;
	static EVP_MD_CTX *context = NULL;

	if (context == NULL)
	{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
#else
		sha256 = EVP_sha256();
#endif
		context = sha256 ? EVP_MD_CTX_new() : NULL;
	}
	*algorithm = sha256;
	return context;
}

void
digest_of(const void *first, size_t n_first, const void *second, size_t n_second, uint8 *hash)
{
	const EVP_MD *algorithm;
	EVP_MD_CTX *context = prepared(&algorithm);

	if (context == NULL || EVP_DigestInit_ex(context, algorithm, NULL) != 1 ||
		EVP_DigestUpdate(context, first, n_first) != 1 ||
		EVP_DigestUpdate(context, second, n_second) != 1 ||
		EVP_DigestFinal_ex(context, hash, NULL) != 1)
		elog(ERROR, "could not compute SHA-256");
}

Datum
digest_bytea(const uint8 *hash, int n)
{
	bytea *value = palloc(VARHDRSZ + n);

	SET_VARSIZE(value, VARHDRSZ + n);
	memcpy(VARDATA(value), hash, n);
	return PointerGetDatum(value);
}

bool
digest_from_bytea(Datum value, uint8 *hash, int n)
{
	bytea *stored = DatumGetByteaPP(value);
	bool fits = VARSIZE_ANY_EXHDR(stored) == n;

	memset(hash, 0, n);
	if (fits)
		memcpy(hash, VARDATA_ANY(stored), n);
	return fits;
}
