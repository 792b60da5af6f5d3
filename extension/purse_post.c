/*
 * purse_post.c: what money functions do to a meter that keeps its own money; purse.c has
 * the model.
 */
#include "purse.h"

#include "utils/builtins.h"

#include "db.h"

/* What nobody called for becomes part of what is here. */
static void
take_unseen(const Site *site, Purse *purse)
{
	static DbQuery query = {
		"UPDATE prepay.meter_purse SET here_minor = here_minor + $3, seen_seq = $4"
		" WHERE site_id = $1 AND meter_id = $2",
		4,
		{ INT4OID, INT4OID, INT8OID, INT4OID }
	};
	int32 seen_seq;
	int64 unseen = purse_unseen(site, purse, &seen_seq);
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(purse->meter_id),
					 Int64GetDatum(unseen), Int32GetDatum(seen_seq) };

	if (seen_seq == purse->seen_seq)
		return;
	db_run(&query, args);
	purse->here += unseen;
	purse->seen_seq = seen_seq;
}

static void
refuse_debit(const Site *site, const CodeTarget *target, const Purse *purse, int64 debit)
{
	int64 ready = Max(purse->here, 0) + purse->withdrawn;
	PurseMeter meter;

	purse_load_meter(site, purse->meter_id, &meter);
	ereport(
		ERROR,
		(errcode(ERRCODE_PP_IN_METER),
		 errmsg("the money of account \"%s\" is in its meter \"%s\"", target->code, meter.code),
		 errdetail("%s %s would leave the account, %s %s is out of the meter. What is paid out "
				   "here could still be used up there.",
				   vend_money(site, debit), site->currency, vend_money(site, ready),
				   site->currency),
		 meter.can_withdraw
			 ? errhint("Withdraw it first: SELECT prepay.withdraw('%s', %s, 'KEY'); when that "
					   "is done, repeat this call.",
					   target->code, vend_money(site, debit - ready))
			 : errhint("Model %s gives no money back: remove the meter with its final register, "
					   "then repeat this call.",
					   meter.model)));
}

static void
credit(const VendCall *call, Purse *purse, int64 moved)
{
	int64 amount = Min(moved, purse->here + moved);

	purse_change(call->site, purse->meter_id, moved - Max(amount, 0), 0);
	if (amount > 0)
		(void) purse_queue(call->site, purse, "recharge", amount, amount, "posting", call->key,
						   psprintf("%s %s", call->operation, call->key));
}

void
purse_post(const VendCall *call, const CodeTarget *target, int64 moved)
{
	Purse purse;
	int64 from_here;

	if (moved == 0 || !purse_lock_account(call->site, target->id, &purse))
		return;
	take_unseen(call->site, &purse);
	if (moved > 0)
	{
		credit(call, &purse, moved);
		return;
	}
	from_here = Min(Max(purse.here, 0), -moved);
	if (-moved - from_here > purse.withdrawn)
		refuse_debit(call->site, target, &purse, -moved);
	purse_change(call->site, purse.meter_id, -from_here, moved + from_here);
}

/*
 * Queued is certain: never handed out, or reported as not carried out. A recharge that
 * is sent or unknown may be in the meter, and is to be withdrawn.
 */
void
purse_cancel(const VendCall *call, const Account *account, const char *key)
{
	static DbQuery query = {
		"UPDATE prepay.command c SET status = 'cancelled', finished_at = $4 FROM prepay.purse_move v"
		" WHERE v.site_id = $1 AND v.key = $2 AND v.cause = 'posting' AND v.account_id = $3"
		" AND v.meter_id = $5 AND v.command_id > $6 AND c.site_id = $1"
		" AND c.command_id = v.command_id AND c.status = 'queued' AND NOT c.verify"
		" RETURNING v.booked::text",
		6,
		{ INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID, INT4OID, INT8OID }
	};
	Purse purse;

	if (key == NULL || !purse_lock_account(call->site, account->account_id, &purse))
		return;
	{
		Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(key),
						 Int32GetDatum(account->account_id), TimestampTzGetDatum(call->site->now),
						 Int32GetDatum(purse.meter_id),		 Int64GetDatum(purse.start_command) };

		if (db_run(&query, args) == 1)
			purse_change(call->site, purse.meter_id, text_minor(call->site, db_text(0, 1)), 0);
	}
}

