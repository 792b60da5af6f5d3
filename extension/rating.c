/*
 * rating.c: the statement trigger on prepay.reading.
 *
 *   transition table → readings by meter → believed or held (accept)
 *     → intervals → pieces → lines (rate) → sealed days (seal) → entries (ledger)
 *     → balance → alarms, supply, commands (decide)
 *   what it says besides energy → alarms, supply, commands (sample)
 *
 * One call rates the whole statement and writes in bulk. Locks are taken in the
 * order of lock.h; the rows of a meter that belongs to an account are protected
 * by the account's lock, so its own row is read after that lock and not locked.
 *
 * The fast way appends: a reading later than the meter's last one, in a stretch
 * in which account, ratio and tariff are known to be constant (facts_from,
 * tariff_from, tariff_until of meter_state). Everything else (late readings,
 * changes of any dated fact, missing tariffs) marks the account, and rerate.c
 * computes it from its readings as if they had just come in order. Both ways use
 * the same split and walk, so they agree to the last digit.
 *
 * A crash before commit leaves neither the readings nor any of their effects.
 */
#include "rating.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "executor/tuptable.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "auth.h"
#include "db.h"
#include "energy.h"
#include "lock.h"
#include "reading.h"
#include "reconcile.h"
#include "rerate.h"
#include "seal.h"
#include "tariff_store.h"

#define MAX_SPANS 64

PG_FUNCTION_INFO_V1(prepay_reading_insert);

/* ---- meters and accounts of a site's readings ---- */

typedef struct MeterMap
{
	int n;
	Meter **meter; /* ascending meter_id */
} MeterMap;

static int
compare_meters(const void *a, const void *b)
{
	int32 left = (*(Meter *const *) a)->meter_id;
	int32 right = (*(Meter *const *) b)->meter_id;

	return left < right ? -1 : left > right;
}

static Meter *
find_meter(const MeterMap *map, int32 meter_id)
{
	int low = 0;
	int high = map->n - 1;

	while (low <= high)
	{
		int middle = (low + high) / 2;
		int32 id = map->meter[middle]->meter_id;

		if (id == meter_id)
			return map->meter[middle];
		if (id < meter_id)
			low = middle + 1;
		else
			high = middle - 1;
	}
	return NULL;
}

static void
unknown_meter(const Site *site, int32 meter_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_PP_CODE_UNKNOWN),
			 errmsg("site \"%s\" has no meter %d", site->code, meter_id),
			 errdetail("The readings of this statement are not stored."),
			 errhint("Add it to prepay.meter first, or use prepay.ingest(), which files such "
					 "rows for review.")));
}

/* Lock present and waiting accounts of these meters: all accounts before any meter, ascending. */
static Account *
lock_with_former(const Site *site, const int32 *meter_id, int n, int *n_account)
{
	static DbQuery query = {
		"SELECT account_id FROM prepay.meter_state WHERE site_id = $1"
		" AND meter_id = ANY ($2) AND account_id IS NOT NULL"
		" UNION SELECT o.account_id FROM prepay.meter_state s JOIN prepay.account_meter o"
		" USING (site_id, meter_id) WHERE s.site_id = $1 AND s.meter_id = ANY ($2)"
		" AND s.former_waits AND o.valid_to > s.last_read_at",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n) };
	int found = db_run(&query, args);
	int32 *account_id = palloc(sizeof(int32) * Max(found, 1));
	int i;

	for (i = 0; i < found; i++)
		account_id[i] = db_int32(i, 1);
	return account_lock_all(site, account_id, found, n_account);
}

static void
build_map(Account *account, int n_account, Meter *unowned, int n_unowned, MeterMap *map)
{
	int a;
	int m;

	map->n = n_unowned;
	for (a = 0; a < n_account; a++)
		map->n += account[a].n_meter;
	map->meter = palloc(sizeof(Meter *) * Max(map->n, 1));
	map->n = 0;
	for (a = 0; a < n_account; a++)
		for (m = 0; m < account[a].n_meter; m++)
			map->meter[map->n++] = account[a].meter[m];
	for (m = 0; m < n_unowned; m++)
		map->meter[map->n++] = &unowned[m];
	qsort(map->meter, map->n, sizeof(Meter *), compare_meters);
}

