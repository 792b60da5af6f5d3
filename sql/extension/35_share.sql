-- Public-area energy.
CREATE FUNCTION prepay.public_energy(site text, share text, month date DEFAULT NULL,
		OUT site_code text, OUT share_code text, OUT month_begin date, OUT account text, OUT customer text, OUT place text,
		OUT basis text, OUT weight bigint, OUT kwh numeric, OUT price numeric, OUT amount numeric, OUT posted numeric,
		OUT difference numeric, OUT seq int, OUT master_kwh numeric, OUT sub_kwh numeric, OUT public_kwh numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_public_energy' LANGUAGE C STABLE ROWS 100;
COMMENT ON FUNCTION prepay.public_energy(text, text, date) IS 'What each account bears of a month''s public-area energy (公摊电量) by what is known now, and what is posted of it. The month is any day of it; NULL: this month. Reads only.';

CREATE FUNCTION prepay.post_public_energy(site text, share text, month date, options jsonb DEFAULT '{}',
		OUT site_code text, OUT share_code text, OUT month_begin date, OUT account text, OUT customer text, OUT place text,
		OUT basis text, OUT weight bigint, OUT kwh numeric, OUT price numeric, OUT amount numeric, OUT posted numeric,
		OUT difference numeric, OUT seq int, OUT master_kwh numeric, OUT sub_kwh numeric, OUT public_kwh numeric) RETURNS SETOF record
	AS 'MODULE_PATHNAME', 'prepay_post_public_energy' LANGUAGE C VOLATILE ROWS 100;
COMMENT ON FUNCTION prepay.post_public_energy(text, text, date, jsonb) IS 'Charges each account its share of a month''s public-area energy (公摊) less what it was charged for that month before, as ledger entries of kind public: run again it posts the differences, run twice nothing. Option missing = accept: although meters were not read to the end of the month.';
