-- Alarms, supply and relay commands.

CREATE TABLE prepay.alarm (
	site_id int NOT NULL REFERENCES prepay.site,
	alarm_id bigint GENERATED ALWAYS AS IDENTITY,
	kind text NOT NULL,
	level smallint NOT NULL,
	account_id int,
	meter_id int,
	gateway_id int,
	agent text,
	raised_at timestamptz NOT NULL,
	acknowledged_at timestamptz,
	acknowledged_by text,
	cleared_at timestamptz,
	detail text NOT NULL,
	note text,
	escalated_at timestamptz,
	PRIMARY KEY (site_id, alarm_id)
);
CREATE UNIQUE INDEX alarm_one_active ON prepay.alarm
	(site_id, kind, (COALESCE(account_id, 0)), (COALESCE(meter_id, 0)),
	 (COALESCE(gateway_id, 0)), (COALESCE(agent, '')))
	WHERE cleared_at IS NULL;
-- What may be escalated.
CREATE INDEX alarm_unacknowledged ON prepay.alarm (site_id, raised_at)
	WHERE account_id IS NULL AND level > 1 AND cleared_at IS NULL AND acknowledged_at IS NULL
		AND escalated_at IS NULL;
-- Whether somebody has looked at a meter's alarm: asked for each reading of a meter without account.
CREATE INDEX alarm_acknowledged ON prepay.alarm (site_id, meter_id, kind) WHERE acknowledged_at IS NOT NULL;

-- Standing orders on a meter and the four relay states, each with its time.
CREATE TABLE prepay.meter_control (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	locked boolean NOT NULL DEFAULT false,
	locked_reason text,
	order_kind text CHECK (order_kind IN ('keep_on', 'forced_off')),
	order_at timestamptz,
	order_by text,
	order_reason text,
	desired text CHECK (desired IN ('on', 'off')),
	desired_at timestamptz,
	desired_why text,
	commanded text CHECK (commanded IN ('on', 'off')),
	commanded_at timestamptz,
	acknowledged text CHECK (acknowledged IN ('on', 'off')),
	acknowledged_at timestamptz,
	observed text CHECK (observed IN ('on', 'off')),
	observed_at timestamptz,
	decide_at timestamptz,
	hold_until timestamptz,
	tenant_off boolean NOT NULL DEFAULT false,
	PRIMARY KEY (site_id, meter_id),
	FOREIGN KEY (site_id, meter_id) REFERENCES prepay.meter
) WITH (fillfactor = 80);
COMMENT ON COLUMN prepay.meter_control.decide_at IS
	'Real time from which tick() decides the supply again though no balance has moved.';
CREATE INDEX meter_control_decide ON prepay.meter_control (site_id, decide_at)
	WHERE decide_at IS NOT NULL;
CREATE INDEX meter_control_hold ON prepay.meter_control (site_id, hold_until)
	WHERE hold_until IS NOT NULL;

-- What readings have shown of a meter's load and relay and is not settled; few meters have a row.
CREATE TABLE prepay.meter_watch (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	over_samples int NOT NULL DEFAULT 0,
	over_since timestamptz,
	over_last timestamptz,
	overload_w bigint,
	overload_limit_w bigint,
	overload_at timestamptz,
	overload_until timestamptz,
	overload_trips int NOT NULL DEFAULT 0,
	overload_locked boolean NOT NULL DEFAULT false,
	contrary_samples int NOT NULL DEFAULT 0,
	contrary_since timestamptz,
	contrary_last timestamptz,
	open_since timestamptz,
	flow_from timestamptz,
	flow_last timestamptz,
	flow_wh bigint NOT NULL DEFAULT 0,
	flow_still int NOT NULL DEFAULT 0,
	PRIMARY KEY (site_id, meter_id),
	FOREIGN KEY (site_id, meter_id) REFERENCES prepay.meter
) WITH (fillfactor = 80);

