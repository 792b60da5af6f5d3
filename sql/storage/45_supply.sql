-- Rules of supply as rows: who is protected from a cut and when.

CREATE TABLE prepay.supply_policy (
	site_id int NOT NULL REFERENCES prepay.site,
	policy_id int GENERATED ALWAYS AS IDENTITY,
	code text NOT NULL CONSTRAINT supply_policy_code_form CHECK (prepay.is_code(code)),
	active boolean NOT NULL DEFAULT true,
	place_id int,
	account_id int,
	load_class text,
	weekdays int[] CONSTRAINT supply_policy_weekdays_known
		CHECK (weekdays <@ '{1,2,3,4,5,6,7}' AND pg_catalog.cardinality(weekdays) > 0
			AND pg_catalog.array_position(weekdays, NULL) IS NULL),
	from_time time,
	to_time time,
	calendar text,
	day_types text[] CONSTRAINT supply_policy_day_types_given
		CHECK (pg_catalog.cardinality(day_types) > 0 AND pg_catalog.array_position(day_types, NULL) IS NULL),
	grace interval CONSTRAINT supply_policy_grace_range
		CHECK (grace > interval '0' AND pg_catalog.date_part('month', grace) = 0 AND pg_catalog.date_part('year', grace) = 0),
	notice boolean NOT NULL DEFAULT false,
	stale_after interval CONSTRAINT supply_policy_stale_after_range
		CHECK (stale_after > interval '0' AND pg_catalog.date_part('month', stale_after) = 0
			AND pg_catalog.date_part('year', stale_after) = 0),
	dispute boolean NOT NULL DEFAULT false,
	reconnect_percent numeric CONSTRAINT supply_policy_reconnect_percent_range
		CHECK (reconnect_percent > 0 AND reconnect_percent <= 100 AND reconnect_percent = pg_catalog.round(reconnect_percent, 4)),
	reconnect_days int CONSTRAINT supply_policy_reconnect_days_range CHECK (reconnect_days BETWEEN 1 AND 366),
	valid_from timestamptz NOT NULL DEFAULT '-infinity',
	valid_to timestamptz NOT NULL DEFAULT 'infinity',
	note text,
	PRIMARY KEY (site_id, policy_id),
	CONSTRAINT supply_policy_code_unique UNIQUE (site_id, code),
	CONSTRAINT supply_policy_place_exists FOREIGN KEY (site_id, place_id) REFERENCES prepay.place,
	CONSTRAINT supply_policy_account_exists FOREIGN KEY (site_id, account_id) REFERENCES prepay.account,
	CONSTRAINT supply_policy_one_scope CHECK (pg_catalog.num_nonnulls(place_id, account_id, load_class) <= 1),
	CONSTRAINT supply_policy_times_together
		CHECK ((from_time IS NULL) = (to_time IS NULL) AND (from_time <> to_time) IS NOT FALSE),
	CONSTRAINT supply_policy_day_types_of_calendar CHECK (day_types IS NULL OR calendar IS NOT NULL),
	CONSTRAINT supply_policy_reconnect_together CHECK ((reconnect_percent IS NULL) = (reconnect_days IS NULL)),
	CONSTRAINT supply_policy_ascends CHECK (valid_from < valid_to),
	CONSTRAINT supply_policy_dispute_ends CHECK (NOT dispute OR valid_to < 'infinity'),
	-- A row protects, or reconnects, never both; and says by what.
	CONSTRAINT supply_policy_says_how CHECK ((reconnect_percent IS NOT NULL) <>
		(pg_catalog.num_nonnulls(weekdays, from_time, calendar, grace, stale_after) > 0 OR notice OR dispute))
);

-- Timed switching: off, or a cap on the load, from a local time to a local time.
CREATE TABLE prepay.switch_schedule (
	site_id int NOT NULL REFERENCES prepay.site,
	schedule_id int GENERATED ALWAYS AS IDENTITY,
	code text NOT NULL CONSTRAINT switch_schedule_code_form CHECK (prepay.is_code(code)),
	active boolean NOT NULL DEFAULT true,
	place_id int,
	account_id int,
	meter_id int,
	weekdays int[] CONSTRAINT switch_schedule_weekdays_known
		CHECK (weekdays <@ '{1,2,3,4,5,6,7}' AND pg_catalog.cardinality(weekdays) > 0
			AND pg_catalog.array_position(weekdays, NULL) IS NULL),
	calendar text,
	day_types text[] CONSTRAINT switch_schedule_day_types_given
		CHECK (pg_catalog.cardinality(day_types) > 0 AND pg_catalog.array_position(day_types, NULL) IS NULL),
	from_time time NOT NULL,
	to_time time NOT NULL,
	note text,
	action text NOT NULL DEFAULT 'off' CONSTRAINT switch_schedule_action_known CHECK (action IN ('off', 'cap')),
	cap_kw numeric CONSTRAINT switch_schedule_cap_kw_range
		CHECK (cap_kw > 0 AND cap_kw <= 1000000 AND cap_kw = pg_catalog.round(cap_kw, 3)),
	PRIMARY KEY (site_id, schedule_id),
	CONSTRAINT switch_schedule_code_unique UNIQUE (site_id, code),
	CONSTRAINT switch_schedule_place_exists FOREIGN KEY (site_id, place_id) REFERENCES prepay.place,
	CONSTRAINT switch_schedule_account_exists FOREIGN KEY (site_id, account_id) REFERENCES prepay.account,
	CONSTRAINT switch_schedule_meter_exists FOREIGN KEY (site_id, meter_id) REFERENCES prepay.meter,
	CONSTRAINT switch_schedule_one_target CHECK (pg_catalog.num_nonnulls(place_id, account_id, meter_id) <= 1),
	CONSTRAINT switch_schedule_takes_time CHECK (from_time <> to_time),
	CONSTRAINT switch_schedule_cap_has_kw CHECK ((action = 'cap') = (cap_kw IS NOT NULL)),
	CONSTRAINT switch_schedule_day_types_of_calendar CHECK (day_types IS NULL OR calendar IS NOT NULL)
);

CREATE TRIGGER switch_schedule_added AFTER INSERT ON prepay.switch_schedule
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
CREATE TRIGGER switch_schedule_changed AFTER UPDATE ON prepay.switch_schedule
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
CREATE TRIGGER switch_schedule_removed AFTER DELETE ON prepay.switch_schedule
	REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();

CREATE TRIGGER supply_policy_added AFTER INSERT ON prepay.supply_policy
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
CREATE TRIGGER supply_policy_changed AFTER UPDATE ON prepay.supply_policy
	REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
CREATE TRIGGER supply_policy_removed AFTER DELETE ON prepay.supply_policy
	REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION prepay.config_changed();
