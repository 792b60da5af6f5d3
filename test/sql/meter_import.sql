-- meter_import: one flat row a meter creates what it names; a faulty row names its line and column.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
SELECT prepay.create_agent('gw-host');
\set SHOW_CONTEXT never

COPY prepay.meter_import (site, building, floor, unit, gateway, transport, address, agent, unit_id, meter, name, circuit, model,
	purpose, ratio, register_max, rated_kw, account, customer, phone, tariff, alarm1_amount, alarm2_amount, start_kwh) FROM stdin (FORMAT csv);
town,B1,1F,S101,G1,tcp,127.0.0.1:502,gw-host,1,M1,Front,L1,acrel-ddsy1352,prepaid,1,999999.99,10,A1,张三,13800000001,flat,20,10,100.5
town,B1,1F,S102,G1,tcp,127.0.0.1:502,gw-host,2,M2,,,acrel-ddsy1352,,,,,A2,李四,,,,,
town,B2,2F,S101,G2,rtu_over_tcp,127.0.0.1:503,gw-host,1,M3,Back,,acrel-dtsd1352,prepaid,40,,,A1,张三,,,,,0
,B1,,,G2,,,,9,C1,Main,,acrel-dtsd1352,check,200,,,,,,,,,
town,,,,,,,,,BARE,,,,,,,,,,,,,,
\.
SELECT place_id, parent_id, kind, code, name FROM prepay.place ORDER BY place_id;
SELECT gateway_id, code, agent, transport, address FROM prepay.gateway ORDER BY gateway_id;
SELECT meter_id, code, gateway_id, unit_id, place_id, purpose, ratio, register_max, rated_kw, alarm1_amount FROM prepay.meter ORDER BY meter_id;
SELECT account, customer, phone, place, meters, balance FROM prepay.account_status ORDER BY account;
SELECT account, seq, kind, amount FROM prepay.ledger ORDER BY account, seq;
SELECT meter, read_at, kwh, source FROM prepay.readings ORDER BY meter;
SELECT target_kind, target_id, tariff_id FROM prepay.tariff_assignment;

-- The view shows what is there in the same columns: what comes out can go in again.
SELECT building, floor, unit, gateway, unit_id, meter, model, purpose, ratio, account, customer, tariff FROM prepay.meter_import ORDER BY meter;
CREATE TEMP TABLE out AS SELECT * FROM prepay.meter_import;
INSERT INTO prepay.meter_import SELECT * FROM out;
TABLE out EXCEPT SELECT * FROM prepay.meter_import;
SELECT (SELECT count(*) FROM prepay.meter) AS meters, (SELECT count(*) FROM prepay.account) AS accounts,
	(SELECT count(*) FROM prepay.place) AS places, (SELECT count(*) FROM prepay.ledger_entry) AS entries;

-- Empty cells are filled in later; cells that differ are faults.
INSERT INTO prepay.meter_import (meter, building, floor, unit, gateway, unit_id, model) VALUES ('BARE', 'B1', '2F', 'S202', 'G2', '2', 'acrel-ddsy1352');
SELECT meter, floor, unit, gateway, unit_id, model FROM prepay.meter_import WHERE meter = 'BARE';
INSERT INTO prepay.meter_import (meter, gateway, unit_id) VALUES ('M1', 'G1', '7');
INSERT INTO prepay.meter_import (meter, ratio) VALUES ('M3', '41');
INSERT INTO prepay.meter_import (meter, ratio) VALUES ('M3', '40.000');

