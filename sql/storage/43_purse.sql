-- Meters that keep their own money, and the money on its way between them and the books.

-- One row a meter while an account has it. Whoever changes it holds the meter's meter_control row.
CREATE TABLE prepay.meter_purse (
	site_id int NOT NULL,
	meter_id int NOT NULL,
	account_id int NOT NULL,
	started_at timestamptz NOT NULL,
	start_minor bigint NOT NULL,
	start_seq int NOT NULL,
	start_command bigint NOT NULL,
	here_minor bigint NOT NULL,
	withdrawn_minor bigint NOT NULL DEFAULT 0 CHECK (withdrawn_minor >= 0),
	seen_seq int NOT NULL,
	purchase_count int,
	count_at timestamptz,
	meter_minor bigint,
	meter_at timestamptz,
	push_revision bigint,
	push_until timestamptz,
	push_fault text,
	PRIMARY KEY (site_id, meter_id),
	FOREIGN KEY (site_id, meter_id) REFERENCES prepay.meter
) WITH (fillfactor = 80);
-- Such an account has this one prepaid meter.
CREATE UNIQUE INDEX meter_purse_account ON prepay.meter_purse (site_id, account_id);

-- What a recharge or withdrawal moves, and whose order it is.
CREATE TABLE prepay.purse_move (
	site_id int NOT NULL,
	command_id bigint NOT NULL,
	meter_id int NOT NULL,
	account_id int NOT NULL,
	cause text NOT NULL CHECK (cause IN ('posting', 'carried', 'order', 'withdrawal')),
	key text,
	amount numeric NOT NULL CHECK (amount > 0),
	booked numeric NOT NULL CHECK (booked >= 0 AND booked <= amount),
	written boolean NOT NULL DEFAULT false,
	PRIMARY KEY (site_id, command_id),
	FOREIGN KEY (site_id, command_id) REFERENCES prepay.command
);
CREATE UNIQUE INDEX purse_move_withdrawal ON prepay.purse_move (site_id, key) WHERE cause = 'withdrawal';
CREATE INDEX purse_move_posting ON prepay.purse_move (site_id, key) WHERE cause = 'posting';
CREATE INDEX purse_move_meter ON prepay.purse_move (site_id, meter_id, command_id);
