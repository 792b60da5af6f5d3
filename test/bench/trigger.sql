-- The same logic as a PL/pgSQL row trigger, written the way one writes it: the tariff in force by assignment
-- and version, time-of-use slots by season, day type and holiday, monthly tiers, energy and cost by day, a
-- ledger entry when a day is over, the balance, an alarm when it is low. Left out: the ledger's hash chain,
-- corrections, tariff changes inside an interval, the supply decision, standing charges and surcharges.
SET client_min_messages = warning;
CREATE SCHEMA rowtrigger;
SET search_path = rowtrigger;
CREATE TABLE reading (LIKE prepay.reading, PRIMARY KEY (site_id, meter_id, read_at)) PARTITION BY RANGE (read_at);
CREATE TABLE reading_default PARTITION OF reading DEFAULT;
CREATE TABLE account (
	site_id int, account_id int, balance numeric NOT NULL, alarm_below numeric, alarmed boolean NOT NULL DEFAULT false,
	PRIMARY KEY (site_id, account_id)
) WITH (fillfactor = 60);
CREATE TABLE meter (
	site_id int, meter_id int, account_id int NOT NULL, ratio numeric NOT NULL DEFAULT 1, rated_kw numeric,
	last_read_at timestamptz, kwh numeric, kw numeric, relay_closed boolean,
	PRIMARY KEY (site_id, meter_id)
) WITH (fillfactor = 60);
CREATE TABLE usage_daily (
	site_id int, account_id int, meter_id int, day date, period text, tier int, kwh numeric NOT NULL, amount numeric NOT NULL,
	PRIMARY KEY (site_id, account_id, meter_id, day, period, tier)
) WITH (fillfactor = 60);
CREATE TABLE tier_position (
	site_id int, account_id int, month date, kwh numeric NOT NULL,
	PRIMARY KEY (site_id, account_id, month)
) WITH (fillfactor = 60);
CREATE TABLE assignment (
	site_id int, account_id int, valid_from timestamptz, tariff text NOT NULL,
	PRIMARY KEY (site_id, account_id, valid_from)
);
CREATE TABLE holiday (day date PRIMARY KEY, day_type text NOT NULL);
CREATE TABLE slot (tariff text, from_month int, to_month int, day_type text, starts time, ends interval, period text);
CREATE INDEX ON slot (tariff, day_type, starts);
CREATE TABLE price (tariff text, period text, tier int, upto numeric, price numeric, PRIMARY KEY (tariff, period, tier));
CREATE TABLE ledger (site_id int, account_id int, seq bigint GENERATED ALWAYS AS IDENTITY, day date, amount numeric, balance_after numeric, booked_at timestamptz DEFAULT now(),
	PRIMARY KEY (site_id, account_id, seq));
CREATE TABLE alarm (site_id int, account_id int, kind text, raised_at timestamptz DEFAULT now());
CREATE TABLE review (site_id int, meter_id int, read_at timestamptz, reason text);

INSERT INTO account SELECT 1, g, 1000, 5, false FROM generate_series(1, :accounts) AS g;
INSERT INTO assignment SELECT 1, g, '-infinity', :'tariff' FROM generate_series(1, :accounts) AS g;
INSERT INTO meter (site_id, meter_id, account_id) SELECT 1, g, g FROM generate_series(1, :accounts) AS g;
INSERT INTO slot SELECT 'flat', 1, 12, d, '00:00', '24:00', 'all' FROM unnest(ARRAY['workday', 'saturday', 'sunday']) AS d;
INSERT INTO price VALUES ('flat', 'all', 1, 'Infinity', 0.5);
INSERT INTO slot SELECT 'rich', 3 * s - 2, 3 * s, d, starts::time, ends::interval, period
	FROM generate_series(1, 4) AS s, unnest(ARRAY['workday', 'saturday', 'sunday']) AS d,
	(VALUES ('00:00', '06:00', 'p1'), ('06:00', '09:00', 'p2'), ('09:00', '12:00', 'p3'), ('12:00', '18:00', 'p4'),
		('18:00', '22:00', 'p5'), ('22:00', '24:00', 'p1')) AS v (starts, ends, period);
INSERT INTO price SELECT 'rich', 'p' || p, t, (ARRAY[5, 10, 20, 40, 'Infinity'::numeric])[t], 0.2 + 0.1 * p + 0.01 * (t - 1)
	FROM generate_series(1, 5) AS p, generate_series(1, 5) AS t;

CREATE FUNCTION rate() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
	m record;
	s record;
	p record;
	at timestamptz;
	until timestamptz;
	local timestamp;
	today date;
	kind text;
	tariff_code text;
	whole numeric;
	left_over numeric;
	part numeric;
	used numeric;
	take numeric;
	cost numeric := 0;
	new_balance numeric;
