-- Sites, tariffs, meters, readings.
CREATE FUNCTION prepay.create_site(code text, name text, timezone text, currency text DEFAULT 'CNY') RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_create_site' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.create_site(text, text, text, text) IS 'Create a site (landlord, campus, town); returns its site_id.';

CREATE FUNCTION prepay.set_setting(site text, name text, value text) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_set_setting' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.set_setting(text, text, text) IS 'Set a setting of a site; NULL takes it back to its default.';
CREATE FUNCTION prepay.known_settings(OUT name text, OUT kind text, OUT default_value text, OUT range text, OUT meaning text) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_known_settings' LANGUAGE C IMMUTABLE ROWS 40;
COMMENT ON FUNCTION prepay.known_settings() IS 'Every setting there is; see the view settings.';

CREATE FUNCTION prepay.define_tariff(code text, definition jsonb, valid_from timestamptz DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_define_tariff' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.define_tariff(text, jsonb, timestamptz, jsonb) IS 'Add a version to a tariff (电价方案); returns its number. Versions never change; each holds until the next begins. "notes" in a definition, a list of texts, is kept with it and means nothing to rating.';

CREATE FUNCTION prepay.tariff_from_urdb(rate jsonb) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'prepay_tariff_from_urdb' LANGUAGE C STABLE;
COMMENT ON FUNCTION prepay.tariff_from_urdb(jsonb) IS 'A rate of OpenEI''s Utility Rate Database (URDB) as a definition for define_tariff(): energy prices and a daily or monthly fixed charge, in the rate''s currency. What is not carried stands in "notes" and in a warning.';

CREATE FUNCTION prepay.assign_tariff(target text, tariff text, valid_from timestamptz DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_assign_tariff' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.assign_tariff(text, text, timestamptz) IS 'Give a site, place, account or meter a tariff from a time on. In force is the meter''s, else the account''s, else the nearest place''s, else the site''s.';

CREATE FUNCTION prepay.site_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_site_changed' LANGUAGE C;
COMMENT ON FUNCTION prepay.site_changed() IS 'Trigger: makes every session read changed sites, and who may work at them, again.';
CREATE FUNCTION prepay.number_row() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_number_row' LANGUAGE C;
COMMENT ON FUNCTION prepay.number_row() IS 'Trigger: numbers places, gateways and meters per site.';
CREATE FUNCTION prepay.meter_added() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_meter_added' LANGUAGE C;
COMMENT ON FUNCTION prepay.meter_added() IS 'Trigger: makes the state of a new meter.';
CREATE FUNCTION prepay.meter_changes() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_meter_changes' LANGUAGE C;
COMMENT ON FUNCTION prepay.meter_changes() IS 'Trigger: refuses changes in place of what rating depends on.';
CREATE FUNCTION prepay.refuse_change() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_refuse_change' LANGUAGE C;
COMMENT ON FUNCTION prepay.refuse_change() IS 'Trigger: rows that are written once.';

CREATE FUNCTION prepay.prove_row() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_prove_row' LANGUAGE C;
COMMENT ON FUNCTION prepay.prove_row() IS 'Trigger: keeps the hash of a row in row_proof, for verify().';
CREATE FUNCTION prepay.reading_insert() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_reading_insert' LANGUAGE C;
COMMENT ON FUNCTION prepay.reading_insert() IS 'Trigger: rates the readings of a statement, moves balances, raises alarms, queues relay commands.';

CREATE FUNCTION prepay.open_usage(site_id int, tier_extra bigint[], tier_base bytea, open_lines bytea[]) RETURNS SETOF prepay.usage_row
	AS 'MODULE_PATHNAME', 'prepay_open_usage' LANGUAGE C STABLE STRICT ROWS 5;
CREATE FUNCTION prepay.unposted(site_id int, sealed numeric, tier_extra bigint[], tier_base bytea, open_lines bytea[]) RETURNS numeric
	AS 'MODULE_PATHNAME', 'prepay_unposted' LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION prepay.unposted(int, numeric, bigint[], bytea, bytea[]) IS 'Money for usage of an account that is not sealed yet: by how much its balance is less than its posted balance.';
COMMENT ON FUNCTION prepay.open_usage(int, bigint[], bytea, bytea[]) IS 'Usage of an account that is not sealed yet, priced; what usage_daily adds to the sealed lines.';

CREATE FUNCTION prepay.unpaid_energy(site_id int, meter_id int,
		OUT day date, OUT wh bigint, OUT estimated_wh bigint, OUT from_time timestamptz, OUT to_time timestamptz,
		OUT since timestamptz, OUT until timestamptz) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_unpaid_energy' LANGUAGE C STABLE STRICT ROWS 10;
COMMENT ON FUNCTION prepay.unpaid_energy(int, int) IS 'Energy of a meter that no account pays for, by local day: of times when it belonged to none, or of a check meter. For the views.';

CREATE FUNCTION prepay.change_meter(meter text, changes jsonb, effective timestamptz DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_change_meter' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.change_meter(text, jsonb, timestamptz) IS 'Change ratio, register_max or reverse_energy of a meter from a time on; energy since then is rated again.';

CREATE FUNCTION prepay.correct_reading(meter text, read_at timestamptz, kwh numeric, reason text) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_correct_reading' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.correct_reading(text, timestamptz, numeric, text) IS 'Put another value in the place of one that was read wrong; the difference is posted as a correction.';

CREATE FUNCTION prepay.resolve_review(site text, review_id bigint, verdict text, note text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_resolve_review' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.resolve_review(text, bigint, text, text) IS 'Decide about suspect readings: accept, reject, rollover or baseline; what waited behind them is rated.';

CREATE FUNCTION prepay.explain(account text, t0 timestamptz DEFAULT NULL, t1 timestamptz DEFAULT NULL,
		OUT site text, OUT account_code text, OUT meter text, OUT from_time timestamptz, OUT to_time timestamptz, OUT kwh numeric,
		OUT tariff text, OUT version int, OUT season text, OUT day_type text, OUT period text, OUT tier int,
		OUT position_kwh numeric, OUT price numeric, OUT amount numeric, OUT estimated boolean, OUT why text,
		OUT component text, OUT item text, OUT day date, OUT booked_day date, OUT reading_from timestamptz, OUT reading_to timestamptz,
		OUT register_from numeric, OUT register_to numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_explain' LANGUAGE C STABLE ROWS 1500;
COMMENT ON FUNCTION prepay.explain(text, timestamptz, timestamptz) IS 'How every charge of an account came about (计费明细): each piece of energy with its period, tier, position before it in the tiers (kWh), price, exact amount and the readings it lies between; standing charges and surcharges by day. Over whole local days it adds up to usage_daily by meter, day, version, component, item, period and tier. Rows without component wait for a tariff.';

CREATE FUNCTION prepay.backtest(site text, definition jsonb, t0 timestamptz, t1 timestamptz,
		OUT site_code text, OUT account text, OUT kwh numeric, OUT amount numeric, OUT draft_amount numeric, OUT difference numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_backtest' LANGUAGE C STABLE;
COMMENT ON FUNCTION prepay.backtest(text, jsonb, timestamptz, timestamptz) IS 'What a draft tariff would have cost every account over past local days, beside what they cost.';

CREATE FUNCTION prepay.statement(account text, month date DEFAULT NULL, options jsonb DEFAULT '{}',
		OUT site text, OUT account_code text, OUT month_begin date, OUT line int, OUT section text, OUT text text, OUT meter text, OUT day date,
		OUT tariff text, OUT version int, OUT item text, OUT period text, OUT tier int, OUT kwh numeric, OUT price numeric, OUT amount numeric,
		OUT balance numeric, OUT seq int, OUT from_time timestamptz, OUT to_time timestamptz, OUT register_from numeric, OUT register_to numeric,
		OUT ratio numeric, OUT estimated_kwh numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_statement' LANGUAGE C STABLE ROWS 30;
COMMENT ON FUNCTION prepay.statement(text, date, jsonb) IS 'Fee list of an account for a month (月结单), given by any day of it (NULL: this month): opening balance, money in and out, usage booked in the month by version, period and tier, exact (day by day with {"daily": true}), usage of earlier days and corrections apart, what is carried in rounding, closing balance; for the running month also what is not booked yet, up to the balance of now; registers of each meter. Amounts are signed as they move the balance, which runs along; opening + amounts = closing = the ledger.';

CREATE FUNCTION prepay.reading_history(meter text, t0 timestamptz DEFAULT NULL, t1 timestamptz DEFAULT NULL,
		OUT site text, OUT meter_code text, OUT read_at timestamptz, OUT kwh numeric, OUT corrected_kwh numeric, OUT reverse_kwh numeric, OUT kw numeric,
		OUT relay_closed boolean, OUT meter_balance numeric, OUT purchase_count int, OUT meter_clock timestamptz, OUT source text, OUT status text,
		OUT correction_reason text, OUT energy_kwh numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_reading_history' LANGUAGE C STABLE ROWS 1500;
COMMENT ON FUNCTION prepay.reading_history(text, timestamptz, timestamptz) IS 'Readings of a meter in a time (抄表记录; default: the last 30 days) with what became of each, and the energy (kWh, after the ratio) since the reading that counted before.';

CREATE FUNCTION prepay.register_difference(meter text, t0 timestamptz DEFAULT NULL, t1 timestamptz DEFAULT NULL,
		OUT site text, OUT meter_code text, OUT from_time timestamptz, OUT register_from numeric, OUT to_time timestamptz, OUT register_to numeric,
		OUT ratio numeric, OUT kwh numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_register_difference' LANGUAGE C STABLE ROWS 1;
COMMENT ON FUNCTION prepay.register_difference(text, timestamptz, timestamptz) IS 'Registers (kWh as displayed) of a meter at two times (止度、起度): each the last that counts up to then, else the first after it; ratio at the end, and the energy between them with every ratio, rollover and new baseline on the way.';

CREATE FUNCTION prepay.energy_by_place(place text, t0 timestamptz DEFAULT NULL, t1 timestamptz DEFAULT NULL,
		OUT site text, OUT place_code text, OUT day date, OUT kwh numeric, OUT unowned_kwh numeric, OUT estimated_kwh numeric, OUT check_kwh numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_energy_by_place' LANGUAGE C STABLE ROWS 31;
COMMENT ON FUNCTION prepay.energy_by_place(text, timestamptz, timestamptz) IS 'Energy of a place and all below it by local day (区域用能): of prepaid meters, of these while they belonged to nobody, and shared over gaps; of check meters apart.';
