/*
 * model.c: register maps.
 *
 * Addresses are zero-based. Inside a range the registers that no public map names read 0; outside
 * the ranges a read is an illegal address. Money and energy are integers throughout; the Eastron
 * model converts to binary32 at the last step because that is its wire format.
 */
#include "model.h"

#include <string.h>

#define LENGTH(array) ((int) (sizeof(array) / sizeof((array)[0])))

#define VOLTAGE_DV 2200 /* 0.1 V */
#define FREQUENCY_CENTIHZ 5000
#define POWER_FACTOR_PERMILLE 950
#define SINE_PERMILLE 312	 /* of the same angle */
#define TANGENT_PERMILLE 329 /* kvarh per kWh of the same angle */

/* DDSY1352 and DTSY1352. */
#define ACREL_BASE_COUNT 0x63
#define ACREL_DEEP_VALLEY 0x5030
#define ACREL_FORCED 0x0057
#define ACREL_ALARM_1 2000	 /* 20.00 */
#define ACREL_ALARM_2 1000	 /* 10.00 */
#define ACREL_RUN_STATE 0x41 /* multi-rate, prepaid */
#define ACREL_LIMITS 0x0046
#define ACREL_PRICE 0x0059
#define ACREL_POWER_LIMIT 0x0061
#define DDSY_DATE 0x2000
#define DDSY_TABLES 0x2006
#define DTSY_DATE 0x0028
#define DTSY_TABLES 0x2000

/* SFERE. */
#define SFERE_ENERGY 0x0073
#define SFERE_RATES 0x008B
#define SFERE_CONTROL 0x0B25
#define SFERE_CLOSE 0x0001
#define SFERE_TRIP 0x0002

/* What the three phases carry of the whole, in percent. */
static const int phase_share[3] = { 36, 34, 30 };

static void
put_u32(uint16_t *regs, int64_t value)
{
	regs[0] = (uint16_t) ((uint64_t) value >> 16);
	regs[1] = (uint16_t) value;
}

static void
put_float(uint16_t *regs, double value)
{
	float narrow = (float) value;
	uint32_t bits;

	memcpy(&bits, &narrow, sizeof(bits));
	put_u32(regs, bits);
}

static int64_t
clamp(int64_t value, int64_t min, int64_t max)
{
	return value < min ? min : value > max ? max : value;
}

/* Mains voltage of a phase in 0.1 V: differs by phase and half-hour, not by reader. */
static int64_t
voltage_dv(const Meter *meter, int phase)
{
	uint64_t noise = load_hash(meter->noise_key + (uint64_t) phase, (uint64_t) meter->power_slot);

	return VOLTAGE_DV + (int64_t) (noise % 81) - 40;
}

/* Power on the side the registers show. */
static int64_t
shown_power_mw(Meter *meter)
{
	return meter_power_mw(meter) / meter->ratio;
}

/* Current in 0.01 A that carries a power at the standard power factor. */
static int64_t
current_centiamp(int64_t power_mw, int64_t phase_voltage_dv)
{
	int64_t magnitude = power_mw < 0 ? -power_mw : power_mw;

	return magnitude * 1000 / (phase_voltage_dv * POWER_FACTOR_PERMILLE);
}

static int64_t
apparent_mva(int64_t power_mw)
{
	return (power_mw < 0 ? -power_mw : power_mw) * 1000 / POWER_FACTOR_PERMILLE;
}

static int64_t
reactive_mvar(int64_t power_mw)
{
	return apparent_mva(power_mw) * SINE_PERMILLE / 1000;
}

/* Total and the four bands, as consecutive u32 of 0.01 kWh. */
static void
put_energy(const Meter *meter, uint16_t *regs, int64_t total_mwh, const EnergyCounter *band)
{
	put_u32(regs, meter_register_centi(meter, total_mwh));
	for (int i = 0; i < LOAD_BANDS; i++)
		put_u32(regs + 2 + 2 * i, meter_register_centi(meter, band[i].mwh));
}

/* Twelve decimal digits, four to a register. */
static void
put_meter_number(const Meter *meter, uint16_t *regs)
{
	uint64_t number = load_hash(meter->noise_key, meter->unit);

	for (int i = 0; i < 3; i++)
		for (int digit = 0; digit < 4; digit++, number /= 10)
			regs[i] |= (uint16_t) (number % 10 << (4 * digit));
}

