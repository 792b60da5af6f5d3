/*
 * relay.c: four relay states and the commands that carry one into the next.
 *
 *   desired       what the supply rule, or an order, wants now
 *   commanded     what the meter was last told (set when a command is handed out)
 *   acknowledged  what the meter last confirmed
 *   observed      what was last read from it
 *
 * Each has its time. Commands never carry a state of their own: they are made
 * from the difference between desired and what the relay most likely is, and
 * are dropped when the difference has gone.
 *
 * Invariants, per meter, kept by whoever holds its meter_control row:
 *   - at most one relay command is queued, at most one is in flight (sent or unknown);
 *   - a queued command leads to the desired state, or it is superseded;
 *   - a queued command waits until the one in flight is finished: an unknown trip
 *     is first read back, then the close goes.
 *
 * Locks: a meter_control row is the last lock (class 4 of lock.h). Three ways are
 * free of deadlock, and no other is used: it is the only such row the transaction
 * takes; or the account (without one: the meter_state row) was locked before; or
 * rows held by others are skipped.
 *
 * A crash at any point leaves a committed prefix: a command that was handed out is
 * `sent` with a lease, which runs out, and is then resolved by reading back.
 */
#include "relay.h"

#include "utils/builtins.h"

#include "command.h"
#include "db.h"
#include "flow.h"
#include "mismatch.h"
#include "schedule.h"

#define NOT_SEEN_US (INT64CONST(15) * 60 * USECS_PER_SEC)

#define SELECT_METERS                                                                             \
	"SELECT m.meter_id, a.account_id, m.code, m.purpose = 'prepaid', m.prepay_mode = 'server',"   \
	" m.gateway_id IS NOT NULL AND " METER_IS_ADDRESSED ","                                       \
	" mm.code IS NULL OR COALESCE(mm.profile -> 'commands' ? 'trip', false),"                     \
	" mm.code IS NULL OR COALESCE(mm.profile -> 'commands' ? 'close', false),"                    \
	" COALESCE(mm.profile -> 'commands' ? 'keep_on', false),"                                     \
	" COALESCE(mm.profile -> 'commands' ? 'prepaid', false),"                                     \
	" c.locked, c.locked_reason, c.order_kind, c.order_by, c.order_reason, c.desired,"            \
	" c.desired_why, c.commanded, c.commanded_at, c.acknowledged, c.acknowledged_at, c.observed," \
	" c.observed_at, q.command_id, q.action, f.command_id, f.action,"                             \
	" c.hold_until, c.tenant_off, q.automatic, " METER_WATCH_COLUMNS " FROM prepay.meter m"       \
	" LEFT JOIN prepay.meter_control c ON c.site_id = m.site_id AND c.meter_id = m.meter_id"      \
	" LEFT JOIN prepay.meter_watch w ON w.site_id = m.site_id AND w.meter_id = m.meter_id"        \
	" LEFT JOIN prepay.meter_model mm ON mm.code = m.model"                                       \
	" LEFT JOIN LATERAL (SELECT t.account_id FROM prepay.account_meter t"                         \
	" WHERE t.site_id = m.site_id AND t.meter_id = m.meter_id AND t.valid_from <= $3"             \
	" AND t.valid_to > $3 ORDER BY t.valid_from DESC LIMIT 1) a ON true"                          \
	" LEFT JOIN LATERAL (SELECT k.command_id, k.action, k.automatic FROM prepay.command k"        \
	" WHERE k.site_id = m.site_id AND k.meter_id = m.meter_id AND k.status = 'queued'"            \
	" AND k.action IN (" COMMAND_RELAY_ACTIONS ") ORDER BY k.command_id DESC LIMIT 1) q ON true"  \
	" LEFT JOIN LATERAL (SELECT k.command_id, k.action FROM prepay.command k"                     \
	" WHERE k.site_id = m.site_id AND k.meter_id = m.meter_id"                                    \
	" AND k.status IN ('sent', 'unknown') AND k.action IN (" COMMAND_RELAY_ACTIONS ")"            \
	" ORDER BY k.command_id LIMIT 1) f ON true"                                                   \
	" WHERE m.site_id = $1 AND m.meter_id = ANY ($2) ORDER BY m.meter_id"

