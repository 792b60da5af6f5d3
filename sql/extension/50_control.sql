-- Supply, relay orders, commands, meter profiles.
CREATE FUNCTION prepay.control(target text, action text, args jsonb DEFAULT '{}', reason text DEFAULT NULL)
	RETURNS SETOF prepay.control_result
	AS 'MODULE_PATHNAME', 'prepay_control' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.control(text, text, jsonb, text) IS
	'Order for a meter, an account''s meters, a place and all below it, a gateway or a site: trip close keep_on prepaid lock unlock read push_tariff push_limits recharge set_clock. One row a meter. (拉闸 合闸 保电 恢复预付费 锁定 解锁 抄表 电价下发 设置下发 充值 校时)';

CREATE FUNCTION prepay.cancel_command(command_id bigint, site text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_cancel_command' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.cancel_command(bigint, text) IS
	'Withdraw a command that is still queued. (撤销命令)';

CREATE FUNCTION prepay.confirm_trips(site text DEFAULT NULL, note text DEFAULT NULL) RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_confirm_trips' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.confirm_trips(text, text) IS
	'Let the automatic trips go that wait above trip_limit_per_minute (see trips_waiting), and release the brake. Answers how many. (确认批量拉闸)';

CREATE FUNCTION prepay.supply_decision(target text, moment timestamptz DEFAULT NULL)
	RETURNS TABLE (site text, meter text, account text, decision text, supply text, reasons text[],
		balance numeric, relay_desired text, relay_observed text)
	AS 'MODULE_PATHNAME', 'prepay_supply_decision' LANGUAGE C VOLATILE ROWS 10;
COMMENT ON FUNCTION prepay.supply_decision(text, timestamptz) IS
	'Whether each meter of a target has supply, with every reason for and against. Changes nothing. (供电判定)';

CREATE FUNCTION prepay.supply_rehearsal(in_site text, moment timestamptz DEFAULT NULL)
	RETURNS TABLE (site text, account text, meter text, outcome text, decision text,
		held_until timestamptz, balance numeric, reasons text[])
	AS 'MODULE_PATHNAME', 'prepay_supply_rehearsal' LANGUAGE C VOLATILE ROWS 1000;
COMMENT ON FUNCTION prepay.supply_rehearsal(text, timestamptz) IS
	'Who would be cut at a moment, with the balances of now: each meter without money, as cut, spared or off already, until when and why. Changes nothing. (停电预演)';

CREATE FUNCTION prepay.tenant_switch(site_id int, meter_id int, "on" boolean) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_tenant_switch' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.tenant_switch(int, int, boolean) IS
	'Switch a meter for its tenant: off, or on again where the rest of the decision is on. Answers the supply now desired. (租户自助通断)';

CREATE FUNCTION prepay.profile_fault(profile jsonb) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_profile_fault' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION prepay.profile_fault(jsonb) IS
	'What is wrong with a meter profile, with the path of the fault; NULL when it is sound.';

CREATE FUNCTION prepay.is_profile(profile jsonb) RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_is_profile' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION prepay.is_profile(jsonb) IS
	'True for a sound meter profile; raises PP080 with path and hint for any other. Used by a CHECK.';

CREATE FUNCTION prepay.command_notify() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_command_notify' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.command_notify() IS
	'Trigger of command: one notification on channel prepay_command a statement.';

CREATE FUNCTION prepay.config_changed() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_config_changed' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.config_changed() IS
	'Trigger of gateway and meter: agents fetch their plan anew, supply is decided anew.';

CREATE FUNCTION prepay.meter_import_row() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_meter_import_row' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.meter_import_row() IS
	'Trigger of view meter_import: creates what a row names.';
