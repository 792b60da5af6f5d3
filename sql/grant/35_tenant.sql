-- Tenants: their own account and nothing else. They may not use schema prepay: what the views call is all they run of it.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA prepay_api FROM PUBLIC;
GRANT USAGE ON SCHEMA prepay_api TO prepay_tenant;
GRANT SELECT ON prepay_api.my_account, prepay_api.my_meters, prepay_api.my_usage_daily, prepay_api.my_usage_monthly,
	prepay_api.my_recharges, prepay_api.my_alarms, prepay_api.my_payment_orders
	TO prepay_tenant;
GRANT EXECUTE ON FUNCTION prepay_api.log_in(text, text), prepay_api.my_statement(date), prepay_api.switch_my_meter(text, boolean),
	prepay_api.change_my_password(text, text), prepay_api.change_my_data(text, text),
	prepay_api.create_payment_order(numeric, text, jsonb)
	TO prepay_tenant;
GRANT EXECUTE ON FUNCTION prepay.tenant_accounts(), prepay.state_color(text), prepay.open_usage(int, bigint[], bytea, bytea[]),
	prepay.unposted(int, numeric, bigint[], bytea, bytea[])
	TO prepay_tenant;

GRANT EXECUTE ON FUNCTION prepay.create_tenant(text, text, text), prepay.drop_tenant(text), prepay.set_tenant_password(text, text)
	TO prepay_admin, prepay_supervisor, prepay_cashier;
GRANT EXECUTE ON FUNCTION prepay.set_tenant_secret(text) TO prepay_admin;
GRANT SELECT ON prepay.tenants TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