static SupplySide
side_from_text(const char *text)
{
	if (text == NULL)
		return SIDE_NONE;
	return strcmp(text, "on") == 0 ? SIDE_ON : SIDE_OFF;
}

SupplySide
relay_action_side(const char *action)
{
	if (strcmp(action, "trip") == 0)
		return SIDE_OFF;
	if (strcmp(action, "close") == 0 || strcmp(action, "keep_on") == 0)
		return SIDE_ON;
	return SIDE_NONE;
}

static void
read_row(uint64 row, RelayMeter *meter)
{
	char *order = db_text(row, 13);
	char *action;

	memset(meter, 0, sizeof(*meter));
	meter->meter_id = db_int32(row, 1);
	meter->account_id = db_int32_or(row, 2, 0);
	meter->code = db_text(row, 3);
	meter->is_prepaid = db_bool(row, 4);
	meter->is_server = db_bool(row, 5);
	meter->is_reachable = db_bool(row, 6);
	meter->can_trip = db_bool(row, 7);
	meter->can_close = db_bool(row, 8);
	meter->can_keep_on = db_bool(row, 9);
	meter->can_prepaid = db_bool(row, 10);
	meter->locked = db_bool(row, 11);
	meter->locked_reason = db_text(row, 12);
	if (order)
		meter->order = strcmp(order, "keep_on") == 0 ? ORDER_KEEP_ON : ORDER_FORCED_OFF;
	meter->order_by = db_text(row, 14);
	meter->order_reason = db_text(row, 15);
	meter->desired = side_from_text(db_text(row, 16));
	meter->desired_why = db_text(row, 17);
	meter->commanded = side_from_text(db_text(row, 18));
	meter->commanded_at = db_time_or(row, 19, DT_NOBEGIN);
	meter->acknowledged = side_from_text(db_text(row, 20));
	meter->acknowledged_at = db_time_or(row, 21, DT_NOBEGIN);
	meter->observed = side_from_text(db_text(row, 22));
	meter->observed_at = db_time_or(row, 23, DT_NOBEGIN);
	meter->queued_id = db_int64_or(row, 24, 0);
	action = db_text(row, 25);
	meter->queued = action ? relay_action_side(action) : SIDE_NONE;
	meter->flying_id = db_int64_or(row, 26, 0);
	action = db_text(row, 27);
	meter->flying = action ? relay_action_side(action) : SIDE_NONE;
	meter->hold_until = db_time_or(row, 28, DT_NOBEGIN);
	meter->tenant_off = db_bool(row, 29);
	meter->queued_automatic = meter->queued_id != 0 && db_bool(row, 30);
	meter->schedule_until = DT_NOBEGIN;
	meter_watch_read(row, 31, &meter->watch);
}

int
relay_peek(const Site *site, const int32 *meter_id, int n, TimestampTz moment, RelayMeter **meter)
{
	static DbQuery query = { SELECT_METERS, 3, { INT4OID, INT4ARRAYOID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n),
					 TimestampTzGetDatum(moment) };
	int found = db_run(&query, args);
	int i;

	*meter = palloc(sizeof(RelayMeter) * Max(found, 1));
	for (i = 0; i < found; i++)
		read_row(i, &(*meter)[i]);
	SPI_freetuptable(SPI_tuptable);
	schedule_apply(site, moment, *meter, found);
	return found;
}

void
relay_refresh(const Site *site, RelayMeter *meter)
{
	RelayMeter *fresh;

	if (relay_peek(site, &meter->meter_id, 1, site->now, &fresh) == 1)
		*meter = *fresh;
}

void
relay_lock_owners(const Site *site, const int32 *meter_id, int n)
{
	static DbQuery accounts = {
		"SELECT s.account_id FROM prepay.account_state s WHERE s.site_id = $1 AND s.account_id IN"
		" (SELECT t.account_id FROM prepay.account_meter t WHERE t.site_id = $1"
		" AND t.meter_id = ANY ($2) AND t.valid_from <= $3 AND t.valid_to > $3)"
		" ORDER BY s.account_id FOR NO KEY UPDATE",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	static DbQuery vacant = {
		"SELECT s.meter_id FROM prepay.meter_state s WHERE s.site_id = $1 AND s.meter_id = ANY ($2)"
		" AND NOT EXISTS (SELECT FROM prepay.account_meter t WHERE t.site_id = $1"
		" AND t.meter_id = s.meter_id AND t.valid_from <= $3 AND t.valid_to > $3)"
		" ORDER BY s.meter_id FOR NO KEY UPDATE",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n),
					 TimestampTzGetDatum(site->now) };

	db_run(&accounts, args);
	SPI_freetuptable(SPI_tuptable);
	db_run(&vacant, args);
	SPI_freetuptable(SPI_tuptable);
}

