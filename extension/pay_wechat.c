/*
 * pay_wechat.c: WeChat Pay (微信支付), API v3.
 *
 * Orders are placed by a signed HTTP request that a worker outside sends; the channel
 * answers with a code_url or a prepay_id. Messages are JSON: the signature of timestamp,
 * nonce and body is in headers, by the platform key whose serial stands beside it, and
 * what was paid is encrypted by the merchant's API v3 key. Old timestamps are refused,
 * so that a message somebody recorded cannot be sent again later.
 */
#include "pay.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "auth.h"
#include "db.h"
#include "jsonb_doc.h"
#include "money.h"
#include "pay_sign.h"

#define GATEWAY "https://api.mch.weixin.qq.com"
#define MAX_AGE_S 300 /* of a message, either way: clocks differ */
#define MAX_CONTRACTS 100

PG_FUNCTION_INFO_V1(prepay_wechat_pay_parameters);

static const char *const scenes[] = { "native", "jsapi", "h5", "app", NULL };
static const char *const keys[] = { "merchant_key", "api_v3_key", "platform_key", NULL };

static char *
key_about(const char *name, const char *value)
{
	char *about;

	if (strcmp(name, "api_v3_key") == 0)
		return strlen(value) == SIGN_GCM_KEY_BYTES ? "32 bytes" : NULL;
	if (strcmp(name, "platform_key") == 0)
		return sign_public_about(value);
	about = sign_private_about(value);
	if (about == NULL || sign_serial(value, false) == NULL)
		return NULL;
	return psprintf("%s certificate %s", about, sign_serial(value, false));
}

/* ---- requests ---- */

static int64
unix_time(TimestampTz at)
{
	return at / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY;
}

static Doc
signed_request(const PayChannel *channel, const char *path, const Doc *content, TimestampTz at)
{
	char *key = pay_key_require(channel, "merchant_key");
	char *nonce = sign_random(32);
	char *body = pay_json(content);
	char *time = psprintf(INT64_FORMAT, unix_time(at));
	char *signature = sign_text(key, psprintf("POST\n%s\n%s\n%s\n%s\n", path, time, nonce, body));
	Doc headers = doc_new(DOC_OBJECT);
	Doc request = doc_new(DOC_OBJECT);

	doc_add(&headers, "Accept", doc_new_text("application/json"));
	doc_add(&headers, "Content-Type", doc_new_text("application/json"));
	doc_add(&headers, "Authorization",
			doc_new_text(psprintf("WECHATPAY2-SHA256-RSA2048 mchid=\"%s\",nonce_str=\"%s\","
								  "signature=\"%s\",timestamp=\"%s\",serial_no=\"%s\"",
								  channel->merchant_id, nonce, signature, time,
								  sign_serial(key, false))));
	doc_add(&request, "method", doc_new_text("POST"));
	doc_add(&request, "url",
			doc_new_text(
				psprintf("%s%s", channel->gateway_url ? channel->gateway_url : GATEWAY, path)));
	doc_add(&request, "headers", headers);
	doc_add(&request, "body", doc_new_text(body));
	return request;
}

static Doc
amount_doc(const char *name, int64 minor)
{
	Doc amount = doc_new(DOC_OBJECT);

	doc_add(&amount, name, doc_new_number(psprintf(INT64_FORMAT, minor)));
	doc_add(&amount, "currency", doc_new_text(PAY_CURRENCY));
	return amount;
}

static void
require_option(const PayOrder *order, const char *name)
{
	if (pay_option(&order->options, name) == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("scene %s needs the option \"%s\"", order->scene, name),
						errhint("Give it in options, or order with the scene native.")));
}

/* What a scene wants to know of the payer. */
static void
add_payer(const PayOrder *order, Doc *content)
{
	if (strcmp(order->scene, "jsapi") == 0)
	{
		Doc payer = doc_new(DOC_OBJECT);

		require_option(order, "openid");
		doc_add(&payer, "openid", doc_new_text(pay_option(&order->options, "openid")));
		doc_add(content, "payer", payer);
	}
	if (strcmp(order->scene, "h5") == 0)
	{
		Doc scene = doc_new(DOC_OBJECT);
		Doc h5 = doc_new(DOC_OBJECT);

		require_option(order, "client_ip");
		doc_add(&h5, "type", doc_new_text("Wap"));
		doc_add(&scene, "payer_client_ip", doc_new_text(pay_option(&order->options, "client_ip")));
		doc_add(&scene, "h5_info", h5);
		doc_add(content, "scene_info", scene);
	}
}

