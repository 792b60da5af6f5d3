/*
 * take.c: take_commands(): what an agent is to do now.
 *
 * Of each meter and kind only the oldest live command counts, so a relay command
 * waits until the one before it is finished. The meters' meter_control rows are
 * locked, those held by others skipped: whoever holds one is about to queue
 * something and will notify.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "agent.h"
#include "brake.h"
#include "command.h"
#include "decide.h"
#include "recharge.h"
#include "relay.h"

PG_FUNCTION_INFO_V1(prepay_take_commands);

#define MAX_TAKEN 1000

typedef struct Candidate
{
	int64 command_id;
	int32 meter_id;
	char *action;
	bool verify;
	bool automatic;
	bool has_count;	 /* its purchase count is fixed already */
	bool has_passed; /* trip: the brake has let it go before, or a supervisor has */
} Candidate;

/*
 * Commands that may go now, most urgent first, a trip the rule wants behind all that gives
 * supply; those the brake holds back do not stand in the way. `meters` narrows to some.
 */
#define CANDIDATES(meters)                                                                           \
	"WITH live AS MATERIALIZED (SELECT command_id, meter_id, action, status, automatic, verify,"     \
	" not_before, valid_until, passed_at, confirmation_id, args, CASE WHEN action"                   \
	" IN (" COMMAND_RELAY_ACTIONS ") THEN 'relay' WHEN action IN (" RECHARGE_ACTIONS                 \
	") THEN 'money' ELSE action END AS kind FROM prepay.command"                                     \
	" WHERE site_id = $1 AND status IN ('queued', 'sent', 'unknown')" meters "),"                    \
	" head AS (SELECT *, row_number() OVER (PARTITION BY meter_id, kind ORDER BY command_id)"        \
	" AS place FROM live)"                                                                           \
	" SELECT c.command_id, c.meter_id, c.action, c.verify, c.automatic, c.args ? 'count',"           \
	" COALESCE(c.passed_at IS NOT NULL OR c.confirmation_id IS NOT NULL, false)"                     \
	" FROM head c JOIN prepay.meter m ON m.site_id = $1 AND m.meter_id = c.meter_id"                 \
	" JOIN prepay.gateway g ON g.site_id = $1 AND g.gateway_id = m.gateway_id"                       \
	" JOIN prepay.meter_control k ON k.site_id = $1 AND k.meter_id = c.meter_id"                     \
	" WHERE c.place = 1 AND c.status <> 'sent' AND " AGENT_SERVES(                                   \
		"$2") " AND " METER_IS_ADDRESSED " AND (c.not_before IS NULL OR c.not_before <= $3)"         \
			  " AND (c.verify OR c.valid_until IS NULL OR c.valid_until > $4)"                       \
			  " AND NOT (" BRAKE_WAITS                                                               \
			  " AND EXISTS (SELECT FROM prepay.trip_brake b WHERE b.site_id = $1"                    \
			  " AND b.on_since IS NOT NULL))"                                                        \
			  " ORDER BY c.kind <> 'relay' OR c.action = 'trip' AND c.automatic, c.kind <> 'money'," \
			  " c.kind <> 'relay', c.kind <> 'read', c.command_id LIMIT $5"

