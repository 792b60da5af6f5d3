/*
 * meter.c: energy, relay and prepaid money of one meter.
 *
 * Energy is integrated exactly. Power is a whole number of mW and constant within a half-hour, so
 * power times elapsed microseconds is a whole number of mW * us; 3.6 * 10^9 of them are one mWh.
 * Counters keep whole mWh and the remainder, nothing is ever rounded away, and therefore the
 * registers at an instant do not depend on how often or when they were read before.
 *
 * Money: the meter's flat price has 4 decimals per kWh, so one mWh costs a whole number of 10^-10.
 * Without forced control the balance falls by price for each whole mWh; the instant at which it
 * reaches zero is computed inside the half-hour, the energy stops there, and again polling does not
 * matter. With forced control on, the balance stands still: the relay is then the server's.
 *
 * Invariants: counters never fall except by meter_preset; the contact opens and closes only in
 * meter_settle, meter_operate, meter_press and at the zero crossing; purchase_count changes only
 * by an accepted recharge or withdrawal (and by the control port).
 */
#include "meter.h"

#include <stdlib.h>

#include "model.h"

#define MWUS_PER_MWH INT64_C(3600000000)
#define MWH_PER_CENTI_KWH 10000
#define BALANCE_E10_PER_CENTI INT64_C(100000000)
#define BALANCE_CENTI_MAX 99999999 /* what an 8-digit display holds */

/* How a preset reading is divided: a usual spread over spike, peak, flat, valley in percent. */
static const int preset_share[LOAD_BANDS] = { 10, 30, 40, 20 };

static void
counter_add(EnergyCounter *counter, int64_t power_mw, int64_t elapsed_us)
{
	__int128 sum = (__int128) power_mw * elapsed_us + counter->rest;

	counter->mwh += (int64_t) (sum / MWUS_PER_MWH);
	counter->rest = (int64_t) (sum % MWUS_PER_MWH);
}

static EnergyCounter
counter_total(const EnergyCounter *band)
{
	EnergyCounter total = { 0, 0 };

	for (int i = 0; i < LOAD_BANDS; i++)
	{
		total.mwh += band[i].mwh;
		total.rest += band[i].rest;
	}
	total.mwh += total.rest / MWUS_PER_MWH;
	total.rest %= MWUS_PER_MWH;
	return total;
}

int64_t
meter_imported_mwh(const Meter *meter)
{
	return counter_total(meter->imported).mwh;
}

int64_t
meter_exported_mwh(const Meter *meter)
{
	return counter_total(meter->exported).mwh;
}

bool
meter_conducts(const Meter *meter)
{
	return !meter->model->has_relay || meter->contact_closed || meter->welded;
}

static int64_t
current_slot(const Meter *meter)
{
	return load_slot(meter->integrated_us + meter->utc_offset_s * INT64_C(1000000));
}

static void
load_power(Meter *meter, int64_t slot)
{
	if (meter->power_known && meter->power_slot == slot)
		return;
	meter->import_mw = load_import_mw(meter->shape, meter->mean_mw, meter->noise_key, slot);
	meter->export_mw = load_export_mw(meter->reverse_mw, meter->noise_key, slot);
	meter->power_slot = slot;
	meter->power_known = true;
}

/* The balance falls with energy only while the meter's own prepaid logic rules. */
static bool
spends_balance(const Meter *meter)
{
	return meter->model->prepaid && !meter->forced && meter->price_e4 > 0;
}

/* Microseconds of the present power until the balance is used up; at least 1. */
static int64_t
time_to_zero(const Meter *meter)
{
	int64_t mwh = (meter->balance_e10 + meter->price_e4 - 1) / meter->price_e4;
	__int128 needed = (__int128) mwh * MWUS_PER_MWH - counter_total(meter->imported).rest;
	__int128 elapsed = (needed + meter->import_mw - 1) / meter->import_mw;

	return elapsed > INT64_MAX ? INT64_MAX : (int64_t) elapsed;
}

/* Integrate one stretch of constant power; the contact may open at its end. */
static void
integrate(Meter *meter, int64_t until_us)
{
	int band = load_band(meter->power_slot);
	int64_t before = meter_imported_mwh(meter);
	int64_t elapsed = until_us - meter->integrated_us;
	bool spends = spends_balance(meter);
	bool cuts = spends && meter->contact_closed && meter->import_mw > 0 && meter->balance_e10 > 0;

	if (!meter_conducts(meter))
	{
		meter->integrated_us = until_us;
		return;
	}
	if (cuts)
	{
		int64_t limit = time_to_zero(meter);

		elapsed = limit < elapsed ? limit : elapsed;
	}
	counter_add(&meter->imported[band], meter->import_mw, elapsed);
	counter_add(&meter->exported[band], meter->export_mw, elapsed);
	meter->integrated_us += elapsed;
	if (spends)
		meter->balance_e10 -= (meter_imported_mwh(meter) - before) * meter->price_e4;
	if (cuts && meter->balance_e10 <= 0)
		meter_settle(meter);
}

