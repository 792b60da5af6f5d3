-- Tariffs, accounts, the ledger and the priced energy.

CREATE TABLE prepay.tariff (
	site_id int NOT NULL REFERENCES prepay.site,
	tariff_id int NOT NULL CHECK (tariff_id > 0),
	code text NOT NULL CONSTRAINT tariff_code_form CHECK (prepay.is_code(code)),
	created_at timestamptz NOT NULL,
	operator text NOT NULL,
	PRIMARY KEY (site_id, tariff_id),
	CONSTRAINT tariff_code_unique UNIQUE (site_id, code)
);

CREATE TABLE prepay.tariff_version (
	site_id int NOT NULL,
	tariff_id int NOT NULL,
	version int NOT NULL CHECK (version > 0),
	valid_from timestamptz NOT NULL,
	definition jsonb NOT NULL,
	calendar text GENERATED ALWAYS AS (definition ->> 'calendar') STORED,
	created_at timestamptz NOT NULL,
	operator text NOT NULL,
	note text,
	PRIMARY KEY (site_id, tariff_id, version),
	FOREIGN KEY (site_id, tariff_id) REFERENCES prepay.tariff
);

-- Names and prices of a version as rows: what usage lines are shown with.
CREATE TABLE prepay.tariff_price (
	site_id int NOT NULL,
	tariff_id int NOT NULL,
	version int NOT NULL,
	component text NOT NULL,
	item smallint NOT NULL,
	period smallint NOT NULL,
	tier smallint NOT NULL,
	item_name text NOT NULL,
	period_name text,
	price numeric NOT NULL,
	PRIMARY KEY (site_id, tariff_id, version, component, item, period, tier),
	FOREIGN KEY (site_id, tariff_id, version) REFERENCES prepay.tariff_version
);

CREATE TABLE prepay.tariff_assignment (
	site_id int NOT NULL,
	target_kind text NOT NULL CHECK (target_kind IN ('site', 'place', 'account', 'meter')),
	target_id int NOT NULL,
	valid_from timestamptz NOT NULL,
	assignment int NOT NULL,
	tariff_id int,
	assigned_at timestamptz NOT NULL,
	operator text NOT NULL,
	PRIMARY KEY (site_id, target_kind, target_id, valid_from, assignment),
	FOREIGN KEY (site_id, tariff_id) REFERENCES prepay.tariff
);

CREATE TABLE prepay.account (
	site_id int NOT NULL REFERENCES prepay.site,
	account_id int NOT NULL CHECK (account_id > 0),
	code text NOT NULL CONSTRAINT account_code_form CHECK (prepay.is_code(code)),
	customer text NOT NULL,
	phone text,
	place_id int,
	state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'suspended', 'closed')),
	opened_at timestamptz NOT NULL,
	opened_by text NOT NULL,
	closed_at timestamptz,
	closed_by text,
	alarm1_amount numeric,
	alarm2_amount numeric,
	credit_limit numeric,
	emergency_credit numeric,
	tier_extra_kwh numeric NOT NULL DEFAULT 0,
	tier_start_kwh numeric NOT NULL DEFAULT 0,
	language text,
	note text,
	load_class text,
	PRIMARY KEY (site_id, account_id),
	CONSTRAINT account_code_unique UNIQUE (site_id, code),
	CONSTRAINT account_place_exists FOREIGN KEY (site_id, place_id) REFERENCES prepay.place
);
CREATE INDEX account_place ON prepay.account (site_id, place_id);

-- Which account a meter's energy belongs to, from a time to a time.
CREATE TABLE prepay.account_meter (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	valid_from timestamptz NOT NULL,
	valid_to timestamptz NOT NULL DEFAULT 'infinity',
	account_id int NOT NULL,
	PRIMARY KEY (site_id, meter_id, valid_from),
	CONSTRAINT account_meter_ascends CHECK (valid_from <= valid_to),
	FOREIGN KEY (site_id, meter_id) REFERENCES prepay.meter,
	FOREIGN KEY (site_id, account_id) REFERENCES prepay.account
);
CREATE INDEX account_meter_account ON prepay.account_meter (site_id, account_id);

-- One row an account: the head of its ledger, what is sealed, and the band of balance in which
-- nothing has to be decided. The row lock on it is the account's lock.
CREATE TABLE prepay.account_state (
	site_id int NOT NULL,
	account_id int NOT NULL,
	last_seq int NOT NULL DEFAULT 0,
	last_hash bytea,
	posted_minor bigint NOT NULL DEFAULT 0,
	sealed_exact numeric NOT NULL DEFAULT 0,
	sealed_to date NOT NULL,
	tier_base bytea NOT NULL DEFAULT '',
	tier_extra bigint[] NOT NULL DEFAULT '{}',
	leaving_lines bytea NOT NULL DEFAULT '',
	waits_from date,
	quiet_above bigint,
	quiet_below bigint,
	alarm_level smallint NOT NULL DEFAULT 0,
	meters int NOT NULL DEFAULT 0,
	debt_minor bigint NOT NULL DEFAULT 0,
	purchases int NOT NULL DEFAULT 0,
	emergency_minor bigint NOT NULL DEFAULT 0,
	emergency_exhausted boolean NOT NULL DEFAULT false,
	used_up_at timestamptz,
	used_up_by_backlog boolean NOT NULL DEFAULT false,
	closed_on date,
	PRIMARY KEY (site_id, account_id)
) WITH (fillfactor = 80);
CREATE INDEX account_state_sealed ON prepay.account_state (site_id, sealed_to) WHERE closed_on IS NULL;
CREATE INDEX account_state_undecided ON prepay.account_state (site_id, account_id)
	WHERE quiet_above IS NULL;

