-- Sites, places and the settings of a site.

CREATE TABLE prepay.installation (
	storage_version int NOT NULL,
	installed_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
	only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);

CREATE TABLE prepay.site (
	site_id int PRIMARY KEY,
	code text NOT NULL CONSTRAINT site_code_unique UNIQUE CONSTRAINT site_code_form CHECK (prepay.is_code(code)),
	name text NOT NULL,
	timezone text NOT NULL,
	currency text NOT NULL,
	currency_decimals smallint NOT NULL CHECK (currency_decimals BETWEEN 0 AND 4),
	revision bigint NOT NULL DEFAULT 1,
	created_at timestamptz NOT NULL DEFAULT prepay.now()
);

CREATE TABLE prepay.setting (
	site_id int NOT NULL REFERENCES prepay.site,
	name text NOT NULL,
	value text NOT NULL,
	set_at timestamptz NOT NULL DEFAULT prepay.now(),
	set_by text NOT NULL DEFAULT prepay.operator_name(),
	PRIMARY KEY (site_id, name)
);

CREATE TABLE prepay.place (
	site_id int NOT NULL REFERENCES prepay.site,
	place_id int NOT NULL CHECK (place_id > 0),
	parent_id int,
	kind text NOT NULL DEFAULT 'unit',
	code text NOT NULL CONSTRAINT place_code_form CHECK (prepay.is_code(code)),
	name text,
	area_m2 numeric CONSTRAINT place_area_range
		CHECK (area_m2 > 0 AND area_m2 <= 10000000 AND area_m2 = pg_catalog.round(area_m2, 2)),
	PRIMARY KEY (site_id, place_id),
	CONSTRAINT place_code_unique UNIQUE (site_id, code),
	CONSTRAINT place_parent_exists FOREIGN KEY (site_id, parent_id) REFERENCES prepay.place,
	CONSTRAINT place_not_its_own_parent CHECK (parent_id IS DISTINCT FROM place_id)
);
CREATE INDEX place_parent ON prepay.place (site_id, parent_id);

CREATE TABLE prepay.operator_site (
	site_id int NOT NULL REFERENCES prepay.site,
	operator name NOT NULL,
	granted_at timestamptz NOT NULL DEFAULT prepay.now(),
	granted_by text NOT NULL DEFAULT prepay.operator_name(),
	PRIMARY KEY (site_id, operator)
);

-- Public holidays and make-up working days, by calendar (CN, …): shared by all sites.
CREATE TABLE prepay.holiday (
	calendar text NOT NULL CONSTRAINT holiday_calendar_named CHECK (calendar <> ''),
	day date NOT NULL CONSTRAINT holiday_day_finite CHECK (isfinite(day)),
	name text,
	day_type text NOT NULL DEFAULT 'holiday' CONSTRAINT holiday_day_type_named CHECK (day_type <> ''),
	PRIMARY KEY (calendar, day)
);

-- Holidays as each site's usage was last rated by them: tick() compares.
CREATE TABLE prepay.rated_holiday (
	site_id int NOT NULL REFERENCES prepay.site,
	calendar text NOT NULL,
	day date NOT NULL,
	day_type text NOT NULL,
	PRIMARY KEY (site_id, calendar, day)
);