static void
fill_acrel_prepaid(Meter *meter, uint16_t *regs)
{
	int64_t power_mw = shown_power_mw(meter);
	int64_t volts = voltage_dv(meter, 0);

	put_energy(meter, regs, meter_imported_mwh(meter), meter->imported);
	regs[0x0A] = meter->unit;
	regs[0x0B] = (uint16_t) volts;
	regs[0x0C] = (uint16_t) clamp(current_centiamp(power_mw, volts), 0, UINT16_MAX);
	regs[0x0D] = (uint16_t) clamp(power_mw / 1000, INT16_MIN, INT16_MAX);
	regs[0x0E] = (uint16_t) clamp(reactive_mvar(power_mw) / 1000, INT16_MIN, INT16_MAX);
	regs[0x0F] = (uint16_t) clamp(apparent_mva(power_mw) / 1000, 0, UINT16_MAX);
	regs[0x10] = power_mw == 0 ? 1000 : POWER_FACTOR_PERMILLE;
	regs[0x22] = ACREL_RUN_STATE;
	regs[0x37] = 1;
	regs[0x38] = (uint16_t) meter->ratio;
	put_meter_number(meter, regs + 0x43);
	if (meter->model->gives_back)
		memcpy(regs + ACREL_LIMITS, meter->limit, sizeof(meter->limit));
	else
	{
		put_u32(regs + 0x46, ACREL_ALARM_1);
		put_u32(regs + 0x48, ACREL_ALARM_2);
	}
	regs[0x4E] = meter->purchase_count;
	put_u32(regs + 0x4F, meter_balance_centi(meter));
	regs[ACREL_FORCED] = meter->forced;
	regs[ACREL_FORCED + 1] = meter->forced_open;
	put_u32(regs + 0x59, meter->price_e4);
	put_u32(regs + 0x5B, meter->price_e4);
	put_u32(regs + 0x5D, meter->price_e4);
	put_u32(regs + 0x5F, meter->price_e4);
	regs[ACREL_POWER_LIMIT] = meter->power_limit;
}

static void
fill_dtsy(Meter *meter, uint16_t *regs)
{
	fill_acrel_prepaid(meter, regs);
	memcpy(regs + DTSY_DATE, meter->date, sizeof(meter->date));
}

static void
fill_dates_and_tables(Meter *meter, uint16_t *regs)
{
	memcpy(regs, meter->date, sizeof(meter->date));
	memcpy(regs + METER_DATE_REGS, meter->table, sizeof(meter->table));
}

static void
fill_tables(Meter *meter, uint16_t *regs)
{
	memcpy(regs, meter->table, sizeof(meter->table));
}

/* The built-in day table has no deep valley. */
static void
fill_zero(Meter *meter, uint16_t *regs)
{
	(void) meter;
	(void) regs;
}

static WriteResult
write_acrel_prepaid(Meter *meter, uint16_t address, const uint16_t *regs, int count)
{
	uint16_t state[2] = { meter->forced, meter->forced_open };

	if (address < ACREL_FORCED || address + count > ACREL_FORCED + 2)
		return WRITE_ILLEGAL_ADDRESS;
	for (int i = 0; i < count; i++)
	{
		if (regs[i] > 1)
			return WRITE_ILLEGAL_VALUE;
		state[address - ACREL_FORCED + i] = regs[i];
	}
	meter_force(meter, state[0] == 1, state[1] == 1);
	return WRITE_OK;
}

/* Keep a write that lies within these registers; false: it does not. */
static bool
keep(uint16_t *kept, uint16_t start, int size, uint16_t address, const uint16_t *regs, int count)
{
	if (address < start || address + count > start + size)
		return false;
	memcpy(kept + (address - start), regs, (size_t) count * sizeof(*regs));
	return true;
}

static WriteResult
write_ddsy(Meter *meter, uint16_t address, const uint16_t *regs, int count)
{
	if (keep(meter->table, DDSY_TABLES, METER_TABLE_REGS, address, regs, count) ||
		keep(meter->date, DDSY_DATE, METER_DATE_REGS, address, regs, count))
		return WRITE_OK;
	return write_acrel_prepaid(meter, address, regs, count);
}

static WriteResult
write_dtsy(Meter *meter, uint16_t address, const uint16_t *regs, int count)
{
	if (keep(meter->table, DTSY_TABLES, METER_TABLE_REGS, address, regs, count) ||
		keep(meter->date, DTSY_DATE, METER_DATE_REGS, address, regs, count))
		return WRITE_OK;
	return write_acrel_prepaid(meter, address, regs, count);
}

