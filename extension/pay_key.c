/*
 * pay_key.c: contracts with payment channels, their keys, and texts that the channels share.
 *
 * A contract is a row that an administrator writes. Keys are in a table of their own
 * that no role but the storage owner may read: they are set here, and only pay_sign.c
 * ever sees their values.
 */
#include "pay.h"

#include "utils/builtins.h"

#include "auth.h"
#include "clock.h"
#include "db.h"
#include "jsonb_doc.h"
#include "money.h"
#include "oplog.h"
#include "password.h"

#define MAX_KEY_BYTES 65536
#define MAX_SERIAL_BYTES 128
#define MAX_CONTRACTS 100

PG_FUNCTION_INFO_V1(prepay_set_payment_key);

static const PayKind *const kinds[] = { &pay_alipay, &pay_wechat, &pay_unionpay };

const PayKind *
pay_kind(const char *name)
{
	int i;

	for (i = 0; i < lengthof(kinds); i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

const PayKind *
pay_kind_require(const char *name)
{
	const PayKind *kind = pay_kind(name);

	if (kind == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no payment channel \"%s\"", name),
						errhint("Channels are: alipay, wechat, unionpay.")));
	return kind;
}

/* ---- contracts ---- */

#define CONTRACT_COLUMNS                                                                   \
	"site_id, merchant_id, app_id, notify_url, gateway_url, signer,"                       \
	" (extract(epoch FROM order_ttl) * 1000000)::int8, active FROM prepay.payment_channel" \
	" WHERE channel = $1"

static void
take_contract(uint64 row, const PayKind *kind, PayChannel *channel)
{
	channel->site_id = db_int32(row, 1);
	channel->kind = kind;
	channel->merchant_id = db_text(row, 2);
	channel->app_id = db_text(row, 3);
	channel->notify_url = db_text(row, 4);
	channel->gateway_url = db_text(row, 5);
	channel->signer = db_text(row, 6);
	channel->order_ttl_us = db_int64(row, 7);
	channel->is_active = db_bool(row, 8);
}

PayChannel *
pay_channel(int32 site_id, const PayKind *kind)
{
	static DbQuery query = { "SELECT " CONTRACT_COLUMNS " AND site_id = $2",
							 2,
							 { TEXTOID, INT4OID } };
	Datum args[] = { CStringGetTextDatum(kind->name), Int32GetDatum(site_id) };
	PayChannel *channel;

	if (db_run(&query, args) == 0)
		return NULL;
	channel = palloc0(sizeof(*channel));
	take_contract(0, kind, channel);
	return channel;
}

int
pay_channels_of(const PayKind *kind, const char *merchant_id, const char *app_id, int32 first,
				PayChannel **channel)
{
	static DbQuery query = { "SELECT " CONTRACT_COLUMNS
							 " AND merchant_id = $2 AND ($3 IS NULL OR app_id = $3)"
							 " ORDER BY site_id <> $4, site_id LIMIT $5",
							 5,
							 { TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID } };
	Datum args[] = { CStringGetTextDatum(kind->name), CStringGetTextDatum(merchant_id),
					 db_text_datum(app_id), Int32GetDatum(first), Int32GetDatum(MAX_CONTRACTS) };
	int n = db_run_nulls(&query, args, app_id ? NULL : "  n  ");
	int i;

	*channel = palloc0(sizeof(PayChannel) * Max(n, 1));
	for (i = 0; i < n; i++)
		take_contract(i, kind, &(*channel)[i]);
	return n;
}

/* ---- keys ---- */

char *
pay_key(const PayChannel *channel, const char *name, const char *serial)
{
	static DbQuery query = { "SELECT value FROM prepay.payment_key WHERE site_id = $1"
							 " AND channel = $2 AND name = $3 AND serial = $4",
							 4,
							 { INT4OID, TEXTOID, TEXTOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(channel->site_id), CStringGetTextDatum(channel->kind->name),
					 CStringGetTextDatum(name), CStringGetTextDatum(serial) };

	return db_run(&query, args) == 1 ? db_text(0, 1) : NULL;
}

char *
pay_key_require(const PayChannel *channel, const char *name)
{
	char *key = pay_key(channel, name, "");

	if (key == NULL)
		ereport(ERROR, (errcode(ERRCODE_PP_PAYMENT_SETUP),
						errmsg("channel %s has no key \"%s\"", channel->kind->name, name),
						errhint("Set it: SELECT prepay.set_payment_key(site, '%s', '%s', key).",
								channel->kind->name, name)));
	return key;
}

static bool
has_name(const PayKind *kind, const char *name)
{
	const char *const *known;

	for (known = kind->keys; *known; known++)
		if (strcmp(*known, name) == 0)
			return true;
	return false;
}

static void
require_name(const PayKind *kind, const char *name)
{
	char *list = "";
	const char *const *known;

	if (has_name(kind, name))
		return;
	for (known = kind->keys; *known; known++)
		list = psprintf("%s%s%s", list, *list ? ", " : "", *known);
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("channel %s has no key \"%s\"", kind->name, name),
					errhint("Its keys are: %s.", list)));
}

