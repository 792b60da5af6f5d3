/*
 * pay_unionpay.c: UnionPay (银联), online gateway, version 5.1.0.
 *
 * Requests and messages are forms. What is signed is the lower-case hex SHA-256 of all
 * fields but the signature, sorted by name. A message brings the certificate it was
 * signed with: it counts only when it leads to a root that was set here and is made out
 * to UnionPay, in its common name as "041@…@name@…".
 */
#include "pay.h"

#include "money.h"
#include "pay_sign.h"

#define GATEWAY "https://gateway.95516.com"
#define SIGNER "中国银联股份有限公司"
#define CURRENCY_CODE "156"
#define TYPE_PAYMENT "01"
#define TYPE_REFUND "04"

static const char *const scenes[] = { "page", "wap", NULL };
static const char *const keys[] = { "merchant_key", "roots", NULL };
static const char *const only_signature[] = { "signature", NULL };

static char *
key_about(const char *name, const char *value)
{
	char *about;

	if (strcmp(name, "roots") == 0)
		return sign_certificates_about(value);
	about = sign_private_about(value);
	if (about == NULL || sign_serial(value, true) == NULL)
		return NULL;
	return psprintf("%s certificate %s", about, sign_serial(value, true));
}

/* ---- requests ---- */

static void
add(Form *form, const char *name, const char *value)
{
	if (value && !form_add(form, name, value))
		elog(ERROR, "a request has two fields \"%s\"", name);
}

static void
begin_request(const PayChannel *channel, const char *type, const char *subtype, const char *number,
			  int64 minor, TimestampTz at, Form *form)
{
	add(form, "version", "5.1.0");
	add(form, "encoding", "UTF-8");
	add(form, "signMethod", "01");
	add(form, "txnType", type);
	add(form, "txnSubType", subtype);
	add(form, "bizType", "000201");
	add(form, "accessType", "0");
	add(form, "merId", channel->merchant_id);
	add(form, "orderId", number);
	add(form, "txnTime", pay_time_text(at, "YYYYMMDDHH24MISS"));
	add(form, "txnAmt", psprintf(INT64_FORMAT, minor));
	add(form, "currencyCode", CURRENCY_CODE);
	add(form, "backUrl", channel->notify_url);
}

static void
sign_request(const PayChannel *channel, Form *form)
{
	char *key = pay_key_require(channel, "merchant_key");

	add(form, "certId", sign_serial(key, true));
	add(form, "signature", sign_text(key, sign_digest(form_text(form, only_signature, false))));
}

static char *
address(const PayChannel *channel, const char *path)
{
	return psprintf("%s%s", channel->gateway_url ? channel->gateway_url : GATEWAY, path);
}

static Doc
order_request(const PayChannel *channel, const PayOrder *order)
{
	Form form = { 0 };
	Doc fields = doc_new(DOC_OBJECT);
	Doc request = doc_new(DOC_OBJECT);
	int i;

	begin_request(channel, TYPE_PAYMENT, "01", order->order_no, order->minor, order->created_at,
				  &form);
	add(&form, "channelType", strcmp(order->scene, "wap") == 0 ? "08" : "07");
	add(&form, "payTimeout", pay_time_text(order->expires_at, "YYYYMMDDHH24MISS"));
	add(&form, "frontUrl", pay_option(&order->options, "return_url"));
	sign_request(channel, &form);
	for (i = 0; i < form.n; i++)
		doc_add(&fields, form.field[i].name, doc_new_text(form.field[i].value));
	doc_add(&request, "method", doc_new_text("POST"));
	doc_add(&request, "url", doc_new_text(address(channel, "/gateway/api/frontTransReq.do")));
	doc_add(&request, "fields", fields);
	return request;
}

static Doc
refund_request(const PayChannel *channel, const PayRefund *refund)
{
	static const char *const none[] = { NULL };
	Form form = { 0 };
	Doc headers = doc_new(DOC_OBJECT);
	Doc request = doc_new(DOC_OBJECT);

	begin_request(channel, TYPE_REFUND, "00", refund->refund_no, refund->minor, refund->at, &form);
	add(&form, "channelType", "07");
	add(&form, "origQryId", refund->order->transaction_no);
	sign_request(channel, &form);
	doc_add(&headers, "Content-Type",
			doc_new_text("application/x-www-form-urlencoded;charset=UTF-8"));
	doc_add(&request, "method", doc_new_text("POST"));
	doc_add(&request, "url", doc_new_text(address(channel, "/gateway/api/backTransReq.do")));
	doc_add(&request, "headers", headers);
	doc_add(&request, "body", doc_new_text(form_text(&form, none, true)));
	return request;
}

