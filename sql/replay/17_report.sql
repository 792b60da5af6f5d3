-- Dimensions and reports of energy for BI tools: one fact or one object a row, bare codes to join by.

-- Places with what they are part of. The nearest place of a kind counts, itself included.
CREATE OR REPLACE VIEW prepay.places AS
WITH RECURSIVE up (site_id, place_id, at_id, depth) AS (
	SELECT p.site_id, p.place_id, p.place_id, 0 FROM prepay.place p
	UNION ALL
	SELECT u.site_id, u.place_id, p.parent_id, u.depth + 1 FROM up u
		JOIN prepay.place p ON p.site_id = u.site_id AND p.place_id = u.at_id
	WHERE p.parent_id IS NOT NULL AND u.depth < 100)
SELECT s.code AS site, p.code AS place, p.name, p.kind, o.code AS parent, x.building, x.floor, x.unit, x.path, p.area_m2
FROM prepay.site s
	JOIN prepay.place p USING (site_id)
	LEFT JOIN prepay.place o ON o.site_id = p.site_id AND o.place_id = p.parent_id
	JOIN (SELECT u.site_id, u.place_id,
			(array_agg(a.code ORDER BY u.depth) FILTER (WHERE a.kind = 'building'))[1] AS building,
			(array_agg(a.code ORDER BY u.depth) FILTER (WHERE a.kind = 'floor'))[1] AS floor,
			(array_agg(a.code ORDER BY u.depth) FILTER (WHERE a.kind = 'unit'))[1] AS unit,
			string_agg(a.code, ' › ' ORDER BY u.depth DESC) AS path
		FROM up u JOIN prepay.place a ON a.site_id = u.site_id AND a.place_id = u.at_id
		GROUP BY u.site_id, u.place_id) x ON x.site_id = p.site_id AND x.place_id = p.place_id
WHERE prepay.my_site(s.site_id);

-- 每表电价: the tariff a meter's energy is priced by now, and from what it has it: meter, else account, else
-- the nearest place, else site. Of assignments from the same time the last one counts.
CREATE OR REPLACE VIEW prepay.meter_tariff AS
SELECT s.code AS site, m.code AS meter, a.code AS account, p.code AS place, t.code AS tariff, v.version, v.valid_from AS version_from,
	f.source, f.valid_from AS assigned_from
FROM prepay.site s
	JOIN prepay.meter m USING (site_id)
	JOIN prepay.meter_state n USING (site_id, meter_id)
	LEFT JOIN prepay.account a ON a.site_id = n.site_id AND a.account_id = n.account_id
	LEFT JOIN prepay.place p ON p.site_id = m.site_id AND p.place_id = COALESCE(m.place_id, a.place_id)
	LEFT JOIN LATERAL (
		WITH RECURSIVE up (place_id, depth) AS (
			SELECT p.place_id, 0 WHERE p.place_id IS NOT NULL
			UNION ALL
			SELECT o.parent_id, u.depth + 1 FROM up u
				JOIN prepay.place o ON o.site_id = m.site_id AND o.place_id = u.place_id
			WHERE o.parent_id IS NOT NULL AND u.depth < 100),
		owner (source, target_id, rank) AS (
			SELECT 'meter' AS source, m.meter_id AS target_id, -2 AS rank
			UNION ALL SELECT 'account' AS source, a.account_id AS target_id, -1 AS rank
			UNION ALL SELECT 'place' AS source, u.place_id AS target_id, u.depth AS rank FROM up u
			UNION ALL SELECT 'site' AS source, NULL AS target_id, 1000 AS rank)
		SELECT o.source, x.tariff_id, x.valid_from FROM owner o
			CROSS JOIN LATERAL (SELECT g.tariff_id, g.valid_from FROM prepay.tariff_assignment g
				WHERE g.site_id = m.site_id AND g.target_kind = o.source
					AND (o.source = 'site' OR g.target_id = o.target_id) AND g.valid_from <= prepay.now()
				ORDER BY g.valid_from DESC, g.assignment DESC LIMIT 1) x
		WHERE x.tariff_id IS NOT NULL ORDER BY o.rank LIMIT 1) f ON true
	LEFT JOIN prepay.tariff t ON t.site_id = m.site_id AND t.tariff_id = f.tariff_id
	LEFT JOIN LATERAL (SELECT w.version, w.valid_from FROM prepay.tariff_version w
		WHERE w.site_id = m.site_id AND w.tariff_id = f.tariff_id AND w.valid_from <= prepay.now()
		ORDER BY w.valid_from DESC, w.version DESC LIMIT 1) v ON true
