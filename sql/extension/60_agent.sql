-- What the agent calls. Its code comes first: code or site/code.
CREATE FUNCTION prepay.create_agent(name text, options jsonb DEFAULT '{}') RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_create_agent' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.create_agent(text, jsonb) IS
	'Register an agent, or change a registered one. Options: role: login role, member of prepay_agent; payment_listen: loopback address at which it takes messages of payment channels (its role then needs prepay_payment, too), "" for nowhere.';

CREATE FUNCTION prepay.agent_hello(agent text, spool uuid) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'prepay_agent_hello' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.agent_hello(text, uuid) IS
	'Start of a session: last batch stored of the spool, revision of the plan, site, business clock.';

CREATE FUNCTION prepay.agent_plan(agent text) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'prepay_agent_plan' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.agent_plan(text) IS
	'Gateways, meters and profiles of an agent.';

CREATE FUNCTION prepay.agent_beat(agent text, status jsonb) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'prepay_agent_beat' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.agent_beat(text, jsonb) IS
	'Sign of life with counters for people; answers revision, site and business clock.';

CREATE FUNCTION prepay.ingest(agent text, spool uuid, seq bigint, meter_id int[],
		read_at timestamptz[], kwh numeric[], reverse_kwh numeric[], period_kwh text[],
		kw numeric[], relay_closed boolean[], meter_balance numeric[], purchase_count int[],
		meter_clock timestamptz[])
	RETURNS prepay.ingest_result
	AS 'MODULE_PATHNAME', 'prepay_ingest' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.ingest(text, uuid, bigint, int[], timestamptz[], numeric[], numeric[],
		text[], numeric[], boolean[], numeric[], int[], timestamptz[]) IS
	'Store a batch of readings exactly once. Registers as displayed, kWh and kW. Content never fails: it is filed for review.';

CREATE FUNCTION prepay.take_commands(agent text, max_rows int DEFAULT 32)
	RETURNS SETOF prepay.agent_command
	AS 'MODULE_PATHNAME', 'prepay_take_commands' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.take_commands(text, int) IS
	'Lease commands to the agent for a minute; those the supply rule no longer wants are superseded instead.';

CREATE FUNCTION prepay.report_command(agent text, command_id bigint, attempt int, outcome text,
		result jsonb) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_report_command' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.report_command(text, bigint, int, text, jsonb) IS
	'How an attempt ended: done refused failed unknown expired. Answers the status the command then has.';

CREATE FUNCTION prepay.report_contact(agent text, kind text[], id int[], state text[],
		since timestamptz[]) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_report_contact' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.report_contact(text, text[], int[], text[], timestamptz[]) IS
	'Gateways and meters lost or found again. Objects of other agents are passed over.';
