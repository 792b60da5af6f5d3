-- Online payment.

-- A site's contract with a channel (支付渠道).
CREATE TABLE prepay.payment_channel (
	site_id int NOT NULL REFERENCES prepay.site,
	channel text NOT NULL CONSTRAINT payment_channel_known CHECK (channel IN ('alipay', 'wechat', 'unionpay')),
	merchant_id text NOT NULL CONSTRAINT payment_channel_merchant_form CHECK (merchant_id ~ '^[!-~]{1,64}$'),
	app_id text CONSTRAINT payment_channel_app_form CHECK (app_id ~ '^[!-~]{1,64}$'),
	notify_url text NOT NULL CONSTRAINT payment_channel_notify_url_form
		CHECK (notify_url ~ '^https://[!-~]{1,240}$' AND notify_url !~ '[?#"]'),
	gateway_url text CONSTRAINT payment_channel_gateway_url_form CHECK (gateway_url ~ '^https?://[!-~]{1,240}$' AND gateway_url !~ '[?#"]'),
	signer text,
	order_ttl interval NOT NULL DEFAULT '30 minutes' CONSTRAINT payment_channel_order_ttl_range
		CHECK (order_ttl BETWEEN interval '1 minute' AND interval '1 day'),
	active boolean NOT NULL DEFAULT true,
	PRIMARY KEY (site_id, channel),
	CONSTRAINT payment_channel_app_given CHECK (app_id IS NOT NULL OR channel = 'unionpay')
);
CREATE INDEX payment_channel_merchant ON prepay.payment_channel (channel, merchant_id);

-- Keys of the contracts: nobody has a right on this table; set_payment_key() writes it.
CREATE TABLE prepay.payment_key (
	site_id int NOT NULL,
	channel text NOT NULL,
	name text NOT NULL,
	serial text NOT NULL DEFAULT '',
	value text NOT NULL,
	about text NOT NULL,
	set_at timestamptz NOT NULL,
	set_by text NOT NULL,
	PRIMARY KEY (site_id, channel, name, serial),
	FOREIGN KEY (site_id, channel) REFERENCES prepay.payment_channel
);
CREATE INDEX payment_key_serial ON prepay.payment_key (channel, serial) WHERE serial <> '';

-- created → paid | closed | expired. A payment that comes late may still find an expired one.
CREATE TABLE prepay.payment_order (
	site_id int NOT NULL,
	order_no text NOT NULL CHECK (pg_catalog.octet_length(order_no) BETWEEN 8 AND 32),
	account_id int NOT NULL,
	channel text NOT NULL,
	scene text NOT NULL,
	amount numeric NOT NULL CHECK (amount > 0),
	subject text NOT NULL,
	state text NOT NULL DEFAULT 'created' CHECK (state IN ('created', 'paid', 'closed', 'expired')),
	created_at timestamptz NOT NULL,
	created_by text NOT NULL,
	expires_at timestamptz NOT NULL,
	state_at timestamptz NOT NULL,
	paid_at timestamptz,
	transaction_no text,
	seq int,
	PRIMARY KEY (site_id, order_no),
	FOREIGN KEY (site_id, account_id) REFERENCES prepay.account,
	FOREIGN KEY (site_id, channel) REFERENCES prepay.payment_channel,
	CONSTRAINT payment_order_paid_whole CHECK ((state = 'paid') = (seq IS NOT NULL) AND (seq IS NULL) = (transaction_no IS NULL)
		AND (seq IS NULL) = (paid_at IS NULL))
);
CREATE UNIQUE INDEX payment_order_transaction ON prepay.payment_order (site_id, channel, transaction_no);
CREATE INDEX payment_order_account ON prepay.payment_order (site_id, account_id, created_at);
CREATE INDEX payment_order_waiting ON prepay.payment_order (site_id, expires_at) WHERE state = 'created';
CREATE INDEX payment_order_paid ON prepay.payment_order (site_id, channel, paid_at) WHERE state = 'paid';

