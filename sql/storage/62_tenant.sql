-- Tenants. Both tables are the storage owner's alone: they hold what logs in.

-- One row an account that may log in. tokens_from and blocked_until are real times.
CREATE TABLE prepay.tenant_login (
	site_id int NOT NULL,
	account_id int NOT NULL,
	verifier text NOT NULL,
	role_name name CONSTRAINT tenant_login_role_unique UNIQUE,
	password_set_at timestamptz NOT NULL,
	tokens_from timestamptz NOT NULL,
	failures int NOT NULL DEFAULT 0,
	blocked_until timestamptz,
	created_at timestamptz NOT NULL,
	created_by text NOT NULL,
	PRIMARY KEY (site_id, account_id),
	FOREIGN KEY (site_id, account_id) REFERENCES prepay.account
);

CREATE TABLE prepay.tenant_secret (
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
	secret text NOT NULL,
	set_at timestamptz NOT NULL,
	set_by text NOT NULL
);