int
relay_lock_free_owners(const Site *site, const int32 *meter_id, int n, int32 **locked)
{
	static DbQuery query = {
		"WITH owner AS MATERIALIZED (SELECT t.meter_id, t.account_id FROM prepay.account_meter t"
		" WHERE t.site_id = $1 AND t.meter_id = ANY ($2) AND t.valid_from <= $3"
		" AND t.valid_to > $3),"
		" a AS MATERIALIZED (SELECT s.account_id FROM prepay.account_state s WHERE s.site_id = $1"
		" AND s.account_id IN (SELECT account_id FROM owner) ORDER BY s.account_id"
		" FOR NO KEY UPDATE SKIP LOCKED),"
		" v AS MATERIALIZED (SELECT s.meter_id FROM prepay.meter_state s WHERE s.site_id = $1"
		" AND s.meter_id = ANY ($2) AND s.meter_id NOT IN (SELECT meter_id FROM owner)"
		" ORDER BY s.meter_id FOR NO KEY UPDATE SKIP LOCKED)"
		" SELECT o.meter_id FROM owner o JOIN a USING (account_id) UNION ALL SELECT meter_id FROM v"
		" ORDER BY 1",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n),
					 TimestampTzGetDatum(site->now) };
	int held = db_run(&query, args);
	int i;

	*locked = palloc(sizeof(int32) * Max(held, 1));
	for (i = 0; i < held; i++)
		(*locked)[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return held;
}

static void
make_rows(Datum *args)
{
	static DbQuery query = { "INSERT INTO prepay.meter_control (site_id, meter_id)"
							 " SELECT $1, m FROM unnest($2) AS m ORDER BY m ON CONFLICT DO NOTHING",
							 2,
							 { INT4OID, INT4ARRAYOID } };

	db_run(&query, args);
}

void
relay_make_rows(const Site *site, const int32 *meter_id, int n)
{
	static DbQuery count = { "SELECT count(*) FROM prepay.meter_control WHERE site_id = $1"
							 " AND meter_id = ANY ($2)",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n) };

	db_run(&count, args);
	if (db_int64(0, 1) == n)
		return;
	relay_lock_owners(site, meter_id, n);
	make_rows(args);
}

int
relay_lock(const Site *site, const int32 *meter_id, int n, RelayMeter **meter)
{
	static DbQuery lock = { "SELECT meter_id FROM prepay.meter_control WHERE site_id = $1"
							" AND meter_id = ANY ($2) ORDER BY meter_id FOR NO KEY UPDATE",
							2,
							{ INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n) };
	uint64 held = db_run(&lock, args);

	SPI_freetuptable(SPI_tuptable);
	if (held < n)
	{
		make_rows(args);
		db_run(&lock, args);
		SPI_freetuptable(SPI_tuptable);
	}
	return relay_peek(site, meter_id, n, site->now, meter);
}

int
relay_lock_free(const Site *site, const int32 *meter_id, int n, RelayMeter **meter)
{
	static DbQuery lock = {
		"SELECT meter_id FROM prepay.meter_control WHERE site_id = $1 AND meter_id = ANY ($2)"
		" ORDER BY meter_id FOR NO KEY UPDATE SKIP LOCKED",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n) };
	int held = db_run(&lock, args);
	int32 *id = palloc(sizeof(int32) * Max(held, 1));
	int i;

	for (i = 0; i < held; i++)
		id[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return relay_peek(site, id, held, site->now, meter);
}

/*
 * The last confirmation counts until something is read after it. A command that
 * came to nothing changes nothing.
 */
SupplySide
relay_effective(const RelayMeter *meter)
{
	if (meter->acknowledged != SIDE_NONE && meter->acknowledged_at >= meter->commanded_at &&
		meter->acknowledged_at >= meter->observed_at)
		return meter->acknowledged;
	return meter->observed;
}

