/*
 * sms.c: short messages by Gammu SMSD, through its tables.
 *
 * Gammu's own schema lives in schema smsd of this database (sql/gammu.sql). A message goes
 * into outbox, and into outbox_multipart when it needs several parts; the daemon moves it
 * to sentitems part by part and sets Status there, again when a delivery report comes. So
 * a message is through when its ID has left outbox. What comes in is in inbox.
 *
 * All is one transaction: a crash leaves a message queued here or handed over there, never
 * both. Gammu's tables belong to the daemon's role, which anybody who gets hold of the
 * modem's host may have: they are written as their owner, so that a trigger put on them runs
 * with that role's rights and not with the storage owner's. (A deferred trigger would run at
 * commit as whoever called, so let a role call that has no other right, such as an agent's.)
 *
 * Times in those tables are local to the daemon's session, not to ours: none is relied on.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "account.h"
#include "auth.h"
#include "db.h"
#include "delivery.h"
#include "lock.h"
#include "notice.h"
#include "phone.h"
#include "sms_split.h"

PG_FUNCTION_INFO_V1(prepay_sms_exchange);

#define MICRO 1000000
#define CHANNEL "sms"
#define SMS_WORK 2
#define ALL_SITES 0
#define REPORT_WAIT_US (INT64CONST(3) * 24 * 3600 * USECS_PER_SEC) /* then none will come */
#define QUESTION_MAX 100
#define ANSWERS_MAX 5 /* accounts of one phone */

/* ---- the other side ---- */

/* The owner of Gammu's tables. */
static Oid
carrier_role(void)
{
	static const char *const tables[] = { "outbox", "outbox_multipart", "sentitems", "inbox" };
	Oid schema = get_namespace_oid("smsd", true);
	Oid owner = InvalidOid;
	int i;

	for (i = 0; i < lengthof(tables); i++)
	{
		Oid relation = OidIsValid(schema) ? get_relname_relid(tables[i], schema) : InvalidOid;
		HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
		Form_pg_class class;

		if (!HeapTupleIsValid(tuple))
			ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE),
							errmsg("there is no table smsd.%s", tables[i]),
							errhint("Run sql/gammu.sql: it puts Gammu's schema into this "
									"database.")));
		class = (Form_pg_class) GETSTRUCT(tuple);
		if (class->relkind != RELKIND_RELATION || (i > 0 && class->relowner != owner))
			ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
							errmsg("smsd.%s is not a table of the owner of smsd.outbox", tables[i]),
							errhint("Make schema smsd with sql/gammu.sql.")));
		owner = class->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

static uint64
run_as(Oid role, DbQuery *query, const Datum *args)
{
	Oid user;
	int context;
	uint64 n;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(role,
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION);
	n = db_run(query, args);
	SetUserIdAndSecContext(user, context);
	return n;
}

/* ---- handing over ---- */

static char *
part_header(int64 reference, int parts, int part)
{
	return psprintf("050003%02X%02X%02X", (int) (reference & 0xFF), parts, part);
}

static Datum
part_text(const SmsPart *part)
{
	return PointerGetDatum(cstring_to_text_with_len(part->text, part->bytes));
}

static void
hand_over_rest(Oid role, int32 outbox_id, int64 reference, const SmsPart *part, int parts,
			   Datum coding)
{
	static DbQuery query = {
		"INSERT INTO smsd.outbox_multipart (\"ID\", \"SequencePosition\", \"UDH\", \"Coding\","
		" \"TextDecoded\") VALUES ($1, $2, $3, $4, $5)",
		5,
		{ INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID }
	};
	int i;

	for (i = 1; i < parts; i++)
	{
		Datum args[] = { Int32GetDatum(outbox_id), Int32GetDatum(i + 1),
						 CStringGetTextDatum(part_header(reference, parts, i + 1)), coding,
						 part_text(&part[i]) };

		run_as(role, &query, args);
	}
}