BEGIN
	SELECT e.account_id, e.ratio, e.rated_kw, e.last_read_at, e.kwh, a.alarm_below, a.alarmed INTO m
		FROM rowtrigger.meter e JOIN rowtrigger.account a USING (site_id, account_id)
		WHERE e.site_id = NEW.site_id AND e.meter_id = NEW.meter_id FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'unknown meter %', NEW.meter_id;
	END IF;
	IF m.last_read_at IS NULL THEN
		UPDATE rowtrigger.meter SET last_read_at = NEW.read_at, kwh = NEW.kwh, kw = NEW.kw, relay_closed = NEW.relay_closed
			WHERE site_id = NEW.site_id AND meter_id = NEW.meter_id;
		RETURN NULL;
	END IF;
	whole := (NEW.kwh - m.kwh) * m.ratio;
	IF NEW.read_at <= m.last_read_at OR whole < 0
		OR whole > m.rated_kw * 1.2 * extract(epoch FROM NEW.read_at - m.last_read_at) / 3600 THEN
		INSERT INTO rowtrigger.review VALUES (NEW.site_id, NEW.meter_id, NEW.read_at, 'suspect');
		RETURN NULL;
	END IF;

	SELECT g.tariff INTO tariff_code FROM rowtrigger.assignment g
		WHERE g.site_id = NEW.site_id AND g.account_id = m.account_id AND g.valid_from <= m.last_read_at
		ORDER BY g.valid_from DESC LIMIT 1;
	IF NOT FOUND THEN
		INSERT INTO rowtrigger.review VALUES (NEW.site_id, NEW.meter_id, NEW.read_at, 'no tariff');
		RETURN NULL;
	END IF;
	at := m.last_read_at;
	left_over := whole;
	WHILE at < NEW.read_at LOOP
		local := at AT TIME ZONE 'Asia/Shanghai';
		today := local::date;
		SELECT h.day_type INTO kind FROM rowtrigger.holiday h WHERE h.day = today;
		IF NOT FOUND THEN
			kind := CASE extract(isodow FROM local) WHEN 6 THEN 'saturday' WHEN 7 THEN 'sunday' ELSE 'workday' END;
		END IF;
		SELECT o.ends, o.period INTO s FROM rowtrigger.slot o
			WHERE o.tariff = tariff_code AND o.day_type = kind AND o.starts <= local::time
			AND extract(month FROM local) BETWEEN o.from_month AND o.to_month
			ORDER BY o.starts DESC LIMIT 1;
		until := (today + s.ends) AT TIME ZONE 'Asia/Shanghai';
		IF until >= NEW.read_at THEN
			until := NEW.read_at;
			part := left_over;
		ELSE
			part := round(whole * extract(epoch FROM until - at) / extract(epoch FROM NEW.read_at - m.last_read_at), 3);
		END IF;
		left_over := left_over - part;

		INSERT INTO rowtrigger.tier_position AS o VALUES (NEW.site_id, m.account_id, date_trunc('month', local)::date, part)
			ON CONFLICT (site_id, account_id, month) DO UPDATE SET kwh = o.kwh + EXCLUDED.kwh
			RETURNING o.kwh - part INTO used;
		FOR p IN SELECT r.tier, r.upto, r.price FROM rowtrigger.price r WHERE r.tariff = tariff_code AND r.period = s.period AND r.upto > used ORDER BY r.tier LOOP
			take := least(part, p.upto - used);
			INSERT INTO rowtrigger.usage_daily AS u VALUES (NEW.site_id, m.account_id, NEW.meter_id, today, s.period, p.tier, take, take * p.price)
				ON CONFLICT (site_id, account_id, meter_id, day, period, tier)
				DO UPDATE SET kwh = u.kwh + EXCLUDED.kwh, amount = u.amount + EXCLUDED.amount;
			cost := cost + take * p.price;
			used := used + take;
			part := part - take;
			EXIT WHEN part = 0;
		END LOOP;
		at := until;
	END LOOP;

	UPDATE rowtrigger.meter SET last_read_at = NEW.read_at, kwh = NEW.kwh, kw = NEW.kw, relay_closed = NEW.relay_closed
		WHERE site_id = NEW.site_id AND meter_id = NEW.meter_id;
	UPDATE rowtrigger.account SET balance = balance - cost WHERE site_id = NEW.site_id AND account_id = m.account_id RETURNING balance INTO new_balance;
	IF (NEW.read_at AT TIME ZONE 'Asia/Shanghai')::date > (m.last_read_at AT TIME ZONE 'Asia/Shanghai')::date THEN
		INSERT INTO rowtrigger.ledger (site_id, account_id, day, amount, balance_after)
			SELECT NEW.site_id, m.account_id, u.day, -sum(u.amount), new_balance FROM rowtrigger.usage_daily u
			WHERE u.site_id = NEW.site_id AND u.account_id = m.account_id AND u.day = (m.last_read_at AT TIME ZONE 'Asia/Shanghai')::date
			GROUP BY u.day;
	END IF;
	IF new_balance < m.alarm_below AND NOT m.alarmed THEN
		INSERT INTO rowtrigger.alarm VALUES (NEW.site_id, m.account_id, 'low');
		UPDATE rowtrigger.account SET alarmed = true WHERE site_id = NEW.site_id AND account_id = m.account_id;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER rate AFTER INSERT ON reading FOR EACH ROW EXECUTE FUNCTION rate();
RESET search_path;
