-- Tills and shifts, debt, granted credit, changes of accounts.

-- Issuing points of receipts (开票点). The row of a till is its counter: whoever takes the next
-- number holds it to the end of the transaction, so numbers have no gap; other tills do not wait.
CREATE TABLE prepay.till (
	site_id int NOT NULL REFERENCES prepay.site,
	till text NOT NULL,
	owner text,
	ordinal int NOT NULL DEFAULT 1,
	last_receipt_no bigint NOT NULL DEFAULT 0,
	open_shift int,
	PRIMARY KEY (site_id, till),
	CONSTRAINT till_owner_ordinal UNIQUE (site_id, owner, ordinal)
) WITH (fillfactor = 50);

-- A cashier's time at a till (班次): the receipts first_receipt_no to last_receipt_no are its.
CREATE TABLE prepay.shift (
	site_id int NOT NULL,
	till text NOT NULL,
	shift_no int NOT NULL,
	opened_at timestamptz NOT NULL,
	opened_by text NOT NULL,
	opening_cash numeric NOT NULL,
	first_receipt_no bigint NOT NULL,
	closed_at timestamptz,
	closed_by text,
	last_receipt_no bigint,
	booked_cash numeric,
	counted_cash numeric,
	note text,
	PRIMARY KEY (site_id, till, shift_no),
	FOREIGN KEY (site_id, till) REFERENCES prepay.till
);

-- Debt an account owes beside its balance (欠费、旧欠), by the entry that added it.
CREATE TABLE prepay.debt (
	site_id int NOT NULL,
	account_id int NOT NULL,
	seq int NOT NULL,
	name text,
	amount numeric NOT NULL,
	owed numeric NOT NULL CONSTRAINT debt_not_overpaid CHECK (owed BETWEEN 0 AND amount),
	percent numeric,
	cap numeric,
	per text CHECK (per IN ('day', 'week', 'month', 'year')),
	period_start date,
	period_paid numeric NOT NULL DEFAULT 0,
	PRIMARY KEY (site_id, account_id, seq),
	FOREIGN KEY (site_id, account_id) REFERENCES prepay.account
);

-- Credit that was given, not paid (补贴、免费额度), by the entry that granted it. spent_before and
-- ended_spent are what the account had spent in all by then: how much of a grant is left follows.
CREATE TABLE prepay.credit (
	site_id int NOT NULL,
	account_id int NOT NULL,
	seq int NOT NULL,
	type text NOT NULL,
	priority int NOT NULL,
	expires_at timestamptz,
	amount numeric NOT NULL,
	spent_before numeric NOT NULL,
	ended_at timestamptz,
	ended_seq int,
	ended_spent numeric,
	ended_why text CHECK (ended_why IN ('expired', 'closed', 'reversed')),
	PRIMARY KEY (site_id, account_id, seq),
	FOREIGN KEY (site_id, account_id) REFERENCES prepay.account
);
CREATE INDEX credit_expires ON prepay.credit (site_id, expires_at)
	WHERE ended_at IS NULL AND expires_at IS NOT NULL;