/* ---- messages ---- */

/* "041@8310000000083040@中国银联股份有限公司@00016495" → its third part; else the whole name. */
static bool
is_made_out_to(const char *name, const char *signer)
{
	const char *begin = name;
	const char *end;
	int i;

	for (i = 0; i < 2 && begin; i++)
		begin = strchr(begin, '@') ? strchr(begin, '@') + 1 : NULL;
	if (begin == NULL)
		return strcmp(name, signer) == 0;
	end = strchr(begin, '@') ? strchr(begin, '@') : begin + strlen(begin);
	return strlen(signer) == end - begin && strncmp(begin, signer, end - begin) == 0;
}

static bool
is_signed(const PayMessage *message, const PayChannel *channel, const Form *form)
{
	const char *certificate = form_get(form, "signPubKeyCert");
	char *name = sign_trusted_name(certificate, pay_key_require(channel, "roots"), message->now);
	char *digest;

	if (name == NULL || !is_made_out_to(name, channel->signer ? channel->signer : SIGNER))
		return false;
	digest = sign_digest(form_text(form, only_signature, false));
	return sign_verify(certificate, digest, strlen(digest), form_get(form, "signature"));
}

static const char *
find_contract(PayMessage *message, const Form *form, const char *order_no)
{
	PayChannel *channel;
	int n = pay_channels_of(message->kind, form_get(form, "merId"), NULL, pay_order_site(order_no),
							&channel);
	int i;

	for (i = 0; i < n; i++)
	{
		if (!is_signed(message, &channel[i], form))
			continue;
		message->channel = &channel[i];
		return NULL;
	}
	return n == 0 ? "merchant" : "signature";
}

/* A6: the payment stands, something beside it went wrong. */
static void
take_event(PayMessage *message, const Form *form)
{
	const char *code = form_get(form, "respCode");
	bool good = strcmp(code, "00") == 0 || strcmp(code, "A6") == 0;

	message->word = pstrdup(code);
	message->at = pay_time(form_get(form, "txnTime"));
	if (strcmp(form_get(form, "txnType"), TYPE_REFUND) == 0)
	{
		message->event = PAY_REFUNDED;
		message->refund_no = message->order_no;
		message->refund_failed = !good;
	}
	else if (strcmp(form_get(form, "txnType"), TYPE_PAYMENT) == 0 && good)
		message->event = PAY_PAID;
}

static const char *
read_message(PayMessage *message)
{
	static const char *const needed[] = { "signature", "merId",	  "orderId",  "queryId",
										  "txnAmt",	   "txnType", "respCode", "currencyCode" };
	Form *form = palloc(sizeof(Form));
	const char *refusal;
	int i;

	if (!form_parse(message->body, message->length, form))
		return "malformed";
	for (i = 0; i < lengthof(needed); i++)
		if (form_get(form, needed[i]) == NULL || !pay_is_number(form_get(form, needed[i]), 1024))
			return "malformed";
	if (form_get(form, "signPubKeyCert") == NULL)
		return "malformed";
	refusal = find_contract(message, form, form_get(form, "orderId"));
	if (refusal)
		return refusal;
	message->order_no = pstrdup(form_get(form, "orderId"));
	message->transaction_no = pstrdup(form_get(form, "queryId"));
	if (strcmp(form_get(form, "currencyCode"), CURRENCY_CODE) != 0 ||
		decimal_parse(form_get(form, "txnAmt"), 0, &message->minor) != DECIMAL_OK ||
		message->minor <= 0)
		return "amount";
	take_event(message, form);
	return NULL;
}

static char *
answer(const char *refusal)
{
	return pstrdup(refusal ? "failure" : "ok");
}

const PayKind pay_unionpay = {
	.name = "unionpay",
	.scenes = scenes,
	.keys = keys,
	.key_about = key_about,
	.order_request = order_request,
	.refund_request = refund_request,
	.read = read_message,
	.answer = answer,
	.content_type = "text/plain",
};
