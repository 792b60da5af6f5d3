-- Messages to people.

-- site_id 0: shipped by install() for every site; a site's own row goes before it.
CREATE TABLE prepay.message_template (
	site_id int NOT NULL,
	template text NOT NULL,
	language text NOT NULL CONSTRAINT message_template_language_known CHECK (language IN ('zh', 'en')),
	body text NOT NULL,
	PRIMARY KEY (site_id, template, language)
);
ALTER TABLE prepay.message_template
	ADD CONSTRAINT message_template_sound CHECK (prepay.is_message_template(template, body)) NOT VALID;

-- Written in the transaction of their cause, delivered by an adapter:
-- queued → taken → sent → delivered, or failed; cancelled: its alarm was over before it went.
CREATE TABLE prepay.notification (
	site_id int NOT NULL REFERENCES prepay.site,
	notification_id bigint GENERATED ALWAYS AS IDENTITY,
	account_id int,
	alarm_id bigint,
	template text NOT NULL,
	language text NOT NULL,
	phone text NOT NULL,
	recipient text NOT NULL CHECK (recipient IN ('customer', 'staff')),
	params jsonb NOT NULL,
	body text NOT NULL,
	state text NOT NULL DEFAULT 'queued'
		CHECK (state IN ('queued', 'taken', 'sent', 'delivered', 'failed', 'cancelled')),
	tries int NOT NULL DEFAULT 0,
	created_at timestamptz NOT NULL,
	state_at timestamptz NOT NULL,
	channel text NOT NULL DEFAULT 'sms' CHECK (channel IN ('sms', 'webhook')),
	not_before timestamptz,
	lease_until timestamptz,
	carrier_id bigint,
	PRIMARY KEY (site_id, notification_id)
);
-- What a customer was told of a crossing, and whether it arrived.
CREATE INDEX notification_arrears ON prepay.notification (site_id, account_id, created_at)
	WHERE template = 'arrears';
-- What a phone has asked for of late.
CREATE INDEX notification_balance ON prepay.notification (site_id, account_id, created_at)
	WHERE template = 'balance';
CREATE INDEX notification_queued ON prepay.notification (site_id, notification_id) WHERE state = 'queued';
CREATE INDEX notification_under_way ON prepay.notification (site_id, notification_id)
	WHERE state IN ('taken', 'sent') AND carrier_id IS NOT NULL;
CREATE INDEX notification_leased ON prepay.notification (site_id, lease_until) WHERE state = 'taken';
