/*
 * reading.c
 *		One snapshot of a meter's registers.
 */
#include "reading.h"

#include <string.h>

void
reading_init(Reading *reading, int meter_id, const Profile *profile)
{
	memset(reading, 0, sizeof(*reading));
	reading->meter_id = meter_id;
	reading->relay_closed = -1;
	reading->periods = profile->periods;
}

static void
reading_take(Reading *reading, const ProfilePoint *point, const PointValue *value)
{
	switch (point->role)
	{
		case ROLE_KWH:
			reading->kwh = value->number;
			break;
		case ROLE_REVERSE_KWH:
			reading->reverse_kwh = value->number;
			break;
		case ROLE_PERIOD_KWH:
			reading->period_kwh[point->period - 1] = value->number;
			break;
		case ROLE_KW:
			reading->kw = value->number;
			break;
		case ROLE_RELAY_CLOSED:
			reading->relay_closed = value->flag;
			break;
		case ROLE_METER_BALANCE:
			reading->meter_balance = value->number;
			break;
		case ROLE_PURCHASE_COUNT:
			reading->purchase_count = value->number;
			break;
		case ROLE_METER_CLOCK:
			reading->meter_clock = value->number;
			break;
		case ROLE_OTHER:
			break;
	}
}

void
reading_decode(Reading *reading, const Profile *profile, const ProfileRequest *request,
			   const uint8_t *data)
{
	PointValue value;

	for (int i = 0; i < profile->points; i++)
	{
		if (profile_point_value(profile, &profile->point[i], request, data, &value))
			reading_take(reading, &profile->point[i], &value);
	}
}
