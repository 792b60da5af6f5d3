-- Rights of the group roles. Run as superuser: functions belong to the extension's owner.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA prepay FROM PUBLIC;
GRANT USAGE ON SCHEMA prepay TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher,
	prepay_analyst, prepay_agent;

-- Reading: the views (they show the sites of operator_site), and what they call.
GRANT SELECT ON prepay.account_status, prepay.meter_status, prepay.gateway_status, prepay.ledger,
	prepay.usage_daily, prepay.usage_monthly, prepay.unowned_energy, prepay.check_energy, prepay.alarm_active, prepay.alarm_history,
	prepay.readings, prepay.sales, prepay.refunds, prepay.reversals, prepay.sales_daily, prepay.sales_monthly,
	prepay.sales_yearly, prepay.account_monthly, prepay.shift_totals, prepay.shifts, prepay.opened_accounts,
	prepay.closed_accounts, prepay.account_changes, prepay.debts, prepay.credits,
	prepay.trips_waiting, prepay.trip_confirmations, prepay.batch_status
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.now(), prepay.is_code(text), prepay.my_site(int), prepay.all_sites(), prepay.balance(int, int),
	prepay.state_color(text), prepay.open_usage(int, bigint[], bytea, bytea[]),
	prepay.unposted(int, numeric, bigint[], bytea, bytea[]),
	prepay.unpaid_energy(int, int), prepay.credit_left(int, int, int),
	prepay.verify(text, text, timestamptz), prepay.tick(int)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.now(), prepay.tick(int) TO prepay_agent;

-- Configuration: plain tables, by site.
GRANT SELECT ON prepay.site, prepay.setting, prepay.place, prepay.gateway, prepay.meter, prepay.meter_model,
	prepay.holiday, prepay.tariff, prepay.tariff_version, prepay.tariff_price, prepay.tariff_assignment,
	prepay.meter_term, prepay.reading_review, prepay.command, prepay.agent
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT INSERT, UPDATE ON prepay.place, prepay.gateway, prepay.meter, prepay.holiday, prepay.meter_model TO prepay_admin;
GRANT DELETE ON prepay.holiday TO prepay_admin;
GRANT SELECT, INSERT, DELETE ON prepay.operator_site TO prepay_admin;
GRANT INSERT ON prepay.reading TO prepay_admin, prepay_supervisor;

GRANT EXECUTE ON FUNCTION prepay.create_site(text, text, text, text), prepay.set_setting(text, text, text),
	prepay.drop_readings(date), prepay.define_tariff(text, jsonb, timestamptz, jsonb), prepay.assign_tariff(text, text, timestamptz)
	TO prepay_admin;
GRANT EXECUTE ON FUNCTION prepay.tariff_from_urdb(jsonb)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION
	prepay.open_account(text, text, text, text, text[], text, numeric, text, jsonb),
	prepay.update_account(text, jsonb), prepay.add_meter(text, text, numeric, timestamptz),
	prepay.sell(text, numeric, text, text, text, jsonb), prepay.refund(text, numeric, text, text, jsonb),
	prepay.transfer(text, text, numeric, text), prepay.activate_emergency_credit(text, text),
	prepay.close_account(text, text, jsonb), prepay.open_shift(numeric, text, text),
	prepay.close_shift(numeric, text, text, text)
	TO prepay_admin, prepay_supervisor, prepay_cashier;
GRANT EXECUTE ON FUNCTION prepay.reverse(text, int, text, text), prepay.adjust(text, numeric, text, text),
	prepay.add_debt(text, numeric, text, jsonb), prepay.grant_credit(text, numeric, text, jsonb),
	prepay.confirm_trips(text, text)
	TO prepay_admin, prepay_supervisor;

GRANT EXECUTE ON FUNCTION prepay.supply_decision(text, timestamptz), prepay.supply_rehearsal(text, timestamptz)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.control(text, text, jsonb, text), prepay.cancel_command(bigint, text), prepay.tenant_switch(int, int, boolean) TO prepay_admin, prepay_supervisor, prepay_dispatcher;
GRANT EXECUTE ON FUNCTION prepay.create_agent(text, jsonb), prepay.profile_fault(jsonb), prepay.is_profile(jsonb) TO prepay_admin;
GRANT SELECT, INSERT ON prepay.meter_import TO prepay_admin;

-- An agent: its own plan, readings and commands, nothing else (the functions check that it is that agent).
GRANT EXECUTE ON FUNCTION prepay.agent_hello(text, uuid), prepay.agent_plan(text), prepay.agent_beat(text, jsonb),
	prepay.ingest(text, uuid, bigint, int[], timestamptz[], numeric[], numeric[], text[], numeric[], boolean[], numeric[], int[], timestamptz[]),
	prepay.take_commands(text, int), prepay.report_command(text, bigint, int, text, jsonb),
	prepay.report_contact(text, text[], int[], text[], timestamptz[])
	TO prepay_agent;
GRANT EXECUTE ON FUNCTION prepay.explain(text, timestamptz, timestamptz), prepay.backtest(text, jsonb, timestamptz, timestamptz),
	prepay.statement(text, date, jsonb), prepay.reading_history(text, timestamptz, timestamptz),
	prepay.register_difference(text, timestamptz, timestamptz), prepay.energy_by_place(text, timestamptz, timestamptz)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.remove_meter(text, text, numeric, timestamptz),
	prepay.replace_meter(text, text, numeric, numeric, timestamptz) TO prepay_admin, prepay_supervisor, prepay_cashier;
GRANT EXECUTE ON FUNCTION prepay.correct_reading(text, timestamptz, numeric, text),
	prepay.resolve_review(text, bigint, text, text) TO prepay_admin, prepay_supervisor;
GRANT EXECUTE ON FUNCTION prepay.change_meter(text, jsonb, timestamptz) TO prepay_admin;
GRANT EXECUTE ON FUNCTION prepay.receipt(text, int, text) TO prepay_admin, prepay_supervisor, prepay_cashier;
GRANT EXECUTE ON FUNCTION prepay.statement_print(text, date, text), prepay.capital_figures(numeric), prepay.is_receipt_template(text, text, text[], text)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT SELECT ON prepay.receipt_template, prepay.receipt_prints
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT INSERT, UPDATE, DELETE ON prepay.receipt_template TO prepay_admin;
GRANT SELECT ON prepay.supply_policy, prepay.switch_schedule
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT INSERT, UPDATE, DELETE ON prepay.supply_policy, prepay.switch_schedule TO prepay_admin, prepay_supervisor;
GRANT EXECUTE ON FUNCTION prepay.xlsx(text)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT SELECT ON prepay.settings TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.known_settings()
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
