-- Shipped texts (site_id 0), written anew at every install(): a site has rows of its own. One SMS is 70
-- characters of Chinese, or of anything outside the alphabet of GSM.
INSERT INTO prepay.message_template (site_id, template, language, body) VALUES
(0, 'alarm1', 'zh', '账户{account}电费余额{balance}{currency},已低于{threshold}{currency},请及时充值。'),
(0, 'alarm2', 'zh', '账户{account}电费余额仅{balance}{currency},已低于{threshold}{currency},请尽快充值以免停电。'),
(0, 'arrears', 'zh', '账户{account}电费余额{balance}{currency},已欠费,即将停电,请立即充值。'),
(0, 'balance', 'zh', '账户{account}电费余额{balance}{currency}。'),
(0, 'alarm', 'zh', '{site_name}报警:{object}{subject}{kind},{time}。'),
(0, 'escalation', 'zh', '{site_name}报警{minutes}分钟无人确认:{object}{subject}{kind},{time}。'),
(0, 'alarm1', 'en', '{#account}{account}: {/account}balance {balance} {currency}, below {threshold}. Please top up.'),
(0, 'alarm2', 'en', '{#account}{account}: {/account}only {balance} {currency} left. Top up to keep supply.'),
(0, 'arrears', 'en', '{#account}{account}: {/account}balance {balance} {currency} used up. Supply will be cut.'),
(0, 'balance', 'en', '{#account}{account}: {/account}balance {balance} {currency}.'),
(0, 'alarm', 'en', '{site}: {object} {subject}: {kind}, {time}.'),
(0, 'escalation', 'en', '{site}: {object} {subject}: {kind}, {time}, not acknowledged for {minutes} min.')
ON CONFLICT (site_id, template, language) DO UPDATE SET body = EXCLUDED.body;

CREATE OR REPLACE VIEW prepay.messages AS
SELECT s.code AS site, a.code AS account, a.customer, n.phone, n.template, n.language, n.body, n.state, n.tries,
	n.created_at, n.state_at, n.not_before, n.channel, l.kind, n.alarm_id, n.notification_id, n.recipient
FROM prepay.site s
	JOIN prepay.notification n USING (site_id)
	LEFT JOIN prepay.account a ON a.site_id = n.site_id AND a.account_id = n.account_id
	LEFT JOIN prepay.alarm l ON l.site_id = n.site_id AND l.alarm_id = n.alarm_id
WHERE prepay.my_site(s.site_id);
