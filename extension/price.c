#include "price.h"

#include "datatype/timestamp.h"

#include "tariff_store.h"

/* The tariff code in force for the account's first meter, without asking again while it is known.
 */
static int32
tariff_in_force(const Site *site, const Account *account)
{
	const Meter *meter = account->n_meter > 0 ? account->meter[0] : NULL;
	TimestampTz from;
	TimestampTz until;
	TariffRules rules;

	if (meter && site->now >= meter->tariff_from && site->now < meter->tariff_until)
		return meter->tariff_id;
	rules = tariff_rules(site, meter ? meter->meter_id : 0, account->account_id);
	return tariff_at(&rules, site->now, &from, &until);
}

static int
period_at(const TariffRow *row, int minute)
{
	int period = row->slot[0].period;
	int i;

	for (i = 1; i < row->n && row->slot[i].minute <= minute; i++)
		period = row->slot[i].period;
	return period;
}

static int
tier_at(const Tariff *tariff, const Account *account, int32 tariff_id, int32 day,
		const TariffDayFacts *facts)
{
	int64_t bound[TARIFF_MAX_TIERS];
	RatePositionVec positions = { 0 };
	int64 wh = 0;
	int tier = 0;
	int i;

	if (tariff->n_tier == 1)
		return 0;
	if (!tariff_bounds(tariff, facts->season, facts->accum_start, facts->accum_end, day,
					   &account->extra, bound))
		out_of_range("energy");
	account_positions(account, &positions);
	for (i = 0; i < positions.n; i++)
		if (positions.item[i].tariff_id == tariff_id &&
			positions.item[i].accum_start == facts->accum_start)
			wh = positions.item[i].wh;
	while (tier < tariff->n_tier - 1 && wh >= bound[tier])
		tier++;
	return tier;
}

char *
price_now(const Site *site, const Account *account)
{
	int32 tariff_id = tariff_in_force(site, account);
	TariffDayFacts facts = { 0 };
	RateSpan span;
	CalLocal local;
	Exact price;
	char *text;
	int period;
	int tier;

	if (tariff_id == 0 ||
		tariff_code_spans(site, tariff_code(site, tariff_id), site->now, site->now + 1, &span, 1) !=
			1 ||
		span.tariff == NULL)
		return NULL;
	cal_local(site->zone, site->now, &local);
	tariff_day_facts(span.tariff, local.day, &facts);
	period = period_at(facts.row, (int) (local.us / USECS_PER_MINUTE));
	tier = tier_at(span.tariff, account, tariff_id, local.day, &facts);
	if (!exact_mul(span.tariff->unit[period][tier], 1000, &price))
		out_of_range("price");
	if (price <= 0)
		return NULL;
	text = palloc(EXACT_TEXT_MAX);
	exact_format(price, text);
	return text;
}
