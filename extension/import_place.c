/*
 * import_place.c: the places, gateway and meter of an import row.
 */
#include "import.h"

#include "utils/builtins.h"

#include "money.h"

/* ---- places ---- */

typedef struct Place
{
	int32 place_id; /* 0: there is none */
	int32 parent_id;
	char *kind;
	char *code;
} Place;

static bool
find_place(const ImportRow *row, const char *code, Place *place)
{
	static DbQuery query = {
		"SELECT place_id, parent_id, kind FROM prepay.place WHERE site_id = $1 AND code = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(row->site->site_id), CStringGetTextDatum(code) };

	memset(place, 0, sizeof(*place));
	if (db_run(&query, args) == 0)
		return false;
	place->place_id = db_int32(0, 1);
	place->parent_id = db_int32_or(0, 2, 0);
	place->kind = db_text(0, 3);
	place->code = pstrdup(code);
	return true;
}

static void
make_place(const ImportRow *row, const char *kind, const char *code, const char *name,
		   int32 parent_id, Place *place)
{
	static DbQuery query = { "INSERT INTO prepay.place (site_id, parent_id, kind, code, name)"
							 " VALUES ($1, NULLIF($2, 0), $3, $4, $5) RETURNING place_id",
							 5,
							 { INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(row->site->site_id), Int32GetDatum(parent_id),
					 CStringGetTextDatum(kind), CStringGetTextDatum(code),
					 CStringGetTextDatum(name) };

	db_run(&query, args);
	place->place_id = db_int32(0, 1);
	place->parent_id = parent_id;
	place->code = pstrdup(code);
}

static void
import_building(const ImportRow *row, Place *building)
{
	const char *code = row->field[IMPORT_BUILDING];

	if (!find_place(row, code, building))
		make_place(row, "building", code, code, 0, building);
	else if (strcmp(building->kind, "floor") == 0 || strcmp(building->kind, "unit") == 0)
		import_fault(row, IMPORT_BUILDING, psprintf("is a %s already", building->kind),
					 "Codes of places are unique in a site.");
}

/* Floors are called 1, 2, … in every building: their code carries the building's. */
static void
import_floor(const ImportRow *row, const Place *building, Place *floor)
{
	const char *name = row->field[IMPORT_FLOOR];
	char *code = psprintf("%s-%s", building->code, name);

	if (find_place(row, name, floor) && floor->parent_id == building->place_id)
		return;
	if (!find_place(row, code, floor))
		make_place(row, "floor", code, name, building->place_id, floor);
	else if (floor->parent_id != building->place_id)
		import_fault(row, IMPORT_FLOOR,
					 psprintf("cannot be made: place \"%s\" lies elsewhere", code),
					 "Rename that place, or give the floor another code.");
}

/* Whether a place lies in the building but not where the row says. */
static bool
lies_in(const ImportRow *row, const Place *place, int32 building_id)
{
	static DbQuery query = { "SELECT parent_id FROM prepay.place WHERE site_id = $1"
							 " AND place_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(row->site->site_id), Int32GetDatum(place->parent_id) };

	if (place->parent_id == 0 || building_id == 0)
		return false;
	if (place->parent_id == building_id)
		return true;
	return db_run(&query, args) > 0 && db_int32_or(0, 1, 0) == building_id;
}

static void
import_unit(const ImportRow *row, const Place *building, const Place *parent, Place *unit)
{
	const char *name = row->field[IMPORT_UNIT];
	char *code;

	if (!find_place(row, name, unit))
	{
		make_place(row, "unit", name, name, parent->place_id, unit);
		return;
	}
	if (unit->parent_id == parent->place_id ||
		(parent->place_id == 0 && strcmp(unit->kind, "unit") == 0))
		return;
	if (lies_in(row, unit, building->place_id))
		import_fault(row, IMPORT_UNIT, "lies on another floor of that building",
					 "Correct the floor; a unit lies in one place.");
	if (building->place_id == 0)
		import_fault(row, IMPORT_UNIT, psprintf("is a %s already", unit->kind),
					 "Codes of places are unique in a site.");
	/* The code is used elsewhere: here it carries the building's. */
	code = psprintf("%s-%s", building->code, name);
	if (!find_place(row, code, unit))
		make_place(row, "unit", code, name, parent->place_id, unit);
	else if (unit->parent_id != parent->place_id)
		import_fault(row, IMPORT_UNIT,
					 psprintf("cannot be made: place \"%s\" lies elsewhere", code),
					 "Give the unit a code of its own.");
}

int32
import_place(const ImportRow *row, char **code)
{
	Place building = { 0 };
	Place floor = { 0 };
	Place unit = { 0 };
	const Place *inner = &building;

	if (row->field[IMPORT_BUILDING])
		import_building(row, &building);
	if (row->field[IMPORT_FLOOR])
	{
		import_floor(row, &building, &floor);
		inner = &floor;
	}
	if (row->field[IMPORT_UNIT])
	{
		import_unit(row, &building, inner, &unit);
		inner = &unit;
	}
	*code = inner->code;
	return inner->place_id;
}

/* ---- gateway ---- */

static void
check_agent(const ImportRow *row)
{
	static DbQuery query = { "SELECT 1 FROM prepay.agent WHERE site_id = $1 AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(row->site->site_id), (Datum) 0 };

	if (row->field[IMPORT_AGENT] == NULL)
		return;
	args[1] = CStringGetTextDatum(row->field[IMPORT_AGENT]);
	if (db_run(&query, args) == 0)
		import_fault(row, IMPORT_AGENT, "is no agent",
					 "Register it first: SELECT prepay.create_agent('…');");
}

static int32
make_gateway(const ImportRow *row, const Datum *args, const char *nulls)
{
	static DbQuery query = { "INSERT INTO prepay.gateway (site_id, code, transport, address, agent)"
							 " VALUES ($1, $2, COALESCE($3, 'tcp'), $4, $5) RETURNING gateway_id",
							 5,
							 { INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID } };

	if (row->field[IMPORT_ADDRESS] == NULL)
		import_fault(row, IMPORT_ADDRESS, "is empty",
					 "A new gateway needs host:port or a device path.");
	db_run_nulls(&query, args, nulls);
	return db_int32(0, 1);
}

static void
check_same(const ImportRow *row, ImportColumn column, const char *stored, const char *object)
{
	if (!import_agrees(row, column, stored))
		import_fault(row, column, psprintf("differs: the %s has \"%s\"", object, stored),
					 psprintf("Correct the row, or the %s itself.", object));
}

int32
import_gateway(ImportRow *row)
{
	static DbQuery find = { "SELECT gateway_id, transport, address, agent FROM prepay.gateway"
							" WHERE site_id = $1 AND code = $2",
							2,
							{ INT4OID, TEXTOID } };
	static DbQuery fill = {
		"UPDATE prepay.gateway SET address = COALESCE(address, $4), agent = COALESCE(agent, $5)"
		" WHERE site_id = $1 AND code = $2",
		5,
		{ INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(row->site->site_id), db_text_datum(row->field[IMPORT_GATEWAY]),
					 db_text_datum(row->field[IMPORT_TRANSPORT]),
					 db_text_datum(row->field[IMPORT_ADDRESS]),
					 db_text_datum(row->field[IMPORT_AGENT]) };
	char nulls[] = "     ";
	char *address;
	char *agent;
	int32 gateway_id;
	int i;

	if (row->field[IMPORT_GATEWAY] == NULL)
		return 0;
	row->at = IMPORT_GATEWAY;
	for (i = 2; i < 5; i++)
		nulls[i] = args[i] == (Datum) 0 ? 'n' : ' ';
	check_agent(row);
	if (db_run(&find, args) == 0)
		return make_gateway(row, args, nulls);
	gateway_id = db_int32(0, 1);
	address = db_text(0, 3);
	agent = db_text(0, 4);
	check_same(row, IMPORT_TRANSPORT, db_text(0, 2), "gateway");
	check_same(row, IMPORT_ADDRESS, address, "gateway");
	check_same(row, IMPORT_AGENT, agent, "gateway");
	if ((row->field[IMPORT_ADDRESS] && address == NULL) ||
		(row->field[IMPORT_AGENT] && agent == NULL))
		db_run_nulls(&fill, args, nulls);
	return gateway_id;
}

/* ---- meter ---- */

/* Columns of meter that an import row may give, in the order of the queries below. */
static const ImportColumn meter_column[] = {
	IMPORT_NAME,	IMPORT_CIRCUIT, IMPORT_UNIT_ID,		 IMPORT_MODEL,
	IMPORT_PURPOSE, IMPORT_RATIO,	IMPORT_REGISTER_MAX, IMPORT_RATED_KW,
	IMPORT_ALARM1,	IMPORT_ALARM2,	IMPORT_METER_ADDRESS
};
#define METER_ARGS (4 + lengthof(meter_column))
#define METER_TYPES                                                                               \
	{                                                                                             \
		INT4OID, TEXTOID, INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, \
			TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID                                           \
	}

static void
check_model(const ImportRow *row)
{
	static DbQuery query = { "SELECT 1 FROM prepay.meter_model WHERE code = $1", 1, { TEXTOID } };
	Datum arg;

	if (row->field[IMPORT_MODEL] == NULL)
		return;
	arg = CStringGetTextDatum(row->field[IMPORT_MODEL]);
	if (db_run(&query, &arg) == 0)
		import_fault(row, IMPORT_MODEL, "is no meter model",
					 "Models: SELECT code FROM prepay.meter_model;");
}

/* Two meters at one address would answer for each other. */
static void
check_free(const ImportRow *row, int32 gateway_id, DbQuery *query, ImportColumn column)
{
	Datum args[] = { Int32GetDatum(row->site->site_id), Int32GetDatum(gateway_id), (Datum) 0,
					 CStringGetTextDatum(row->field[IMPORT_METER]) };

	if (row->field[column] == NULL)
		return;
	args[2] = CStringGetTextDatum(row->field[column]);
	if (db_run(query, args) > 0)
		import_fault(row, column,
					 psprintf("is used by meter \"%s\" behind the same gateway", db_text(0, 1)),
					 "Give each meter behind a gateway an address of its own.");
}

static void
check_addresses_free(const ImportRow *row, int32 gateway_id)
{
	static DbQuery unit = { "SELECT code FROM prepay.meter WHERE site_id = $1 AND gateway_id = $2"
							" AND unit_id = $3::smallint AND code <> $4",
							4,
							{ INT4OID, INT4OID, TEXTOID, TEXTOID } };
	static DbQuery address = { "SELECT code FROM prepay.meter WHERE site_id = $1"
							   " AND gateway_id = $2 AND address = $3 AND code <> $4",
							   4,
							   { INT4OID, INT4OID, TEXTOID, TEXTOID } };

	check_free(row, gateway_id, &unit, IMPORT_UNIT_ID);
	check_free(row, gateway_id, &address, IMPORT_METER_ADDRESS);
}

static void
meter_args(const ImportRow *row, int32 gateway_id, int32 place_id, Datum *args, char *nulls)
{
	int i;

	memset(nulls, ' ', METER_ARGS);
	nulls[METER_ARGS] = '\0';
	args[0] = Int32GetDatum(row->site->site_id);
	args[1] = CStringGetTextDatum(row->field[IMPORT_METER]);
	args[2] = Int32GetDatum(gateway_id);
	args[3] = Int32GetDatum(place_id);
	for (i = 0; i < lengthof(meter_column); i++)
	{
		const char *field = row->field[meter_column[i]];

		args[4 + i] = db_text_datum(field);
		if (field == NULL)
			nulls[4 + i] = 'n';
	}
}

/* A meter that exists must agree with the row; empty columns are filled. */
static void
fill_meter(const ImportRow *row, int32 gateway_id, int32 place_id, const Datum *args,
		   const char *nulls)
{
	static DbQuery fill = {
		"UPDATE prepay.meter SET gateway_id = COALESCE(gateway_id, NULLIF($3, 0)),"
		" place_id = COALESCE(place_id, NULLIF($4, 0)), name = COALESCE(name, $5),"
		" circuit = COALESCE(circuit, $6), unit_id = COALESCE(unit_id, $7::smallint),"
		" model = COALESCE(model, $8), register_max = COALESCE(register_max, $11::numeric),"
		" rated_kw = COALESCE(rated_kw, $12::numeric),"
		" alarm1_amount = COALESCE(alarm1_amount, $13::numeric),"
		" alarm2_amount = COALESCE(alarm2_amount, $14::numeric), address = COALESCE(address, $15)"
		" WHERE site_id = $1 AND code = $2",
		15, METER_TYPES
	};
	char *stored[lengthof(meter_column)];
	int32 stored_gateway = db_int32_or(0, 2, 0);
	int32 stored_place = db_int32_or(0, 3, 0);
	bool empty = (gateway_id != 0 && stored_gateway == 0) || (place_id != 0 && stored_place == 0);
	int i;

	for (i = 0; i < lengthof(meter_column); i++)
	{
		stored[i] = db_text(0, 4 + i);
		empty |= row->field[meter_column[i]] && stored[i] == NULL;
	}
	if (gateway_id != 0 && stored_gateway != 0 && gateway_id != stored_gateway)
		import_fault(row, IMPORT_GATEWAY, "differs: the meter stands behind another gateway",
					 "Correct the row, or the meter itself.");
	if (place_id != 0 && stored_place != 0 && place_id != stored_place)
		import_fault(row,
					 row->field[IMPORT_UNIT]	? IMPORT_UNIT
					 : row->field[IMPORT_FLOOR] ? IMPORT_FLOOR
												: IMPORT_BUILDING,
					 "differs: the meter stands at another place",
					 "Correct the row, or the meter itself.");
	for (i = 0; i < lengthof(meter_column); i++)
		check_same(row, meter_column[i], stored[i], "meter");
	if (empty)
		db_run_nulls(&fill, args, nulls);
}

int32
import_meter(ImportRow *row, int32 gateway_id, int32 place_id)
{
	static DbQuery find = {
		"SELECT meter_id, gateway_id, place_id, name, circuit, unit_id::text, model, purpose,"
		" ratio::text, register_max::text, rated_kw::text, alarm1_amount::text,"
		" alarm2_amount::text, address FROM prepay.meter WHERE site_id = $1 AND code = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	static DbQuery make = {
		"INSERT INTO prepay.meter (site_id, code, gateway_id, place_id, name, circuit, unit_id,"
		" model, purpose, ratio, register_max, rated_kw, alarm1_amount, alarm2_amount, address)"
		" VALUES ($1, $2, NULLIF($3, 0), NULLIF($4, 0), $5, $6, $7::smallint, $8,"
		" COALESCE($9, 'prepaid'), COALESCE($10::numeric, 1), $11::numeric, $12::numeric,"
		" $13::numeric, $14::numeric, $15) RETURNING meter_id",
		15, METER_TYPES
	};
	Datum args[METER_ARGS];
	char nulls[METER_ARGS + 1];
	int32 meter_id;

	row->at = IMPORT_METER;
	meter_args(row, gateway_id, place_id, args, nulls);
	check_model(row);
	check_addresses_free(row, gateway_id);
	if (db_run(&find, args) == 0)
	{
		db_run_nulls(&make, args, nulls);
		return db_int32(0, 1);
	}
	meter_id = db_int32(0, 1);
	fill_meter(row, gateway_id, place_id, args, nulls);
	return meter_id;
}