static Doc
order_request(const PayChannel *channel, const PayOrder *order)
{
	Doc content = doc_new(DOC_OBJECT);

	doc_add(&content, "appid", doc_new_text(channel->app_id));
	doc_add(&content, "mchid", doc_new_text(channel->merchant_id));
	doc_add(&content, "description", doc_new_text(order->subject));
	doc_add(&content, "out_trade_no", doc_new_text(order->order_no));
	doc_add(&content, "time_expire",
			doc_new_text(pay_time_text(order->expires_at, "YYYY-MM-DD\"T\"HH24:MI:SS\"+08:00\"")));
	doc_add(&content, "notify_url", doc_new_text(channel->notify_url));
	doc_add(&content, "amount", amount_doc("total", order->minor));
	add_payer(order, &content);
	return signed_request(channel, psprintf("/v3/pay/transactions/%s", order->scene), &content,
						  order->created_at);
}

static Doc
refund_request(const PayChannel *channel, const PayRefund *refund)
{
	Doc content = doc_new(DOC_OBJECT);
	Doc amount = amount_doc("refund", refund->minor);

	doc_add(&amount, "total", doc_new_number(psprintf(INT64_FORMAT, refund->order->minor)));
	doc_add(&content, "transaction_id", doc_new_text(refund->order->transaction_no));
	doc_add(&content, "out_refund_no", doc_new_text(refund->refund_no));
	doc_add(&content, "notify_url", doc_new_text(channel->notify_url));
	doc_add(&content, "amount", amount);
	if (refund->reason)
		doc_add(&content, "reason", doc_new_text(refund->reason));
	return signed_request(channel, "/v3/refund/domestic/refunds", &content, refund->at);
}

/* With it the client calls WeChat: signed are app id, time, nonce and the package, or prepay_id. */
static Doc
client_parameters(const PayChannel *channel, const PayOrder *order, const char *prepay_id,
				  TimestampTz at)
{
	bool in_app = strcmp(order->scene, "app") == 0;
	char *time = psprintf(INT64_FORMAT, unix_time(at));
	char *nonce = sign_random(32);
	char *package = in_app ? "Sign=WXPay" : psprintf("prepay_id=%s", prepay_id);
	char *signature = sign_text(
		pay_key_require(channel, "merchant_key"),
		psprintf("%s\n%s\n%s\n%s\n", channel->app_id, time, nonce, in_app ? prepay_id : package));
	Doc parameters = doc_new(DOC_OBJECT);

	doc_add(&parameters, in_app ? "appid" : "appId", doc_new_text(channel->app_id));
	doc_add(&parameters, in_app ? "timestamp" : "timeStamp", doc_new_text(time));
	doc_add(&parameters, in_app ? "noncestr" : "nonceStr", doc_new_text(nonce));
	doc_add(&parameters, "package", doc_new_text(package));
	if (in_app)
	{
		doc_add(&parameters, "partnerid", doc_new_text(channel->merchant_id));
		doc_add(&parameters, "prepayid", doc_new_text(prepay_id));
	}
	else
		doc_add(&parameters, "signType", doc_new_text("RSA"));
	doc_add(&parameters, in_app ? "sign" : "paySign", doc_new_text(signature));
	return parameters;
}

/* wechat_pay_parameters(site, order_no, prepay_id) → jsonb. Raises 22023, PP010, PP090. */
Datum
prepay_wechat_pay_parameters(PG_FUNCTION_ARGS)
{
	DbSession session;
	const PayOrder *order;
	PayChannel *channel;
	char *order_no = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *prepay_id = text_to_cstring(PG_GETARG_TEXT_PP(2));
	Doc parameters;
	Jsonb *result;
	int32 site_id;
	MemoryContext old;

	if (!pay_is_number(prepay_id, 64))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("this is no prepay_id of WeChat Pay"),
						errhint("Give the prepay_id of the answer to the signed request.")));
	db_enter(&session);
	site_id = code_site(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_SELL, site_id, "order payments");
	order = pay_order_load(site_id, order_no, false);
	if (order == NULL || strcmp(order->channel, "wechat") != 0 ||
		(strcmp(order->scene, "jsapi") != 0 && strcmp(order->scene, "app") != 0))
		ereport(ERROR,
				(errcode(ERRCODE_PP_CODE_UNKNOWN),
				 errmsg("the site has no order \"%s\" of WeChat Pay, scene jsapi or app", order_no),
				 errhint("prepay.payments lists the orders with their channels and scenes.")));
	channel = pay_channel(site_id, &pay_wechat);
	parameters = client_parameters(channel, order, prepay_id, site_get(site_id)->now);
	old = MemoryContextSwitchTo(session.outer);
	result = doc_jsonb(&parameters);
	MemoryContextSwitchTo(old);
	db_leave(&session);
	PG_RETURN_JSONB_P(result);
}