/* Of n ids, those that are not in the map; their number is returned. */
static int
keep_unknown(const MeterMap *map, int32 *meter_id, int n)
{
	int kept = 0;
	int i;

	for (i = 0; i < n; i++)
		if (find_meter(map, meter_id[i]) == NULL)
			meter_id[kept++] = meter_id[i];
	return kept;
}

/* ---- one meter ---- */

static void
mark_rerate(Account *account, int32 day)
{
	account->rerate_from = Min(account->rerate_from, day);
}

/* The tariff window the fast way relies on; false: the tariff changes inside the interval. */
static bool
tariff_is_constant(const Site *site, Meter *meter, TimestampTz from, TimestampTz to)
{
	TariffRules rules;

	if (from >= meter->tariff_from && to <= meter->tariff_until)
		return meter->tariff_id != 0;
	rules = tariff_rules(site, meter->meter_id, meter->account_id);
	meter->tariff_id = tariff_at(&rules, from, &meter->tariff_from, &meter->tariff_until);
	meter->facts_dirty = true;
	return meter->tariff_id != 0 && to <= meter->tariff_until;
}

/* Append the pieces of one interval to the account; false: the slow way has to do it. */
static bool
append_interval(RatingRun *run, Meter *meter, const Reading *reading, const RegisterStep *step)
{
	Account *account = meter->account;
	TimestampTz from = meter->last_read_at;
	RateSpan span[MAX_SPANS];
	EnergyPart part = { .from = from, .to = reading->read_at, .tou = &meter->tou_map };
	int64 *moved = NULL;
	int64_t lacking;
	int n;

	if (from < meter->facts_from || !tariff_is_constant(run->site, meter, from, reading->read_at))
		return false;
	n = tariff_code_spans(run->site, tariff_code(run->site, meter->tariff_id), from,
						  reading->read_at, span, MAX_SPANS);
	account->by_backlog |= reading->read_at - from > run->gap_us;
	part.reverse_wh = accept_reverse_energy(meter, meter->reverse_wh, step);
	part.wh = accept_energy(meter, meter->register_wh, step) + part.reverse_wh;
	if (meter->tou_map.n > 0)
		moved = palloc(sizeof(int64) * meter->tou_map.n);
	if (tou_moved(&meter->tou_map, &meter->tou, &reading->tou, step->wh, meter->register_max_wh,
				  moved))
		part.moved = moved;
	switch (tou_split(run->site->zone, span, n, meter->meter_id, &part,
					  reading->read_at - from > run->gap_us, &account->pieces, &lacking))
	{
		case RATE_OK:
			return true;
		case RATE_NO_TARIFF:
			return false;
		case RATE_OVERFLOW:
			out_of_range("energy");
	}
	return false;
}

static void
believe(Meter *meter, const Reading *reading)
{
	meter->has_register = true;
	meter->last_read_at = reading->read_at;
	meter->register_wh = reading->wh;
	if (reading->reverse_wh >= 0)
		meter->reverse_wh = reading->reverse_wh;
	meter->tou = reading->tou;
	meter->dirty = true;
}

static void
hold(RatingRun *run, const Meter *meter, const Reading *reading, const char *reason)
{
	accept_hold(run->site, meter->meter_id, reading->read_at, reading->wh, reason, "held",
				accept_detail(meter, reading, reason));
}

/* What a reading shows besides energy: the last one counts, believed or not. */
static void
note_status(Meter *meter, const Reading *reading)
{
	meter->has_kw = reading->has_kw;
	meter->kw = reading->kw;
	if (reading->relay_closed >= 0 && reading->relay_closed != meter->relay_closed)
	{
		meter->relay_closed = reading->relay_closed;
		meter->relay_changed_at = reading->read_at;
	}
	meter->dirty = true;
}