CREATE TABLE prepay.command (
	site_id int NOT NULL,
	command_id bigint GENERATED ALWAYS AS IDENTITY,
	meter_id int NOT NULL,
	action text NOT NULL CHECK (action IN ('trip', 'close', 'keep_on', 'prepaid', 'lock', 'unlock',
		'read', 'push_tariff', 'push_limits', 'recharge', 'withdraw', 'set_clock')),
	args jsonb NOT NULL DEFAULT '{}',
	status text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'done', 'refused',
		'failed', 'unknown', 'expired', 'superseded', 'cancelled')),
	reason text NOT NULL,
	created_at timestamptz NOT NULL,
	valid_until timestamptz,
	sent_at timestamptz,
	finished_at timestamptz,
	attempts int NOT NULL DEFAULT 0,
	result jsonb,
	account_id int,
	batch_id bigint,
	operator text NOT NULL,
	automatic boolean NOT NULL DEFAULT false,
	verify boolean NOT NULL DEFAULT false,
	lease_until timestamptz,
	not_before timestamptz,
	passed_at timestamptz,
	confirmation_id bigint,
	agent text,
	PRIMARY KEY (site_id, command_id),
	FOREIGN KEY (site_id, meter_id) REFERENCES prepay.meter
);
CREATE INDEX command_live ON prepay.command (site_id, meter_id, command_id)
	WHERE status IN ('queued', 'sent', 'unknown');
CREATE INDEX command_expires ON prepay.command (site_id, valid_until) WHERE status = 'queued';
CREATE INDEX command_leased ON prepay.command (site_id, lease_until) WHERE status = 'sent';
-- Automatic trips of the last minute and those that wait: the brake on mass disconnection counts them.
CREATE INDEX command_passed ON prepay.command (site_id, passed_at) WHERE passed_at IS NOT NULL;
CREATE INDEX command_waiting ON prepay.command (site_id, command_id) WHERE status = 'queued' AND action = 'trip'
	AND automatic AND passed_at IS NULL AND confirmation_id IS NULL;
CREATE INDEX command_confirmed ON prepay.command (site_id, confirmation_id) WHERE confirmation_id IS NOT NULL;
CREATE INDEX command_of_batch ON prepay.command (site_id, batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX command_money ON prepay.command (site_id, account_id)
	WHERE action IN ('recharge', 'withdraw');
COMMENT ON COLUMN prepay.command.automatic IS
	'Queued by the supply rule, not by a person; handed out only while the rule still wants it.';
COMMENT ON COLUMN prepay.command.verify IS
	'An attempt ended unknown: the next one reads back before anything is written.';
COMMENT ON COLUMN prepay.command.lease_until IS 'Real time up to which the agent has the command.';
COMMENT ON COLUMN prepay.command.not_before IS 'Real time of the next attempt.';
COMMENT ON COLUMN prepay.command.passed_at IS 'Real time at which the brake on mass disconnection let it pass.';
COMMENT ON COLUMN prepay.command.confirmation_id IS 'By which a supervisor let it pass (see trip_confirmations).';
CREATE INDEX command_of_meter ON prepay.command (site_id, meter_id, created_at);

-- When lost contact was last looked for, by the business clock and by the real one.
CREATE TABLE prepay.contact_check (
	site_id int PRIMARY KEY REFERENCES prepay.site,
	checked_at timestamptz NOT NULL,
	checked_real timestamptz NOT NULL
);

CREATE TRIGGER command_notify AFTER INSERT ON prepay.command
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.command_notify();

CREATE TRIGGER gateway_changed AFTER UPDATE ON prepay.gateway
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
CREATE TRIGGER gateway_removed AFTER DELETE ON prepay.gateway
	REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
CREATE TRIGGER meter_changed AFTER UPDATE ON prepay.meter
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
CREATE TRIGGER meter_removed AFTER DELETE ON prepay.meter
	REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();

-- The function raises the fault with its path. NOT VALID: dumped after the data.
ALTER TABLE prepay.meter_model
	ADD CONSTRAINT meter_model_profile_sound CHECK (prepay.is_profile(profile)) NOT VALID;
