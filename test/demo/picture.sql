-- The picture of the README, drawn by SQL from the views of a running demo:
--
--   psql -XAtq 'host=/tmp/prepay-demo/run port=5440 dbname=town user=postgres' -f test/demo/picture.sql >test/demo/town.svg
--
-- Left: every account as a tile in the colour of its state. Right: energy by local day and tariff period. Below: the
-- booked balance of the account that was cut and paid, with its alarms and relay orders.
\set story 'A-101'
SET timezone = 'Asia/Shanghai';
CREATE TEMP VIEW tile AS
SELECT account, customer, state, balance, currency, color, row_number() OVER (ORDER BY place, account) - 1 AS n
FROM prepay.account_status WHERE state <> 'closed';
CREATE TEMP VIEW bar AS
SELECT day, period, sum(kwh) AS kwh, dense_rank() OVER (ORDER BY day) - 1 AS x, dense_rank() OVER (ORDER BY period) AS p,
	COALESCE(sum(sum(kwh)) OVER (PARTITION BY day ORDER BY period ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS below
FROM prepay.usage_daily WHERE component = 'energy' GROUP BY day, period;
CREATE TEMP TABLE story AS
SELECT booked_at AS at, balance_after AS balance, kind, amount FROM prepay.ledger WHERE account = :'story';
CREATE TEMP TABLE span AS
SELECT min(at) AS t0, max(at) + interval '2 hours' AS t1, least(0, min(balance)) AS b0, max(balance) AS b1 FROM story;
CREATE TEMP TABLE event AS
SELECT raised_at AS at, kind AS text, CASE kind WHEN 'alarm1' THEN '#d9a400' WHEN 'alarm2' THEN '#e07b00' ELSE '#c62828' END AS color
FROM prepay.alarm_history WHERE account = :'story' AND kind IN ('alarm1', 'alarm2', 'arrears')
UNION ALL
SELECT c.finished_at, CASE c.action WHEN 'trip' THEN 'relay opened' ELSE 'relay closed' END, CASE c.action WHEN 'trip' THEN '#c62828' ELSE '#2e7d32' END
FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) JOIN prepay.meter_status w ON w.meter = m.code
WHERE w.account = :'story' AND c.action IN ('trip', 'close') AND c.status = 'done'
UNION ALL
SELECT at, 'paid ' || amount, '#1565c0' FROM story WHERE kind = 'sale';
CREATE FUNCTION pg_temp.escape(text) RETURNS text LANGUAGE sql AS
$$ SELECT replace(replace(replace($1, '&', '&amp;'), '<', '&lt;'), '"', '&quot;') $$;

SELECT '<svg xmlns="http://www.w3.org/2000/svg" width="960" height="560" viewBox="0 0 960 560" font-family="DejaVu Sans, Noto Sans CJK SC, WenQuanYi Micro Hei, sans-serif" font-size="11">'
	|| '<rect width="960" height="560" fill="#fbfbf8"/>';
-- Accounts.
SELECT format('<text x="20" y="26" font-size="14" font-weight="bold">Accounts, %s</text>', to_char(prepay.now(), 'YYYY-MM-DD HH24:MI'));
SELECT format('<rect x="%s" y="%s" width="44" height="28" rx="3" fill="%s"/><text x="%s" y="%s" text-anchor="middle" font-size="8.5" fill="#fff">%s</text><text x="%s" y="%s" text-anchor="middle" font-size="8.5" fill="#fff">%s</text>',
	20 + n % 10 * 47, 38 + n / 10 * 31,
	CASE color WHEN 'green' THEN '#2e7d32' WHEN 'yellow' THEN '#d9a400' WHEN 'orange' THEN '#e07b00' WHEN 'red' THEN '#c62828'
		WHEN 'purple' THEN '#7b1fa2' WHEN 'blue' THEN '#1565c0' WHEN 'grey' THEN '#8a8a8a' ELSE '#333' END,
	42 + n % 10 * 47, 50 + n / 10 * 31, pg_temp.escape(account), 42 + n % 10 * 47, 61 + n / 10 * 31, balance)
FROM tile ORDER BY n;
SELECT format('<text x="20" y="290">%s</text>', string_agg(format('<tspan fill="%s">■</tspan> %s %s', c, state, n), '   ' ORDER BY n DESC))
FROM (SELECT state, count(*) AS n, CASE color WHEN 'green' THEN '#2e7d32' WHEN 'yellow' THEN '#d9a400' WHEN 'orange' THEN '#e07b00'
	WHEN 'red' THEN '#c62828' WHEN 'purple' THEN '#7b1fa2' WHEN 'blue' THEN '#1565c0' WHEN 'grey' THEN '#8a8a8a' ELSE '#333' END AS c
	FROM tile GROUP BY state, color) s;
-- Energy.
SELECT '<text x="520" y="26" font-size="14" font-weight="bold">Energy by day and period, kWh</text>';
SELECT format('<rect x="%s" y="%s" width="56" height="%s" fill="%s"/>', 530 + x * 68, round(260 - (below + kwh) * 200 / m.most, 1), round(kwh * 200 / m.most, 1),
	(ARRAY['#5c9ead', '#e39774', '#326273', '#b8c480', '#8d6a9f'])[(p - 1) % 5 + 1])
FROM bar, (SELECT max(total) AS most FROM (SELECT sum(kwh) AS total FROM bar GROUP BY day) t) m ORDER BY x, p;
SELECT format('<text x="%s" y="275" text-anchor="middle">%s</text>', 558 + x * 68, to_char(day, 'MM-DD')) FROM (SELECT DISTINCT x, day FROM bar) d ORDER BY x;
SELECT format('<text x="%s" y="%s" text-anchor="middle" font-size="10">%s</text>', 558 + x * 68, round(255 - sum(kwh) * 200 / max(m.most), 1), round(sum(kwh)))
FROM bar, (SELECT max(total) AS most FROM (SELECT sum(kwh) AS total FROM bar GROUP BY day) t) m GROUP BY x ORDER BY x;
SELECT format('<text x="530" y="290">%s</text>', string_agg(format('<tspan fill="%s">■</tspan> %s', (ARRAY['#5c9ead', '#e39774', '#326273', '#b8c480', '#8d6a9f'])[(p - 1) % 5 + 1], period), '   ' ORDER BY p))
FROM (SELECT DISTINCT p, period FROM bar) q;
-- One account's story.
SELECT format('<text x="20" y="328" font-size="14" font-weight="bold">Account %s: booked balance, %s</text>', :'story', max(currency)) FROM tile;
SELECT format('<line x1="60" y1="%1$s" x2="940" y2="%1$s" stroke="#999" stroke-dasharray="3 3"/><text x="54" y="%2$s" text-anchor="end">0</text>',
	round(530 - (0 - b0) * 100 / (b1 - b0), 1), round(534 - (0 - b0) * 100 / (b1 - b0), 1)) FROM span;
SELECT format('<text x="54" y="434" text-anchor="end">%s</text>', b1) FROM span;
SELECT format('<path d="M %s" fill="none" stroke="#326273" stroke-width="2"/>', string_agg(format('%s,%s %s,%s',
	round(60 + extract(epoch FROM s.at - t0) * 880 / extract(epoch FROM t1 - t0), 1), round(530 - (s.balance - s.amount - b0) * 100 / (b1 - b0), 1),
	round(60 + extract(epoch FROM s.at - t0) * 880 / extract(epoch FROM t1 - t0), 1), round(530 - (s.balance - b0) * 100 / (b1 - b0), 1)), ' L ' ORDER BY s.at))
FROM story s, span;
SELECT format('<line x1="%1$s" y1="%2$s" x2="%1$s" y2="530" stroke="%3$s"/><text x="%4$s" y="%5$s" fill="%3$s">%6$s %7$s</text>',
	round(60 + extract(epoch FROM e.at - t0) * 880 / extract(epoch FROM t1 - t0), 1), 345 + (e.n - 1) % 7 * 12, e.color,
	round(63 + extract(epoch FROM e.at - t0) * 880 / extract(epoch FROM t1 - t0), 1), 353 + (e.n - 1) % 7 * 12, to_char(e.at, 'DD HH24:MI'), pg_temp.escape(e.text))
FROM (SELECT *, row_number() OVER (ORDER BY at) AS n FROM event) e, span WHERE e.at BETWEEN t0 AND t1 ORDER BY e.at;
SELECT '</svg>';
