/*
 * emergency.c: the life of emergency credit.
 *
 *   unavailable   the balance is above the account's second alarm (0 where it has none)
 *   available     the balance is at or below that; the customer may activate it
 *   active        activated: supply lasts to -(credit limit + emergency credit);
 *                 used = min(emergency credit, max(0, -balance))
 *   exhausted     used up: supply is off until the balance is above -credit limit and
 *                 accumulated debt is cleared
 *
 * Active ends when top-ups have brought the balance above the point where it becomes
 * available, exhausted when supply returns; only then can it be activated again. The
 * amount is the one of the moment of activation. Percentage debt does not hold supply
 * back: its instalments are what top-ups pay, not a sum that is due.
 *
 * Emergency credit is no money: it moves no balance, only the limit. Its activation is an entry
 * of kind credit with amount 0. The state stands in account_state and is moved with the
 * account's lock held, in the transaction that moved the balance.
 */
#include "emergency.h"

#include "utils/builtins.h"

#include "auth.h"
#include "db.h"
#include "debt.h"
#include "purse.h"
#include "vend.h"

#define ALARM2 1

PG_FUNCTION_INFO_V1(prepay_activate_emergency_credit);

static void
store(const Site *site, LevelAccount *account, int64 amount, bool exhausted)
{
	static DbQuery query = {
		"UPDATE prepay.account_state SET emergency_minor = $3, emergency_exhausted = $4"
		" WHERE site_id = $1 AND account_id = $2",
		4,
		{ INT4OID, INT4OID, INT8OID, BOOLOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account->account_id),
					 Int64GetDatum(amount), BoolGetDatum(exhausted) };

	account->emergency = amount;
	account->exhausted = exhausted;
	db_run(&query, args);
}

/* The balance at and below which it may be activated. */
static int64
available_at(const LevelAccount *account)
{
	const Level *level = &account->level[ALARM2];

	return level->has_threshold ? Max(level->threshold, 0) : 0;
}

void
emergency_facts(const Site *site, int32 account_id, int64 amount, bool exhausted,
				SupplyFacts *facts)
{
	facts->emergency_credit = exhausted ? 0 : amount;
	facts->debts_due = exhausted && debt_is_due(site, account_id);
}

void
emergency_step(const Site *site, LevelAccount *account, int64 balance, SupplyFacts *facts,
			   QuietBand *band)
{
	int64 cut = supply_limit(account->credit_limit, 0);

	if (account->emergency > 0 && !account->exhausted)
	{
		int64 end = supply_limit(account->credit_limit, account->emergency);

		if (balance <= end)
			store(site, account, account->emergency, true);
		else if (balance > available_at(account))
			store(site, account, 0, false);
		else
			band->below = Min(band->below, available_at(account) + 1);
	}
	else if (account->exhausted && balance > cut && !debt_is_due(site, account->account_id))
		store(site, account, 0, false);
	if (account->exhausted)
	{
		if (balance > cut)
			band->above = Max(band->above, cut);
		else
			band->below = Min(band->below, cut + 1);
	}
	emergency_facts(site, account->account_id, account->emergency, account->exhausted, facts);
}

/* ---- SQL ---- */

static int64
configured(const Site *site, int32 account_id)
{
	static DbQuery query = { "SELECT round(emergency_credit, $3)::text FROM prepay.account"
							 " WHERE site_id = $1 AND account_id = $2",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(site->decimals) };
	char *own;

	db_run(&query, args);
	own = db_text(0, 1);
	return own ? text_minor(site, own) : setting_money(site, "emergency_credit", 0);
}

static void
refuse(const VendCall *call, const char *why, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_PP_NO_EMERGENCY),
			 errmsg("emergency credit of account \"%s\" is not available", call->target.code),
			 errdetail("%s", why), errhint("%s", hint)));
}

/* Raises PP028 unless it may be activated now. Returns the amount. */
static int64
require_available(const VendCall *call)
{
	const Site *site = call->site;
	int64 balance = account_balance_of(site, call->account);
	int64 amount = configured(site, call->target.id);
	LevelAccount account;

	level_load(site, call->target.id, &account);
	if (amount <= 0)
		refuse(call, "None is configured.", "See setting emergency_credit.");
	if (account.emergency > 0)
		refuse(call, account.exhausted ? "It has been used up." : "It is active already.",
			   "It can be activated again when it has been repaid.");
	if (balance > available_at(&account))
		refuse(call,
			   psprintf("The balance is %s %s; it becomes available at %s %s.",
						vend_money(site, balance), site->currency,
						vend_money(site, available_at(&account)), site->currency),
			   "It is for an account that runs out of money.");
	if (balance <= supply_limit(account.credit_limit, amount))
		refuse(call,
			   psprintf("The account owes more than it would give: the balance is %s %s.",
						vend_money(site, balance), site->currency),
			   "Pay first.");
	return amount;
}

/* activate_emergency_credit(account, key) → money_result. 应急赊欠 */
Datum
prepay_activate_emergency_credit(PG_FUNCTION_ARGS)
{
	DbSession session;
	VendCall call = { .operation = "activate_emergency_credit" };
	LedgerEntry entry = { .kind = "credit" };
	char *account = vend_text(fcinfo, 0, "the account");
	Datum result;

	call.key = vend_key(fcinfo, 1);
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SELL, "activate emergency credit");
	vend_fingerprint(&call, NULL, 0);
	vend_begin(&call);
	if (!call.repeated)
	{
		LevelAccount state = { .account_id = call.target.id };
		int64 amount;

		vend_require_open(&call, &call.target);
		purse_refuse(call.site, &call.target, "emergency credit");
		amount = require_available(&call);
		entry.note = psprintf("emergency credit of %s %s activated", vend_money(call.site, amount),
							  call.site->currency);
		vend_post_result(&call, &entry);
		store(call.site, &state, amount, false);
		vend_decide(call.account);
		vend_finish(&call);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
