#include "token.h"

#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/json.h"

/* base64url without padding, RFC 4648 §5 */
static void
put_base64(StringInfo out, const char *bytes, int n)
{
	int room = pg_b64_enc_len(n);
	char *text = palloc(room);
	int length = pg_b64_encode(bytes, n, text, room);
	int i;

	for (i = 0; i < length && text[i] != '='; i++)
		appendStringInfoCharMacro(out, text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
}

static void
put_member(StringInfo out, const char *name, const char *value)
{
	appendStringInfo(out, "\"%s\":", name);
	escape_json(out, value);
	appendStringInfoChar(out, ',');
}

static void
put_signature(StringInfo out, const char *secret)
{
	pg_hmac_ctx *context = pg_hmac_create(PG_SHA256);
	uint8 code[PG_SHA256_DIGEST_LENGTH];

	if (context == NULL || pg_hmac_init(context, (const uint8 *) secret, strlen(secret)) < 0 ||
		pg_hmac_update(context, (uint8 *) out->data, out->len) < 0 ||
		pg_hmac_final(context, code, sizeof(code)) < 0)
		elog(ERROR, "could not compute HMAC-SHA-256");
	pg_hmac_free(context);
	appendStringInfoChar(out, '.');
	put_base64(out, (char *) code, sizeof(code));
}

char *
token_sign(const Token *token, const char *secret)
{
	static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
	StringInfoData claims;
	StringInfoData out;
	char *utf8;

	initStringInfo(&claims);
	appendStringInfoChar(&claims, '{');
	put_member(&claims, "role", token->role);
	put_member(&claims, "site", token->site);
	put_member(&claims, "account", token->account);
	appendStringInfo(&claims, "\"iat\":" INT64_FORMAT ",\"exp\":" INT64_FORMAT "}",
					 token->issued_at, token->expires_at);
	utf8 = pg_server_to_any(claims.data, claims.len, PG_UTF8);
	initStringInfo(&out);
	put_base64(&out, header, strlen(header));
	appendStringInfoChar(&out, '.');
	put_base64(&out, utf8, strlen(utf8));
	put_signature(&out, secret);
	return out.data;
}