/* ---- messages ---- */

/* A header, whatever its case; NULL: absent. */
static char *
header(const PayMessage *message, const char *name)
{
	JsonbIterator *iterator;
	JsonbIteratorToken token;
	JsonbValue value;
	bool found = false;

	if (message->headers == NULL || !JB_ROOT_IS_OBJECT(message->headers))
		return NULL;
	iterator = JsonbIteratorInit(&message->headers->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			found = value.val.string.len == strlen(name) &&
					pg_strncasecmp(value.val.string.val, name, value.val.string.len) == 0;
		else if (token == WJB_VALUE && found && value.type == jbvString)
			return pnstrdup(value.val.string.val, value.val.string.len);
	}
	return NULL;
}

/* Contracts whose platform key of that serial signed the message. */
static int
contracts_by_serial(const PayMessage *message, const char *serial, const char *text,
					const char *signature, int32 **site_id)
{
	static DbQuery query = {
		"SELECT site_id, value FROM prepay.payment_key WHERE channel = 'wechat'"
		" AND name = 'platform_key' AND serial = $1 AND serial <> '' ORDER BY site_id LIMIT $2",
		2,
		{ TEXTOID, INT4OID }
	};
	Datum args[] = { CStringGetTextDatum(serial), Int32GetDatum(MAX_CONTRACTS) };
	int found = db_run(&query, args);
	char *known = NULL;
	bool good = false;
	int n = 0;
	int i;

	*site_id = palloc(sizeof(int32) * Max(found, 1));
	for (i = 0; i < found; i++)
	{
		char *key = db_text(i, 2);

		if (known == NULL || strcmp(known, key) != 0)
			good = sign_verify(key, text, strlen(text), signature);
		known = key;
		if (good)
			(*site_id)[n++] = db_int32(i, 1);
	}
	return n;
}

static const Doc *
member(const Doc *object, const char *name, DocKind kind)
{
	const Doc *value = object && object->kind == DOC_OBJECT ? doc_get(object, name) : NULL;

	return value && value->kind == kind ? value : NULL;
}

static const char *
text_member(const Doc *object, const char *name)
{
	const Doc *value = member(object, name, DOC_STRING);

	return value ? value->text : NULL;
}

static bool
is_text(const Doc *object, const char *name, const char *wanted)
{
	const char *text = text_member(object, name);

	return text && strcmp(text, wanted) == 0;
}

/* JSON in UTF-8; raises for what is none. */
static Doc *
parse_json(const char *text)
{
	char *own = pg_any_to_server(text, strlen(text), PG_UTF8);

	return jsonb_doc(DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(own))));
}

/* The resource in plain text, by the API v3 key of one of the sites; NULL: by none. */
static Doc *
open_resource(const Doc *resource, const int32 *site_id, int n)
{
	const char *nonce = text_member(resource, "nonce");
	const char *sealed = text_member(resource, "ciphertext");
	const char *associated = text_member(resource, "associated_data");
	int i;

	if (nonce == NULL || sealed == NULL || !is_text(resource, "algorithm", "AEAD_AES_256_GCM"))
		return NULL;
	for (i = 0; i < n; i++)
	{
		PayChannel *channel = pay_channel(site_id[i], &pay_wechat);
		char *plain = sign_open(pay_key_require(channel, "api_v3_key"), nonce,
								associated ? associated : "", sealed);

		if (plain)
			return parse_json(plain);
	}
	return NULL;
}

