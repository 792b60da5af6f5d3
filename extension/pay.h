/*
 * pay.h: online payment (在线支付): what its modules share.
 *
 *   pay_order.c    an order: how much for which account, until when; what a client needs
 *   pay_notice.c   the channel says that it was paid: pay_notify()
 *   pay_apply.c    a payment the channel vouches for: credited once, or kept for a person
 *   pay_alipay.c pay_wechat.c pay_unionpay.c   what differs by channel
 *   pay_refund.c   money back the way it came
 *   settle.c       the channel's bill of a day against all that
 *   pay_key.c      channels and keys
 *   pay_verify.c   payments against the ledger
 */
#ifndef PREPAY_PAY_H
#define PREPAY_PAY_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "code.h"
#include "doc.h"
#include "form.h"
#include "site.h"

#define PAY_CURRENCY "CNY"
#define PAY_ZONE "Asia/Shanghai" /* the channels' times have no zone: they are Beijing's */
#define PAY_ORDER_MAX 32		 /* bytes of an order number: the least of the channels' limits */

typedef struct PayOrder PayOrder;
typedef struct PayMessage PayMessage;
typedef struct PayRefund PayRefund;

/* A site's contract with a channel: a row of payment_channel. */
typedef struct PayChannel
{
	int32 site_id;
	const struct PayKind *kind;
	char *merchant_id;
	char *app_id; /* NULL: unionpay */
	char *notify_url;
	char *gateway_url; /* NULL: the channel's own */
	char *signer;	   /* unionpay: who its certificate is for; NULL: the channel's own */
	int64 order_ttl_us;
	bool is_active;
} PayChannel;

/* What differs by channel. */
typedef struct PayKind
{
	const char *name;		   /* of the channel, and of the tender */
	const char *const *scenes; /* how a customer pays; the first is the default */
	const char *const *keys;   /* names for set_payment_key() */
	/* The key is usable: what it is; NULL: it is not. */
	char *(*key_about)(const char *name, const char *value);
	/* What the client of an order, or a worker for a refund, sends. */
	Doc (*order_request)(const PayChannel *channel, const PayOrder *order);
	Doc (*refund_request)(const PayChannel *channel, const PayRefund *refund);
	/* Verify a message with the keys of whom it is for; NULL, or a word why it is refused. */
	const char *(*read)(PayMessage *message);
	/* Body of the answer: yes, or why not. */
	char *(*answer)(const char *refusal);
	const char *content_type;
} PayKind;

extern const PayKind pay_alipay;
extern const PayKind pay_wechat;
extern const PayKind pay_unionpay;

struct PayOrder
{
	int32 site_id;
	char *order_no;
	int32 account_id;
	const char *channel;
	const char *scene;
	const char *subject;
	int64 minor;
	const char *state; /* created paid closed expired */
	TimestampTz created_at;
	TimestampTz expires_at;
	char *transaction_no; /* NULL: not paid */
	int32 seq;
	Doc options; /* of a new order */
};

struct PayRefund
{
	const PayOrder *order;
	char *refund_no;
	int64 minor;
	const char *reason; /* NULL: none */
	TimestampTz at;
};

typedef enum PayEvent
{
	PAY_NOTHING, /* says nothing that matters: waiting for the payer, say */
	PAY_PAID,
	PAY_CLOSED, /* the channel takes no money for the order any more */
	PAY_REFUNDED
} PayEvent;

/* A message of a channel, and what read() found in it once its signature was good. */
struct PayMessage
{
	const PayKind *kind;
	Jsonb *headers; /* NULL: none */
	const char *body;
	size_t length;
	TimestampTz now;
	PayChannel *channel; /* whose keys verified it */
	PayEvent event;
	char *word; /* the channel's for its state */
	char *order_no;
	char *transaction_no;
	int64 minor;	 /* paid */
	TimestampTz at;	 /* of the payment; 0: not said */
	char *refund_no; /* NULL: not about a refund */
	bool refund_failed;
};

/* A payment that the channel, or its bill, vouches for. */
typedef struct PayTrade
{
	const PayKind *kind;
	int32 site_id;
	const char *order_no;
	const char *transaction_no;
	int64 minor;
	TimestampTz at;
} PayTrade;

typedef enum PayApplied
{
	PAY_CREDITED,
	PAY_REPEATED,
	PAY_UNAPPLIED
} PayApplied;

/* ---- pay_key.c ---- */

/* NULL: there is no such channel. */
extern const PayKind *pay_kind(const char *name);
/* Raises 22023 naming those there are. */
extern const PayKind *pay_kind_require(const char *name);
/* A site's contract; NULL: none. */
extern PayChannel *pay_channel(int32 site_id, const PayKind *kind);
/*
 * Contracts that a message may be for, by merchant (and app, or NULL): that of `first`, the
 * site of the order number, comes first. A merchant may serve several sites.
 */
extern int pay_channels_of(const PayKind *kind, const char *merchant_id, const char *app_id,
						   int32 first, PayChannel **channel);
/* A key of a site; NULL: not set. serial "": the only one of its name. */
extern char *pay_key(const PayChannel *channel, const char *name, const char *serial);
/* Raises PP090. */
extern char *pay_key_require(const PayChannel *channel, const char *name);

/* ---- pay_order.c ---- */

/* The site a number of an order or refund was made for; 0: it is none of ours. */
extern int32 pay_order_site(const char *order_no);
/* NULL: there is none. lock: the account is locked. */
extern PayOrder *pay_order_load(int32 site_id, const char *order_no, bool lock);
/* The channel closed it: an order that waits is closed. Locks site and account. */
extern void pay_order_closed(int32 site_id, const char *order_no);
/* Orders whose time is over; skips what others hold. */
extern int pay_order_tick(const Site *site, int max);

/*
 * A new order; the caller's right has been checked, the site's lock is shared. Raises PP022,
 * PP024, PP025, PP027, PP090, 54000.
 */
extern PayOrder *pay_order_create(const Site *site, const CodeTarget *account, Datum amount,
								  const char *channel, Jsonb *options);
/* payment_order_result of it, allocated in the session's outer memory. */
extern Datum pay_order_result(const Site *site, const char *account, const PayOrder *order,
							  DbSession *session, FunctionCallInfo fcinfo);

/* ---- pay_apply.c ---- */

extern char *pay_account_code(const Site *site, int32 account_id);

/*
 * Credit a payment, or keep it for a person. Raises only for what may be different another
 * time. Locks: site shared → account → order → channels. *detail: a sentence.
 */
extern PayApplied pay_apply(const PayTrade *trade, char **detail);

/* ---- pay_refund.c ---- */

/* The channel said what became of a refund; false: none of ours is waiting for it. */
extern bool pay_refund_settle(int32 site_id, const char *refund_no, bool failed, TimestampTz at);

/* ---- pay_verify.c ---- */

/* Sentences about payments that the ledger does not bear out, NULL at the end. */
extern char **pay_faults(const Site *site);

/* ---- texts ---- */

/* "2026-03-01 12:00:00" of Beijing, or with another format of to_char(). */
extern char *pay_time_text(TimestampTz at, const char *format);
/* A time as a channel writes it; 0: it is none. */
extern TimestampTz pay_time(const char *text);
extern char *pay_yuan(int64 minor);
/* Printable ASCII of at most max bytes, not empty: what may be a number of an order or payment. */
extern bool pay_is_number(const char *text, size_t max);
/* A document as JSON text. */
extern char *pay_json(const Doc *doc);
/* Value of a member of options, NULL: absent. */
extern const char *pay_option(const Doc *options, const char *name);

#endif
