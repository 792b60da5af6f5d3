-- Operators, what they changed, and when they logged in. Operators are not of one site.

CREATE TABLE prepay.operator (
	operator name PRIMARY KEY,
	full_name text,
	created_at timestamptz NOT NULL,
	created_by text NOT NULL,
	password_set_at timestamptz,
	valid_until timestamptz,
	dropped_at timestamptz,
	dropped_by text,
	dropped_why text,
	dropped_sites int[]
);

-- SCRAM verifiers a password must not come back to; the youngest is the one in force.
CREATE TABLE prepay.operator_password (
	operator name NOT NULL REFERENCES prepay.operator,
	password_no int NOT NULL,
	verifier text NOT NULL,
	PRIMARY KEY (operator, password_no)
);

-- site_id 0: of no single site.
CREATE TABLE prepay.operator_log (
	site_id int NOT NULL,
	operator text NOT NULL,
	log_no bigint NOT NULL,
	changed_at timestamptz NOT NULL,
	recorded_at timestamptz NOT NULL,
	login text NOT NULL,
	role text NOT NULL,
	address text,
	application text,
	action text NOT NULL,
	object text NOT NULL,
	before jsonb,
	after jsonb,
	hash bytea NOT NULL,
	PRIMARY KEY (site_id, operator, log_no)
);
CREATE INDEX operator_log_time ON prepay.operator_log (site_id, changed_at);
CREATE INDEX operator_log_object ON prepay.operator_log (site_id, object, changed_at);

-- End of each chain; the row lock on it is the chain's lock.
CREATE TABLE prepay.operator_log_head (
	site_id int NOT NULL,
	operator text NOT NULL,
	last_no bigint NOT NULL,
	last_hash bytea NOT NULL,
	PRIMARY KEY (site_id, operator)
) WITH (fillfactor = 50);

-- How far the chains had come that moved since the anchor before.
CREATE TABLE prepay.operator_log_anchor (
	site_id int NOT NULL,
	anchor_id int NOT NULL,
	chain_site_id int NOT NULL,
	operator text NOT NULL,
	log_no bigint NOT NULL,
	PRIMARY KEY (site_id, chain_site_id, operator, anchor_id)
);

CREATE TABLE prepay.log_in (
	log_in_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	login text NOT NULL,
	logged_in_at timestamptz NOT NULL,
	address text,
	application text,
	encrypted boolean NOT NULL,
	backend_pid int NOT NULL,
	ended_at timestamptz
);
CREATE INDEX log_in_login ON prepay.log_in (login, logged_in_at);

CREATE TRIGGER operator_log_written_once BEFORE UPDATE OR DELETE ON prepay.operator_log
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER operator_log_not_truncated BEFORE TRUNCATE ON prepay.operator_log
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER operator_log_anchor_written_once BEFORE UPDATE OR DELETE ON prepay.operator_log_anchor
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER operator_log_anchor_not_truncated BEFORE TRUNCATE ON prepay.operator_log_anchor
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER log_in_not_deleted BEFORE DELETE ON prepay.log_in
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER log_in_not_truncated BEFORE TRUNCATE ON prepay.log_in
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();