-- What channels posted, whatever became of it; site_id 0: nobody's keys verified it.
CREATE TABLE prepay.payment_notice (
	site_id int NOT NULL,
	notice_id bigint GENERATED ALWAYS AS IDENTITY,
	channel text NOT NULL,
	received_at timestamptz NOT NULL,
	sender text NOT NULL,
	headers jsonb NOT NULL,
	body bytea NOT NULL,
	body_bytes bigint NOT NULL,
	outcome text NOT NULL CHECK (outcome IN ('credited', 'repeated', 'unapplied', 'noted', 'refused', 'failed')),
	detail text NOT NULL,
	http_status int NOT NULL,
	order_no text,
	transaction_no text,
	amount numeric,
	PRIMARY KEY (site_id, notice_id)
);
CREATE INDEX payment_notice_received ON prepay.payment_notice (site_id, received_at);

-- Payments that are verified and could not be credited: a person decides (resolve_payment).
CREATE TABLE prepay.payment_unapplied (
	site_id int NOT NULL REFERENCES prepay.site,
	unapplied_id bigint GENERATED ALWAYS AS IDENTITY,
	channel text NOT NULL,
	transaction_no text NOT NULL,
	order_no text NOT NULL,
	account_id int,
	amount numeric NOT NULL,
	paid_at timestamptz NOT NULL,
	kept_at timestamptz NOT NULL,
	reason text NOT NULL,
	detail text NOT NULL,
	state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'credited', 'returned')),
	resolved_at timestamptz,
	resolved_by text,
	note text,
	into_account_id int,
	seq int,
	PRIMARY KEY (site_id, unapplied_id),
	CONSTRAINT payment_unapplied_once UNIQUE (site_id, channel, transaction_no)
);
CREATE INDEX payment_unapplied_open ON prepay.payment_unapplied (site_id) WHERE state = 'open';

-- Money paid back the way it came: requested → done | failed.
CREATE TABLE prepay.payment_refund (
	site_id int NOT NULL,
	refund_no text NOT NULL,
	order_no text NOT NULL,
	account_id int NOT NULL,
	amount numeric NOT NULL CHECK (amount > 0),
	seq int NOT NULL,
	state text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'done', 'failed')),
	requested_at timestamptz NOT NULL,
	requested_by text NOT NULL,
	state_at timestamptz NOT NULL,
	reason text,
	PRIMARY KEY (site_id, refund_no),
	FOREIGN KEY (site_id, order_no) REFERENCES prepay.payment_order
);
CREATE INDEX payment_refund_order ON prepay.payment_refund (site_id, order_no);

-- Bills that were compared with the orders (对账).
CREATE TABLE prepay.payment_settlement (
	site_id int NOT NULL REFERENCES prepay.site,
	settlement_id bigint GENERATED ALWAYS AS IDENTITY,
	channel text NOT NULL,
	settled_at timestamptz NOT NULL,
	settled_by text NOT NULL,
	from_day date NOT NULL,
	to_day date NOT NULL,
	bill_digest text NOT NULL,
	payments int NOT NULL,
	amount numeric NOT NULL,
	refunds int NOT NULL,
	refund_amount numeric NOT NULL,
	credited int NOT NULL,
	findings int NOT NULL,
	PRIMARY KEY (site_id, settlement_id)
);

CREATE TRIGGER payment_notice_written_once BEFORE UPDATE OR DELETE ON prepay.payment_notice
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER payment_notice_not_truncated BEFORE TRUNCATE ON prepay.payment_notice
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER payment_settlement_written_once BEFORE UPDATE OR DELETE ON prepay.payment_settlement
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER payment_settlement_not_truncated BEFORE TRUNCATE ON prepay.payment_settlement
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();

CREATE TRIGGER payment_channel_to_log_insert AFTER INSERT ON prepay.payment_channel
	REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER payment_channel_to_log_update AFTER UPDATE ON prepay.payment_channel
	REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
CREATE TRIGGER payment_channel_to_log_delete AFTER DELETE ON prepay.payment_channel
	REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION prepay.log_rows();
