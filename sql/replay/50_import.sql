-- One flat row a meter: reads what is there, creates what is named. All columns are text, so that a
-- faulty value is reported with its row and column and not by the type.
CREATE OR REPLACE VIEW prepay.meter_import AS
SELECT s.code AS site,
	b.code AS building,
	CASE WHEN f.code = b.code || '-' || f.name THEN f.name ELSE f.code END AS floor,
	CASE WHEN u.code = b.code || '-' || u.name THEN u.name ELSE u.code END AS unit,
	g.code AS gateway, g.transport, g.address, g.agent,
	m.unit_id::text AS unit_id, m.code AS meter, m.name, m.circuit, m.model, m.purpose,
	trim_scale(m.ratio)::text AS ratio, trim_scale(m.register_max)::text AS register_max,
	trim_scale(m.rated_kw)::text AS rated_kw,
	a.code AS account, a.customer, a.phone, t.code AS tariff,
	m.alarm1_amount::text AS alarm1_amount, m.alarm2_amount::text AS alarm2_amount,
	NULL::text AS start_kwh,
	m.address AS meter_address
FROM prepay.site s
	JOIN prepay.meter m USING (site_id)
	LEFT JOIN prepay.gateway g ON g.site_id = m.site_id AND g.gateway_id = m.gateway_id
	LEFT JOIN prepay.place p ON p.site_id = m.site_id AND p.place_id = m.place_id
	LEFT JOIN prepay.place q ON q.site_id = p.site_id AND q.place_id = p.parent_id
	LEFT JOIN prepay.place r ON r.site_id = q.site_id AND r.place_id = q.parent_id
	LEFT JOIN prepay.place u ON u.site_id = p.site_id AND u.place_id = p.place_id
		AND p.kind NOT IN ('floor', 'building')
	LEFT JOIN prepay.place f ON f.site_id = p.site_id
		AND f.place_id = CASE 'floor' WHEN p.kind THEN p.place_id WHEN q.kind THEN q.place_id END
	LEFT JOIN prepay.place b ON b.site_id = p.site_id
		AND b.place_id = CASE 'building' WHEN p.kind THEN p.place_id WHEN q.kind THEN q.place_id
			WHEN r.kind THEN r.place_id END
	LEFT JOIN prepay.account_meter o ON o.site_id = m.site_id AND o.meter_id = m.meter_id
		AND o.valid_to = 'infinity'
	LEFT JOIN prepay.account a ON a.site_id = o.site_id AND a.account_id = o.account_id
	LEFT JOIN LATERAL (SELECT x.tariff_id FROM prepay.tariff_assignment x
		WHERE x.site_id = a.site_id AND x.target_kind = 'account' AND x.target_id = a.account_id
			AND x.valid_from <= prepay.now()
		ORDER BY x.valid_from DESC, x.assignment DESC LIMIT 1) x ON true
	LEFT JOIN prepay.tariff t ON t.site_id = a.site_id AND t.tariff_id = x.tariff_id
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE TRIGGER meter_import_row INSTEAD OF INSERT ON prepay.meter_import
	FOR EACH ROW EXECUTE FUNCTION prepay.meter_import_row();

COMMENT ON VIEW prepay.meter_import IS 'One flat row a meter (批量导入): INSERT or \copy creates places, gateway, meter and account; what exists must agree and is filled where it is empty.';
COMMENT ON COLUMN prepay.meter_import.site IS 'Site code; may be empty where you may use one site only. (项目)';
COMMENT ON COLUMN prepay.meter_import.building IS 'Building. (楼栋)';
COMMENT ON COLUMN prepay.meter_import.floor IS 'Floor; its place code is building-floor. (楼层)';
COMMENT ON COLUMN prepay.meter_import.unit IS 'Unit; its place code is the unit, or building-unit where that is taken elsewhere. (户号)';
COMMENT ON COLUMN prepay.meter_import.gateway IS 'Gateway code. (网关)';
COMMENT ON COLUMN prepay.meter_import.transport IS 'tcp, rtu or rtu_over_tcp; empty: tcp.';
COMMENT ON COLUMN prepay.meter_import.address IS 'host:port or device path of the gateway.';
COMMENT ON COLUMN prepay.meter_import.agent IS 'Agent that polls the gateway; registered with create_agent().';
COMMENT ON COLUMN prepay.meter_import.unit_id IS 'Modbus unit behind the gateway, 1 to 247. (通讯地址)';
COMMENT ON COLUMN prepay.meter_import.meter IS 'Meter code. (表号)';
COMMENT ON COLUMN prepay.meter_import.name IS 'Name of the meter.';
COMMENT ON COLUMN prepay.meter_import.circuit IS 'Circuit it measures. (回路)';
COMMENT ON COLUMN prepay.meter_import.model IS 'Code in prepay.meter_model. (型号)';
COMMENT ON COLUMN prepay.meter_import.purpose IS 'prepaid or check; empty: prepaid. (预付费/计量)';
COMMENT ON COLUMN prepay.meter_import.ratio IS 'CT x PT; empty: 1. (倍率)';
COMMENT ON COLUMN prepay.meter_import.register_max IS 'kWh at which the register starts anew. (满量程)';
COMMENT ON COLUMN prepay.meter_import.rated_kw IS 'Rated power, kW. (额定功率)';
COMMENT ON COLUMN prepay.meter_import.account IS 'Account code; a new one is opened with balance 0. (账户)';
COMMENT ON COLUMN prepay.meter_import.customer IS 'Customer of a new account. (客户)';
COMMENT ON COLUMN prepay.meter_import.phone IS 'Phone of a new account. (电话)';
COMMENT ON COLUMN prepay.meter_import.tariff IS 'Tariff of a new account. (电价方案)';
COMMENT ON COLUMN prepay.meter_import.alarm1_amount IS 'First alarm threshold, currency of the site. (一级报警金额)';
COMMENT ON COLUMN prepay.meter_import.alarm2_amount IS 'Second alarm threshold, currency of the site. (二级报警金额)';
COMMENT ON COLUMN prepay.meter_import.meter_address IS 'DL/T 645 address of the meter, up to 12 digits; empty: it is read by its unit. (表地址)';
COMMENT ON COLUMN prepay.meter_import.start_kwh IS 'What the register shows now, kWh; never shown. (起始读数)';
