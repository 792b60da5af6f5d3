/*
 * reading.h
 *		One snapshot of a meter's registers.
 */
#ifndef PREPAYD_READING_H
#define PREPAYD_READING_H

#include "decimal.h"
#include "profile.h"

#include <stdint.h>

/* Registers as displayed: before the transformer ratio. Unknown values are delivered as NULL. */
typedef struct Reading
{
	int meter_id;
	int64_t read_at; /* business time at mid-transaction of the energy register */
	Decimal kwh;
	Decimal reverse_kwh;
	Decimal period_kwh[PROFILE_MAX_PERIODS];
	int periods;
	Decimal kw;
	int relay_closed; /* 1, 0, -1 unknown */
	Decimal meter_balance;
	Decimal purchase_count;
	Decimal meter_clock; /* seconds since 1970-01-01 UTC */
} Reading;

void reading_init(Reading *reading, int meter_id, const Profile *profile);

/* Takes every point of the profile that lies in the data of the answer to this request. */
void reading_decode(Reading *reading, const Profile *profile, const ProfileRequest *request,
					const uint8_t *data);

#endif