static void
remember(const Site *site, int64 notification_id, int32 outbox_id)
{
	static DbQuery query = { "UPDATE prepay.notification SET carrier_id = $3, lease_until = NULL"
							 " WHERE site_id = $1 AND notification_id = $2",
							 3,
							 { INT4OID, INT8OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(notification_id),
					 Int32GetDatum(outbox_id) };

	db_run(&query, args);
}

static void
hand_over(const Site *site, Oid role, const Delivery *delivery)
{
	/* Times in the past of every time zone: it is due. */
	static DbQuery query = {
		"INSERT INTO smsd.outbox (\"DestinationNumber\", \"TextDecoded\", \"Coding\","
		" \"MultiPart\", \"UDH\", \"CreatorID\", \"DeliveryReport\", \"SendingDateTime\","
		" \"SendingTimeOut\") VALUES ($1, $2, $3, $4, NULLIF($5, ''), $6, 'yes', '2000-01-01',"
		" '2000-01-01') RETURNING \"ID\"::int4",
		6,
		{ TEXTOID, TEXTOID, TEXTOID, BOOLOID, TEXTOID, TEXTOID }
	};
	char number[PHONE_MAX_CHARS + 1];
	SmsPart part[SMS_MAX_PARTS];
	bool unicode;
	int parts = sms_split(delivery->body, &unicode, part);
	int32 outbox_id;

	phone_dialled(delivery->phone, number);
	if (parts == 0 || *number == '\0')
	{
		(void) delivery_settle(site, CHANNEL, delivery->notification_id, delivery->tries,
							   DELIVERY_FAILED, false);
		return;
	}
	{
		const char *header = parts > 1 ? part_header(delivery->notification_id, parts, 1) : "";
		Datum coding =
			CStringGetTextDatum(unicode ? "Unicode_No_Compression" : "Default_No_Compression");
		Datum args[] = { CStringGetTextDatum(number),
						 part_text(&part[0]),
						 coding,
						 BoolGetDatum(parts > 1),
						 CStringGetTextDatum(header),
						 CStringGetTextDatum(psprintf("prepay:%d/" INT64_FORMAT, site->site_id,
													  delivery->notification_id)) };

		run_as(role, &query, args);
		outbox_id = db_int32(0, 1);
		hand_over_rest(role, outbox_id, delivery->notification_id, part, parts, coding);
	}
	remember(site, delivery->notification_id, outbox_id);
}

/* ---- what became of them ---- */

typedef struct UnderWay
{
	int64 notification_id;
	int32 outbox_id;
	int tries;
	bool sent;
	bool old; /* a report is not to be expected any more */
} UnderWay;

static int
load_under_way(const Site *site, UnderWay **item)
{
	static DbQuery query = {
		"SELECT notification_id, carrier_id, tries, state = 'sent', state_at < $2"
		" FROM prepay.notification WHERE site_id = $1 AND carrier_id IS NOT NULL"
		" AND state IN ('taken', 'sent') ORDER BY notification_id",
		2,
		{ INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 TimestampTzGetDatum(site->now - REPORT_WAIT_US) };
	int n = db_run(&query, args);
	int i;

	*item = palloc(sizeof(UnderWay) * Max(n, 1));
	for (i = 0; i < n; i++)
		(*item)[i] = (UnderWay){ db_int64(i, 1), db_int32(i, 2), db_int32(i, 3), db_bool(i, 4),
								 db_bool(i, 5) };
	return n;
}

static bool
settle(const Site *site, const UnderWay *item, const char *status)
{
	bool wait = !item->old;

	if (strcmp(status, "waiting") == 0 || (item->sent && wait && strcmp(status, "sent") == 0))
		return false;
	if (strcmp(status, "delivered") == 0)
		return delivery_settle(site, CHANNEL, item->notification_id, item->tries,
							   DELIVERY_DELIVERED, false);
	if (strcmp(status, "undeliverable") == 0)
		return delivery_settle(site, CHANNEL, item->notification_id, item->tries, DELIVERY_FAILED,
							   false);
	if (strcmp(status, "unsent") == 0 || (strcmp(status, "gone") == 0 && !item->sent))
		return delivery_settle(site, CHANNEL, item->notification_id, item->tries, DELIVERY_AGAIN,
							   false);
	return delivery_settle(site, CHANNEL, item->notification_id, item->tries, DELIVERY_SENT,
						   wait && strcmp(status, "sent") == 0);
}

/* Several parts are one message: it is delivered when all are, and failed when one is. */
static int
take_statuses(const Site *site, Oid role)
{
	static DbQuery query = {
		"SELECT CASE WHEN EXISTS (SELECT FROM smsd.outbox o WHERE o.\"ID\" = i.id) THEN 'waiting'"
		" WHEN count(s.\"ID\") = 0 THEN 'gone'"
		" WHEN bool_or(s.\"Status\" IN ('SendingError', 'Error')) THEN 'unsent'"
		" WHEN bool_or(s.\"Status\" = 'DeliveryFailed') THEN 'undeliverable'"
		" WHEN bool_and(s.\"Status\" = 'DeliveryOK') THEN 'delivered'"
		" WHEN bool_or(s.\"Status\" = 'SendingOKNoReport') THEN 'unreported' ELSE 'sent' END"
		" FROM unnest($1) WITH ORDINALITY AS i (id, n)"
		" LEFT JOIN smsd.sentitems s ON s.\"ID\" = i.id GROUP BY i.n, i.id ORDER BY i.n",
		1,
		{ INT4ARRAYOID }
	};
	UnderWay *item;
	int n = load_under_way(site, &item);
	int32 *id = palloc(sizeof(int32) * Max(n, 1));
	char **status = palloc(sizeof(char *) * Max(n, 1));
	int done = 0;
	Datum arg;
	int i;

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		id[i] = item[i].outbox_id;
	arg = db_array_int32(id, n);
	run_as(role, &query, &arg);
	for (i = 0; i < n; i++)
		status[i] = db_text(i, 1);
	for (i = 0; i < n; i++)
		done += settle(site, &item[i], status[i]);
	return done;
}

/* ---- questions ---- */

/* Numbers that asked for their balance; each question is taken once. */
static int
take_questions(Oid role, char ***sender)
{
	static DbQuery query = {
		"UPDATE smsd.inbox SET \"Processed\" = true WHERE \"ID\" IN (SELECT \"ID\" FROM smsd.inbox"
		" WHERE NOT \"Processed\" AND upper(btrim(\"TextDecoded\", E' \\t\\r\\n.?!。?!')) IN"
		" ('查询余额', '余额', 'BALANCE', 'YE') ORDER BY \"ID\" LIMIT $1 FOR UPDATE SKIP LOCKED)"
		" RETURNING \"SenderNumber\"::text",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(QUESTION_MAX);
	int n = run_as(role, &query, &arg);
	int i;

	*sender = palloc(sizeof(char *) * Max(n, 1));
	for (i = 0; i < n; i++)
		(*sender)[i] = db_text(i, 1);
	return n;
}

typedef struct Asker
{
	int32 account_id;
	char *code;
	char *phone;
	char *language;
} Asker;

/* Each answer costs money, and whoever knows a customer's number can send in its name. */
static bool
may_answer(const Site *site, int32 account_id, const char *phone)
{
	static DbQuery query = {
		"SELECT count(*) FROM prepay.notification WHERE site_id = $1 AND account_id = $2"
		" AND phone = $3 AND template = 'balance' AND created_at > $4",
		4,
		{ INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 CStringGetTextDatum(phone), TimestampTzGetDatum(site->now - USECS_PER_HOUR) };

	db_run(&query, args);
	return db_int64(0, 1) * MICRO < setting_micro(site, "balance_answers_per_hour", 0);
}

static void
answer(const Site *site, const Asker *asker, const char *number)
{
	NoticeDraft draft = { .template = "balance",
						  .language = asker->language,
						  .account_id = asker->account_id };
	const char *list = asker->phone;
	char phone[PHONE_MAX_CHARS + 1];
	int64 balance;

	while (phone_next(&list, phone))
		if (phone_same(phone, number) && may_answer(site, asker->account_id, phone) &&
			account_balance(site, asker->account_id, &balance))
		{
			notice_balance(site, &draft, asker->code, balance);
			notice_write(site, &draft, phone, NULL);
			return;
		}
}

/* To the phone as it is known here, of each of its accounts; a stranger gets no answer. */
static void
answer_site(const Site *site, const char *number)
{
	static DbQuery query = {
		"SELECT account_id, code, phone, language FROM prepay.account WHERE site_id = $1"
		" AND translate(phone, ' -', '') LIKE '%' || $2 || '%' AND state IN ('open', 'suspended')"
		" ORDER BY account_id LIMIT $3",
		3,
		{ INT4OID, TEXTOID, INT4OID }
	};
	char dialled[PHONE_MAX_CHARS + 1];
	size_t length;
	Asker *asker;
	int n;
	int i;

	phone_dialled(number, dialled);
	length = strlen(dialled);
	if (length < 5) /* a service number of the network */
		return;
	{
		Datum args[] = { Int32GetDatum(site->site_id),
						 CStringGetTextDatum(dialled + (length > 7 ? length - 7 : 0)),
						 Int32GetDatum(ANSWERS_MAX) };

		n = db_run(&query, args);
	}
	asker = palloc(sizeof(Asker) * Max(n, 1));
	for (i = 0; i < n; i++)
		asker[i] = (Asker){ db_int32(i, 1), db_text(i, 2), db_text(i, 3), db_text(i, 4) };
	for (i = 0; i < n; i++)
		answer(site, &asker[i], number);
}

static int
exchange_site(const Site *site, Oid role, int max)
{
	Delivery *delivery;
	int done = take_statuses(site, role);
	int n = delivery_take(site, CHANNEL, max, &delivery);
	int i;

	for (i = 0; i < n; i++)
		hand_over(site, role, &delivery[i]);
	return done + n;
}

/*
 * sms_exchange(max) → how much was done, 0 while somebody else is at it: questions answered,
 * statuses taken, and of each site at most max messages handed over. Raises 42P01 when schema smsd
 * is not there.
 */
Datum
prepay_sms_exchange(PG_FUNCTION_ARGS)
{
	int32 max = PG_GETARG_INT32(0);
	DbSession session;
	Oid role;
	int32 *site_id;
	char **sender;
	int questions;
	int n;
	int done;
	int i;
	int k;

	if (max < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max must be at least 1"),
						errhint("The default is 100.")));
	db_enter(&session);
	auth_require(session.caller, MAY_TICK, 0, "exchange messages");
	role = carrier_role();
	if (!lock_tick(ALL_SITES, SMS_WORK))
	{
		db_leave(&session);
		PG_RETURN_INT32(0);
	}
	n = auth_sites(BOOTSTRAP_SUPERUSERID, &site_id); /* due is due, whoever calls */
	done = questions = take_questions(role, &sender);
	for (i = 0; i < n; i++)
	{
		const Site *site = site_get(site_id[i]);

		for (k = 0; k < questions; k++)
			answer_site(site, sender[k]);
		done += exchange_site(site, role, max);
	}
	db_leave(&session);
	PG_RETURN_INT32(done);
}
