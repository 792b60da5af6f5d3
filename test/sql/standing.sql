-- Standing charges: every local day from the opening on, by the tariff of the day, whenever it is rated.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'UTC';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-04-01 12:00';
SELECT prepay.create_site('s', 'Site', 'UTC');
SELECT prepay.define_tariff('plain', '{"prices": 1}');
SELECT prepay.define_tariff('day', '{"prices": 1, "standing": [{"name": "fee", "amount": 0.5, "per": "day"}]}');
SELECT prepay.define_tariff('month', '{"prices": 1, "standing": [{"name": "rent", "amount": 10, "per": "month"}, {"name": "lamp", "amount": 3, "per": "day", "while_off": false}]}');
SELECT prepay.set_setting('s', 'tariff', 'plain');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'B1', 'Building');
SELECT prepay.assign_tariff('place:B1', 'month');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1'), (1, 'M2'), (1, 'M3');
CREATE VIEW pg_temp.borne AS
	SELECT account, tariff, version, item, min(day) AS first, max(day) AS last, count(*) AS days, sum(amount) AS amount
	FROM (SELECT account, tariff, version, item, day, sum(amount) AS amount FROM prepay.usage_daily
		WHERE component = 'standing' GROUP BY 1, 2, 3, 4, 5 HAVING sum(amount) <> 0) AS u GROUP BY 1, 2, 3, 4;
CREATE FUNCTION pg_temp.ticks() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	WHILE prepay.tick() > 0 LOOP END LOOP;
	RETURN true;
END $$;

-- Without a meter: the tariff of the account's place, or the site's.
SELECT prepay.open_account('placed', 'Customer', place => 'B1') > 0, prepay.open_account('bare', 'Customer') > 0;
-- The tariff of the first meter; a second one adds nothing.
SELECT prepay.assign_tariff('M1', 'day');
SELECT prepay.open_account('two', 'Customer', meters => '{M1,M2}') > 0;
SET prepay.now = '2026-04-06 12:00';
SELECT pg_temp.ticks();
SELECT * FROM pg_temp.borne ORDER BY account, tariff, item;
-- The first day counts whole, and thirty days of April are the month's amount.
SELECT account, kind, day, amount FROM prepay.ledger WHERE account = 'placed' AND kind = 'standing' ORDER BY seq;
SELECT * FROM prepay.verify();

-- A charge that is new to the past: nobody has a line of it, everybody gets it from that day on.
SELECT prepay.define_tariff('plain', '{"prices": 1, "standing": [{"name": "new", "amount": 1, "per": "day"}]}', '2026-04-03', '{"retroactive": true}');
SELECT pg_temp.ticks();
SELECT * FROM pg_temp.borne WHERE account = 'bare';
-- And one that is taken back.
SELECT prepay.define_tariff('plain', '{"prices": 1}', '2026-04-04', '{"retroactive": true}');
SELECT pg_temp.ticks();
SELECT * FROM pg_temp.borne WHERE account = 'bare';
SELECT kind, day, amount FROM prepay.ledger WHERE account = 'bare' AND kind <> 'opening' ORDER BY seq;
-- Another tariff for a place, in the past.
SELECT prepay.assign_tariff('place:B1', 'day', '2026-04-03');
SELECT pg_temp.ticks();
SELECT * FROM pg_temp.borne WHERE account = 'placed' ORDER BY tariff, item;

-- The first meter leaves: the day it leaves is still its own, and days before stay as they were, however often
-- they are rated.
SET prepay.now = '2026-04-08 12:00';
SELECT prepay.remove_meter('two', 'M1');
SET prepay.now = '2026-04-11 12:00';
SELECT pg_temp.ticks();
SELECT * FROM pg_temp.borne WHERE account = 'two' ORDER BY tariff, item;
SELECT prepay.assign_tariff('account:two', 'plain', '2026-04-02');
SELECT pg_temp.ticks();
SELECT * FROM pg_temp.borne WHERE account = 'two' ORDER BY tariff, item;
-- A meter that belonged to the account before it was opened brings no charge for that time.
SELECT prepay.add_meter('bare', 'M3', effective => '2026-03-30 00:00');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 3, '2026-03-30 00:00', 0), (1, 3, '2026-04-02 00:00', 3);
SELECT pg_temp.ticks();
SELECT * FROM pg_temp.borne WHERE account = 'bare';
SELECT * FROM prepay.verify();

-- Cut off all day: what does not accrue while off is left out; a reading that saw the relay closed says otherwise.
SELECT prepay.assign_tariff('account:bare', 'month', '2026-04-12');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 3, '2026-04-11 12:00', 4, true);
SET prepay.now = '2026-04-15 12:00';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 3, '2026-04-12 06:00', 4, false),
	(1, 3, '2026-04-12 18:00', 4, false), (1, 3, '2026-04-13 06:00', 4, false), (1, 3, '2026-04-13 12:00', 4, true), (1, 3, '2026-04-14 00:00', 4, true);
SELECT pg_temp.ticks();
SELECT day, item, amount FROM prepay.usage_daily WHERE account = 'bare' AND component = 'standing' AND day >= '2026-04-12' ORDER BY day, item;
-- It comes late: the 12th was not dark all day.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 3, '2026-04-12 12:00', 4, true);
SELECT pg_temp.ticks();
SELECT day, item, sum(amount) AS amount FROM prepay.usage_daily WHERE account = 'bare' AND component = 'standing' AND day = '2026-04-12' GROUP BY 1, 2 ORDER BY 2;
SELECT * FROM prepay.verify();

-- Samoa had no 30 December 2011.
SET prepay.now = '2011-12-28 12:00-10';
SELECT prepay.create_site('apia', 'Apia', 'Pacific/Apia');
SELECT prepay.define_tariff('apia/day', '{"prices": 1, "standing": [{"name": "fee", "amount": 0.5, "per": "day"}]}');
SELECT prepay.set_setting('apia', 'tariff', 'day');
SELECT prepay.open_account('apia/A1', 'Customer') > 0;
SET prepay.now = '2012-01-02 12:00+14';
SELECT pg_temp.ticks();
SELECT day, amount FROM prepay.usage_daily WHERE site = 'apia' ORDER BY day;