-- The log's triggers run after the others of their table: names in the order of the alphabet.
CREATE TRIGGER account_to_log_insert AFTER INSERT ON prepay.account
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER account_to_log_update AFTER UPDATE ON prepay.account
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER account_to_log_delete AFTER DELETE ON prepay.account
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER account_meter_to_log_insert AFTER INSERT ON prepay.account_meter
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER account_meter_to_log_update AFTER UPDATE ON prepay.account_meter
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER account_meter_to_log_delete AFTER DELETE ON prepay.account_meter
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER energy_share_to_log_insert AFTER INSERT ON prepay.energy_share
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER energy_share_to_log_update AFTER UPDATE ON prepay.energy_share
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER energy_share_to_log_delete AFTER DELETE ON prepay.energy_share
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER gateway_to_log_insert AFTER INSERT ON prepay.gateway
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER gateway_to_log_update AFTER UPDATE ON prepay.gateway
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER gateway_to_log_delete AFTER DELETE ON prepay.gateway
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER holiday_to_log_insert AFTER INSERT ON prepay.holiday
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER holiday_to_log_update AFTER UPDATE ON prepay.holiday
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER holiday_to_log_delete AFTER DELETE ON prepay.holiday
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER message_template_to_log_insert AFTER INSERT ON prepay.message_template
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER message_template_to_log_update AFTER UPDATE ON prepay.message_template
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER message_template_to_log_delete AFTER DELETE ON prepay.message_template
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_to_log_insert AFTER INSERT ON prepay.meter
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_to_log_update AFTER UPDATE ON prepay.meter
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_to_log_delete AFTER DELETE ON prepay.meter
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_model_to_log_insert AFTER INSERT ON prepay.meter_model
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_model_to_log_update AFTER UPDATE ON prepay.meter_model
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_model_to_log_delete AFTER DELETE ON prepay.meter_model
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_term_to_log_insert AFTER INSERT ON prepay.meter_term
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_term_to_log_update AFTER UPDATE ON prepay.meter_term
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER meter_term_to_log_delete AFTER DELETE ON prepay.meter_term
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER operator_site_to_log_insert AFTER INSERT ON prepay.operator_site
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER operator_site_to_log_update AFTER UPDATE ON prepay.operator_site
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER operator_site_to_log_delete AFTER DELETE ON prepay.operator_site
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER place_to_log_insert AFTER INSERT ON prepay.place
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER place_to_log_update AFTER UPDATE ON prepay.place
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER place_to_log_delete AFTER DELETE ON prepay.place
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER reading_correction_to_log_insert AFTER INSERT ON prepay.reading_correction
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER reading_correction_to_log_update AFTER UPDATE ON prepay.reading_correction
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER reading_correction_to_log_delete AFTER DELETE ON prepay.reading_correction
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER receipt_template_to_log_insert AFTER INSERT ON prepay.receipt_template
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER receipt_template_to_log_update AFTER UPDATE ON prepay.receipt_template
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER receipt_template_to_log_delete AFTER DELETE ON prepay.receipt_template
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER setting_to_log_insert AFTER INSERT ON prepay.setting
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER setting_to_log_update AFTER UPDATE ON prepay.setting
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER setting_to_log_delete AFTER DELETE ON prepay.setting
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER shift_to_log_insert AFTER INSERT ON prepay.shift
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER shift_to_log_update AFTER UPDATE ON prepay.shift
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER shift_to_log_delete AFTER DELETE ON prepay.shift
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER site_to_log_insert AFTER INSERT ON prepay.site
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER site_to_log_update AFTER UPDATE ON prepay.site
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER site_to_log_delete AFTER DELETE ON prepay.site
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER supply_policy_to_log_insert AFTER INSERT ON prepay.supply_policy
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER supply_policy_to_log_update AFTER UPDATE ON prepay.supply_policy
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER supply_policy_to_log_delete AFTER DELETE ON prepay.supply_policy
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER switch_schedule_to_log_insert AFTER INSERT ON prepay.switch_schedule
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER switch_schedule_to_log_update AFTER UPDATE ON prepay.switch_schedule
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER switch_schedule_to_log_delete AFTER DELETE ON prepay.switch_schedule
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_to_log_insert AFTER INSERT ON prepay.tariff
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_to_log_update AFTER UPDATE ON prepay.tariff
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_to_log_delete AFTER DELETE ON prepay.tariff
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_assignment_to_log_insert AFTER INSERT ON prepay.tariff_assignment
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_assignment_to_log_update AFTER UPDATE ON prepay.tariff_assignment
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_assignment_to_log_delete AFTER DELETE ON prepay.tariff_assignment
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_version_to_log_insert AFTER INSERT ON prepay.tariff_version
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_version_to_log_update AFTER UPDATE ON prepay.tariff_version
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER tariff_version_to_log_delete AFTER DELETE ON prepay.tariff_version
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
