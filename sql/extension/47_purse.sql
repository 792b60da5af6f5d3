-- Money that is kept in meters.
CREATE TYPE prepay.withdrawal_result AS (
	site text,
	account text,
	meter text,
	amount numeric,
	state text,
	command_id bigint,
	key text,
	error text
);
COMMENT ON TYPE prepay.withdrawal_result IS
	'Where a withdrawal from a meter stands: queued, sent, unknown, done, refused or cancelled.';

CREATE FUNCTION prepay.withdraw(account text, amount numeric, key text, reason text DEFAULT NULL) RETURNS prepay.withdrawal_result
	AS 'MODULE_PATHNAME', 'prepay_withdraw' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.withdraw(text, numeric, text, text) IS 'Take money out of a meter that keeps its own (从表内取回), so that refund, transfer, reverse, adjust or close_account can pay it out. The same call again tells how far it is.';

CREATE FUNCTION prepay.resolve_recharge(meter text, verdict text, reason text) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_resolve_recharge' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.resolve_recharge(text, text, text) IS 'Decide about a purchase count that does not fit (购电次数不符): accept it; or say of the recharge that waits that it is done, goes again, or is void and its money kept here.';