-- Every money function's result under its caller's key, kept for ever. No foreign key: each call
-- would lock the row of the site. No CHECK here or on the state of accounts: the server reads the
-- text of a constraint anew for every statement.
CREATE TABLE prepay.posting (
	site_id int NOT NULL,
	key text NOT NULL,
	operation text NOT NULL,
	fingerprint bytea NOT NULL,
	account_id int NOT NULL,
	seq int NOT NULL,
	balance numeric NOT NULL,
	debt numeric NOT NULL,
	posted_at timestamptz NOT NULL,
	PRIMARY KEY (site_id, key)
);

CREATE TABLE prepay.ledger_entry (
	site_id int NOT NULL,
	account_id int NOT NULL,
	seq int NOT NULL,
	kind text NOT NULL,
	amount numeric NOT NULL,
	balance_after numeric NOT NULL,
	booked_at timestamptz NOT NULL,
	recorded_at timestamptz NOT NULL,
	day date NOT NULL,
	key text,
	ref_seq int,
	operator text NOT NULL,
	tender text,
	till text,
	receipt_no bigint,
	note text,
	hash bytea NOT NULL,
	debt numeric,
	debt_after numeric,
	fee numeric,
	purchase_no int,
	price numeric,
	other_account_id int,
	PRIMARY KEY (site_id, account_id, seq)
);
CREATE INDEX ledger_entry_booked ON prepay.ledger_entry (site_id, booked_at);
-- Money that went through a till: all that the sales reports add up, so that they read nothing else.
CREATE INDEX ledger_entry_tender ON prepay.ledger_entry (site_id, day)
	INCLUDE (operator, tender, kind, amount, fee) WHERE tender IS NOT NULL;
CREATE UNIQUE INDEX ledger_entry_receipt ON prepay.ledger_entry (site_id, till, receipt_no)
	WHERE receipt_no IS NOT NULL;
-- Nothing is reversed twice.
CREATE UNIQUE INDEX ledger_entry_reversed_once ON prepay.ledger_entry (site_id, account_id, ref_seq)
	WHERE kind = 'reversal';

-- Sealed energy and charges: rows are added, never changed; corrections are further rows.
CREATE TABLE prepay.usage_line (
	site_id int NOT NULL,
	account_id int NOT NULL,
	meter_id int NOT NULL,
	day date NOT NULL,
	booked_day date NOT NULL,
	booked_seq int NOT NULL,
	tariff_id int NOT NULL,
	version int NOT NULL,
	component text NOT NULL,
	item smallint NOT NULL,
	period smallint NOT NULL,
	tier smallint NOT NULL,
	wh bigint NOT NULL,
	estimated_wh bigint NOT NULL,
	amount numeric NOT NULL,
	PRIMARY KEY (site_id, account_id, day, booked_seq, meter_id, tariff_id, version, component, item,
		period, tier)
);

-- Accounts whose past has to be rated again, from a day on; worked off by tick().
CREATE TABLE prepay.rerate_queue (
	site_id int NOT NULL,
	account_id int NOT NULL,
	from_day date NOT NULL,
	reason text NOT NULL,
	queued_at timestamptz NOT NULL,
	PRIMARY KEY (site_id, account_id),
	FOREIGN KEY (site_id, account_id) REFERENCES prepay.account
);

-- Hashes of rows beside the ledger, kept by a trigger: what verify() compares the rows with. Each
-- change adds a version; none is changed or dropped.
CREATE TABLE prepay.row_proof (
	site_id int NOT NULL REFERENCES prepay.site,
	relation text NOT NULL,
	row_id int NOT NULL,
	row_key text NOT NULL,
	version int NOT NULL,
	hash bytea,
	anchor_id int,
	PRIMARY KEY (site_id, relation, row_id, row_key, version)
);
CREATE INDEX row_proof_anchor ON prepay.row_proof (site_id, anchor_id);

-- Heads of all accounts of a site at a moment, and the proofs that came since the anchor before:
-- makes a rewritten or cut-off chain visible.
CREATE TABLE prepay.anchor (
	site_id int NOT NULL REFERENCES prepay.site,
	anchor_id int NOT NULL,
	anchored_at timestamptz NOT NULL,
	accounts int NOT NULL,
	entries bigint NOT NULL,
	proofs bigint NOT NULL,
	heads bytea NOT NULL,
	hash bytea NOT NULL,
	PRIMARY KEY (site_id, anchor_id)
);
