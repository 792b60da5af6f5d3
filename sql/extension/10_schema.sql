-- Schema and types. Nothing here is created OR REPLACE: a name planted before is an error.
CREATE SCHEMA prepay;
COMMENT ON SCHEMA prepay IS 'Remote prepaid electricity: tariffs, accounts, ledger, readings, supply. (预付费电能管理)';

-- What every money function gives back.
CREATE TYPE prepay.money_result AS (
	site text,
	account text,
	seq int,
	kind text,
	amount numeric,
	balance_after numeric,
	balance numeric,
	booked_at timestamptz,
	key text,
	receipt_no bigint,
	note text,
	till text,
	fee numeric,
	debt numeric
);
COMMENT ON TYPE prepay.money_result IS 'Result of a money function: the ledger entry, then the balance with open usage taken off and the debt owed beside it.';

CREATE TYPE prepay.shift_result AS (
	site text,
	till text,
	shift_no int,
	opened_by text,
	opened_at timestamptz,
	closed_at timestamptz,
	closed_by text,
	opening_cash numeric,
	booked_cash numeric,
	expected_cash numeric,
	counted_cash numeric,
	difference numeric
);
COMMENT ON TYPE prepay.shift_result IS 'A shift (班次): cash booked on its receipts, cash counted, and the difference.';

CREATE TYPE prepay.control_result AS (
	site text,
	meter text,
	account text,
	action text,
	command_id bigint,
	status text,
	detail text,
	batch_id bigint
);
COMMENT ON TYPE prepay.control_result IS
	'One row a meter of control(): the command queued, or why none was; batch_id: the call as batch_status has it.';

CREATE TYPE prepay.ingest_result AS (
	last_seq bigint,
	stored int,
	filed int,
	repeated boolean
);
COMMENT ON TYPE prepay.ingest_result IS 'Result of ingest(): batch number stored, readings stored, readings filed for review.';

CREATE TYPE prepay.agent_command AS (
	command_id bigint,
	gateway_id int,
	meter_id int,
	action text,
	args jsonb,
	created_at timestamptz,
	valid_until timestamptz,
	attempt int,
	verify_only boolean
);
COMMENT ON TYPE prepay.agent_command IS 'A command leased to an agent.';

CREATE TYPE prepay.usage_row AS (
	meter_id int,
	day date,
	tariff_id int,
	version int,
	component text,
	item smallint,
	period smallint,
	tier smallint,
	wh bigint,
	estimated_wh bigint,
	amount numeric
);
COMMENT ON TYPE prepay.usage_row IS 'One priced usage line by ids.';

CREATE TYPE prepay.verify_row AS (
	site text,
	account text,
	invariant text,
	detail text
);
COMMENT ON TYPE prepay.verify_row IS 'A broken invariant: what verify() returns.';
