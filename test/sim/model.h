/*
 * model.h: register maps of the simulated meter models.
 */
#ifndef SIM_MODEL_H
#define SIM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "meter.h"

#define MODEL_REGS_MAX 160 /* longest readable range */

/* A contiguous readable range; fill writes all its registers at the meter's integrated instant. */
typedef struct RegisterRange
{
	uint16_t start;
	uint16_t count;
	void (*fill)(Meter *meter, uint16_t *regs);
} RegisterRange;

typedef struct MeterModel
{
	const char *name;
	uint8_t read_function;
	bool has_relay;
	bool prepaid;	 /* keeps a balance and takes function 0x20 */
	bool gives_back; /* takes withdrawals too */
	int digits;		 /* of the energy register, counted in 0.01 kWh */
	const RegisterRange *ranges;
	int range_count;
	/* Apply a write of count registers; NULL for a model that takes none. */
	WriteResult (*write)(Meter *meter, uint16_t address, const uint16_t *regs, int count);
} MeterModel;

/* The model of this name, or NULL. */
extern const MeterModel *model_find(const char *name);

/* Read count registers into regs; false if they are not within one range of the model. */
extern bool model_read(Meter *meter, uint16_t address, int count, uint16_t *regs);

#endif