static Account *
locked_account(RatingRun *run, int32 account_id)
{
	int i;

	for (i = 0; i < run->n_account; i++)
		if (run->account[i].account_id == account_id)
			return &run->account[i];
	return NULL;
}

/*
 * A reading that settles energy from before the meter changed hands concerns the
 * accounts that had it then. Those that were known to wait for it are locked; others,
 * whose past a late reading changes, are left to tick().
 */
static void
concern_former(RatingRun *run, const Meter *meter, TimestampTz from)
{
	static DbQuery query = {
		"SELECT DISTINCT account_id FROM prepay.account_meter WHERE site_id = $1 AND meter_id = $2"
		" AND valid_to > $3 AND valid_to < 'infinity' ORDER BY account_id",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(run->site->site_id), Int32GetDatum(meter->meter_id),
					 TimestampTzGetDatum(from) };
	int32 day = site_local_day(run->site, from);
	int n = from < meter->facts_from ? db_run(&query, args) : 0;
	int i;

	for (i = 0; i < n; i++)
	{
		int32 account_id = db_int32(i, 1);
		Account *account = locked_account(run, account_id);

		if (account)
			mark_rerate(account, day);
		else
			rerate_later(&run->later, account_id, day);
	}
}

static void
take_late(RatingRun *run, Meter *meter, const Reading *reading)
{
	int32 day = rerate_accept_late(run->site, meter, reading, run->spike_margin_e6);

	if (day == NO_RERATE)
		return;
	meter->moved = true;
	if (meter->account)
		mark_rerate(meter->account, day);
	concern_former(run, meter, cal_day_start(run->site->zone, day));
}

/* The register moves on to a later reading. */
static void
take_next(RatingRun *run, Meter *meter, const Reading *reading, const RegisterStep *step)
{
	Account *account = meter->account;

	meter->moved |= reading->wh != meter->register_wh || reading->reverse_wh > meter->reverse_wh;
	if (account &&
		(account->rerate_from != NO_RERATE || !append_interval(run, meter, reading, step)))
		mark_rerate(account, site_local_day(run->site, meter->last_read_at));
	concern_former(run, meter, meter->last_read_at);
	if (meter->former_waits && reading->read_at >= meter->facts_from)
	{
		meter->former_waits = false;
		meter->facts_dirty = true;
	}
}

static void
take_reading(RatingRun *run, Meter *meter, const Reading *reading)
{
	const char *reason = accept_value(run->site, meter, reading, run->drift_limit_us);
	RegisterStep step = { 0 };
	int32 day;

	if (reason)
	{
		hold(run, meter, reading, reason);
		return;
	}
	if (meter->has_register && reading->read_at <= meter->last_read_at)
	{
		take_late(run, meter, reading);
		return;
	}
	note_status(meter, reading);
	if (meter->has_register)
	{
		/* Facts that changed since the last reading: judged by those of their time. */
		if (meter->last_read_at < meter->facts_from)
			reason = rerate_judge(run->site, meter, reading, false, run->spike_margin_e6, &day);
		else
		{
			reason = accept_step(meter, meter->last_read_at, meter->register_wh, meter->reverse_wh,
								 reading->read_at, reading->wh, reading->reverse_wh,
								 run->spike_margin_e6, &step);
			if (reason == NULL && tou_contradicts(&meter->tou_map, &meter->tou, &reading->tou,
												  step.wh, meter->register_max_wh))
				reason = "period_sum";
		}
		if (reason)
		{
			hold(run, meter, reading, reason);
			return;
		}
		take_next(run, meter, reading, &step);
	}
	sample_reading(&run->samples, meter, reading, &step);
	believe(meter, reading);
}

/* ---- one account ---- */

