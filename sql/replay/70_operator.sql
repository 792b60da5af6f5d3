-- Operators, what they did, when they logged in.

-- Who may work at a site. Roles made by hand and put into operator_site are here, too, without a row of their own.
CREATE OR REPLACE VIEW prepay.operators AS
SELECT s.code AS site, w.operator::text AS operator, o.full_name,
	(SELECT string_agg(substr(g.rolname::text, 8), ', ' ORDER BY g.rolname) FROM pg_catalog.pg_roles r
		JOIN pg_catalog.pg_auth_members m ON m.member = r.oid
		JOIN pg_catalog.pg_roles g ON g.oid = m.roleid AND starts_with(g.rolname::text, 'prepay_')
		WHERE r.rolname = w.operator) AS roles,
	CASE WHEN o.dropped_at IS NOT NULL THEN 'dismissed' WHEN r.rolcanlogin AND r.rolvaliduntil < clock_timestamp() THEN 'expired'
		WHEN r.rolcanlogin THEN 'active' ELSE 'no log-in' END AS state,
	o.created_at, o.created_by, o.password_set_at, NULLIF(r.rolvaliduntil, 'infinity') AS password_valid_until,
	o.valid_until, o.dropped_at, o.dropped_by, o.dropped_why
FROM prepay.site s
	JOIN (SELECT n.site_id, n.operator FROM prepay.operator_site n
		UNION ALL SELECT x.site_id, d.operator FROM prepay.operator d CROSS JOIN LATERAL unnest(d.dropped_sites) AS x (site_id)
		WHERE d.dropped_at IS NOT NULL) w USING (site_id)
	LEFT JOIN prepay.operator o USING (operator)
	LEFT JOIN pg_catalog.pg_roles r ON r.rolname = w.operator
WHERE prepay.my_site(s.site_id);

-- operator_log as text. What is of no single site is shown to all who may read here.
CREATE OR REPLACE VIEW prepay.operator_changes AS
SELECT s.code AS site, l.operator, l.changed_at, l.action, l.object,
	(SELECT string_agg(b.key || ' = ' || COALESCE(b.value, '-'), ', ' ORDER BY b.key) FROM jsonb_each_text(l.before) AS b) AS before,
	(SELECT string_agg(n.key || ' = ' || COALESCE(n.value, '-'), ', ' ORDER BY n.key) FROM jsonb_each_text(l.after) AS n) AS after,
	l.address, l.application, l.login, l.role, l.recorded_at, l.log_no
FROM prepay.operator_log l
	LEFT JOIN prepay.site s USING (site_id)
WHERE prepay.my_site(l.site_id) OR l.site_id = 0;

-- What did an operator do today: changes, money and prints in one list. (The sites are asked for outside of the
-- UNION: the planner takes a view apart that is nothing but one, and with it the order of its conditions.)
CREATE OR REPLACE VIEW prepay.operator_work AS
SELECT s.code AS site, w.operator, w.done_at, w.action, w.object, w.amount, w.detail
FROM (SELECT l.site_id, l.operator, l.changed_at AS done_at, l.action, l.object, NULL::numeric AS amount,
		(SELECT string_agg(n.key || ' = ' || COALESCE(n.value, '-'), ', ' ORDER BY n.key) FROM jsonb_each_text(l.after) AS n) AS detail
	FROM prepay.operator_log l
	UNION ALL SELECT e.site_id, e.operator, e.booked_at, e.kind, 'account:' || a.code, e.amount,
		concat_ws(', ', 'seq = ' || e.seq, 'tender = ' || e.tender, 'till = ' || e.till, 'receipt_no = ' || e.receipt_no, 'note = ' || e.note)
	FROM prepay.account a JOIN prepay.ledger_entry e USING (site_id, account_id)
	WHERE e.kind <> ALL ('{consumption,correction,standing}')
	UNION ALL SELECT r.site_id, r.operator, r.printed_at, 'print' AS action, 'account:' || a.code, NULL::numeric AS amount,
		concat_ws(', ', 'seq = ' || r.seq, 'print_no = ' || r.print_no, 'template = ' || r.template)
	FROM prepay.account a JOIN prepay.receipt_print r USING (site_id, account_id)) w
	LEFT JOIN prepay.site s USING (site_id)
WHERE prepay.my_site(w.site_id) OR w.site_id = 0;

-- A log-in is of no site: it is shown at those its operator works at; of roles without one, to superusers alone.
CREATE OR REPLACE VIEW prepay.log_in_history AS
SELECT s.code AS site, l.login AS operator, l.logged_in_at, l.ended_at, l.address, l.application, l.encrypted, l.backend_pid
FROM prepay.log_in l
	LEFT JOIN prepay.operator_site w ON w.operator = l.login
	LEFT JOIN prepay.site s USING (site_id)
WHERE prepay.my_site(COALESCE(w.site_id, 0));
