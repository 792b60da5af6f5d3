/*
 * pay_alipay.c: Alipay (支付宝), open platform, RSA2.
 *
 * Requests are parameters signed by the application's private key; messages are forms
 * signed by Alipay's. What is signed are all fields sorted by name as they are before
 * escaping, but for sign; whether sign_type is among them differs by product, so both
 * texts are tried, as Alipay's own libraries do. The answer that ends the repetitions
 * of a message is the body "success".
 */
#include "pay.h"

#include "money.h"
#include "pay_sign.h"

#define GATEWAY "https://openapi.alipay.com/gateway.do"

static const char *const scenes[] = { "page", "wap", "app", NULL };
static const char *const keys[] = { "app_private_key", "alipay_public_key", NULL };
static const char *const only_sign[] = { "sign", NULL };
static const char *const both_signs[] = { "sign", "sign_type", NULL };

static char *
key_about(const char *name, const char *value)
{
	if (strcmp(name, "app_private_key") == 0)
		return sign_private_about(value);
	return sign_public_about(value);
}

/* ---- requests ---- */

static void
add(Form *form, const char *name, const char *value)
{
	if (value && !form_add(form, name, value))
		elog(ERROR, "a request has two fields \"%s\"", name);
}

/* Common parameters, the signature last. */
static void
sign_request(const PayChannel *channel, const char *method, const Doc *content, TimestampTz at,
			 Form *form)
{
	add(form, "app_id", channel->app_id);
	add(form, "biz_content", pay_json(content));
	add(form, "charset", "utf-8");
	add(form, "format", "JSON");
	add(form, "method", method);
	add(form, "sign_type", "RSA2");
	add(form, "timestamp", pay_time_text(at, "YYYY-MM-DD HH24:MI:SS"));
	add(form, "version", "1.0");
	add(form, "sign",
		sign_text(pay_key_require(channel, "app_private_key"), form_text(form, only_sign, false)));
}

static const char *
gateway(const PayChannel *channel)
{
	return channel->gateway_url ? channel->gateway_url : GATEWAY;
}

static Doc
order_request(const PayChannel *channel, const PayOrder *order)
{
	static const char *const none[] = { NULL };
	static const char *const product[][3] = {
		{ "page", "alipay.trade.page.pay", "FAST_INSTANT_TRADE_PAY" },
		{ "wap", "alipay.trade.wap.pay", "QUICK_WAP_WAY" },
		{ "app", "alipay.trade.app.pay", "QUICK_MSECURITY_PAY" }
	};
	Form form = { 0 };
	Doc content = doc_new(DOC_OBJECT);
	Doc request = doc_new(DOC_OBJECT);
	int i = 0;

	while (strcmp(product[i][0], order->scene) != 0)
		i++;
	doc_add(&content, "out_trade_no", doc_new_text(order->order_no));
	doc_add(&content, "total_amount", doc_new_text(pay_yuan(order->minor)));
	doc_add(&content, "subject", doc_new_text(order->subject));
	doc_add(&content, "product_code", doc_new_text(product[i][2]));
	doc_add(&content, "time_expire",
			doc_new_text(pay_time_text(order->expires_at, "YYYY-MM-DD HH24:MI:SS")));
	add(&form, "notify_url", channel->notify_url);
	if (strcmp(order->scene, "app") != 0)
		add(&form, "return_url", pay_option(&order->options, "return_url"));
	sign_request(channel, product[i][1], &content, order->created_at, &form);
	if (strcmp(order->scene, "app") == 0)
		doc_add(&request, "order_string", doc_new_text(form_text(&form, none, true)));
	else
	{
		doc_add(&request, "method", doc_new_text("GET"));
		doc_add(&request, "url",
				doc_new_text(psprintf("%s?%s", gateway(channel), form_text(&form, none, true))));
	}
	return request;
}

