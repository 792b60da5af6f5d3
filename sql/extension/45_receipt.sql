-- Printed papers.
CREATE FUNCTION prepay.capital_figures(amount numeric) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_capital_figures' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION prepay.capital_figures(numeric) IS 'An amount of at most 4 decimals in Chinese capital figures (大写金额): 100 is 壹佰元整.';

CREATE FUNCTION prepay.is_receipt_template(kind text, format text, copies text[], body text) RETURNS boolean
	AS 'MODULE_PATHNAME', 'prepay_is_receipt_template' LANGUAGE C IMMUTABLE STRICT;
COMMENT ON FUNCTION prepay.is_receipt_template(text, text, text[], text) IS 'Raises PP081 with line and remedy unless the template can be printed; kind is receipt or statement, format text or html.';

CREATE FUNCTION prepay.receipt(account text, seq int, template text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_receipt' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.receipt(text, int, text) IS 'The receipt (收据) of an opening, sale, refund, reversal or closing as text; template names a row of receipt_template, such as receipt (default) or receipt-html. Every call is kept in receipt_print; the second and later ones are marked as reprints (补打).';

CREATE FUNCTION prepay.statement_print(account text, month date DEFAULT NULL, template text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_statement_print' LANGUAGE C STABLE;
COMMENT ON FUNCTION prepay.statement_print(text, date, text) IS 'The statement (月结单) of the month that holds a day (NULL: this month) as text; template names a row of receipt_template of kind statement, such as statement (default) or statement-html.';