WHERE m.purpose = 'prepaid' AND prepay.my_site(s.site_id);

-- 抄表导出: what an office exports of every meter. Energy of today is what the register moved since the last
-- reading up to local midnight; empty where the register began anew since.
CREATE OR REPLACE VIEW prepay.meter_export AS
SELECT w.site, l.building, l.floor, l.unit, w.place, w.account, w.customer, a.phone, w.meter, w.name, w.circuit, w.purpose, w.model, w.gateway,
	w.unit_id, w.ratio, w.last_read_at, w.register_kwh, round(w.kw * w.ratio, 3) AS load_kw,
	CASE WHEN w.register_kwh >= d.register_kwh THEN round((w.register_kwh - d.register_kwh) * w.ratio, 3) END AS today_kwh,
	w.relay, w.desired, w.state, w.color, w.balance, w.currency, w.contact, l.path
FROM prepay.meter_status w
	JOIN prepay.site s ON s.code = w.site
	JOIN prepay.meter m ON m.site_id = s.site_id AND m.code = w.meter
	LEFT JOIN prepay.account a ON a.site_id = s.site_id AND a.code = w.account
	LEFT JOIN prepay.places l ON l.site = w.site AND l.place = w.place
	LEFT JOIN LATERAL (SELECT round(r.register_wh / 1000.0, 3) AS register_kwh FROM prepay.reading_believed r
		WHERE r.site_id = m.site_id AND r.meter_id = m.meter_id
			AND r.read_at <= date_trunc('day', prepay.now() AT TIME ZONE s.timezone) AT TIME ZONE s.timezone
		ORDER BY r.read_at DESC LIMIT 1) d ON true;

-- 回路实时负荷: a circuit is a name that meters of a site share; meters without one stand for themselves.
CREATE OR REPLACE VIEW prepay.circuit_live AS
SELECT e.site, COALESCE(e.circuit, e.meter) AS circuit, count(*) AS meters, sum(e.load_kw) AS load_kw, sum(e.today_kwh) AS today_kwh,
	sum(e.register_kwh * e.ratio) AS register_kwh, min(e.last_read_at) AS oldest_read_at, max(e.last_read_at) AS last_read_at,
	count(*) FILTER (WHERE e.relay = 'open') AS relays_open, count(*) FILTER (WHERE e.contact = 'lost') AS meters_lost
FROM prepay.meter_export e GROUP BY e.site, COALESCE(e.circuit, e.meter);

-- 公摊: months as posted, and who bore what.
CREATE OR REPLACE VIEW prepay.public_energy_months AS
SELECT s.code AS site, h.code AS share, o.month, p.code AS place, m.code AS master_meter, o.master_measures, o.basis, o.price,
	round(o.master_wh / 1000.0, 3) AS master_kwh, round(o.sub_wh / 1000.0, 3) AS sub_kwh,
	round((o.master_wh - o.sub_wh) / 1000.0, 3) AS public_kwh, round(COALESCE(l.amount, 0), s.currency_decimals) AS amount,
	COALESCE(l.accounts, 0) AS accounts, o.runs, o.run_at, o.operator, s.currency
FROM prepay.site s
	JOIN prepay.energy_share_month o USING (site_id)
	JOIN prepay.energy_share h USING (site_id, share_id)
	JOIN prepay.place p ON p.site_id = o.site_id AND p.place_id = o.place_id
	JOIN prepay.meter m ON m.site_id = o.site_id AND m.meter_id = o.master_meter_id
	LEFT JOIN LATERAL (SELECT -sum(e.amount) AS amount, count(DISTINCT n.account_id) AS accounts
		FROM prepay.energy_share_line n JOIN prepay.ledger_entry e USING (site_id, account_id, seq)
		WHERE n.site_id = o.site_id AND n.share_id = o.share_id AND n.month = o.month) l ON true
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.public_energy_lines AS
SELECT s.code AS site, h.code AS share, n.month, a.code AS account, a.customer, p.code AS place, n.seq, n.run,
	round(n.wh / 1000.0, 3) AS kwh, o.price, -e.amount AS amount, e.booked_at, s.currency
FROM prepay.site s
	JOIN prepay.energy_share_line n USING (site_id)
	JOIN prepay.energy_share_month o USING (site_id, share_id, month)
	JOIN prepay.energy_share h USING (site_id, share_id)
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id, seq)
	LEFT JOIN prepay.place p ON p.site_id = a.site_id AND p.place_id = a.place_id
WHERE prepay.my_site(s.site_id);