/* A relay never seen and never told anything counts as closed: meters are delivered so. */
static bool
is_there(const RelayMeter *meter)
{
	SupplySide effective = relay_effective(meter);

	if (effective == SIDE_NONE && meter->commanded == SIDE_NONE)
		effective = SIDE_ON;
	return effective == meter->desired;
}

void
relay_desire(const Site *site, RelayMeter *meter, SupplySide side, const char *rule)
{
	static DbQuery query = {
		"UPDATE prepay.meter_control SET desired_at = CASE WHEN desired IS NOT DISTINCT FROM $3"
		" THEN desired_at ELSE $5 END, desired = $3, desired_why = $4"
		" WHERE site_id = $1 AND meter_id = $2",
		5,
		{ INT4OID, INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 db_text_datum(supply_side_name(side)), CStringGetTextDatum(rule),
					 TimestampTzGetDatum(site->now) };

	if (meter->desired == side && meter->desired_why && strcmp(meter->desired_why, rule) == 0)
		return;
	db_run_nulls(&query, args, side == SIDE_NONE ? "  n  " : NULL);
	meter->desired = side;
	meter->desired_why = pstrdup(rule);
}

void
relay_supersede(const Site *site, RelayMeter *meter)
{
	if (meter->queued_id == 0)
		return;
	command_finish(site, meter->queued_id, "superseded", NULL);
	meter->queued_id = 0;
	meter->queued = SIDE_NONE;
}

TimestampTz
relay_trip_until(const Site *site)
{
	return site->now + setting_interval_us(site, "off_command_ttl", NOT_SEEN_US);
}

int64
relay_send(const Site *site, RelayMeter *meter, const char *action, const RelayCause *cause)
{
	Command command = { .meter_id = meter->meter_id,
						.account_id = meter->account_id,
						.action = action,
						.reason = cause->reason,
						.operator_name = cause->operator_name,
						.not_before = cause->not_before };

	relay_supersede(site, meter);
	if (strcmp(action, "trip") == 0)
		command.valid_until = relay_trip_until(site);
	meter->queued_id = command_queue(site, &command);
	meter->queued = relay_action_side(action);
	meter->queued_automatic = cause->operator_name == NULL;
	return meter->queued_id;
}

int64
relay_follow(const Site *site, RelayMeter *meter, const RelayCause *cause)
{
	if (meter->desired == SIDE_NONE)
		return 0;
	/* A person's order goes under his name, and past the brake (brake.c). */
	if (meter->queued_id != 0 &&
		(meter->queued != meter->desired || (meter->queued_automatic && cause->operator_name)))
		relay_supersede(site, meter);
	if (meter->queued_id != 0)
		return meter->queued_id;
	if (meter->flying_id != 0 && meter->flying == meter->desired)
		return meter->flying_id;
	if (meter->flying_id == 0 && !cause->insist && is_there(meter))
		return 0;
	if (!meter->is_reachable || !(meter->desired == SIDE_OFF ? meter->can_trip : meter->can_close))
		return 0;
	return relay_send(site, meter, meter->desired == SIDE_OFF ? "trip" : "close", cause);
}

void
relay_show(const Site *site, const RelayMeter *meter, bool closed)
{
	static DbQuery query = { "UPDATE prepay.meter_state SET relay_closed = $3 WHERE site_id = $1"
							 " AND meter_id = $2 AND relay_closed IS DISTINCT FROM $3",
							 3,
							 { INT4OID, INT4OID, BOOLOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 BoolGetDatum(closed) };

	db_run(&query, args);
}

static void
set_state(const Site *site, DbQuery *query, RelayMeter *meter, SupplySide side, TimestampTz at)
{
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 CStringGetTextDatum(supply_side_name(side)), TimestampTzGetDatum(at) };

	db_run(query, args);
}

void
relay_commanded(const Site *site, RelayMeter *meter, SupplySide side)
{
	static DbQuery query = { "UPDATE prepay.meter_control SET commanded = $3, commanded_at = $4"
							 " WHERE site_id = $1 AND meter_id = $2",
							 4,
							 { INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID } };

	if (side != meter->commanded)
		mismatch_forget(site, meter);
	if (side == SIDE_ON)
		flow_closed(site, meter);
	set_state(site, &query, meter, side, site->now);
	meter->commanded = side;
	meter->commanded_at = site->now;
}

void
relay_acknowledged(const Site *site, RelayMeter *meter, SupplySide side)
{
	static DbQuery query = {
		"UPDATE prepay.meter_control SET acknowledged = $3, acknowledged_at = $4"
		" WHERE site_id = $1 AND meter_id = $2",
		4,
		{ INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID }
	};

	set_state(site, &query, meter, side, site->now);
	meter->acknowledged = side;
	meter->acknowledged_at = site->now;
	if (side == SIDE_OFF)
		flow_opened(site, meter, site->now);
}

bool
relay_seen(const Site *site, RelayMeter *meter, bool closed, TimestampTz at)
{
	static DbQuery query = { "UPDATE prepay.meter_control SET observed = $3, observed_at = $4"
							 " WHERE site_id = $1 AND meter_id = $2",
							 4,
							 { INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID } };

	if (meter->observed != SIDE_NONE && at < meter->observed_at)
		return false;
	meter->observed = closed ? SIDE_ON : SIDE_OFF;
	meter->observed_at = at;
	set_state(site, &query, meter, meter->observed, at);
	if (meter->observed == SIDE_OFF)
		flow_opened(site, meter, at);
	else if (meter->desired != SIDE_OFF)
		flow_closed(site, meter);
	mismatch_sighting(site, meter,
					  meter->observed == meter->commanded ? NULL
					  : closed							  ? "is found on"
														  : "is found off",
					  at);
	return true;
}

void
relay_hold_until(const Site *site, RelayMeter *meter, TimestampTz until)
{
	static DbQuery query = { "UPDATE prepay.meter_control SET hold_until = $3"
							 " WHERE site_id = $1 AND meter_id = $2",
							 3,
							 { INT4OID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 TimestampTzGetDatum(until) };

	if (meter->hold_until == until)
		return;
	db_run_nulls(&query, args, until == DT_NOBEGIN ? "  n" : NULL);
	meter->hold_until = until;
}

void
relay_decide_at(const Site *site, int32 meter_id, TimestampTz at)
{
	static DbQuery query = { "UPDATE prepay.meter_control SET decide_at = $3"
							 " WHERE site_id = $1 AND meter_id = $2",
							 3,
							 { INT4OID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(at) };

	db_run(&query, args);
}

void
relay_set_lock(const Site *site, RelayMeter *meter, bool locked, const char *reason)
{
	static DbQuery query = { "UPDATE prepay.meter_control SET locked = $3, locked_reason = $4"
							 " WHERE site_id = $1 AND meter_id = $2",
							 4,
							 { INT4OID, INT4OID, BOOLOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 BoolGetDatum(locked), db_text_datum(locked ? reason : NULL) };

	db_run_nulls(&query, args, locked && reason ? NULL : "   n");
	meter->locked = locked;
	meter->locked_reason = locked && reason ? pstrdup(reason) : NULL;
}

void
relay_set_tenant(const Site *site, RelayMeter *meter, bool off)
{
	static DbQuery query = { "UPDATE prepay.meter_control SET tenant_off = $3"
							 " WHERE site_id = $1 AND meter_id = $2",
							 3,
							 { INT4OID, INT4OID, BOOLOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 BoolGetDatum(off) };

	db_run(&query, args);
	meter->tenant_off = off;
}

void
relay_set_order(const Site *site, RelayMeter *meter, SupplyOrder order, const char *operator_name,
				const char *reason)
{
	static DbQuery query = {
		"UPDATE prepay.meter_control SET order_kind = $3, order_reason = $4, order_at = $5,"
		" order_by = $6 WHERE site_id = $1 AND meter_id = $2",
		6,
		{ INT4OID, INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID, TEXTOID }
	};
	const char *kind = order == ORDER_KEEP_ON	   ? "keep_on"
					   : order == ORDER_FORCED_OFF ? "forced_off"
												   : NULL;
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int32GetDatum(meter->meter_id),
					 db_text_datum(kind),
					 db_text_datum(kind ? reason : NULL),
					 TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(operator_name) };
	char nulls[] = { ' ', ' ', kind ? ' ' : 'n', kind && reason ? ' ' : 'n', ' ', ' ', '\0' };

	db_run_nulls(&query, args, nulls);
	meter->order = order;
	meter->order_by = pstrdup(operator_name);
	meter->order_reason = kind && reason ? pstrdup(reason) : NULL;
}
