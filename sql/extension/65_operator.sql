-- Operators, their log, and what they log in with.
CREATE FUNCTION prepay.log_rows() RETURNS trigger
	AS 'MODULE_PATHNAME', 'prepay_log_rows' LANGUAGE C;
COMMENT ON FUNCTION prepay.log_rows() IS 'Trigger: writes changed rows of configuration to operator_log.';

CREATE FUNCTION prepay.create_operator(name text, password text, roles text[], sites text[] DEFAULT '{}',
		options jsonb DEFAULT '{}') RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_create_operator' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.create_operator(text, text, text[], text[], jsonb) IS
	'Make an operator: a role that logs in, with group roles (admin supervisor cashier dispatcher analyst, or agent alone) at sites. Options: full_name, valid_until, reinstate.';

CREATE FUNCTION prepay.drop_operator(name text, reason text DEFAULT NULL) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_drop_operator' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.drop_operator(text, text) IS
	'Dismiss an operator: takes away log-in, password, group roles and sites. The name stays taken, for the log and the ledger keep it.';

CREATE FUNCTION prepay.set_operator_password(name text, password text) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_set_operator_password' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.set_operator_password(text, text) IS
	'Set an operator''s password, by an administrator of its sites or by itself; the sites'' password settings rule.';

CREATE FUNCTION prepay.grant_role(name text, role text, sites text[] DEFAULT '{}') RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_grant_role' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.grant_role(text, text, text[]) IS
	'Give an operator a group role (NULL: none) and sites (empty: no more than it has).';

CREATE FUNCTION prepay.revoke_role(name text, role text, sites text[] DEFAULT '{}') RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_revoke_role' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.revoke_role(text, text, text[]) IS
	'Take a group role (NULL: none) and sites (empty: none) away from an operator.';
