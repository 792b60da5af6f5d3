-- What runs by itself.

CREATE TRIGGER site_changed AFTER INSERT OR UPDATE OR DELETE ON prepay.site
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.site_changed();
CREATE TRIGGER operator_site_changed AFTER INSERT OR UPDATE OR DELETE ON prepay.operator_site
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.site_changed();
-- What sessions remember may not be old because a replica or a restore wrote it.
ALTER TABLE prepay.site ENABLE ALWAYS TRIGGER site_changed;
ALTER TABLE prepay.operator_site ENABLE ALWAYS TRIGGER operator_site_changed;
CREATE TRIGGER place_number BEFORE INSERT ON prepay.place
	FOR EACH ROW EXECUTE FUNCTION prepay.number_row();
CREATE TRIGGER gateway_number BEFORE INSERT ON prepay.gateway
	FOR EACH ROW EXECUTE FUNCTION prepay.number_row();
CREATE TRIGGER meter_number BEFORE INSERT ON prepay.meter
	FOR EACH ROW EXECUTE FUNCTION prepay.number_row();
CREATE TRIGGER meter_added AFTER INSERT ON prepay.meter
	FOR EACH ROW EXECUTE FUNCTION prepay.meter_added();
CREATE TRIGGER meter_changes AFTER UPDATE ON prepay.meter
	FOR EACH ROW EXECUTE FUNCTION prepay.meter_changes();

CREATE TRIGGER reading_insert AFTER INSERT ON prepay.reading
	REFERENCING NEW TABLE AS new_readings
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.reading_insert();
CREATE TRIGGER reading_written_once BEFORE UPDATE OR DELETE ON prepay.reading
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER reading_not_truncated BEFORE TRUNCATE ON prepay.reading
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER reading_default_not_truncated BEFORE TRUNCATE ON prepay.reading_default
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();

CREATE TRIGGER ledger_entry_written_once BEFORE UPDATE OR DELETE ON prepay.ledger_entry
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER ledger_entry_not_truncated BEFORE TRUNCATE ON prepay.ledger_entry
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER usage_line_written_once BEFORE UPDATE OR DELETE ON prepay.usage_line
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER usage_line_not_truncated BEFORE TRUNCATE ON prepay.usage_line
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER posting_written_once BEFORE UPDATE OR DELETE ON prepay.posting
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER posting_not_truncated BEFORE TRUNCATE ON prepay.posting
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER tariff_version_written_once BEFORE UPDATE OR DELETE ON prepay.tariff_version
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER tariff_version_not_truncated BEFORE TRUNCATE ON prepay.tariff_version
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER anchor_written_once BEFORE UPDATE OR DELETE ON prepay.anchor
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER anchor_not_truncated BEFORE TRUNCATE ON prepay.anchor
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();

-- Only the number of its anchor comes later.
CREATE TRIGGER reading_chain_written_once
	BEFORE DELETE OR UPDATE OF site_id, meter_id, month, readings, hash ON prepay.reading_chain
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER reading_chain_not_truncated BEFORE TRUNCATE ON prepay.reading_chain
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER reading_late_written_once BEFORE UPDATE OR DELETE ON prepay.reading_late
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER reading_late_not_truncated BEFORE TRUNCATE ON prepay.reading_late
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER row_proof_written_once
	BEFORE DELETE OR UPDATE OF site_id, relation, row_id, row_key, version, hash ON prepay.row_proof
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER row_proof_not_truncated BEFORE TRUNCATE ON prepay.row_proof
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();

CREATE TRIGGER account_meter_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.account_meter
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER anchor_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.anchor
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER credit_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.credit
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER debt_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.debt
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER energy_share_line_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.energy_share_line
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER energy_share_month_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.energy_share_month
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER meter_term_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.meter_term
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER reading_correction_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.reading_correction
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER reading_kept_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.reading_kept
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER reading_mark_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.reading_mark
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER receipt_print_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.receipt_print
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER retention_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.retention
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER shift_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.shift
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER tariff_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.tariff
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER tariff_assignment_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.tariff_assignment
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER tariff_price_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.tariff_price
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
CREATE TRIGGER tariff_version_proven AFTER INSERT OR UPDATE OR DELETE ON prepay.tariff_version
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();
-- Not its counter: each receipt moves it, and the ledger's receipts show where it must stand.
CREATE TRIGGER till_proven AFTER INSERT OR DELETE OR UPDATE OF site_id, till, owner, ordinal, open_shift ON prepay.till
	FOR EACH ROW EXECUTE FUNCTION prepay.prove_row();

CREATE TRIGGER energy_share_line_written_once BEFORE UPDATE OR DELETE ON prepay.energy_share_line
	FOR EACH ROW EXECUTE FUNCTION prepay.refuse_change();
CREATE TRIGGER energy_share_line_not_truncated BEFORE TRUNCATE ON prepay.energy_share_line
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.refuse_change();
