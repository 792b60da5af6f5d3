-- Tenants: who they are, and what they may do themselves through an HTTP front (PostgREST conventions).
CREATE SCHEMA prepay_api;
COMMENT ON SCHEMA prepay_api IS 'What a tenant sees and does of its own account (用户自助): balance, usage, purchases, alarms, switching, payment orders.';

CREATE FUNCTION prepay.tenant_accounts(OUT site_id int, OUT account_id int) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_tenant_accounts' LANGUAGE C STABLE ROWS 1;
COMMENT ON FUNCTION prepay.tenant_accounts() IS 'The account that the caller is as a tenant, by its role or by the token a front has verified; nothing for everybody else. For the views of prepay_api.';

CREATE FUNCTION prepay.create_tenant(account text, password text, role text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_create_tenant' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.create_tenant(text, text, text) IS 'Let the customer of an account log in (开通自助): through an HTTP front, and with role as a role of the server that may do what prepay_tenant may.';

CREATE FUNCTION prepay.drop_tenant(account text) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_drop_tenant' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.drop_tenant(text) IS 'End the log-in of an account (停用自助): its tokens count for nothing any more, its role cannot log in.';

CREATE FUNCTION prepay.set_tenant_password(account text, password text) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_set_tenant_password' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.set_tenant_password(text, text) IS 'Set the password an account logs in with (重置密码); ends its tokens, and a block after wrong passwords.';

CREATE FUNCTION prepay.set_tenant_secret(secret text) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_set_tenant_secret' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.set_tenant_secret(text) IS 'Set what signs the tokens of tenants, at least 32 bytes: the same as the front''s (PostgREST: jwt-secret). Nobody can read it back.';

CREATE FUNCTION prepay_api.log_in(account text, password text) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_log_in' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay_api.log_in(text, text) IS 'A token for [site/]account and password (登录); NULL when one of them is wrong, or after five wrong ones in a row for 15 minutes.';

CREATE FUNCTION prepay_api.my_statement(month date DEFAULT NULL,
		OUT site text, OUT account_code text, OUT month_begin date, OUT line int, OUT section text, OUT text text, OUT meter text, OUT day date,
		OUT tariff text, OUT version int, OUT item text, OUT period text, OUT tier int, OUT kwh numeric, OUT price numeric, OUT amount numeric,
		OUT balance numeric, OUT seq int, OUT from_time timestamptz, OUT to_time timestamptz, OUT register_from numeric, OUT register_to numeric,
		OUT ratio numeric, OUT estimated_kwh numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_my_statement' LANGUAGE C STABLE ROWS 30;
COMMENT ON FUNCTION prepay_api.my_statement(date) IS 'Fee list of one''s own account for the month that holds a day (月结单; NULL: this month), as prepay.statement() has it.';

CREATE FUNCTION prepay_api.switch_my_meter(meter text, "on" boolean) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_switch_my_meter' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay_api.switch_my_meter(text, boolean) IS 'Switch one''s own meter off or on (远程拉合闸); on only where nothing else keeps it off. Returns the supply now wanted: on or off.';

CREATE FUNCTION prepay_api.change_my_password(old_password text, new_password text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_change_my_password' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay_api.change_my_password(text, text) IS 'Change one''s own password (修改密码); false when the old one is wrong, which counts as a failure to log in. Ends all tokens.';

CREATE FUNCTION prepay_api.change_my_data(phone text, language text) RETURNS void
	AS 'MODULE_PATHNAME', 'prepay_change_my_data' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay_api.change_my_data(text, text) IS 'Change telephone and language (zh, en) of messages (修改资料); what is NULL is emptied.';

CREATE TYPE prepay_api.payment_order AS (
	site text,
	account text,
	order_no text,
	channel text,
	scene text,
	amount numeric,
	state text,
	created_at timestamptz,
	expires_at timestamptz,
	request jsonb
);
COMMENT ON TYPE prepay_api.payment_order IS 'An order, and what the payer''s client sends (支付订单), as prepay.create_payment_order() gives it.';

CREATE FUNCTION prepay_api.create_payment_order(amount numeric, channel text, options jsonb DEFAULT '{}') RETURNS prepay_api.payment_order
	AS 'MODULE_PATHNAME', 'prepay_create_my_payment_order' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay_api.create_payment_order(numeric, text, jsonb) IS 'An order to be paid by alipay, wechat or unionpay (充值下单) for one''s own account; options as prepay.create_payment_order() has them.';
