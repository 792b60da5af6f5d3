-- Reports of energy, and public-area energy.
GRANT SELECT ON prepay.places, prepay.meter_tariff, prepay.meter_export, prepay.circuit_live, prepay.public_energy_months,
	prepay.public_energy_lines, prepay.energy_share
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT INSERT, UPDATE, DELETE ON prepay.energy_share TO prepay_admin, prepay_supervisor;
GRANT EXECUTE ON FUNCTION prepay.public_energy(text, text, date)
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
GRANT EXECUTE ON FUNCTION prepay.post_public_energy(text, text, date, jsonb) TO prepay_admin, prepay_supervisor;
