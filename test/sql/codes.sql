-- Codes: [site/][kind:]code, and how wrong ones are answered.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-01-01 00:00+08';
\set VERBOSITY sqlstate

SELECT left(code, 10) AS begins, length(code), prepay.is_code(code) FROM (VALUES ('A-101'), ('八号楼 3层'), (repeat('x', 64)),
	(repeat('楼', 64)), (repeat('x', 65)), (repeat('楼', 65)), (''), (' a'), ('a '), ('a/b'), ('a:b'),
	(E'a\tb'), (E'a\u007fb')) AS v (code);

-- Sites.
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.create_site('town', 'Again', 'Asia/Shanghai');
SELECT prepay.create_site('a/b', 'Bad code', 'Asia/Shanghai');
SELECT prepay.create_site('mars', 'Mars', 'Mars/Olympus');
SELECT prepay.create_site('coin', 'Coin', 'Asia/Shanghai', 'money');
SELECT prepay.create_site(NULL, 'Nowhere', 'Asia/Shanghai');
SELECT prepay.create_site('nowhere', 'Nowhere', NULL);
SELECT site_id, code, timezone, currency, currency_decimals FROM prepay.site;

-- Objects are numbered from 1 in the order they are made, per site.
INSERT INTO prepay.place (site_id, kind, code, name) VALUES (1, 'building', 'B1', 'Building 1');
INSERT INTO prepay.place (site_id, parent_id, code) VALUES (1, 1, 'B1-101'), (1, 1, 'X');
INSERT INTO prepay.gateway (site_id, code) VALUES (1, 'G1');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1'), (1, 'X'), (1, 'M3');
SELECT place_id, code FROM prepay.place ORDER BY place_id;
SELECT meter_id, code FROM prepay.meter ORDER BY meter_id;
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M/4');
INSERT INTO prepay.meter (site_id, code) VALUES (9, 'M4');
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}');
SELECT prepay.open_account('X', 'Li', meters => '{meter:X}');

-- One site: it may be left out. One object of that code: so may the kind.
SELECT meter, status FROM prepay.control('M1', 'read');
SELECT meter, status FROM prepay.control('meter:M1', 'read');
SELECT meter, status FROM prepay.control('town/M1', 'read');
SELECT meter, status FROM prepay.control('town/meter:M1', 'read');
SELECT meter, status FROM prepay.control('account:X', 'read');
SELECT meter, status FROM prepay.control('gateway:G1', 'read');
SELECT meter FROM prepay.supply_decision('town') ORDER BY meter;

SELECT prepay.control('M9', 'read');
SELECT prepay.control('m1', 'read');
SELECT prepay.control('meter:A1', 'read');
SELECT prepay.control('city/M1', 'read');
SELECT prepay.control('phone:M1', 'read');
SELECT prepay.control('', 'read');
SELECT prepay.control('town/', 'read');
SELECT prepay.control('town/B1/M1', 'read');
SELECT prepay.control(NULL, 'read');
SELECT prepay.sell('account:meter:A1', 10, 'c1');
SELECT prepay.sell('M1', 10, 'c2');

-- An account, a meter and a place have the code X: the answer lists them.
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT prepay.control('X', 'read');

-- Two sites: now the site has to be named.
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'M1');
SELECT meter_id FROM prepay.meter WHERE site_id = 2;
SELECT prepay.control('M1', 'read');
\set VERBOSITY sqlstate
SELECT prepay.sell('A1', 10, 'c3');
SELECT site, meter FROM prepay.control('mall/M1', 'read');
SELECT site, meter FROM prepay.supply_decision('mall');
SELECT site, account, amount FROM prepay.sell('town/A1', 10, 'c4');

-- Settings: unknown names, values that do not fit, NULL goes back to the default.
SELECT prepay.set_setting('town', 'alarm9_amount', '10');
SELECT prepay.set_setting('town', 'alarm1_amount', '10.001');
SELECT prepay.set_setting('town', 'alarm1_amount', 'NaN');
SELECT prepay.set_setting('town', 'alarm1_amount', 'much');
SELECT prepay.set_setting('town', 'poll_interval', '0');
SELECT prepay.set_setting('town', 'poll_interval', '-5 minutes');
SELECT prepay.set_setting('town', 'poll_interval', '1 month');
SELECT prepay.set_setting('town', 'poll_interval', 'soon');
SELECT prepay.set_setting('town', 'language', 'fr');
SELECT prepay.set_setting('town', 'spike_margin', '0.5');
SELECT prepay.set_setting('town', 'tariff', 'none');
SELECT prepay.set_setting('city', 'language', 'en');
SELECT prepay.set_setting(NULL, 'language', 'en');
SELECT prepay.set_setting('town', 'language', 'en');
SELECT site_id, name, value, set_at FROM prepay.setting ORDER BY site_id, name;
SELECT prepay.set_setting('town', 'language', NULL);
SELECT count(*) FROM prepay.setting;
SELECT * FROM prepay.verify();
