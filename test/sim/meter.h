/*
 * meter.h: one simulated meter: energy, relay, prepaid money.
 */
#ifndef SIM_METER_H
#define SIM_METER_H

#include <stdbool.h>
#include <stdint.h>

#include "bclock.h"
#include "fault.h"
#include "load.h"

#define METER_CODE_MAX 64
#define METER_BALANCE_DECIMALS 10
#define METER_PRICE_DECIMALS 4	/* currency per kWh: price * mWh is money of 10^-10 */
#define METER_POWER_DECIMALS 6	/* kW given, mW kept */
#define METER_ENERGY_DECIMALS 6 /* kWh given, mWh kept */
#define METER_JOURNAL_REGS 4
#define METER_TABLE_REGS 42 /* two day tables of 14 x (rate, minute, hour) */
#define METER_DATE_REGS 6	/* 4 x (month, day, table) */
#define METER_LIMIT_REGS 6	/* two alarm amounts and the overdraft, u32 each */

struct MeterModel;

/* Energy of one tariff band: whole mWh and the remainder in mW * us, less than one mWh. */
typedef struct EnergyCounter
{
	int64_t mwh;
	int64_t rest;
} EnergyCounter;

typedef enum WriteResult
{
	WRITE_OK = 0,
	WRITE_ILLEGAL_FUNCTION = 1,
	WRITE_ILLEGAL_ADDRESS = 2,
	WRITE_ILLEGAL_VALUE = 3,
	WRITE_REPEATED = 0x100 /* a recharge with the count it already has: success, no money */
} WriteResult;

/* One register write as the meter saw it, refused ones too. */
typedef struct JournalEntry
{
	int64_t business_us;
	WriteResult result;
	uint16_t address;
	uint16_t count; /* registers written; only the first METER_JOURNAL_REGS are kept */
	uint16_t regs[METER_JOURNAL_REGS];
	uint8_t function;
} JournalEntry;

typedef struct Meter
{
	char code[METER_CODE_MAX];
	const struct MeterModel *model;
	uint8_t unit;

	/* What it is connected to. */
	LoadShape shape;
	int64_t mean_mw;
	int64_t reverse_mw;
	uint64_t noise_key;
	int utc_offset_s;

	/* How registers show energy: primary / ratio, in 0.01 kWh, modulo rollover. */
	int64_t ratio;
	int64_t rollover;

	/* Energy up to integrated_us; primary side. */
	int64_t integrated_us;
	EnergyCounter imported[LOAD_BANDS];
	EnergyCounter exported[LOAD_BANDS];

	/* Power of the half-hour power_slot, as if the contact were closed. */
	bool power_known;
	int64_t power_slot;
	int64_t import_mw;
	int64_t export_mw;

	/* Relay: forced control overrides the meter's own prepaid logic. */
	bool forced;
	bool forced_open;
	bool contact_closed; /* position of the mechanism */
	bool welded;		 /* conducts whatever the mechanism does */
	bool button;		 /* closing needs a press of the button on the meter */
	bool close_permitted;

	/* Prepaid money, kept by the meter. */
	int64_t balance_e10;
	int64_t price_e4;
	uint16_t purchase_count;

	/* What is kept for the master to read back; the meter goes by its one price. */
	uint16_t table[METER_TABLE_REGS];
	uint16_t date[METER_DATE_REGS];
	uint16_t limit[METER_LIMIT_REGS];
	uint16_t power_limit;

	Fault fault;
	JournalEntry *journal;
	uint32_t journal_used;
	uint32_t journal_size;
} Meter;

/* Integrate energy up to a business instant; an earlier instant changes nothing. */
extern void meter_advance(Meter *meter, int64_t business_us);

/* Sum of the four bands, mWh of the primary side. */
extern int64_t meter_imported_mwh(const Meter *meter);
extern int64_t meter_exported_mwh(const Meter *meter);

/* Set the register reading (mWh as the register shows it) as a factory or a swap would. */
extern void meter_preset(Meter *meter, int64_t register_mwh);

/* What a register shows for primary energy: 0.01 kWh after ratio and rollover. */
extern int64_t meter_register_centi(const Meter *meter, int64_t primary_mwh);

/* Power at the integrated instant, import less export, mW of the primary side. */
extern int64_t meter_power_mw(Meter *meter);

/* Whether current can flow: a meter without relay, a closed or a welded contact. */
extern bool meter_conducts(const Meter *meter);

/* Change the load from now on; the caller has advanced the meter. */
extern void meter_set_load(Meter *meter, int64_t mean_mw);

/* Forced control: enabled or not, and the state it forces. */
extern void meter_force(Meter *meter, bool forced, bool open);

/* Another tool works the contact on the spot; under forced control the state register follows. */
extern void meter_operate(Meter *meter, bool closed);

/* The button on the meter: carries out a permitted close. */
extern void meter_press(Meter *meter);

/* Let the contact follow forced control or, without it, the balance. */
extern void meter_settle(Meter *meter);

/*
 * Recharge with the purchase-count rule: count = own + 1 adds amount (0.01 of the currency);
 * count = own is WRITE_REPEATED; anything else, no amount, or a balance past what the register can
 * hold is WRITE_ILLEGAL_VALUE.
 */
extern WriteResult meter_recharge(Meter *meter, uint32_t amount_centi, uint16_t count);

/* The same for money that is taken out; more than there is is WRITE_ILLEGAL_VALUE. */
extern WriteResult meter_withdraw(Meter *meter, uint32_t amount_centi, uint16_t count);

/* Balance as the register shows it, 0.01 of the currency, cut off towards zero. */
extern int64_t meter_balance_centi(const Meter *meter);

/* Append to the journal at the integrated instant; false if memory has run out. */
extern bool meter_record(Meter *meter, uint8_t function, uint16_t address, const uint16_t *regs,
						 int count, WriteResult result);

#endif