static WriteResult
write_complete(Meter *meter, uint16_t address, const uint16_t *regs, int count)
{
	if (keep(meter->limit, ACREL_LIMITS, METER_LIMIT_REGS, address, regs, count) ||
		keep(&meter->power_limit, ACREL_POWER_LIMIT, 1, address, regs, count))
		return WRITE_OK;
	if (address != ACREL_PRICE || count != 2)
		return write_ddsy(meter, address, regs, count);
	meter->price_e4 = (int64_t) regs[0] << 16 | regs[1];
	return WRITE_OK;
}

static void
put_reactive_energy(const Meter *meter, uint16_t *regs)
{
	put_u32(regs, meter_register_centi(meter, meter_imported_mwh(meter) / 1000 * TANGENT_PERMILLE));
}

/* 0x0000 counts both directions, 0x000A import, 0x0014 export; 0x001E, 0x0028 reactive. */
static void
fill_dtsd_energy(Meter *meter, uint16_t *regs)
{
	int64_t imported = meter_imported_mwh(meter);
	int64_t exported = meter_exported_mwh(meter);
	int64_t power_mw = shown_power_mw(meter);
	EnergyCounter both[LOAD_BANDS];

	for (int i = 0; i < LOAD_BANDS; i++)
		both[i].mwh = meter->imported[i].mwh + meter->exported[i].mwh;
	put_energy(meter, regs, imported + exported, both);
	put_energy(meter, regs + 0x0A, imported, meter->imported);
	put_energy(meter, regs + 0x14, exported, meter->exported);
	put_reactive_energy(meter, regs + 0x1E);
	put_reactive_energy(meter, regs + 0x28);
	for (int phase = 0; phase < 3; phase++)
	{
		int64_t volts = voltage_dv(meter, phase);
		int64_t share_mw = power_mw * phase_share[phase] / 100;

		regs[0x61 + phase] = (uint16_t) volts;
		regs[0x64 + phase] = (uint16_t) clamp(current_centiamp(share_mw, volts), 0, UINT16_MAX);
	}
	regs[0x77] = FREQUENCY_CENTIHZ;
	regs[0x8D] = 1;
	regs[0x8E] = (uint16_t) meter->ratio;
}

/* Phases A, B, C and the sum: active, reactive, apparent as i32 of W; power factor. */
static void
fill_dtsd_power(Meter *meter, uint16_t *regs)
{
	int64_t power_mw = shown_power_mw(meter);

	for (int phase = 0; phase < 4; phase++)
	{
		int64_t share_mw = phase < 3 ? power_mw * phase_share[phase] / 100 : power_mw;

		put_u32(regs + 2 * phase, share_mw / 1000);
		put_u32(regs + 8 + 2 * phase, reactive_mvar(share_mw) / 1000);
		put_u32(regs + 16 + 2 * phase, apparent_mva(share_mw) / 1000);
		regs[24 + phase] = power_mw == 0 ? 1000 : POWER_FACTOR_PERMILLE;
	}
}

/* kWh as binary32, with the rollover of the integer register. */
static void
put_float_energy(const Meter *meter, uint16_t *regs, int64_t primary_mwh)
{
	int64_t shown = primary_mwh / meter->ratio % (meter->rollover * 10000);

	put_float(regs, (double) shown / 1e6);
}

static void
fill_sdm_main(Meter *meter, uint16_t *regs)
{
	int64_t power_mw = shown_power_mw(meter);
	double factor = power_mw == 0 ? 1.0 : POWER_FACTOR_PERMILLE / 1e3;

	for (int phase = 0; phase < 3; phase++)
	{
		int64_t volts = voltage_dv(meter, phase);
		int64_t share_mw = power_mw * phase_share[phase] / 100;

		put_float(regs + 0x00 + 2 * phase, (double) volts / 10);
		put_float(regs + 0x06 + 2 * phase, (double) current_centiamp(share_mw, volts) / 100);
		put_float(regs + 0x0C + 2 * phase, (double) share_mw / 1e3);
		put_float(regs + 0x12 + 2 * phase, (double) apparent_mva(share_mw) / 1e3);
		put_float(regs + 0x18 + 2 * phase, (double) reactive_mvar(share_mw) / 1e3);
		put_float(regs + 0x1E + 2 * phase, factor);
	}
	put_float(regs + 0x34, (double) power_mw / 1e3);
	put_float(regs + 0x46, FREQUENCY_CENTIHZ / 1e2);
	put_float_energy(meter, regs + 0x48, meter_imported_mwh(meter));
	put_float_energy(meter, regs + 0x4A, meter_exported_mwh(meter));
	put_float_energy(meter, regs + 0x4C, meter_imported_mwh(meter) / 1000 * TANGENT_PERMILLE);
}

