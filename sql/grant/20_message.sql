-- Alarms and messages.
GRANT EXECUTE ON FUNCTION prepay.acknowledge_alarm(text, bigint, text), prepay.acknowledge_alarm(text, text, text)
	TO prepay_admin, prepay_supervisor, prepay_dispatcher;
GRANT EXECUTE ON FUNCTION prepay.is_message_template(text, text)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT INSERT, UPDATE, DELETE ON prepay.message_template TO prepay_admin;
GRANT SELECT ON prepay.lost_meters, prepay.lost_gateways, prepay.messages, prepay.message_template
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.sms_exchange(int)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst, prepay_agent;
GRANT EXECUTE ON FUNCTION prepay.take_messages(text, int), prepay.report_message(text, bigint, int, text) TO prepay_admin;