-- Faults: every one with row, column and value, and nothing half-done.
COPY prepay.meter_import (building, unit, gateway, address, unit_id, meter, account, customer) FROM stdin (FORMAT csv);
B3,S301,G3,127.0.0.1:504,1,N1,N-A1,New
B3,S302,G3,,2,N2,N-A2,New
B3,S303,G3,,300,N3,N-A3,New
B3,S304,G3,,4,N4,N-A4,New
\.
CREATE FUNCTION pg_temp.fault(row_ jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
	hint text;
BEGIN
	INSERT INTO prepay.meter_import SELECT * FROM jsonb_populate_record(NULL::prepay.meter_import, row_);
	RAISE EXCEPTION USING MESSAGE = 'accepted', HINT = 'It is undone again.';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
	RETURN concat_ws(' | ', SQLSTATE, message, CASE WHEN hint = '' THEN 'NO HINT' END);
END $$;
\pset format unaligned
SELECT pg_temp.fault(row_::jsonb) FROM unnest(ARRAY[
	'{"meter": ""}',
	'{"meter": "N/1"}',
	'{"meter": "N1", "site": "city"}',
	'{"meter": "N1", "purpose": "toll"}',
	'{"meter": "N1", "model": "abacus"}',
	'{"meter": "N1", "gateway": "G9"}',
	'{"meter": "N1", "gateway": "G1", "address": "127.0.0.1:999"}',
	'{"meter": "N1", "gateway": "G9", "transport": "pigeon"}',
	'{"meter": "N1", "gateway": "G9", "agent": "nobody"}',
	'{"meter": "N1", "gateway": "G:9"}',
	'{"meter": "N1", "gateway": "G1", "unit_id": "1"}',
	'{"meter": "N1", "gateway": "G1", "unit_id": "one"}',
	'{"meter": "N1", "gateway": "G1", "unit_id": "-1"}',
	'{"meter": "N1", "gateway": "G1", "unit_id": "1.5"}',
	'{"meter": "N1", "unit_id": "1"}',
	'{"meter": "N1", "transport": "tcp"}',
	'{"meter": "N1", "ratio": "0"}',
	'{"meter": "N1", "ratio": "NaN"}',
	'{"meter": "N1", "ratio": "1e3"}',
	'{"meter": "N1", "ratio": "0.0000001"}',
	'{"meter": "N1", "register_max": "-5"}',
	'{"meter": "N1", "rated_kw": "lots"}',
	'{"meter": "N1", "alarm1_amount": "20.001"}',
	'{"meter": "N1", "alarm2_amount": "NaN"}',
	'{"meter": "N1", "floor": "1F"}',
	'{"meter": "N1", "building": "B1", "floor": "2F", "unit": "S101"}',
	'{"meter": "M1", "building": "B1", "floor": "1F", "unit": "S102"}',
	'{"meter": "N1", "customer": "Nobody"}',
	'{"meter": "N1", "start_kwh": "5"}',
	'{"meter": "N1", "account": "N-A1"}',
	'{"meter": "N1", "account": "A1", "customer": "Somebody else"}',
	'{"meter": "N1", "account": "N-A1", "customer": "New", "start_kwh": "-1"}',
	'{"meter": "N1", "account": "N-A1", "customer": "New", "purpose": "check"}',
	'{"meter": "M2", "account": "A1"}']) AS row_;
-- Faults that something below finds are reported at their column too.
SELECT column_, pg_temp.fault(row_::jsonb) LIKE 'PP070 | % row 1, column "' || column_ || '": %' AS named,
	pg_temp.fault(row_::jsonb) NOT LIKE '%NO HINT' AS hint FROM (VALUES
	('ratio', '{"meter": "N1", "ratio": "99999999"}'),
	('phone', '{"meter": "N1", "account": "N-A1", "customer": "New", "phone": "none"}'),
	('tariff', '{"meter": "N1", "account": "N-A1", "customer": "New", "tariff": "steep"}')) AS v (column_, row_);
\pset format aligned
SELECT (SELECT count(*) FROM prepay.meter) AS meters, (SELECT count(*) FROM prepay.account) AS accounts,
	(SELECT count(*) FROM prepay.gateway) AS gateways, (SELECT count(*) FROM prepay.place) AS places,
	(SELECT count(*) FROM prepay.ledger_entry) AS entries;
-- The view only takes rows in.
\set VERBOSITY sqlstate
UPDATE prepay.meter_import SET name = 'x';
DELETE FROM prepay.meter_import;
-- A meter known by its own address instead of a unit.
INSERT INTO prepay.meter_import (meter, gateway, meter_address, model) VALUES ('D1', 'G2', '202211110001', 'dlt645-2007');
INSERT INTO prepay.meter_import (meter, gateway, meter_address, model) VALUES ('D2', 'G2', '202211110001', 'dlt645-2007');
INSERT INTO prepay.meter_import (meter, gateway, meter_address, model) VALUES ('D2', 'G2', '2022111100012', 'dlt645-2007');
INSERT INTO prepay.meter_import (meter, gateway, meter_address, model) VALUES ('D2', 'G2', '20 22', 'dlt645-2007');
INSERT INTO prepay.meter_import (meter, meter_address, model) VALUES ('D2', '2', 'dlt645-2007');
INSERT INTO prepay.meter_import (meter, gateway, meter_address) VALUES ('D1', 'G2', '202211110002');
SELECT meter, gateway, unit_id, meter_address, model FROM prepay.meter_import WHERE meter LIKE 'D_';
SELECT m - 'meter_id' - 'gateway_id' AS planned FROM jsonb_array_elements(prepay.agent_plan('gw-host') -> 'meters') AS m WHERE m ->> 'code' = 'D1';
SELECT * FROM prepay.verify();