static Doc
refund_request(const PayChannel *channel, const PayRefund *refund)
{
	static const char *const none[] = { NULL };
	Form form = { 0 };
	Doc content = doc_new(DOC_OBJECT);
	Doc headers = doc_new(DOC_OBJECT);
	Doc request = doc_new(DOC_OBJECT);

	doc_add(&content, "out_trade_no", doc_new_text(refund->order->order_no));
	doc_add(&content, "out_request_no", doc_new_text(refund->refund_no));
	doc_add(&content, "refund_amount", doc_new_text(pay_yuan(refund->minor)));
	if (refund->reason)
		doc_add(&content, "refund_reason", doc_new_text(refund->reason));
	sign_request(channel, "alipay.trade.refund", &content, refund->at, &form);
	doc_add(&headers, "Content-Type",
			doc_new_text("application/x-www-form-urlencoded;charset=utf-8"));
	doc_add(&request, "method", doc_new_text("POST"));
	doc_add(&request, "url", doc_new_text(psprintf("%s?charset=utf-8", gateway(channel))));
	doc_add(&request, "headers", headers);
	doc_add(&request, "body", doc_new_text(form_text(&form, none, true)));
	return request;
}

/* ---- messages ---- */

static bool
is_signed(const PayChannel *channel, const Form *form)
{
	char *key = pay_key_require(channel, "alipay_public_key");
	const char *sign = form_get(form, "sign");
	char *text = form_text(form, both_signs, false);

	if (sign_verify(key, text, strlen(text), sign))
		return true;
	text = form_text(form, only_sign, false);
	return sign_verify(key, text, strlen(text), sign);
}

/* Whose message it is; NULL: nobody's whose key signed it. */
static const char *
find_contract(PayMessage *message, const Form *form)
{
	PayChannel *channel;
	int n = pay_channels_of(message->kind, form_get(form, "seller_id"), form_get(form, "app_id"),
							pay_order_site(message->order_no), &channel);
	int i;

	for (i = 0; i < n; i++)
	{
		if (!is_signed(&channel[i], form))
			continue;
		message->channel = &channel[i];
		return NULL;
	}
	return n == 0 ? "merchant" : "signature";
}

static void
take_event(PayMessage *message, const Form *form)
{
	message->word = pstrdup(form_get(form, "trade_status"));
	if (strcmp(message->word, "TRADE_SUCCESS") == 0 || strcmp(message->word, "TRADE_FINISHED") == 0)
		message->event = PAY_PAID;
	else if (strcmp(message->word, "TRADE_CLOSED") == 0)
		message->event = PAY_CLOSED;
	message->at = pay_time(form_get(form, "gmt_payment"));
	if (form_get(form, "refund_fee") && form_get(form, "out_biz_no"))
	{
		message->event = PAY_REFUNDED;
		message->refund_no = pstrdup(form_get(form, "out_biz_no"));
	}
}

static const char *
read_message(PayMessage *message)
{
	static const char *const needed[] = { "sign",	  "sign_type",	  "app_id",		 "seller_id",
										  "trade_no", "out_trade_no", "trade_status" };
	Form *form = palloc(sizeof(Form));
	const char *refusal;
	int i;

	if (!form_parse(message->body, message->length, form))
		return "malformed";
	for (i = 0; i < lengthof(needed); i++)
		if (form_get(form, needed[i]) == NULL || !pay_is_number(form_get(form, needed[i]), 1024))
			return "malformed";
	if (strcmp(form_get(form, "sign_type"), "RSA2") != 0)
		return "signature";
	message->order_no = pstrdup(form_get(form, "out_trade_no"));
	message->transaction_no = pstrdup(form_get(form, "trade_no"));
	refusal = find_contract(message, form);
	if (refusal)
		return refusal;
	if (form_get(form, "total_amount") == NULL ||
		decimal_parse(form_get(form, "total_amount"), 2, &message->minor) != DECIMAL_OK ||
		message->minor <= 0)
		return "malformed";
	take_event(message, form);
	return NULL;
}

static char *
answer(const char *refusal)
{
	return pstrdup(refusal ? "failure" : "success");
}

const PayKind pay_alipay = {
	.name = "alipay",
	.scenes = scenes,
	.keys = keys,
	.key_about = key_about,
	.order_request = order_request,
	.refund_request = refund_request,
	.read = read_message,
	.answer = answer,
	.content_type = "text/plain",
};
