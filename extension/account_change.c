/*
 * account_change.c: changing what is known of an account; the operators' log shows it.
 *
 * A suspended account (报停) keeps its balance and its meters: nothing is sold,
 * refunded or transferred, supply is off as for a meter without account, and no
 * alarm is raised. What its meters still count is charged. Resuming decides supply anew.
 */
#include "account.h"

#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "rerate.h"
#include "vend.h"

PG_FUNCTION_INFO_V1(prepay_update_account);

typedef enum FieldKind
{
	FIELD_TEXT,
	FIELD_MONEY,
	FIELD_KWH,
	FIELD_PHONE,
	FIELD_LANGUAGE,
	FIELD_STATE
} FieldKind;

typedef struct Field
{
	const char *name;
	FieldKind kind;
	bool required; /* may not be emptied */
} Field;

static const Field fields[] = {
	{ "customer", FIELD_TEXT, true },
	{ "phone", FIELD_PHONE, false },
	{ "state", FIELD_STATE, true },
	{ "alarm1_amount", FIELD_MONEY, false },
	{ "alarm2_amount", FIELD_MONEY, false },
	{ "credit_limit", FIELD_MONEY, false },
	{ "emergency_credit", FIELD_MONEY, false },
	{ "tier_extra_kwh", FIELD_KWH, true },
	{ "tier_start", FIELD_KWH, true },
	{ "language", FIELD_LANGUAGE, false },
	{ "note", FIELD_TEXT, false },
	{ "load_class", FIELD_TEXT, false },
};

static void
check_kwh(const char *name, const char *value)
{
	int64 number;

	if (decimal_parse(value, 3, &number) != DECIMAL_OK || number < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" cannot be %s", name, value),
						errhint("Give kWh with at most 3 decimals, not negative.")));
}

static void
check_state(const char *value)
{
	if (strcmp(value, "open") != 0 && strcmp(value, "suspended") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the state of an account cannot be set to \"%s\"", value),
				 errhint("Set it to 'open' or 'suspended'; prepay.close_account() closes.")));
}

static void
check_field(const Site *site, const Field *field, const char *value)
{
	switch (field->kind)
	{
		case FIELD_TEXT:
			break;
		case FIELD_MONEY:
			(void) amount_minor(site, numeric_from_text(value), field->name);
			break;
		case FIELD_KWH:
			check_kwh(field->name, value);
			break;
		case FIELD_PHONE:
			account_check_phone(value);
			break;
		case FIELD_LANGUAGE:
			setting_check(site, "language", value);
			break;
		case FIELD_STATE:
			check_state(value);
			break;
	}
}

static bool
is_given(Jsonb *changes, const char *name)
{
	JsonbValue value;

	return getKeyJsonValueFromContainer(&changes->root, name, strlen(name), &value) != NULL;
}

void
account_set(const Site *site, int32 account_id, Jsonb *changes, int32 from_day)
{
	/* A record of the row with the members of the object put in: types are the columns' own. */
	static DbQuery query = {
		"UPDATE prepay.account a SET (customer, phone, state, alarm1_amount, alarm2_amount,"
		" credit_limit, emergency_credit, tier_extra_kwh, tier_start_kwh, language, note,"
		" load_class) ="
		" (SELECT n.customer, n.phone, n.state, n.alarm1_amount, n.alarm2_amount, n.credit_limit,"
		"  n.emergency_credit, n.tier_extra_kwh, COALESCE(($3 ->> 'tier_start')::numeric,"
		"  n.tier_start_kwh), n.language, n.note, n.load_class"
		"  FROM pg_catalog.jsonb_populate_record(a, $3) AS n)"
		" WHERE a.site_id = $1 AND a.account_id = $2",
		3,
		{ INT4OID, INT4OID, JSONBOID }
	};
	static DbQuery extra = {
		"UPDATE prepay.account_state s SET tier_extra ="
		" CASE WHEN s.tier_extra[cardinality(s.tier_extra) - 1] >= $3"
		" THEN s.tier_extra[:cardinality(s.tier_extra) - 2] ELSE s.tier_extra END"
		" || ARRAY[$3::bigint, (a.tier_extra_kwh * 1000)::bigint] FROM prepay.account a"
		" WHERE s.site_id = $1 AND s.account_id = $2 AND a.site_id = $1 AND a.account_id = $2",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 JsonbPGetDatum(changes) };
	int i;

	for (i = 0; i < lengthof(fields); i++)
	{
		char *value = option_text(changes, fields[i].name);

		if (value)
			check_field(site, &fields[i], value);
		else if (fields[i].required && is_given(changes, fields[i].name))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("\"%s\" of an account cannot be empty", fields[i].name),
							errhint("Give a value, or leave it out to keep the present one.")));
	}
	db_run(&query, args);
	if (is_given(changes, "tier_extra_kwh"))
	{
		args[2] = Int32GetDatum(from_day);
		db_run(&extra, args);
	}
}

/* update_account(account, changes): customer, phone, state and the options of open_account. */
Datum
prepay_update_account(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "customer",
										 "phone",
										 "state",
										 "alarm1_amount",
										 "alarm2_amount",
										 "credit_limit",
										 "emergency_credit",
										 "tier_extra_kwh",
										 "language",
										 "note",
										 "load_class",
										 NULL };
	DbSession session;
	CodeTarget target;
	const Site *site;
	Jsonb *changes;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("account and changes must be given")));
	changes = PG_GETARG_JSONB_P(1);
	options_check(changes, known);
	db_enter(&session);
	code_resolve(session.caller, vend_text(fcinfo, 0, "the account"), KIND_ACCOUNT, &target);
	auth_require(session.caller, MAY_SELL, target.site_id, "change an account");
	lock_site_exclusive(target.site_id);
	site = site_get(target.site_id);
	vend_require_not_closed(site, &target);
	account_set(site, target.id, changes, site->today);
	if (is_given(changes, "tier_extra_kwh"))
		rerate_one(site, target.id, site->today);
	account_redecide(site, target.id);
	db_leave(&session);
	PG_RETURN_VOID();
}
