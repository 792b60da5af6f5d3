-- Gateways, meters, what is dated about a meter, and its readings.

CREATE TABLE prepay.meter_model (
	code text PRIMARY KEY,
	profile jsonb NOT NULL,
	loaded_at timestamptz NOT NULL DEFAULT pg_catalog.now()
);

CREATE TABLE prepay.agent (
	site_id int NOT NULL REFERENCES prepay.site,
	code text NOT NULL CONSTRAINT agent_code_form CHECK (prepay.is_code(code)),
	role_name name,
	payment_listen text CONSTRAINT agent_payment_listen_loopback
		CHECK (payment_listen ~ '^(127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]):\d{1,5}$'),
	created_at timestamptz NOT NULL DEFAULT prepay.now(),
	state text NOT NULL DEFAULT 'never' CHECK (state IN ('never', 'ok', 'lost')),
	state_since timestamptz,
	last_beat_at timestamptz,
	status jsonb NOT NULL DEFAULT '{}',
	PRIMARY KEY (site_id, code)
);

-- Batches of a spool that are stored: what makes ingestion exactly-once.
CREATE TABLE prepay.agent_spool (
	site_id int NOT NULL,
	agent text NOT NULL,
	spool uuid NOT NULL,
	last_seq bigint NOT NULL,
	last_at timestamptz NOT NULL,
	PRIMARY KEY (site_id, agent, spool),
	FOREIGN KEY (site_id, agent) REFERENCES prepay.agent
);

CREATE TABLE prepay.gateway (
	site_id int NOT NULL REFERENCES prepay.site,
	gateway_id int NOT NULL CHECK (gateway_id > 0),
	code text NOT NULL CONSTRAINT gateway_code_form CHECK (prepay.is_code(code)),
	name text,
	place_id int,
	agent text,
	transport text NOT NULL DEFAULT 'tcp'
		CONSTRAINT gateway_transport_known CHECK (transport IN ('tcp', 'rtu', 'rtu_over_tcp')),
	address text,
	poll_interval interval
		CONSTRAINT gateway_poll_interval_range
		CHECK (poll_interval BETWEEN interval '1 second' AND interval '1 day'),
	options jsonb NOT NULL DEFAULT '{}',
	standby_agent text
		CONSTRAINT gateway_standby_is_another CHECK (standby_agent <> agent),
	PRIMARY KEY (site_id, gateway_id),
	CONSTRAINT gateway_code_unique UNIQUE (site_id, code),
	CONSTRAINT gateway_place_exists FOREIGN KEY (site_id, place_id) REFERENCES prepay.place,
	CONSTRAINT gateway_agent_exists FOREIGN KEY (site_id, agent) REFERENCES prepay.agent,
	CONSTRAINT gateway_standby_exists FOREIGN KEY (site_id, standby_agent) REFERENCES prepay.agent,
	-- A device path of one host is another line, or none, on the next.
	CONSTRAINT gateway_standby_reaches CHECK (standby_agent IS NULL OR transport <> 'rtu')
);
CREATE INDEX gateway_agent ON prepay.gateway (site_id, agent);
CREATE INDEX gateway_standby ON prepay.gateway (site_id, standby_agent) WHERE standby_agent IS NOT NULL;

-- When agents were lost: the time, of the business clock, in which a standby may have read meters.
CREATE TABLE prepay.agent_absence (
	site_id int NOT NULL,
	agent text NOT NULL,
	lost_at timestamptz NOT NULL,
	until timestamptz,
	PRIMARY KEY (site_id, agent, lost_at),
	FOREIGN KEY (site_id, agent) REFERENCES prepay.agent
);

CREATE TABLE prepay.gateway_state (
	site_id int NOT NULL,
	gateway_id int NOT NULL,
	contact text NOT NULL DEFAULT 'never' CHECK (contact IN ('never', 'ok', 'lost')),
	contact_since timestamptz,
	PRIMARY KEY (site_id, gateway_id),
	FOREIGN KEY (site_id, gateway_id) REFERENCES prepay.gateway
);