/* Positions for a walk that starts from the account's present state. */
static void
open_positions(const Site *site, Account *account, const RatePieceVec *pieces,
			   RatePositionVec *positions)
{
	int i;

	for (i = 0; i < pieces->n; i++)
	{
		const RatePiece *piece = &pieces->item[i];

		if (rate_position_is_open(&account->base, piece->tariff_id, piece->accum_start,
								  piece->accum_end))
			continue;
		account->dirty = true;
		/* Of a period that begins after the sealed days nothing can be sealed. */
		if (piece->accum_start > account->sealed_to)
			rate_position_open(&account->base, piece->tariff_id, piece->accum_start,
							   piece->accum_end, piece->tariff);
		else
			usage_open_period(site, account->account_id, account->sealed_to, piece, &account->base);
	}
	account_positions(account, positions);
}

/* Energy the statement adds to the accumulation period of a piece. */
static int64
period_wh(const Account *account, const RatePiece *like)
{
	int64 wh = 0;
	int i;

	for (i = 0; i < account->pieces.n; i++)
	{
		const RatePiece *piece = &account->pieces.item[i];

		if (piece->tariff_id == like->tariff_id && piece->day >= like->accum_start &&
			piece->day < like->accum_end)
			wh += piece->wh;
	}
	return wh;
}

/*
 * Several meters: the walk goes by time over all of them, and other meters'
 * energy of the open days has been walked already. That changes nothing as long
 * as all open energy lies in one tier; where it crosses a bound the open days
 * are walked again from their start.
 */
static bool
order_matters(const Account *account, const RatePositionVec *positions)
{
	int i;

	for (i = 0; i < account->pieces.n; i++)
	{
		const RatePiece *piece = &account->pieces.item[i];
		int64_t bound[TARIFF_MAX_TIERS];
		int64_t begin;
		int64_t end;
		int k;

		if (piece->tariff->n_tier == 1 || piece->tariff->allocation == ALLOCATE_PROPORTIONAL)
			continue;
		if (piece->tariff->n_season > 1 && account->sealed_to < piece->day - 1)
			return true;
		if (account->extra.n > 0 &&
			account->extra.step[account->extra.n - 1].from >= account->sealed_to)
			return true;
		if (!tariff_bounds(piece->tariff, piece->season, piece->accum_start, piece->accum_end,
						   piece->day, &account->extra, bound) ||
			!rate_position_wh(&account->base, piece->tariff_id, piece->accum_start,
							  piece->accum_end, &begin) ||
			!rate_position_wh(positions, piece->tariff_id, piece->accum_start, piece->accum_end,
							  &end))
			return true;
		end += period_wh(account, piece);
		for (k = 0; k < piece->tariff->n_tier - 1; k++)
			if (begin < bound[k] && bound[k] < end)
				return true;
	}
	return false;
}

static void
spread_lines(Account *account, const RateLineVec *lines)
{
	int i;
	int m;

	for (i = 0; i < lines->n; i++)
		for (m = 0; m < account->n_meter; m++)
			if (account->meter[m]->meter_id == lines->item[i].meter_id &&
				!rate_add_line(&account->meter[m]->lines, &lines->item[i]))
				out_of_range("energy");
}

/* Energy of sealed days has to be rated again, from wherever other readings ask for it as well. */
static void
mark_sealed_days(Account *account)
{
	int i;

	for (i = 0; i < account->pieces.n; i++)
		if (account->pieces.item[i].day < account->sealed_to)
			mark_rerate(account, account->pieces.item[i].day);
}

static void
walk_account(RatingRun *run, Account *account)
{
	RateLineVec lines = { 0 };
	bool several = account->n_meter > 1 || account->leaving.n > 0;

	if (account->pieces.n == 0)
		return;
	open_positions(run->site, account, &account->pieces, &run->positions);
	if (several && order_matters(account, &run->positions))
	{
		mark_rerate(account, account->sealed_to);
		return;
	}
	rate_sort(&account->pieces);
	if (rate_walk(account->pieces.item, account->pieces.n, &account->extra, &run->positions,
				  several ? &lines : &account->meter[0]->lines, NULL, NULL) != RATE_OK)
		out_of_range("energy");
	if (several)
		spread_lines(account, &lines);
}

