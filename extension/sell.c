/*
 * sell.c: selling electricity. 售电
 *
 * What is tendered goes, in this order, to the fee (a share of it, setting
 * sale_fee_percent), to percentage debts up to their caps, to accumulated debts, and to
 * the balance: up to the cut limit, to what emergency credit was used, and beyond.
 * The sale is one entry of what is left after the fee, each debt paid is an entry
 * that takes its part from the balance again.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "auth.h"
#include "db.h"
#include "debt.h"
#include "jsonb_doc.h"
#include "price.h"
#include "sell.h"

#define MICRO_PER_HUNDRED INT64CONST(100000000)

PG_FUNCTION_INFO_V1(prepay_sell);

static int64
fee_of(const Site *site, int64 tendered)
{
	int64 percent_e6 = setting_micro(site, "sale_fee_percent", 0);
	int64 fee;

	if (!div_round_half_away((__int128) tendered * percent_e6, MICRO_PER_HUNDRED, &fee))
		out_of_range("fee");
	return fee;
}

/* The rules a sale is refused by, before anything moves. */
static void
check_sale(const VendCall *call, int64 tendered, int64 to_balance)
{
	const Site *site = call->site;
	int64 minimum = setting_money(site, "min_sale", 0);
	int64 cap = setting_money(site, "hoarding_cap", PG_INT64_MAX);
	int64 balance = account_balance_of(site, call->account);

	if (tendered < minimum)
		ereport(ERROR, (errcode(ERRCODE_PP_UNDER_MINIMUM),
						errmsg("a sale of %s is below the minimum of %s",
							   vend_money(site, tendered), vend_money(site, minimum)),
						errhint("Sell at least the minimum (setting min_sale).")));
	if (cap != PG_INT64_MAX && balance + to_balance > cap)
		ereport(ERROR, (errcode(ERRCODE_PP_OVER_CAP),
						errmsg("the balance would be %s, above the hoarding cap of %s",
							   vend_money(site, balance + to_balance), vend_money(site, cap)),
						errhint("Sell less (setting hoarding_cap).")));
}

/* Fee and what is left of it, and the debts that takes. */
static void
plan_sale(const VendCall *call, int64 tendered, LedgerEntry *entry, DebtPlan *plan)
{
	entry->fee_minor = fee_of(call->site, tendered);
	entry->amount_minor = tendered - entry->fee_minor;
	if (entry->amount_minor <= 0)
		ereport(ERROR, (errcode(ERRCODE_PP_UNDER_MINIMUM),
						errmsg("the fee would take all of %s", vend_money(call->site, tendered)),
						errhint("Sell more, or see setting sale_fee_percent.")));
	debt_plan(call->site, call->account, entry->amount_minor, plan);
}

void
sell_check(const VendCall *call, int64 tendered)
{
	LedgerEntry entry = { 0 };
	DebtPlan plan;

	plan_sale(call, tendered, &entry, &plan);
	check_sale(call, tendered, entry.amount_minor - plan.total);
}

void
sell_post(VendCall *call, int64 tendered, bool limited, LedgerEntry *entry)
{
	DebtPlan plan;

	plan_sale(call, tendered, entry, &plan);
	if (limited)
		check_sale(call, tendered, entry->amount_minor - plan.total);
	entry->price = price_now(call->site, call->account);
	entry->purchase_no = ++call->account->purchases;
	vend_receipt(call);
	vend_post_result(call, entry);
	debt_pay(call, call->account, &plan);
	vend_finish(call);
}

/* sell(account, amount, key, tender, note, options) → money_result. options: till. */
Datum
prepay_sell(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "till", NULL };
	DbSession session;
	VendCall call = { .operation = "sell" };
	LedgerEntry entry = { .kind = "sale" };
	Jsonb *options;
	char *options_text;
	int64 tendered;
	Datum result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("account and amount of a sale must be given")));
	options_text = vend_options(fcinfo, 5, known, &options);
	call.key = vend_key(fcinfo, 2);
	call.till = options ? option_text(options, "till") : NULL;
	entry.tender = PG_ARGISNULL(3) ? "cash" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	entry.note = vend_text_or_null(fcinfo, 4);
	vend_check_tender(entry.tender);
	db_enter(&session);
	vend_open(&call, &session, text_to_cstring(PG_GETARG_TEXT_PP(0)), MAY_SELL, "sell");
	tendered = vend_positive(call.site, PG_GETARG_DATUM(1));
	{
		const char *part[] = { vend_money(call.site, tendered), entry.tender, entry.note,
							   options_text };

		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (!call.repeated)
	{
		vend_require_open(&call, &call.target);
		sell_post(&call, tendered, true, &entry);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