CREATE TABLE prepay.meter (
	site_id int NOT NULL REFERENCES prepay.site,
	meter_id int NOT NULL CHECK (meter_id > 0),
	code text NOT NULL CONSTRAINT meter_code_form CHECK (prepay.is_code(code)),
	name text,
	circuit text,
	gateway_id int,
	unit_id smallint CONSTRAINT meter_unit_range CHECK (unit_id BETWEEN 0 AND 255),
	model text,
	place_id int,
	purpose text NOT NULL DEFAULT 'prepaid'
		CONSTRAINT meter_purpose_known CHECK (purpose IN ('prepaid', 'check')),
	prepay_mode text NOT NULL DEFAULT 'server'
		CONSTRAINT meter_prepay_mode_known CHECK (prepay_mode IN ('server', 'meter')),
	ratio numeric NOT NULL DEFAULT 1
		CONSTRAINT meter_ratio_range CHECK (ratio > 0 AND ratio <= 1000000 AND ratio = pg_catalog.round(ratio, 6)),
	register_max numeric
		CONSTRAINT meter_register_max_range
		CHECK (register_max > 0 AND register_max <= 999999999999 AND register_max = pg_catalog.round(register_max, 3)),
	rated_kw numeric CONSTRAINT meter_rated_kw_range CHECK (rated_kw > 0 AND rated_kw <= 1000000),
	reverse_energy text NOT NULL DEFAULT 'add'
		CONSTRAINT meter_reverse_energy_known CHECK (reverse_energy IN ('add', 'ignore')),
	alarm1_amount numeric CONSTRAINT meter_alarm1_is_money CHECK (alarm1_amount > '-Infinity' AND alarm1_amount < 'Infinity'),
	alarm2_amount numeric CONSTRAINT meter_alarm2_is_money CHECK (alarm2_amount > '-Infinity' AND alarm2_amount < 'Infinity'),
	power_limit_kw numeric CONSTRAINT meter_power_limit_range CHECK (power_limit_kw > 0 AND power_limit_kw <= 1000000),
	installed_at timestamptz NOT NULL DEFAULT prepay.now(),
	address text CONSTRAINT meter_address_form CHECK (address ~ '^[0-9]{1,12}$'),
	PRIMARY KEY (site_id, meter_id),
	CONSTRAINT meter_code_unique UNIQUE (site_id, code),
	CONSTRAINT meter_unit_unique UNIQUE (site_id, gateway_id, unit_id),
	CONSTRAINT meter_address_unique UNIQUE (site_id, gateway_id, address),
	CONSTRAINT meter_gateway_exists FOREIGN KEY (site_id, gateway_id) REFERENCES prepay.gateway,
	CONSTRAINT meter_place_exists FOREIGN KEY (site_id, place_id) REFERENCES prepay.place,
	CONSTRAINT meter_model_exists FOREIGN KEY (model) REFERENCES prepay.meter_model
);
CREATE INDEX meter_place ON prepay.meter (site_id, place_id);

-- Ratio, modulus, reverse rule and time-of-use registers of a meter from a time on; the first row
-- holds since ever.
CREATE TABLE prepay.meter_term (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	valid_from timestamptz NOT NULL,
	ratio numeric NOT NULL
		CONSTRAINT meter_term_ratio_range CHECK (ratio > 0 AND ratio <= 1000000 AND ratio = pg_catalog.round(ratio, 6)),
	register_max numeric
		CONSTRAINT meter_term_register_max_range
		CHECK (register_max > 0 AND register_max <= 999999999999 AND register_max = pg_catalog.round(register_max, 3)),
	reverse_energy text NOT NULL
		CONSTRAINT meter_term_reverse_energy_known CHECK (reverse_energy IN ('add', 'ignore')),
	period_names text[],
	period_step_kwh numeric,
	CONSTRAINT meter_term_periods_have_step CHECK ((period_names IS NULL) = (period_step_kwh IS NULL)),
	PRIMARY KEY (site_id, meter_id, valid_from),
	FOREIGN KEY (site_id, meter_id) REFERENCES prepay.meter
);

-- No CHECK: the trigger refuses NaN and infinite times, once a statement instead of once a row.
CREATE TABLE prepay.reading (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	read_at timestamptz NOT NULL,
	kwh numeric(15,3) NOT NULL,
	reverse_kwh numeric(15,3),
	period_kwh numeric(15,3)[],
	kw numeric(12,3),
	relay_closed boolean,
	meter_balance numeric(14,2),
	purchase_count int,
	meter_clock timestamptz,
	source text,
	PRIMARY KEY (site_id, meter_id, read_at)
) PARTITION BY RANGE (read_at);

CREATE TABLE prepay.reading_default PARTITION OF prepay.reading DEFAULT;

