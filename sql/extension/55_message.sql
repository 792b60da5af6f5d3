-- Alarms and messages.
CREATE FUNCTION prepay.acknowledge_alarm(site text, alarm_id bigint, note text DEFAULT NULL) RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_acknowledge_alarm' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.acknowledge_alarm(text, bigint, text) IS
	'Somebody has seen this alarm and takes care: it is not escalated any more; 0: it was acknowledged before. (报警确认)';

CREATE FUNCTION prepay.acknowledge_alarm(site text, kind text, note text DEFAULT NULL) RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_acknowledge_alarms' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.acknowledge_alarm(text, text, text) IS
	'Acknowledges all active alarms of a kind; says how many. (批量确认报警)';

CREATE FUNCTION prepay.is_message_template(template text, body text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_is_message_template' LANGUAGE C IMMUTABLE STRICT;
COMMENT ON FUNCTION prepay.is_message_template(text, text) IS
	'Raises PP081 with remedy unless the text can be sent as that message: alarm1, alarm2, arrears, balance, alarm or escalation.';

CREATE FUNCTION prepay.sms_exchange(max int DEFAULT 100) RETURNS int
	AS 'MODULE_PATHNAME', 'prepay_sms_exchange' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION prepay.sms_exchange(int) IS
	'Exchanges short messages with Gammu SMSD (schema smsd): hands over what is due, takes statuses and delivery reports, answers 查询余额 and BALANCE. Says how much was done; call it every few seconds. (短信收发)';

CREATE FUNCTION prepay.take_messages(site text DEFAULT NULL, max int DEFAULT 100)
	RETURNS TABLE (site_code text, message_id bigint, try int, account text, phone text, template text, language text,
		body text, params jsonb)
	AS 'MODULE_PATHNAME', 'prepay_take_messages' LANGUAGE C VOLATILE ROWS 100;
COMMENT ON FUNCTION prepay.take_messages(text, int) IS
	'Messages of channel webhook that are due, for this worker alone for five minutes; report each. EXECUTE is the right to do so. (取待发消息)';

CREATE FUNCTION prepay.report_message(site text, message_id bigint, try int, outcome text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_report_message' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.report_message(text, bigint, int, text) IS
	'What became of a message that take_messages() handed out: sent, delivered, retry or failed. False: it is not this try''s any more. (消息回执)';