static void
remove_key(const PayChannel *channel, const char *name, const char *serial)
{
	static DbQuery query = { "DELETE FROM prepay.payment_key WHERE site_id = $1 AND channel = $2"
							 " AND name = $3 AND serial = $4",
							 4,
							 { INT4OID, TEXTOID, TEXTOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(channel->site_id), CStringGetTextDatum(channel->kind->name),
					 CStringGetTextDatum(name), CStringGetTextDatum(serial) };

	db_run(&query, args);
}

static void
store_key(const PayChannel *channel, const char *name, const char *serial, const char *value,
		  const char *about)
{
	static DbQuery query = {
		"INSERT INTO prepay.payment_key (site_id, channel, name, serial, value, about, set_at,"
		" set_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
		" ON CONFLICT (site_id, channel, name, serial) DO UPDATE SET value = $5, about = $6,"
		" set_at = $7, set_by = $8",
		8,
		{ INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(channel->site_id),  CStringGetTextDatum(channel->kind->name),
					 CStringGetTextDatum(name),		   CStringGetTextDatum(serial),
					 CStringGetTextDatum(value),	   CStringGetTextDatum(about),
					 TimestampTzGetDatum(clock_now()), CStringGetTextDatum(auth_operator()) };

	db_run(&query, args);
}

/* A usable key is stored, NULL removes it; what it is. */
static const char *
change_key(const PayChannel *channel, const char *name, const char *serial, const char *value)
{
	char *about;

	if (value == NULL)
	{
		remove_key(channel, name, serial);
		return "removed";
	}
	about = strlen(value) <= MAX_KEY_BYTES ? channel->kind->key_about(name, value) : NULL;
	/* The value is a secret: no message repeats it. */
	if (about == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("this is no key \"%s\" of channel %s", name, channel->kind->name),
						errhint("Keys and certificates are PEM, RSA of at least 2048 bits, without "
								"a passphrase; merchant_key is the certificate and its private "
								"key one after the other; api_v3_key has 32 characters.")));
	store_key(channel, name, serial, value, about);
	return about;
}

/* set_payment_key(site, channel, name, value, serial) → what the key is. Raises 22023, PP090. */
Datum
prepay_set_payment_key(PG_FUNCTION_ARGS)
{
	DbSession session;
	const PayKind *kind;
	PayChannel *channel;
	char *name;
	char *serial = PG_ARGISNULL(4) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(4));
	const char *about;
	int32 site_id;

	password_hide("set_payment_key");
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("channel and name of a key must be given")));
	kind = pay_kind_require(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	name = text_to_cstring(PG_GETARG_TEXT_PP(2));
	require_name(kind, name);
	if ((*serial != '\0') != (strcmp(name, "platform_key") == 0) ||
		(*serial != '\0' && !pay_is_number(serial, MAX_SERIAL_BYTES)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a platform_key, and no other key, has a serial"),
						errhint("WeChat names it beside the key: a certificate's serial number, or "
								"PUB_KEY_ID_….")));
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_CONFIGURE, site_id, "set keys of payment channels");
	channel = pay_channel(site_id, kind);
	if (channel == NULL)
		ereport(ERROR, (errcode(ERRCODE_PP_PAYMENT_SETUP),
						errmsg("the site has no channel %s", kind->name),
						errhint("Insert its row into prepay.payment_channel first.")));
	about = change_key(channel, name, serial,
					   PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3)));
	oplog_note(site_id, "set_payment_key", psprintf("payment_key:%s %s", kind->name, name), NULL,
			   oplog_members("serial", *serial ? serial : NULL, "about", about, NULL));
	about = MemoryContextStrdup(session.outer, about);
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(about));
}

/* ---- texts ---- */

char *
pay_time_text(TimestampTz at, const char *format)
{
	static DbQuery query = { "SELECT to_char($1 AT TIME ZONE '" PAY_ZONE "', $2)",
							 2,
							 { TIMESTAMPTZOID, TEXTOID } };
	Datum args[] = { TimestampTzGetDatum(at), CStringGetTextDatum(format) };

	db_run(&query, args);
	return db_text(0, 1);
}

/* Whether a text is digits where the form has '9', and else the form's characters. */
static bool
has_form(const char *text, const char *form)
{
	for (; *form && *text; form++, text++)
		if (*form == '9' ? *text < '0' || *text > '9' : *text != *form)
			return false;
	return *form == *text;
}

/* Never raises, and never reads "yesterday" or an abbreviation of a zone. */
TimestampTz
pay_time(const char *text)
{
	int part[6] = { 0 };
	int32 day;
	bool compact = text && has_form(text, "99999999999999");
	bool plain = text && (has_form(text, "9999-99-99 99:99:99"));
	bool zoned = text && (has_form(text, "9999-99-99T99:99:99+08:00"));

	if ((!compact && !plain && !zoned) ||
		sscanf(text, compact ? "%4d%2d%2d%2d%2d%2d" : "%4d-%2d-%2d%*c%2d:%2d:%2d", &part[0],
			   &part[1], &part[2], &part[3], &part[4], &part[5]) != 6)
		return 0;
	if (part[0] < 2000 || part[1] < 1 || part[1] > 12 || part[2] < 1 || part[2] > 31 ||
		part[3] > 23 || part[4] > 59 || part[5] > 59)
		return 0;
	day = cal_day(part[0], part[1], part[2]);
	/* China has had no summer time since 1991. */
	return day * CAL_DAY_US +
		   ((part[3] - 8) * INT64CONST(3600) + part[4] * 60 + part[5]) * USECS_PER_SEC;
}

char *
pay_yuan(int64 minor)
{
	char *text = palloc(MONEY_TEXT_MAX);

	minor_format(minor, 2, text);
	return text;
}

bool
pay_is_number(const char *text, size_t max)
{
	size_t n = 0;

	for (; text[n]; n++)
		if (n >= max || text[n] <= ' ' || text[n] > '~')
			return false;
	return n > 0;
}

char *
pay_json(const Doc *doc)
{
	return JsonbToCString(NULL, &doc_jsonb(doc)->root, -1);
}

const char *
pay_option(const Doc *options, const char *name)
{
	const Doc *value = options->kind == DOC_OBJECT ? doc_get(options, name) : NULL;

	return value && value->kind == DOC_STRING ? value->text : NULL;
}
