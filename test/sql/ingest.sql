-- ingest(): exactly once, and never failing on content.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 12:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.create_agent('gw-host'), prepay.create_agent('other');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw-host'), (1, 'G2', 'other');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) VALUES (1, 'M1', 1, 1, 'acrel-ddsy1352'),
	(1, 'M2', 1, 2, 'acrel-ddsy1352'), (1, 'FOREIGN', 2, 1, 'acrel-ddsy1352');
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100, key => 'o' || n))
FROM generate_series(1, 2) AS n;
SET prepay.now = '2026-03-02 12:00+08';
\set spool '''00000000-0000-0000-0000-000000000001'''
-- Hours after noon of 1 March, the rest NULL.
CREATE FUNCTION pg_temp.ingest(seq bigint, meter int[], hours numeric[], kwh numeric[], spool uuid DEFAULT '00000000-0000-0000-0000-000000000001',
		agent text DEFAULT 'gw-host') RETURNS prepay.ingest_result LANGUAGE sql AS $$
	SELECT prepay.ingest($6, $5, $1, $2,
		ARRAY(SELECT timestamptz '2026-03-01 12:00+08' + h * interval '1 hour' FROM unnest($3) WITH ORDINALITY AS u (h, n) ORDER BY n),
		$4, nothing::numeric[], nothing::text[], nothing::numeric[], nothing::boolean[], nothing::numeric[], nothing::int[], nothing::timestamptz[])
	FROM (SELECT array_fill(NULL::text, ARRAY[cardinality($2)]) AS nothing) AS n;
$$;

-- A batch, its repetition, an older one, the next.
SELECT * FROM pg_temp.ingest(1, '{1,2,1,2}', '{0,0,1,1}', '{10,20,11,22}');
SELECT * FROM pg_temp.ingest(1, '{1,2,1,2}', '{0,0,1,1}', '{10,20,11,22}');
SELECT * FROM pg_temp.ingest(1, '{1}', '{5}', '{99}');
SELECT * FROM pg_temp.ingest(2, '{1,2}', '{2,2}', '{12,24}');
SELECT * FROM pg_temp.ingest(1, '{1}', '{5}', '{99}');
SELECT * FROM pg_temp.ingest(3, '{}', '{}', '{}');
SELECT prepay.agent_hello('gw-host', :spool) ->> 'last_seq' AS last_seq;
SELECT account, balance FROM prepay.account_status ORDER BY account;
SELECT code, spool, last_seq FROM prepay.agent_spool JOIN prepay.agent a ON a.code = agent;
-- Another spool counts for itself; the same readings again are passed over silently.
SELECT * FROM pg_temp.ingest(1, '{1,2}', '{2,3}', '{12,25}', '00000000-0000-0000-0000-000000000002');
SELECT count(*) FROM prepay.reading_review;

-- Content: unknown and foreign meters, no number, two values for one moment, twice in one batch.
-- The good rows are stored, the others are filed, nothing raises.
SELECT * FROM pg_temp.ingest(4, '{99,3,1,1,2,1,1,2,2,NULL}', '{3,3,3,4,2,5,6,7,7,3}', '{1,1,NULL,NaN,24.5,15,Infinity,27,28,1}');
SELECT meter_id, reason, status, readings, kwh, read_at FROM prepay.reading_review ORDER BY reason, meter_id, review_id;
SELECT meter, read_at, kwh, status FROM prepay.readings ORDER BY meter, read_at;
-- Again unknown: the open review counts on.
SELECT * FROM pg_temp.ingest(5, '{99,99}', '{4,5}', '{1,1}');
SELECT readings, last_read_at FROM prepay.reading_review WHERE reason = 'unknown_meter' AND meter_id = 99;
-- Too large for the column, and time out of all bounds.
SELECT * FROM pg_temp.ingest(6, '{1,2}', '{8,8}', '{1234567890123456,30}');
SELECT prepay.ingest('gw-host', :spool, 7, '{1,1}', '{infinity,NULL}', '{16,16}', '{NULL,NULL}', '{NULL,NULL}', '{NULL,NULL}',
	'{NULL,NULL}', '{NULL,NULL}', '{NULL,NULL}', '{NULL,NULL}');
-- Suspect values are stored and held, as by INSERT.
SELECT * FROM pg_temp.ingest(8, '{1,2,2}', '{9,9,100}', '{-5,3,40}');
SELECT meter_id, reason, readings FROM prepay.reading_review ORDER BY reason, meter_id;

-- All columns arrive.
SELECT * FROM prepay.ingest('gw-host', :spool, 9, '{1}', '{2026-03-01 22:00+08}', '{20}', '{0.5}', ARRAY['{12.00,8.00}'], '{1.234}', '{true}', '{12.34}', '{7}',
	'{2026-03-01 22:00:03+08}');
SELECT kwh, reverse_kwh, period_kwh, kw, relay_closed, meter_balance, purchase_count, meter_clock FROM prepay.reading WHERE kwh = 20;
SELECT * FROM prepay.ingest('gw-host', :spool, 10, '{1,1}', '{2026-03-01 22:30+08,2026-03-01 23:00+08}', '{20.5,21}', '{NULL,NaN}', ARRAY['{a,b}', '{1,2'], '{NaN,1}',
	'{NULL,NULL}', '{NaN,1e20}', '{NULL,NULL}', '{infinity,NULL}');
SELECT read_at, reverse_kwh, period_kwh, kw, meter_balance, meter_clock FROM prepay.reading WHERE read_at >= '2026-03-01 22:30+08' AND meter_id = 1;
SELECT count(*) FROM prepay.reading_review WHERE reason = 'bad_value';

-- The protocol itself: an error.
\set VERBOSITY sqlstate
SELECT pg_temp.ingest(0, '{1}', '{12}', '{25}');
SELECT pg_temp.ingest(NULL, '{1}', '{12}', '{25}');
SELECT pg_temp.ingest(11, '{1,2}', '{12}', '{25}');
SELECT pg_temp.ingest(11, NULL, '{12}', '{25}');
SELECT pg_temp.ingest(11, '{{1,2},{3,4}}', '{12}', '{25}');
SELECT pg_temp.ingest(11, '{1}', '{12}', '{25}', NULL);
SELECT pg_temp.ingest(11, '{1}', '{12}', '{25}', agent => 'nobody');
SELECT pg_temp.ingest(11, '{1}', '{12}', '{25}', agent => NULL);
-- Refused batches were not taken: the same number still goes.
SELECT * FROM pg_temp.ingest(11, '{1}', '{12}', '{25}');
SELECT account, balance FROM prepay.account_status ORDER BY account;
SELECT * FROM prepay.verify();
