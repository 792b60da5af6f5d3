-- The town as its landlord would set it up. Variable viewer_password; standard input: town.csv with
-- the addresses of the gateways. Run it from this folder.
\set tariff `cat tariff.json`

SELECT prepay.create_site('town', '江畔商业街', 'Asia/Shanghai', 'CNY');
SELECT prepay.define_tariff('commercial', :'tariff');

SELECT prepay.set_setting('town', name, value)
FROM (VALUES
	('tariff', 'commercial'),
	('alarm1_amount', '30'),
	('alarm2_amount', '10'),
	('alarm_margin', '5'),
	('credit_limit', '0'),
	('alarm_phones', '12099999999'),
	('language', 'zh'),
	('poll_interval', '30 minutes'),
	-- Generous, because an hour of this town's time is less than a second.
	('off_command_ttl', '12 hours')
) AS s(name, value);

CREATE ROLE prepayd LOGIN IN ROLE prepay_agent;
SELECT prepay.create_agent('town/gate', '{"role": "prepayd"}');

-- One line, because \copy ends with it.
\copy prepay.meter_import(site, building, floor, unit, gateway, address, agent, unit_id, meter, name, circuit, model, purpose, ratio, register_max, rated_kw, account, customer, phone, start_kwh) FROM pstdin CSV HEADER

-- Three flats moved in by hand, with the money left on their old meters.
SELECT prepay.open_account(code, customer, phone, place => code, meters => ARRAY['M-' || code],
	opening_balance => amount, key => 'opening-' || code)
FROM (VALUES
	('H-101', '宜家公寓一', '12000000054', 86.40),
	('H-102', '宜家公寓二', '12000000055', 142.75),
	('H-103', '宜家公寓三', '12000000056', 65.10)
) AS a(code, customer, phone, amount);

CREATE TEMP TABLE first_sale (account text, amount numeric, tender text, key text);
\copy first_sale FROM 'sales.csv' CSV HEADER
SELECT r.* FROM first_sale AS f, prepay.sell('town/' || f.account, f.amount, f.key, f.tender) AS r;

-- Somebody who may look at everything and touch nothing.
CREATE ROLE viewer LOGIN IN ROLE prepay_analyst PASSWORD :'viewer_password';
INSERT INTO prepay.operator_site (site_id, operator) SELECT site_id, 'viewer' FROM prepay.site;