void
rating_begin(RatingRun *run, const Site *site)
{
	memset(run, 0, sizeof(*run));
	run->site = site;
	ledger_begin(&run->posting, site);
	run->drift_limit_us = setting_interval_us(site, "clock_drift_limit", 0);
	run->spike_margin_e6 = setting_micro(site, "spike_margin", 1000000);
	run->gap_us = 2 * setting_interval_us(site, "poll_interval", 0);
}

/* Outside the quiet band something may have to be said or switched. */
static void
decide_if_needed(RatingRun *run, Account *account)
{
	int64 balance = account_balance_of(run->site, account);

	if (account->quiet.is_set && balance > account->quiet.above && balance < account->quiet.below)
		return;
	account->quiet = decide_account(run->site, account->account_id, balance, account->by_backlog);
	account->dirty = true;
}

void
rating_finish(RatingRun *run, Account *account, int n_account)
{
	int i;

	for (i = 0; i < n_account; i++)
		seal_days(run->site, &account[i], seal_ready_to(run->site, &account[i]), &run->posting,
				  &run->usage);
	ledger_flush(&run->posting);
	usage_flush(run->site, &run->usage);
	for (i = 0; i < n_account; i++)
		decide_if_needed(run, &account[i]);
	account_save_all(run->site, account, n_account);
}

/* The relay was seen in another state than before. */
static void
report_relays(const Site *site, const MeterMap *map)
{
	int i;

	for (i = 0; i < map->n; i++)
		if (map->meter[i]->relay_changed_at != 0)
			decide_observed(site, map->meter[i]->meter_id, map->meter[i]->relay_closed == 1,
							map->meter[i]->relay_changed_at);
}

/* What the time-of-use registers in this statement are measured against. */
static void
load_periods(const Site *site, const MeterMap *map, const Reading *reading, int n)
{
	int32 *meter_id = palloc(sizeof(int32) * n);
	int64 *read_at = palloc(sizeof(int64) * n);
	TouRegisters *registers;
	TouMap *names;
	int found = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		const Meter *meter;

		if (reading[i].tou.n == 0 || (found > 0 && meter_id[found - 1] == reading[i].meter_id))
			continue;
		meter = find_meter(map, reading[i].meter_id);
		meter_id[found] = meter->meter_id;
		read_at[found++] = meter->last_read_at;
	}
	registers = palloc(sizeof(TouRegisters) * Max(found, 1));
	names = palloc(sizeof(TouMap) * Max(found, 1));
	tou_load(site, meter_id, read_at, found, registers, names);
	for (i = 0; i < found; i++)
	{
		Meter *meter = find_meter(map, meter_id[i]);

		meter->tou = registers[i];
		meter->tou_map = names[i];
	}
}

/* Believed or not, it belongs to what the meter was seen to show. */
static void
prove_reading(RatingRun *run, Meter *meter, const Reading *reading)
{
	meter->facts_dirty |=
		reading_chain_take(&run->chain, run->site->site_id, meter->meter_id, &meter->chain,
						   reading->read_at, reading->row, reading->row_bytes);
	meter->dirty = true;
}

static void
take_readings(RatingRun *run, const MeterMap *map, const Reading *reading, int n)
{
	Datum *time = palloc(sizeof(Datum) * n);
	int begin;
	int end;
	int i;

	for (i = 0; i < n; i++)
		time[i] = TimestampTzGetDatum(reading[i].read_at);
	for (begin = 0; begin < n; begin = end)
	{
		Meter *meter = find_meter(map, reading[begin].meter_id);

		for (end = begin; end < n && reading[end].meter_id == meter->meter_id; end++)
			;
		for (i = begin; i < end; i++)
		{
			meter->undecided = &time[i + 1];
			meter->n_undecided = end - i - 1;
			prove_reading(run, meter, &reading[i]);
			take_reading(run, meter, &reading[i]);
		}
	}
}

