-- Public-area energy (公摊电量) and who shares it.

CREATE TABLE prepay.energy_share (
	site_id int NOT NULL REFERENCES prepay.site,
	share_id int GENERATED ALWAYS AS IDENTITY,
	code text NOT NULL CONSTRAINT energy_share_code_form CHECK (prepay.is_code(code)),
	active boolean NOT NULL DEFAULT true,
	place_id int NOT NULL,
	master_meter_id int NOT NULL,
	master_measures text NOT NULL DEFAULT 'whole'
		CONSTRAINT energy_share_master_measures_known CHECK (master_measures IN ('whole', 'public')),
	basis text NOT NULL DEFAULT 'area'
		CONSTRAINT energy_share_basis_known CHECK (basis IN ('area', 'energy', 'equal')),
	price numeric NOT NULL
		CONSTRAINT energy_share_price_range CHECK (price >= 0 AND price <= 1000000 AND price = pg_catalog.round(price, 6)),
	note text,
	PRIMARY KEY (site_id, share_id),
	CONSTRAINT energy_share_code_unique UNIQUE (site_id, code),
	CONSTRAINT energy_share_place_exists FOREIGN KEY (site_id, place_id) REFERENCES prepay.place,
	CONSTRAINT energy_share_master_exists FOREIGN KEY (site_id, master_meter_id) REFERENCES prepay.meter
);

-- A month that was posted: its terms as they were then, and what the last run found.
CREATE TABLE prepay.energy_share_month (
	site_id int NOT NULL,
	share_id int NOT NULL,
	month date NOT NULL,
	place_id int NOT NULL,
	master_meter_id int NOT NULL,
	master_measures text NOT NULL,
	basis text NOT NULL,
	price numeric NOT NULL,
	master_wh bigint NOT NULL,
	sub_wh bigint NOT NULL,
	runs int NOT NULL,
	run_at timestamptz NOT NULL,
	operator text NOT NULL,
	PRIMARY KEY (site_id, share_id, month),
	FOREIGN KEY (site_id, share_id) REFERENCES prepay.energy_share
);

-- What was posted to whom: a row for each entry of kind public.
CREATE TABLE prepay.energy_share_line (
	site_id int NOT NULL,
	account_id int NOT NULL,
	seq int NOT NULL,
	share_id int NOT NULL,
	month date NOT NULL,
	run int NOT NULL,
	wh bigint NOT NULL,
	PRIMARY KEY (site_id, account_id, seq),
	FOREIGN KEY (site_id, share_id, month) REFERENCES prepay.energy_share_month,
	FOREIGN KEY (site_id, account_id, seq) REFERENCES prepay.ledger_entry
);
CREATE INDEX energy_share_line_month ON prepay.energy_share_line (site_id, share_id, month);