void
purse_require_empty(const Site *site, const CodeTarget *target)
{
	static DbQuery moves = {
		"SELECT count(*) FILTER (WHERE c.status IN ('queued', 'sent', 'unknown')),"
		" count(*) FILTER (WHERE c.status = 'done') FROM prepay.purse_move v"
		" JOIN prepay.command c USING (site_id, command_id) WHERE v.site_id = $1"
		" AND v.meter_id = $2 AND v.command_id > $3",
		3,
		{ INT4OID, INT4OID, INT8OID }
	};
	Purse purse;
	PurseMeter meter;
	const char *what;
	const char *hint;

	if (!purse_lock_account(site, target->id, &purse))
		return;
	purse_load_meter(site, purse.meter_id, &meter);
	{
		Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(purse.meter_id),
						 Int64GetDatum(purse.start_command) };

		db_run(&moves, args);
	}
	if (db_int64(0, 1) > 0)
	{
		what = "Money is on its way to it or from it.";
		hint = "Wait until view purse_moves shows them done, or reverse what was not sent.";
	}
	else if (purse.has_balance && purse.balance > 0)
	{
		what = psprintf("It held %s %s when it was last read.", vend_money(site, purse.balance),
						site->currency);
		hint = meter.can_withdraw
				   ? psprintf("Withdraw it first: SELECT prepay.withdraw('%s', %s, 'KEY').",
							  target->code, vend_money(site, purse.balance))
				   : psprintf("Model %s gives no money back: remove the meter with its final "
							  "register, then close the account.",
							  meter.model);
	}
	else if (!purse.has_balance && db_int64(0, 2) > 0)
	{
		what = "What it holds was never read.";
		hint = psprintf("Read it first: SELECT prepay.control('%s', 'read').", meter.code);
	}
	else
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PP_IN_METER),
			 errmsg("the money of account \"%s\" is in its meter \"%s\"", target->code, meter.code),
			 errdetail("%s", what), errhint("%s", hint)));
}

void
purse_refuse(const Site *site, const CodeTarget *target, const char *what)
{
	Purse purse;
	PurseMeter meter;

	if (!purse_any(site) || !purse_peek_account(site, target->id, &purse))
		return;
	purse_load_meter(site, purse.meter_id, &meter);
	ereport(ERROR, (errcode(ERRCODE_PP_IN_METER),
					errmsg("%s is not for account \"%s\"", what, target->code),
					errdetail("Its meter \"%s\" keeps the money and cuts by itself.", meter.code),
					errhint("Sell, or grant credit: both go into the meter.")));
}

void
purse_require_withdrawal(const Site *site, const Purse *purse)
{
	PurseMeter meter;

	purse_load_meter(site, purse->meter_id, &meter);
	if (!meter.can_withdraw)
		ereport(ERROR,
				(errcode(ERRCODE_PP_IN_METER),
				 errmsg("model %s of meter \"%s\" gives no money back", meter.model, meter.code),
				 errdetail("Its profile has no command \"withdraw\"."),
				 errhint("Let it be used up, or remove the meter with its final register: the "
						 "account's money is here then.")));
}

int64
purse_order(const Site *site, int32 meter_id, int64 minor, const char *reason)
{
	Purse purse;
	int64 from_here;
	int64 from_withdrawn;

	if (!purse_lock_meter(site, meter_id, &purse))
		return 0;
	from_here = Min(Max(purse.here, 0), minor);
	from_withdrawn = Min(purse.withdrawn, minor - from_here);
	purse_change(site, meter_id, -from_here, -from_withdrawn);
	return purse_queue(site, &purse, "recharge", minor, from_here + from_withdrawn, "order", NULL,
					   reason);
}