-- Ends of the chain over a meter's readings, by calendar month (UTC) that is over.
CREATE TABLE prepay.reading_chain (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	month date NOT NULL,
	readings bigint NOT NULL,
	hash bytea NOT NULL,
	anchor_id int,
	PRIMARY KEY (site_id, meter_id, month)
);
CREATE INDEX reading_chain_anchor ON prepay.reading_chain (site_id, anchor_id);

-- Readings that came after a later one of their meter, in the order of arrival.
CREATE TABLE prepay.reading_late (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	late_no int NOT NULL,
	read_at timestamptz NOT NULL,
	hash bytea NOT NULL,
	PRIMARY KEY (site_id, meter_id, late_no)
);

-- Up to where readings were dropped, each time.
CREATE TABLE prepay.retention (
	site_id int NOT NULL,
	kept_from timestamptz NOT NULL,
	dropped_at timestamptz NOT NULL,
	operator text NOT NULL,
	PRIMARY KEY (site_id, kept_from)
);

-- Of each meter where the last drop left its chain, and the readings from before that stay.
CREATE TABLE prepay.reading_kept (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	kept_from timestamptz NOT NULL,
	readings bigint NOT NULL,
	chain_hash bytea NOT NULL,
	late int NOT NULL,
	register_at timestamptz,
	register_hash bytea,
	reverse_at timestamptz,
	reverse_hash bytea,
	PRIMARY KEY (site_id, meter_id)
);

-- A value that stands in place of the one read; the reading itself stays as it came.
CREATE TABLE prepay.reading_correction (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	read_at timestamptz NOT NULL,
	correction int NOT NULL,
	kwh numeric(15,3) NOT NULL,
	reason text NOT NULL,
	corrected_at timestamptz NOT NULL,
	operator text NOT NULL,
	PRIMARY KEY (site_id, meter_id, read_at, correction)
);

CREATE TABLE prepay.reading_review (
	site_id int NOT NULL,
	review_id bigint GENERATED ALWAYS AS IDENTITY,
	meter_id int,
	read_at timestamptz NOT NULL,
	reason text NOT NULL,
	status text NOT NULL DEFAULT 'open' CHECK (status IN ('open', 'resolved')),
	last_read_at timestamptz NOT NULL,
	readings int NOT NULL DEFAULT 1,
	kwh numeric,
	detail text NOT NULL,
	opened_at timestamptz NOT NULL DEFAULT prepay.now(),
	resolved_at timestamptz,
	verdict text,
	operator text,
	note text,
	PRIMARY KEY (site_id, review_id)
);
CREATE UNIQUE INDEX reading_review_one_open ON prepay.reading_review (site_id, meter_id, reason)
	WHERE status = 'open';

-- Readings that are not plainly accepted: held (suspect or waiting), or decided by a person.
CREATE TABLE prepay.reading_mark (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	read_at timestamptz NOT NULL,
	mark text NOT NULL CHECK (mark IN ('held', 'waiting', 'rejected', 'accepted', 'rollover', 'baseline')),
	review_id bigint NOT NULL,
	PRIMARY KEY (site_id, meter_id, read_at)
);
CREATE INDEX reading_mark_review ON prepay.reading_mark (site_id, review_id);

-- One row a meter, rewritten by each reading: where its register stands and what is not sealed yet.
-- No constraint but the key: each would be looked at for every reading; the library alone writes here.
CREATE TABLE prepay.meter_state (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	account_id int,
	term_from timestamptz,
	former_waits boolean NOT NULL DEFAULT false,
	watched boolean NOT NULL DEFAULT false,
	ratio_e6 bigint NOT NULL,
	register_max_wh bigint,
	reverse_add boolean NOT NULL,
	rated_w bigint,
	power_limit_w bigint,
	facts_from timestamptz NOT NULL,
	tariff_id int,
	tariff_from timestamptz,
	tariff_until timestamptz,
	last_read_at timestamptz,
	register_wh bigint,
	reverse_wh bigint,
	kw numeric(12,3),
	relay_closed boolean,
	open_lines bytea NOT NULL DEFAULT '',
	reading_chain bytea NOT NULL DEFAULT '',
	late_chain bytea NOT NULL DEFAULT '',
	contact text NOT NULL DEFAULT 'never',
	contact_since timestamptz,
	PRIMARY KEY (site_id, meter_id)
) WITH (fillfactor = 60);
CREATE INDEX meter_state_account ON prepay.meter_state (site_id, account_id, meter_id);
CREATE INDEX meter_state_former ON prepay.meter_state (site_id, meter_id) WHERE former_waits;
