-- The brake on mass disconnection, and calls of control().

CREATE TABLE prepay.trip_brake (
	site_id int PRIMARY KEY REFERENCES prepay.site,
	on_since timestamptz
);

CREATE TABLE prepay.trip_confirmation (
	site_id int NOT NULL REFERENCES prepay.site,
	confirmation_id bigint GENERATED ALWAYS AS IDENTITY,
	confirmed_at timestamptz NOT NULL,
	operator text NOT NULL,
	trips int NOT NULL,
	brake_since timestamptz NOT NULL,
	note text,
	PRIMARY KEY (site_id, confirmation_id)
);

CREATE TABLE prepay.command_batch (
	site_id int NOT NULL REFERENCES prepay.site,
	batch_id bigint GENERATED ALWAYS AS IDENTITY,
	target text NOT NULL,
	action text NOT NULL,
	args jsonb NOT NULL,
	reason text,
	created_at timestamptz NOT NULL,
	operator text NOT NULL,
	meters int NOT NULL,
	skipped int NOT NULL,
	refused int NOT NULL,
	unchanged int NOT NULL,
	left_out text[] NOT NULL,
	joined bigint[] NOT NULL,
	PRIMARY KEY (site_id, batch_id)
);
