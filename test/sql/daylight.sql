-- Days of 23 and 25 hours: local days and slots go by wall time, time is kept in UTC.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET timezone = 'UTC';
SET prepay.now = '2026-01-01 00:00-08';
SELECT prepay.create_site('coast', 'Coast', 'America/Los_Angeles', 'USD');
-- Peak from 02:00 to 03:00, the hour that 8 March lacks, and 01:00 to 02:00, which 1 November has twice.
SELECT prepay.define_tariff('tou', '{"periods": ["night", "one", "two", "day"],
	"schedule": [{"slots": [["00:00", "night"], ["01:00", "one"], ["02:00", "two"], ["03:00", "day"]]}],
	"prices": {"night": 0.1, "one": 0.2, "two": 0.4, "day": 0.3}}');
SELECT prepay.set_setting('coast', 'tariff', 'tou');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 4) AS n;
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n])) FROM generate_series(1, 4) AS n;
SET prepay.now = '2026-12-01 00:00-08';

-- 8 March 2026 has 23 hours: 1 kWh an hour.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
VALUES (1, 1, '2026-03-08 00:00-08', 0), (1, 1, '2026-03-09 00:00-07', 23);
SELECT day, period, kwh, amount FROM prepay.usage_daily WHERE meter = 'M1' ORDER BY day, period;
-- The same in hourly readings: the same lines.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, 2, timestamptz '2026-03-08 00:00-08' + n * interval '1 hour', n FROM generate_series(0, 23) AS n;
SELECT day, period, kwh, amount FROM prepay.usage_daily WHERE meter = 'M2' ORDER BY day, period;

-- 1 November 2026 has 25 hours, and 01:00 to 02:00 is priced twice as such.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
VALUES (1, 3, '2026-11-01 00:00-07', 0), (1, 3, '2026-11-02 00:00-08', 25);
SELECT day, period, kwh, amount FROM prepay.usage_daily WHERE meter = 'M3' ORDER BY day, period;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, 4, timestamptz '2026-11-01 00:00-07' + n * interval '30 minutes', n * 0.5 FROM generate_series(0, 50) AS n;
SELECT day, period, kwh, amount FROM prepay.usage_daily WHERE meter = 'M4' ORDER BY day, period;

SELECT account, kind, amount, day FROM prepay.ledger WHERE kind <> 'opening' ORDER BY account, seq;
SELECT account, balance FROM prepay.account_status ORDER BY account;
SELECT * FROM prepay.verify();
