-- What a person should look at: alarms, and what is not heard of.

CREATE OR REPLACE VIEW prepay.alarm_history AS
SELECT s.code AS site, a.code AS account, m.code AS meter, g.code AS gateway, l.kind, l.level, l.raised_at,
	l.acknowledged_at, l.cleared_at, l.detail, l.agent, l.acknowledged_by, l.alarm_id,
	CASE WHEN l.cleared_at IS NOT NULL THEN 'cleared' WHEN l.acknowledged_at IS NOT NULL THEN 'acknowledged'
		ELSE 'raised' END AS state,
	a.customer, p.code AS place, p.name AS place_name, l.note,
	COALESCE(l.cleared_at, prepay.now()) - l.raised_at AS duration
FROM prepay.site s
	JOIN prepay.alarm l USING (site_id)
	LEFT JOIN prepay.meter m ON m.site_id = l.site_id AND m.meter_id = l.meter_id
	LEFT JOIN prepay.account a ON a.site_id = l.site_id AND a.account_id = l.account_id
	LEFT JOIN prepay.gateway g ON g.site_id = l.site_id AND g.gateway_id = l.gateway_id
	LEFT JOIN prepay.place p ON p.site_id = l.site_id AND p.place_id = COALESCE(m.place_id, g.place_id, a.place_id)
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.alarm_active AS
SELECT site, account, meter, gateway, kind, level, raised_at, acknowledged_at, detail, agent,
	acknowledged_by, alarm_id, state, customer, place, place_name, note, duration
FROM prepay.alarm_history WHERE cleared_at IS NULL;

-- A gateway is as lost as its agent. (agent.state_since is real time; the agent's alarm knows the business time.)
CREATE OR REPLACE VIEW prepay.lost_gateways AS
SELECT s.code AS site, g.code AS gateway, g.name, p.code AS place, p.name AS place_name, g.transport, g.address, g.agent,
	CASE WHEN e.state = 'lost' THEN 'agent' ELSE 'gateway' END AS cause,
	least(CASE WHEN h.contact = 'lost' THEN h.contact_since END, l.raised_at) AS lost_since,
	m.last_read_at, m.meters
FROM prepay.site s
	JOIN prepay.gateway g USING (site_id)
	LEFT JOIN prepay.gateway_state h USING (site_id, gateway_id)
	LEFT JOIN prepay.agent e ON e.site_id = g.site_id AND e.code = g.agent
	LEFT JOIN prepay.alarm l ON l.site_id = e.site_id AND l.kind = 'lost' AND COALESCE(l.account_id, 0) = 0
		AND COALESCE(l.meter_id, 0) = 0 AND COALESCE(l.gateway_id, 0) = 0 AND COALESCE(l.agent, '') = e.code
		AND l.cleared_at IS NULL
	LEFT JOIN prepay.place p ON p.site_id = g.site_id AND p.place_id = g.place_id
	CROSS JOIN LATERAL (SELECT count(*) AS meters, max(n.last_read_at) AS last_read_at
		FROM prepay.meter d JOIN prepay.meter_state n USING (site_id, meter_id)
		WHERE d.site_id = g.site_id AND d.gateway_id = g.gateway_id) m
WHERE (h.contact = 'lost' OR e.state = 'lost') AND prepay.my_site(s.site_id);

-- All that cannot be read, with what stands in the way.
CREATE OR REPLACE VIEW prepay.lost_meters AS
SELECT s.code AS site, m.code AS meter, m.name, a.code AS account, a.customer, p.code AS place, p.name AS place_name,
	g.code AS gateway, m.unit_id,
	CASE WHEN e.state = 'lost' THEN 'agent' WHEN h.contact = 'lost' THEN 'gateway' ELSE 'meter' END AS cause,
	least(CASE WHEN n.contact = 'lost' THEN n.contact_since END, CASE WHEN h.contact = 'lost' THEN h.contact_since END,
		l.raised_at) AS lost_since,
	n.last_read_at, round(n.register_wh / 1000.0, 3) AS register_kwh
FROM prepay.site s
	JOIN prepay.meter m USING (site_id)
	JOIN prepay.meter_state n USING (site_id, meter_id)
	LEFT JOIN prepay.gateway g ON g.site_id = m.site_id AND g.gateway_id = m.gateway_id
	LEFT JOIN prepay.gateway_state h ON h.site_id = g.site_id AND h.gateway_id = g.gateway_id
	LEFT JOIN prepay.agent e ON e.site_id = g.site_id AND e.code = g.agent
	LEFT JOIN prepay.alarm l ON l.site_id = e.site_id AND l.kind = 'lost' AND COALESCE(l.account_id, 0) = 0
		AND COALESCE(l.meter_id, 0) = 0 AND COALESCE(l.gateway_id, 0) = 0 AND COALESCE(l.agent, '') = e.code
		AND l.cleared_at IS NULL
	LEFT JOIN prepay.account a ON a.site_id = n.site_id AND a.account_id = n.account_id
	LEFT JOIN prepay.place p ON p.site_id = m.site_id AND p.place_id = COALESCE(m.place_id, a.place_id)
WHERE (n.contact = 'lost' OR h.contact = 'lost' OR e.state = 'lost') AND prepay.my_site(s.site_id);
