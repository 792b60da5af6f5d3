#include "postgres.h"

#include "utils/builtins.h"

#include "auth.h"
#include "db.h"
#include "decide.h"
#include "lock.h"
#include "reason.h"
#include "relay.h"
#include "tenant.h"

PG_FUNCTION_INFO_V1(prepay_tenant_switch);

/* A tenant may switch on only what would have supply but for the tenant's own order. */
static void
require_on(const Site *site, RelayMeter *meter)
{
	SupplyFacts facts;
	SupplyDecision decision;

	meter->tenant_off = false;
	decide_facts(site, meter, site->now, &facts);
	supply_decide(&facts, &decision);
	if (decision.side != SIDE_ON)
		ereport(
			ERROR,
			(errcode(ERRCODE_PP_SUPPLY_REFUSED),
			 errmsg("meter \"%s\" cannot be switched on (%s)", meter->code,
					supply_rule_name(decision.rule)),
			 errdetail("%s", reason_all(site, meter, &facts, &decision)),
			 errhint("Remove the cause; an account without money has supply when it is paid.")));
}

const char *
tenant_switch_meter(const Site *site, int32 meter_id, bool on)
{
	RelayMeter *meter;

	if (relay_peek(site, &meter_id, 1, site->now, &meter) != 1)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no meter %d", meter_id),
						errhint("See prepay.meter.")));
	if (!meter->is_prepaid || !meter->is_server)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
						errmsg("meter \"%s\" cannot be switched by its tenant", meter->code),
						errdetail("It only measures, or it holds its own money."),
						errhint("Meters with purpose prepaid and prepay_mode server can.")));
	if (relay_lock(site, &meter_id, 1, &meter) != 1)
		elog(ERROR, "meter %d has no control row", meter_id);
	if (on)
		require_on(site, meter);
	relay_set_tenant(site, meter, !on);
	decide_locked_meter(site, meter, 0);
	return supply_side_name(meter->desired);
}

/*
 * tenant_switch(site_id, meter_id, on) → supply now desired. A tenant's order is below all
 * others: off never opens a meter that is kept on, on closes only where the rest of the
 * decision is on. Raises PP010 for an unknown meter, PP060 where on is refused.
 */
Datum
prepay_tenant_switch(PG_FUNCTION_ARGS)
{
	DbSession session;
	const char *side;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("site, meter and on must be given")));
	db_enter(&session);
	auth_require(session.caller, MAY_DISPATCH, PG_GETARG_INT32(0), "switch for a tenant");
	lock_site_shared(PG_GETARG_INT32(0));
	side = tenant_switch_meter(site_get(PG_GETARG_INT32(0)), PG_GETARG_INT32(1), PG_GETARG_BOOL(2));
	db_leave(&session);
	if (side == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(side));
}