void
meter_advance(Meter *meter, int64_t business_us)
{
	while (meter->integrated_us < business_us)
	{
		int64_t slot = current_slot(meter);
		int64_t slot_end = (slot + 1) * LOAD_SLOT_US - meter->utc_offset_s * INT64_C(1000000);

		load_power(meter, slot);
		integrate(meter, slot_end < business_us ? slot_end : business_us);
	}
}

void
meter_preset(Meter *meter, int64_t register_mwh)
{
	int64_t primary = register_mwh * meter->ratio;
	int64_t left = primary;

	for (int i = 0; i < LOAD_BANDS; i++)
	{
		int64_t share = i == LOAD_BANDS - 1 ? left : primary / 100 * preset_share[i];

		meter->imported[i] = (EnergyCounter){ share, 0 };
		left -= share;
	}
}

int64_t
meter_register_centi(const Meter *meter, int64_t primary_mwh)
{
	return primary_mwh / meter->ratio / MWH_PER_CENTI_KWH % meter->rollover;
}

int64_t
meter_power_mw(Meter *meter)
{
	load_power(meter, current_slot(meter));
	return meter_conducts(meter) ? meter->import_mw - meter->export_mw : 0;
}

void
meter_set_load(Meter *meter, int64_t mean_mw)
{
	meter->mean_mw = mean_mw;
	meter->power_known = false;
}

void
meter_settle(Meter *meter)
{
	bool open =
		meter->forced ? meter->forced_open : meter->model->prepaid && meter->balance_e10 <= 0;

	if (open)
		meter->contact_closed = meter->close_permitted = false;
	else if (!meter->contact_closed)
	{
		meter->close_permitted = meter->button;
		meter->contact_closed = !meter->button;
	}
}

void
meter_force(Meter *meter, bool forced, bool open)
{
	meter->forced = forced;
	meter->forced_open = open;
	meter_settle(meter);
}

void
meter_operate(Meter *meter, bool closed)
{
	meter->contact_closed = closed;
	meter->close_permitted = false;
	if (meter->forced)
		meter->forced_open = !closed;
}

void
meter_press(Meter *meter)
{
	if (meter->close_permitted)
		meter->contact_closed = true;
	meter->close_permitted = false;
}

int64_t
meter_balance_centi(const Meter *meter)
{
	return meter->balance_e10 / BALANCE_E10_PER_CENTI;
}

WriteResult
meter_recharge(Meter *meter, uint32_t amount_centi, uint16_t count)
{
	if (count == meter->purchase_count)
		return WRITE_REPEATED;
	if (count != (uint16_t) (meter->purchase_count + 1) || amount_centi == 0 ||
		meter_balance_centi(meter) + amount_centi > BALANCE_CENTI_MAX)
		return WRITE_ILLEGAL_VALUE;
	meter->balance_e10 += amount_centi * BALANCE_E10_PER_CENTI;
	meter->purchase_count = count;
	meter_settle(meter);
	return WRITE_OK;
}

WriteResult
meter_withdraw(Meter *meter, uint32_t amount_centi, uint16_t count)
{
	if (count == meter->purchase_count)
		return WRITE_REPEATED;
	if (count != (uint16_t) (meter->purchase_count + 1) || amount_centi == 0 ||
		meter_balance_centi(meter) < amount_centi)
		return WRITE_ILLEGAL_VALUE;
	meter->balance_e10 -= amount_centi * BALANCE_E10_PER_CENTI;
	meter->purchase_count = count;
	meter_settle(meter);
	return WRITE_OK;
}

bool
meter_record(Meter *meter, uint8_t function, uint16_t address, const uint16_t *regs, int count,
			 WriteResult result)
{
	JournalEntry *entry;

	if (meter->journal_used == meter->journal_size)
	{
		uint32_t size = meter->journal_size == 0 ? 4 : meter->journal_size * 2;
		JournalEntry *grown = realloc(meter->journal, size * sizeof(*grown));

		if (grown == NULL)
			return false;
		meter->journal = grown;
		meter->journal_size = size;
	}
	entry = &meter->journal[meter->journal_used++];
	*entry = (JournalEntry){ .business_us = meter->integrated_us,
							 .result = result,
							 .address = address,
							 .count = (uint16_t) count,
							 .function = function };
	for (int i = 0; i < count && i < METER_JOURNAL_REGS; i++)
		entry->regs[i] = regs[i];
	return true;
}
