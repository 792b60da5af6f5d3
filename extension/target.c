#include "target.h"

#include "db.h"

static DbQuery *
target_query(int kind)
{
	static DbQuery account = { "SELECT meter_id FROM prepay.account_meter WHERE site_id = $1"
							   " AND account_id = $2 AND valid_from <= $3 AND valid_to > $3"
							   " ORDER BY meter_id",
							   3,
							   { INT4OID, INT4OID, TIMESTAMPTZOID } };
	static DbQuery gateway = { "SELECT meter_id FROM prepay.meter WHERE site_id = $1"
							   " AND gateway_id = $2 ORDER BY meter_id",
							   3,
							   { INT4OID, INT4OID, TIMESTAMPTZOID } };
	static DbQuery place = {
		"WITH RECURSIVE below AS (SELECT $2 AS place_id UNION SELECT p.place_id FROM below b"
		" JOIN prepay.place p ON p.site_id = $1 AND p.parent_id = b.place_id)"
		" SELECT m.meter_id FROM below b JOIN prepay.meter m ON m.site_id = $1"
		" AND m.place_id = b.place_id ORDER BY m.meter_id",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery site = { "SELECT meter_id FROM prepay.meter WHERE site_id = $1"
							" ORDER BY meter_id",
							3,
							{ INT4OID, INT4OID, TIMESTAMPTZOID } };

	switch (kind)
	{
		case KIND_ACCOUNT:
			return &account;
		case KIND_GATEWAY:
			return &gateway;
		case KIND_PLACE:
			return &place;
		default:
			return &site;
	}
}

int
target_meters(const Site *site, const CodeTarget *target, int32 **meter_id)
{
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(target->id),
					 TimestampTzGetDatum(site->now) };
	int n;
	int i;

	if (target->kind == KIND_METER)
	{
		*meter_id = palloc(sizeof(int32));
		**meter_id = target->id;
		return 1;
	}
	n = db_run(target_query(target->kind), args);
	*meter_id = palloc(sizeof(int32) * Max(n, 1));
	for (i = 0; i < n; i++)
		(*meter_id)[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return n;
}
