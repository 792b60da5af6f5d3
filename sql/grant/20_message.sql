-- Alarms and messages.
GRANT EXECUTE ON FUNCTION prepay.acknowledge_alarm(text, bigint, text), prepay.acknowledge_alarm(text, text, text)
	TO prepay_admin, prepay_supervisor, prepay_dispatcher;
GRANT SELECT ON prepay.lost_meters, prepay.lost_gateways
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
