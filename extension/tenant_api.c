/*
 * tenant_api.c: what a tenant may change of its own account.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "account.h"
#include "lock.h"
#include "oplog.h"
#include "pay.h"
#include "tenant.h"
#include "tenant_identity.h"

PG_FUNCTION_INFO_V1(prepay_switch_my_meter);
PG_FUNCTION_INFO_V1(prepay_change_my_data);
PG_FUNCTION_INFO_V1(prepay_create_my_payment_order);

/* Another account's meter is as unknown as one that does not exist. */
static int32
require_my_meter(const Tenant *tenant, const char *code)
{
	static DbQuery query = { "SELECT m.meter_id FROM prepay.meter m JOIN prepay.meter_state n"
							 " USING (site_id, meter_id) WHERE m.site_id = $1 AND n.account_id = $2"
							 " AND m.code = $3",
							 3,
							 { INT4OID, INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(tenant->site_id), Int32GetDatum(tenant->account_id),
					 CStringGetTextDatum(code) };

	if (db_run(&query, args) == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("account \"%s\" has no meter \"%s\"", tenant->code, code),
						errhint("Its meters are listed in prepay_api.my_meters.")));
	return db_int32(0, 1);
}

/*
 * switch_my_meter(meter, on) → side now desired. Raises 42501, PP024, PP010 for another's
 * meter, PP060 where supply is off for another cause.
 */
Datum
prepay_switch_my_meter(PG_FUNCTION_ARGS)
{
	DbSession session;
	Tenant tenant;
	const char *side;
	char *code;
	bool on;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("meter and on must be given")));
	code = text_to_cstring(PG_GETARG_TEXT_PP(0));
	on = PG_GETARG_BOOL(1);
	db_enter(&session);
	tenant = tenant_require(&session);
	lock_site_shared(tenant.site_id);
	tenant = tenant_require_open(&session);
	side = tenant_switch_meter(site_get(tenant.site_id), require_my_meter(&tenant, code), on);
	oplog_note(tenant.site_id, "switch_my_meter", psprintf("meter:%s", code), NULL,
			   oplog_members("on", on ? "true" : "false", NULL));
	db_leave(&session);
	if (side == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(side));
}

/* Arguments as changes of an account; NULL empties. */
static Jsonb *
changes_of(FunctionCallInfo fcinfo)
{
	static const char *const name[] = { "phone", "language" };
	JsonbParseState *state = NULL;
	int i;

	(void) pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (i = 0; i < lengthof(name); i++)
	{
		JsonbValue key = { .type = jbvString };
		JsonbValue value = { .type = jbvNull };

		key.val.string.val = unconstify(char *, name[i]);
		key.val.string.len = strlen(name[i]);
		if (!PG_ARGISNULL(i))
		{
			value.type = jbvString;
			value.val.string.val = text_to_cstring(PG_GETARG_TEXT_PP(i));
			value.val.string.len = strlen(value.val.string.val);
		}
		(void) pushJsonbValue(&state, WJB_KEY, &key);
		(void) pushJsonbValue(&state, WJB_VALUE, &value);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* change_my_data(phone, language): NULL empties. Raises 42501, PP024, 22023, PP062. */
Datum
prepay_change_my_data(PG_FUNCTION_ARGS)
{
	Jsonb *changes = changes_of(fcinfo);
	DbSession session;
	Tenant tenant;
	const Site *site;

	db_enter(&session);
	tenant = tenant_require(&session);
	lock_site_shared(tenant.site_id);
	tenant = tenant_require_open(&session);
	site = site_get(tenant.site_id);
	account_set(site, tenant.account_id, changes, site->today);
	db_leave(&session);
	PG_RETURN_VOID();
}

/*
 * create_payment_order(amount, channel, options) → payment_order. Raises 42501 and what the
 * office's function of this name raises (pay_order.c).
 */
Datum
prepay_create_my_payment_order(PG_FUNCTION_ARGS)
{
	DbSession session;
	Tenant tenant;
	CodeTarget account;
	const Site *site;
	PayOrder *order;
	Datum result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("amount and channel must be given")));
	db_enter(&session);
	tenant = tenant_require(&session);
	lock_site_shared(tenant.site_id);
	tenant = tenant_require_open(&session);
	account = (CodeTarget){ tenant.site_id, KIND_ACCOUNT, tenant.account_id, tenant.code };
	site = site_get(tenant.site_id);
	order =
		pay_order_create(site, &account, PG_GETARG_DATUM(0), text_to_cstring(PG_GETARG_TEXT_PP(1)),
						 PG_ARGISNULL(2) ? NULL : PG_GETARG_JSONB_P(2));
	result = pay_order_result(site, account.code, order, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
