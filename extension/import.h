/*
 * import.h: one row of view meter_import on its way in.
 */
#ifndef PREPAY_IMPORT_H
#define PREPAY_IMPORT_H

#include "db.h"
#include "site.h"

/* The columns of the view, in its order. */
typedef enum ImportColumn
{
	IMPORT_SITE,
	IMPORT_BUILDING,
	IMPORT_FLOOR,
	IMPORT_UNIT,
	IMPORT_GATEWAY,
	IMPORT_TRANSPORT,
	IMPORT_ADDRESS,
	IMPORT_AGENT,
	IMPORT_UNIT_ID,
	IMPORT_METER,
	IMPORT_NAME,
	IMPORT_CIRCUIT,
	IMPORT_MODEL,
	IMPORT_PURPOSE,
	IMPORT_RATIO,
	IMPORT_REGISTER_MAX,
	IMPORT_RATED_KW,
	IMPORT_ACCOUNT,
	IMPORT_CUSTOMER,
	IMPORT_PHONE,
	IMPORT_TARIFF,
	IMPORT_ALARM1,
	IMPORT_ALARM2,
	IMPORT_START_KWH,
	IMPORT_METER_ADDRESS,
	IMPORT_COLUMNS
} ImportColumn;

typedef struct ImportRow
{
	int number; /* in its statement, from 1 */
	Oid caller;
	const Site *site;
	ImportColumn at;			 /* what is being worked on, for errors from below */
	char *field[IMPORT_COLUMNS]; /* trimmed; NULL: empty */
} ImportRow;

/* Raises PP070 with row, column and value; what completes "column "x": "value" …". */
extern void import_fault(const ImportRow *row, ImportColumn column, const char *what,
						 const char *hint) pg_attribute_noreturn();
/* The field's value must be a code. */
extern void import_require_code(const ImportRow *row, ImportColumn column);
/* Whether a stored value is what the row says; an empty field says nothing. */
extern bool import_agrees(const ImportRow *row, ImportColumn column, const char *stored);

/* Find or make building, floor and unit; the innermost, 0: none is named. code: its code. */
extern int32 import_place(const ImportRow *row, char **code);
/* Find or make the gateway; 0: none is named. */
extern int32 import_gateway(ImportRow *row);
/* Find or make the meter. */
extern int32 import_meter(ImportRow *row, int32 gateway_id, int32 place_id);

#endif
