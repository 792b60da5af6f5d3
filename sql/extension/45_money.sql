-- Money: what sell() does not do.
CREATE FUNCTION prepay.refund(account text, amount numeric, key text, reason text DEFAULT NULL, options jsonb DEFAULT '{}') RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_refund' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.refund(text, numeric, text, text, jsonb) IS 'Pay money back (退电): at most the account''s own unspent money. Options: tender, till.';

CREATE FUNCTION prepay.reverse(account text, seq int, key text, reason text DEFAULT NULL) RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_reverse' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.reverse(text, int, text, text) IS 'Take back a whole posting, once (冲正). A spent sale may leave the balance below 0; the note then says so.';

CREATE FUNCTION prepay.adjust(account text, amount numeric, key text, reason text) RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_adjust' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.adjust(text, numeric, text, text) IS 'Move a balance by decision of a supervisor (调账), up or down; what is given is never paid out.';

CREATE FUNCTION prepay.transfer(from_account text, to_account text, amount numeric, key text) RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_transfer' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.transfer(text, text, numeric, text) IS 'Move own unspent money to another account of the site (转账). Returns the paying side.';

CREATE FUNCTION prepay.add_debt(account text, amount numeric, key text, terms jsonb DEFAULT '{}') RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_add_debt' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.add_debt(text, numeric, text, jsonb) IS 'Debt owed beside the balance (旧欠), paid by top-ups: in full, or by terms percent, cap, per (day, week, month, year).';

CREATE FUNCTION prepay.grant_credit(account text, amount numeric, key text, terms jsonb DEFAULT '{}') RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_grant_credit' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.grant_credit(text, numeric, text, jsonb) IS 'Free quota or subsidy (补贴): used up before own money, never paid out. Terms: type, priority (low first), expires.';

CREATE FUNCTION prepay.activate_emergency_credit(account text, key text) RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_activate_emergency_credit' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.activate_emergency_credit(text, text) IS 'Supply below the cut limit (应急赊欠), to be repaid before it can be activated again. Off unless setting emergency_credit gives an amount.';

CREATE FUNCTION prepay.close_account(account text, key text, options jsonb DEFAULT '{}') RETURNS prepay.money_result
	AS 'MODULE_PATHNAME', 'prepay_close_account' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.close_account(text, text, jsonb) IS 'Close an account (销户) at its final registers and settle it to 0. Options: final_kwh (by meter), tender, till, reason, collect (arrears are paid now).';

CREATE FUNCTION prepay.open_shift(opening_cash numeric DEFAULT 0, till text DEFAULT NULL, site text DEFAULT NULL) RETURNS prepay.shift_result
	AS 'MODULE_PATHNAME', 'prepay_open_shift' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.open_shift(numeric, text, text) IS 'Begin a shift (接班) at a till, the operator''s own when none is named, with the cash that lies in the drawer.';

CREATE FUNCTION prepay.close_shift(counted_cash numeric, till text DEFAULT NULL, note text DEFAULT NULL, site text DEFAULT NULL) RETURNS prepay.shift_result
	AS 'MODULE_PATHNAME', 'prepay_close_shift' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.close_shift(numeric, text, text, text) IS 'End a shift (交班): cash counted against cash booked on its receipts.';

CREATE FUNCTION prepay.credit_left(site_id int, account_id int, seq int) RETURNS numeric
	AS 'MODULE_PATHNAME', 'prepay_credit_left' LANGUAGE C STABLE STRICT COST 100;
COMMENT ON FUNCTION prepay.credit_left(int, int, int) IS 'What is left of a granted credit, with open usage taken off.';
