/*
 * balance.c: what an account's open lines cost, and its balance.
 */
#include "state.h"

static bool
add_cost(const RateLineVec *lines, Exact *sum)
{
	Exact cost;

	return rate_cost(lines->item, lines->n, &cost) && exact_add(*sum, cost, sum);
}

static bool
has_proportional(const RateLineVec *lines)
{
	int i;

	for (i = 0; i < lines->n; i++)
		if (lines->item[i].tariff->allocation == ALLOCATE_PROPORTIONAL)
			return true;
	return false;
}

static void
append_lines(RateLineVec *all, const RateLineVec *more)
{
	int i;

	for (i = 0; i < more->n; i++)
		if (!rate_add_line(all, &more->item[i]))
			elog(ERROR, "energy out of range");
}

static int
compare_lines(const void *a, const void *b)
{
	const RateLine *left = a;
	const RateLine *right = b;

	if (left->day != right->day)
		return left->day < right->day ? -1 : 1;
	if (left->tariff_id != right->tariff_id)
		return left->tariff_id < right->tariff_id ? -1 : 1;
	if (left->version != right->version)
		return left->version < right->version ? -1 : 1;
	return left->meter_id < right->meter_id ? -1 : left->meter_id > right->meter_id;
}

void
lines_sort(RateLineVec *lines)
{
	if (lines->n > 1)
		qsort(lines->item, lines->n, sizeof(RateLine), compare_lines);
}

/* Proportional lines have no cost of their own: they are priced from the positions before them. */
static Exact
bill_cost(const Account *account)
{
	RateLineVec all = { 0 };
	BillVec bill = { 0 };
	Exact sum = 0;
	int i;

	for (i = 0; i < account->n_meter; i++)
		append_lines(&all, &account->meter[i]->lines);
	append_lines(&all, &account->leaving);
	lines_sort(&all);
	if (rate_bill(all.item, all.n, &account->extra, &account->base, &bill) != RATE_OK)
		out_of_range("cost");
	for (i = 0; i < bill.n; i++)
		if (!exact_add(sum, bill.item[i].amount, &sum))
			out_of_range("cost");
	return sum;
}

Exact
account_open_cost(const Site *site, const Account *account)
{
	Exact sum = 0;
	bool proportional = has_proportional(&account->leaving);
	bool fits = true;
	int i;

	for (i = 0; i < account->n_meter && !proportional; i++)
		proportional = has_proportional(&account->meter[i]->lines);
	if (proportional)
		return bill_cost(account);
	for (i = 0; i < account->n_meter && fits; i++)
		fits = add_cost(&account->meter[i]->lines, &sum);
	if (!fits || !add_cost(&account->leaving, &sum))
		out_of_range("cost");
	return sum;
}

int64
account_used(const Site *site, const Account *account)
{
	Exact total;
	int64 used;

	if (!exact_add(account->sealed, account_open_cost(site, account), &total) ||
		!exact_to_minor(total, site->decimals, &used))
		out_of_range("cost");
	return used;
}

int64
account_balance_of(const Site *site, const Account *account)
{
	int64 sealed;

	if (!exact_to_minor(account->sealed, site->decimals, &sealed))
		out_of_range("cost");
	return account->posted_minor - (account_used(site, account) - sealed);
}

static void
add_positions(const RateLineVec *lines, RatePositionVec *positions)
{
	int i;

	for (i = 0; i < lines->n; i++)
	{
		const RateLine *line = &lines->item[i];

		if (!rate_position_add(positions, line->tariff_id, line->tariff, line->day, line->period,
							   line->wh))
			out_of_range("energy");
	}
}

void
account_positions(const Account *account, RatePositionVec *positions)
{
	int i;

	rate_position_copy(&account->base, positions);
	for (i = 0; i < account->n_meter; i++)
		add_positions(&account->meter[i]->lines, positions);
	add_positions(&account->leaving, positions);
}

void
positions_advance(RatePositionVec *positions, const RateLineVec *lines, int32 to_day)
{
	int i;

	for (i = 0; i < lines->n && lines->item[i].day < to_day; i++)
	{
		const RateLine *line = &lines->item[i];

		if (!rate_position_is_open(positions, line->tariff_id, line->accum_start, line->accum_end))
			elog(ERROR, "energy of day %d has no tier position", line->day);
		if (!rate_position_add(positions, line->tariff_id, line->tariff, line->day, line->period,
							   line->wh))
			out_of_range("energy");
	}
	rate_position_close_before(positions, to_day);
}