static void
fill_sdm_totals(Meter *meter, uint16_t *regs)
{
	int64_t imported = meter_imported_mwh(meter);

	put_float_energy(meter, regs, imported + meter_exported_mwh(meter));
	for (int phase = 0; phase < 3; phase++)
		put_float_energy(meter, regs + 4 + 2 * phase, imported / 100 * phase_share[phase]);
}

static void
fill_sfere_total(Meter *meter, uint16_t *regs)
{
	put_u32(regs, meter_register_centi(meter, meter_imported_mwh(meter)));
}

static void
fill_sfere_rates(Meter *meter, uint16_t *regs)
{
	for (int i = 0; i < LOAD_BANDS; i++)
		put_u32(regs + 2 * i, meter_register_centi(meter, meter->imported[i].mwh));
}

static void
fill_sfere_ratio(Meter *meter, uint16_t *regs)
{
	regs[0] = (uint16_t) meter->ratio;
}

static void
fill_sfere_control(Meter *meter, uint16_t *regs)
{
	regs[0] = meter->forced_open ? SFERE_TRIP : SFERE_CLOSE;
}

static WriteResult
write_sfere(Meter *meter, uint16_t address, const uint16_t *regs, int count)
{
	if (address != SFERE_CONTROL || count != 1)
		return WRITE_ILLEGAL_ADDRESS;
	if (regs[0] != SFERE_CLOSE && regs[0] != SFERE_TRIP)
		return WRITE_ILLEGAL_VALUE;
	meter_force(meter, true, regs[0] == SFERE_TRIP);
	return WRITE_OK;
}

static const RegisterRange ddsy_ranges[] = {
	{ 0x0000, ACREL_BASE_COUNT, fill_acrel_prepaid },
	{ DDSY_DATE, METER_DATE_REGS + METER_TABLE_REGS, fill_dates_and_tables },
	{ ACREL_DEEP_VALLEY, 2, fill_zero },
};

static const RegisterRange dtsy_ranges[] = {
	{ 0x0000, ACREL_BASE_COUNT, fill_dtsy },
	{ DTSY_TABLES, METER_TABLE_REGS, fill_tables },
	{ ACREL_DEEP_VALLEY, 2, fill_zero },
};

static const RegisterRange dtsd_ranges[] = {
	{ 0x0000, 0x90, fill_dtsd_energy },
	{ 0x0164, 28, fill_dtsd_power },
};

static const RegisterRange sdm_ranges[] = {
	{ 0x0000, 0x50, fill_sdm_main },
	{ 0x0156, 10, fill_sdm_totals },
};

static const RegisterRange sfere_ranges[] = {
	{ SFERE_ENERGY, 2, fill_sfere_total },
	{ SFERE_RATES, 10, fill_sfere_rates },
	{ 0x080B, 1, fill_sfere_ratio },
	{ SFERE_CONTROL, 1, fill_sfere_control },
};

static const MeterModel models[] = {
	{ "acrel-ddsy1352", 3, true, true, false, 8, ddsy_ranges, LENGTH(ddsy_ranges), write_ddsy },
	{ "acrel-dtsy1352", 3, true, true, false, 8, dtsy_ranges, LENGTH(dtsy_ranges), write_dtsy },
	{ "complete-prepaid", 3, true, true, true, 8, ddsy_ranges, LENGTH(ddsy_ranges),
	  write_complete },
	{ "acrel-dtsd1352", 3, false, false, false, 8, dtsd_ranges, LENGTH(dtsd_ranges), NULL },
	{ "eastron-sdm630", 4, false, false, false, 9, sdm_ranges, LENGTH(sdm_ranges), NULL },
	{ "sfere", 3, true, false, false, 8, sfere_ranges, LENGTH(sfere_ranges), write_sfere },
};

const MeterModel *
model_find(const char *name)
{
	for (int i = 0; i < LENGTH(models); i++)
		if (strcmp(models[i].name, name) == 0)
			return &models[i];
	return NULL;
}

bool
model_read(Meter *meter, uint16_t address, int count, uint16_t *regs)
{
	for (int i = 0; i < meter->model->range_count; i++)
	{
		const RegisterRange *range = &meter->model->ranges[i];
		uint16_t image[MODEL_REGS_MAX] = { 0 };

		if (address < range->start || address + count > range->start + range->count)
			continue;
		range->fill(meter, image);
		memcpy(regs, image + (address - range->start), (size_t) count * sizeof(*regs));
		return true;
	}
	return false;
}