/* Meters without account: their registers are saved, and watched where they moved. */
static void
finish_unowned(const Site *site, Meter *meter, int n)
{
	Meter **all = palloc(sizeof(Meter *) * Max(n, 1));
	int32 *moved = palloc(sizeof(int32) * Max(n, 1));
	int n_moved = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		all[i] = &meter[i];
		if (meter[i].moved)
			moved[n_moved++] = meter[i].meter_id;
	}
	meter_save_all(site, all, n);
	energy_moved(site, moved, n_moved);
}

static void
rate_site(const Site *site, const Reading *reading, int n)
{
	int32 *meter_id = palloc(sizeof(int32) * n);
	int n_id = 0;
	int n_account;
	int n_unowned = 0;
	int i;
	Account *account;
	Meter *unowned = NULL;
	MeterMap map;
	RatingRun run;

	for (i = 0; i < n; i++)
		if (n_id == 0 || meter_id[n_id - 1] != reading[i].meter_id)
			meter_id[n_id++] = reading[i].meter_id;
	rating_begin(&run, site);
	sample_begin(&run.samples, site);
	account = account_lock_by_meters(site, meter_id, n_id, &n_account);
	if (n_account == 0)
		account = lock_with_former(site, meter_id, n_id, &n_account);
	run.account = account;
	run.n_account = n_account;
	build_map(account, n_account, NULL, 0, &map);
	n_id = keep_unknown(&map, meter_id, n_id);
	if (n_id > 0)
	{
		unowned = meter_lock_unowned(site, meter_id, n_id, &n_unowned);
		build_map(account, n_account, unowned, n_unowned, &map);
		if (keep_unknown(&map, meter_id, n_id) > 0)
			unknown_meter(site, meter_id[0]);
	}
	load_periods(site, &map, reading, n);
	take_readings(&run, &map, reading, n);

	for (i = 0; i < n_account; i++)
	{
		mark_sealed_days(&account[i]);
		if (account[i].rerate_from == NO_RERATE)
			walk_account(&run, &account[i]);
		if (account[i].rerate_from != NO_RERATE)
			rerate_account(&run, &account[i], account[i].rerate_from);
	}
	rating_finish(&run, account, n_account);
	rerate_store_later(site, &run.later);
	finish_unowned(site, unowned, n_unowned);
	reading_chain_flush(site, &run.chain);
	reconcile_readings(site, account, n_account, reading, n);
	report_relays(site, &map);
	sample_finish(&run.samples);
}

/* AFTER INSERT FOR EACH STATEMENT trigger of prepay.reading, new rows as new_readings. */
Datum
prepay_reading_insert(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	ReadingVec readings = { 0 };
	DbSession session;
	int begin;
	int end;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) || trigger->tg_newtable == NULL ||
		!db_is_table(RelationGetRelid(trigger->tg_relation), "reading"))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("reading_insert is the statement trigger of prepay.reading")));
	db_enter(&session);
	reading_collect(trigger, &readings);
	for (begin = 0; begin < readings.n; begin = end)
	{
		int32 site_id = readings.item[begin].site_id;

		for (end = begin; end < readings.n && readings.item[end].site_id == site_id; end++)
			;
		if (!superuser_arg(session.caller) && session.caller != db_owner() &&
			!auth_has_site(session.caller, site_id))
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("you have no right on site %d", site_id),
							errhint("An administrator can add you to prepay.operator_site.")));
		lock_site_shared(site_id);
		rate_site(site_get(site_id), readings.item + begin, end - begin);
	}
	db_leave(&session);
	return PointerGetDatum(NULL);
}
