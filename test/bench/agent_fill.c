/*
 * agent_fill.c
 *		Fills a spool as an outage of the database does: FOLDER METERS POINTS SECONDS.
 *
 * Every meter is read each so many seconds, the last time now; registers grow by 0.01 kWh a poll.
 */
#include "clock.h"
#include "spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int
main(int argc, char **argv)
{
	char reason[256];
	int meters = argc == 5 ? atoi(argv[2]) : 0;
	int points = argc == 5 ? atoi(argv[3]) : 0;
	Spool *spool = meters ? spool_open(argv[1], INT64_C(100000000), reason, sizeof(reason)) : NULL;

	if (!spool)
		return 2;
	for (int point = 0; point < points; point++)
	{
		int64_t at = clock_real() - (int64_t) (points - point) * atoi(argv[4]) * USEC_PER_SEC;

		for (int meter = 1; meter <= meters; meter++)
		{
			Reading reading;

			memset(&reading, 0, sizeof(reading));
			reading.meter_id = meter;
			reading.read_at = at + meter;
			reading.kwh = (Decimal){ 1000 + point, 2, true };
			reading.kw = (Decimal){ 1200, 3, true };
			reading.relay_closed = 1;
			spool_add(spool, &reading, clock_real());
			if (meter % 250 == 0 && !spool_flush(spool))
				return 1;
		}
	}
	spool_close(spool);
	return 0;
}
