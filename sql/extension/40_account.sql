-- Accounts and money.
CREATE FUNCTION prepay.open_account(code text, customer text, phone text DEFAULT NULL, place text DEFAULT NULL,
		meters text[] DEFAULT '{}', tariff text DEFAULT NULL, opening_balance numeric DEFAULT 0,
		key text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_open_account' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.open_account(text, text, text, text, text[], text, numeric, text, jsonb) IS 'Open an account (开户) with its meters; opening_balance is money brought over from an old meter (老表金额转入) and needs a key. Returns the account_id.';

CREATE FUNCTION prepay.update_account(account text, changes jsonb) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_update_account' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.update_account(text, jsonb) IS 'Change customer, phone, language, thresholds, limits, household extension or note of an account, or its state: open, suspended (报停). Changes are logged.';

CREATE FUNCTION prepay.add_meter(account text, meter text, start_kwh numeric DEFAULT NULL, effective timestamptz DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_add_meter' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.add_meter(text, text, numeric, timestamptz) IS 'Give an account a meter from a time on; start_kwh is what its register showed then.';

CREATE FUNCTION prepay.sell(account text, amount numeric, key text, tender text DEFAULT 'cash', note text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_sell' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.sell(text, numeric, text, text, text, jsonb) IS 'Sell electricity (售电): credit an amount to an account. Repeating the call with its key gives the first result.';

CREATE FUNCTION prepay.verify(site text DEFAULT NULL, account text DEFAULT NULL, since timestamptz DEFAULT NULL) RETURNS SETOF prepay.verify_row
	AS 'MODULE_PATHNAME', 'prepay_verify' LANGUAGE C STABLE ROWS 1;
COMMENT ON FUNCTION prepay.verify(text, text, timestamptz) IS 'Broken invariants of the books: ledger sums, chain and hash, anchors, balances, usage rated anew from the raw readings. Empty on a healthy database.';

CREATE FUNCTION prepay.tick(max_rows int DEFAULT 1000) RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_tick' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION prepay.tick(int) IS 'Do what time alone makes due: seal days, post standing charges, rate again, expire commands, notice lost contact, keep partitions ahead, write anchors. Call again while it returns more than 0.';

CREATE TYPE prepay.drop_result AS (kept_from timestamptz, partitions int, meters int, kept int);
COMMENT ON TYPE prepay.drop_result IS 'What drop_readings() did: readings from before kept_from are gone, of so many whole partitions; of so many meters with readings, kept rows from before it stay.';
CREATE FUNCTION prepay.drop_readings(before date) RETURNS prepay.drop_result
	AS 'MODULE_PATHNAME', 'prepay_drop_readings' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION prepay.drop_readings(date) IS 'Take the readings (抄表数据清理) of all sites from before a month (its first day, UTC) away for ever; each meter keeps its last one. Refuses, with the reasons, while something may not go yet. Never done by itself.';

CREATE FUNCTION prepay.balance(site_id int, account_id int) RETURNS numeric
	AS 'MODULE_PATHNAME', 'prepay_balance' LANGUAGE C STABLE STRICT COST 50;
COMMENT ON FUNCTION prepay.balance(int, int) IS 'Balance (余额) of an account in its site''s currency: posted entries less usage that is not posted yet.';

CREATE FUNCTION prepay.state_color(state text) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_state_color' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION prepay.state_color(text) IS 'Colour of a state: open green, alarm1 yellow, alarm2 orange, arrears red, unopened grey, lost purple, suspended blue, closed black.';

CREATE FUNCTION prepay.remove_meter(account text, meter text, final_kwh numeric DEFAULT NULL, effective timestamptz DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_remove_meter' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.remove_meter(text, text, numeric, timestamptz) IS 'Take a meter from an account at a time; final_kwh is what its register showed then.';

CREATE FUNCTION prepay.replace_meter(old text, new text, old_final_kwh numeric, new_start_kwh numeric, effective timestamptz DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_replace_meter' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.replace_meter(text, text, numeric, numeric, timestamptz) IS 'Replace a meter (换表): balance, tiers and tariff go on, both registers count.';
