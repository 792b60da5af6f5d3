-- Operators and what is known of them.
GRANT EXECUTE ON FUNCTION prepay.operator_name()
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst, prepay_agent;
GRANT EXECUTE ON FUNCTION prepay.create_operator(text, text, text[], text[], jsonb), prepay.drop_operator(text, text),
	prepay.grant_role(text, text, text[]), prepay.revoke_role(text, text, text[])
	TO prepay_admin;
GRANT EXECUTE ON FUNCTION prepay.set_operator_password(text, text)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT SELECT ON prepay.operators, prepay.operator_changes, prepay.operator_work, prepay.log_in_history
	TO prepay_admin, prepay_supervisor;