/* meter_id NULL: of all meters. */
static int
find_candidates(const AgentCall *call, const int32 *meter_id, int n_meter, int max_rows,
				Candidate **candidate)
{
	static DbQuery all = { CANDIDATES(""),
						   5,
						   { INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID } };
	static DbQuery some = { CANDIDATES(" AND meter_id = ANY ($6)"),
							6,
							{ INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID,
							  INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(call->site->site_id),
					 CStringGetTextDatum(call->code),
					 TimestampTzGetDatum(GetCurrentTimestamp()),
					 TimestampTzGetDatum(call->site->now),
					 Int32GetDatum(max_rows),
					 meter_id ? db_array_int32(meter_id, n_meter) : (Datum) 0 };
	int n = db_run(meter_id ? &some : &all, args);
	int i;

	*candidate = palloc0(sizeof(Candidate) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		Candidate *c = &(*candidate)[i];

		c->command_id = db_int64(i, 1);
		c->meter_id = db_int32(i, 2);
		c->action = db_text(i, 3);
		c->verify = db_bool(i, 4);
		c->automatic = db_bool(i, 5);
		c->has_count = db_bool(i, 6);
		c->has_passed = db_bool(i, 7);
	}
	SPI_freetuptable(SPI_tuptable);
	return n;
}

/* The rule may have changed its mind since the command was queued: a stale OFF never cuts. */
static bool
still_wanted(const AgentCall *call, RelayMeter *meter, const Candidate *candidate)
{
	SupplySide side = relay_action_side(candidate->action);

	if (side == SIDE_NONE || candidate->verify || meter->queued_id != candidate->command_id)
		return true;
	decide_locked_meter(call->site, meter, 0);
	return meter->queued_id == candidate->command_id;
}

static bool
take_relay(const AgentCall *call, RelayMeter *meter, const Candidate *candidate, Brake *brake)
{
	SupplySide side = relay_action_side(candidate->action);

	if (!still_wanted(call, meter, candidate))
		return false;
	if (side == SIDE_OFF && candidate->automatic && !candidate->verify && !candidate->has_passed &&
		!brake_passes(call->site, brake, meter, candidate->command_id))
		return false;
	if (!candidate->verify && side != SIDE_NONE)
		relay_commanded(call->site, meter, side);
	return true;
}

static RelayMeter *
find_meter(RelayMeter *meter, int n, int32 meter_id)
{
	int i;

	for (i = 0; i < n; i++)
		if (meter[i].meter_id == meter_id)
			return &meter[i];
	return NULL;
}

static int
choose(const AgentCall *call, int max_rows, int64 *taken)
{
	Candidate *candidate;
	RelayMeter *meter;
	int32 *meter_id;
	int n = find_candidates(call, NULL, 0, max_rows, &candidate);
	Brake brake = { 0 };
	int n_taken = 0;
	int i;

	meter_id = palloc(sizeof(int32) * Max(n, 1));
	for (i = 0; i < n; i++)
		meter_id[i] = candidate[i].meter_id;
	n = relay_lock_free(call->site, meter_id, n, &meter);
	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		meter_id[i] = meter[i].meter_id;
	/* Once more under the locks: another session may have taken some meanwhile. */
	max_rows = find_candidates(call, meter_id, n, max_rows, &candidate);
	for (i = 0; i < max_rows; i++)
	{
		RelayMeter *m = find_meter(meter, n, candidate[i].meter_id);
		bool take = true;

		if (m == NULL)
			continue;
		if (command_is_relay(candidate[i].action))
			take = take_relay(call, m, &candidate[i], &brake);
		else if (recharge_is(candidate[i].action))
			take = candidate[i].has_count ||
				   recharge_fix_count(call->site, m->meter_id, candidate[i].command_id);
		if (take)
			taken[n_taken++] = candidate[i].command_id;
	}
	brake_finish(call->site, &brake);
	return n_taken;
}

static void
lease(const AgentCall *call, const int64 *command_id, int n, ReturnSetInfo *result)
{
	static DbQuery update = {
		"UPDATE prepay.command SET status = 'sent', sent_at = $3, attempts = attempts + 1,"
		" lease_until = $4, not_before = NULL, agent = $5 WHERE site_id = $1"
		" AND command_id = ANY ($2)",
		5,
		{ INT4OID, INT8ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID }
	};
	static DbQuery select = {
		"SELECT c.command_id, m.gateway_id, c.meter_id, c.action, c.args, c.created_at,"
		" c.valid_until, c.attempts, c.verify FROM unnest($2) WITH ORDINALITY AS u (command_id, n)"
		" JOIN prepay.command c ON c.site_id = $1 AND c.command_id = u.command_id"
		" JOIN prepay.meter m ON m.site_id = $1 AND m.meter_id = c.meter_id ORDER BY u.n",
		2,
		{ INT4OID, INT8ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), db_array_int64(command_id, n),
					 TimestampTzGetDatum(call->site->now),
					 TimestampTzGetDatum(GetCurrentTimestamp() + COMMAND_LEASE_S * USECS_PER_SEC),
					 CStringGetTextDatum(call->code) };
	uint64 i;
	uint64 rows;

	if (n == 0)
		return;
	db_run(&update, args);
	rows = db_run(&select, args);
	for (i = 0; i < rows; i++)
	{
		Datum value[9];
		bool isnull[9];
		int column;

		for (column = 0; column < lengthof(value); column++)
			value[column] = db_value(i, column + 1, &isnull[column]);
		tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
	}
}

/*
 * take_commands(agent, max_rows DEFAULT 32) → the commands leased, most urgent
 * first; status becomes sent. verify_only: read back before anything is written.
 */
Datum
prepay_take_commands(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	AgentCall call;
	int max_rows = PG_ARGISNULL(1) ? 32 : PG_GETARG_INT32(1);
	int64 *taken;

	InitMaterializedSRF(fcinfo, 0);
	if (max_rows < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_rows %d is not positive", max_rows),
						errhint("Give 1 to %d.", MAX_TAKEN)));
	max_rows = Min(max_rows, MAX_TAKEN);
	agent_enter_site(&call, fcinfo);
	taken = palloc(sizeof(int64) * max_rows);
	lease(&call, taken, choose(&call, max_rows, taken), result);
	db_leave(&call.session);
	return (Datum) 0;
}