/* Of the contracts that signed, the one of merchant and application, of the order's site first. */
static bool
find_contract(PayMessage *message, const Doc *trade, const int32 *site_id, int n)
{
	int32 wanted = pay_order_site(message->order_no);
	const char *app_id = text_member(trade, "appid");
	int i;

	for (i = 0; i < n; i++)
	{
		PayChannel *channel = pay_channel(site_id[i], &pay_wechat);

		/* Messages about refunds name no application. */
		if (is_text(trade, "mchid", channel->merchant_id) &&
			(app_id ? strcmp(app_id, channel->app_id) == 0 : message->refund_no != NULL) &&
			(message->channel == NULL || site_id[i] == wanted))
			message->channel = channel;
	}
	return message->channel != NULL;
}

static bool
take_amount(PayMessage *message, const Doc *trade)
{
	const Doc *amount = member(trade, "amount", DOC_OBJECT);
	const Doc *total = member(amount, "total", DOC_NUMBER);

	return total && decimal_parse(total->text, 0, &message->minor) == DECIMAL_OK &&
		   message->minor > 0 && (message->refund_no || is_text(amount, "currency", PAY_CURRENCY));
}

/* What the plain text says. */
static const char *
take_trade(PayMessage *message, const Doc *trade, const int32 *site_id, int n)
{
	const char *order_no = text_member(trade, "out_trade_no");
	const char *transaction_no = text_member(trade, "transaction_id");
	const char *refund_no = text_member(trade, "out_refund_no");
	const char *state = text_member(trade, refund_no ? "refund_status" : "trade_state");

	if (order_no == NULL || !pay_is_number(order_no, 64) || state == NULL ||
		transaction_no == NULL || !pay_is_number(transaction_no, 64) ||
		(refund_no && !pay_is_number(refund_no, 64)) || !pay_is_number(state, 64))
		return "malformed";
	message->order_no = pstrdup(order_no);
	message->transaction_no = pstrdup(transaction_no);
	message->word = pstrdup(state);
	message->refund_no = refund_no ? pstrdup(refund_no) : NULL;
	if (!find_contract(message, trade, site_id, n))
		return "merchant";
	if (!take_amount(message, trade))
		return "amount";
	message->at = pay_time(text_member(trade, "success_time"));
	if (refund_no)
	{
		message->event = PAY_REFUNDED;
		message->refund_failed = strcmp(state, "SUCCESS") != 0;
	}
	else if (strcmp(state, "SUCCESS") == 0)
		message->event = PAY_PAID;
	else if (strcmp(state, "CLOSED") == 0)
		message->event = PAY_CLOSED;
	return NULL;
}

static bool
is_recent(const PayMessage *message, const char *time)
{
	int64 seconds;

	if (strspn(time, "0123456789") != strlen(time) || strlen(time) > 12)
		return false;
	seconds = strtoi64(time, NULL, 10) - unix_time(message->now);
	return seconds <= MAX_AGE_S && seconds >= -MAX_AGE_S;
}

static const char *
read_message(PayMessage *message)
{
	char *time = header(message, "Wechatpay-Timestamp");
	char *nonce = header(message, "Wechatpay-Nonce");
	char *signature = header(message, "Wechatpay-Signature");
	char *serial = header(message, "Wechatpay-Serial");
	const Doc *event;
	const Doc *trade;
	int32 *site_id;
	int n;

	if (time == NULL || nonce == NULL || signature == NULL || serial == NULL ||
		memchr(message->body, '\0', message->length))
		return "signature";
	n = contracts_by_serial(message, serial, psprintf("%s\n%s\n%s\n", time, nonce, message->body),
							signature, &site_id);
	if (n == 0)
		return "signature";
	if (!is_recent(message, time))
		return "stale";
	event = parse_json(message->body);
	trade = open_resource(member(event, "resource", DOC_OBJECT), site_id, n);
	if (trade == NULL)
		return "decryption";
	return take_trade(message, trade, site_id, n);
}

static char *
answer(const char *refusal)
{
	return psprintf("{\"code\":\"%s\",\"message\":\"%s\"}", refusal ? "FAIL" : "SUCCESS",
					refusal ? refusal : "");
}

const PayKind pay_wechat = {
	.name = "wechat",
	.scenes = scenes,
	.keys = keys,
	.key_about = key_about,
	.order_request = order_request,
	.refund_request = refund_request,
	.read = read_message,
	.answer = answer,
	.content_type = "application/json",
};
