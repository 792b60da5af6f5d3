-- Printed papers: their templates, and who printed what.

-- site_id 0: shipped by install() for every site; a site's own row with the code goes before it.
CREATE TABLE prepay.receipt_template (
	site_id int NOT NULL,
	code text NOT NULL CONSTRAINT receipt_template_code_form CHECK (prepay.is_code(code)),
	language text NOT NULL CONSTRAINT receipt_template_language_known CHECK (language IN ('zh', 'en')),
	kind text NOT NULL DEFAULT 'receipt',
	format text NOT NULL DEFAULT 'text' CONSTRAINT receipt_template_format_known CHECK (format IN ('text', 'html')),
	copies text[] NOT NULL DEFAULT '{}',
	body text NOT NULL,
	PRIMARY KEY (site_id, code, language)
);
ALTER TABLE prepay.receipt_template
	ADD CONSTRAINT receipt_template_sound
	CHECK (prepay.is_receipt_template(kind, format, copies, body)) NOT VALID;

-- One row a print: the first is the original, later ones are reprints and say so.
CREATE TABLE prepay.receipt_print (
	site_id int NOT NULL,
	account_id int NOT NULL,
	seq int NOT NULL,
	print_no int NOT NULL,
	printed_at timestamptz NOT NULL,
	operator text NOT NULL,
	template text NOT NULL,
	language text NOT NULL,
	PRIMARY KEY (site_id, account_id, seq, print_no),
	FOREIGN KEY (site_id, account_id, seq) REFERENCES prepay.ledger_entry
);
CREATE TRIGGER receipt_print_written_once BEFORE UPDATE OR DELETE ON prepay.receipt_print
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER receipt_print_not_truncated BEFORE TRUNCATE ON prepay.receipt_print
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
