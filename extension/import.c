/*
 * import.c: INSERT or \copy into view meter_import.
 *
 * One flat row a meter makes everything it names: places, gateway, meter, account
 * with its first assignment. What exists already is filled in where it is empty and
 * must agree where it is not, so a corrected file can be loaded again as a whole.
 * Whatever goes wrong, here or in the functions called, is raised as PP070 with the
 * number of the row in its statement, the column and the value; the statement then
 * leaves nothing behind.
 */
#include "import.h"

#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "account.h"
#include "auth.h"
#include "code.h"
#include "lock.h"
#include "money.h"
#include "owner.h"
#include "purse.h"
#include "vend.h"

PG_FUNCTION_INFO_V1(prepay_meter_import_row);

#define FIRST_ANALYZE_ROWS 64
#define NEXT_ANALYZE_ROWS 1024

extern Datum prepay_is_code(PG_FUNCTION_ARGS);

static const char *const column_name[IMPORT_COLUMNS] = {
	"site",			"building",		 "floor",		  "unit",	   "gateway",
	"transport",	"address",		 "agent",		  "unit_id",   "meter",
	"name",			"circuit",		 "model",		  "purpose",   "ratio",
	"register_max", "rated_kw",		 "account",		  "customer",  "phone",
	"tariff",		"alarm1_amount", "alarm2_amount", "start_kwh", "meter_address"
};

void
import_fault(const ImportRow *row, ImportColumn column, const char *what, const char *hint)
{
	const char *value = row->field[column];

	ereport(ERROR, (errcode(ERRCODE_PP_BAD_IMPORT),
					value ? errmsg("meter_import row %d, column \"%s\": \"%s\" %s", row->number,
								   column_name[column], value, what)
						  : errmsg("meter_import row %d, column \"%s\" %s", row->number,
								   column_name[column], what),
					errhint("%s", hint)));
}

void
import_require_code(const ImportRow *row, ImportColumn column)
{
	if (!DatumGetBool(DirectFunctionCall1(prepay_is_code, CStringGetTextDatum(row->field[column]))))
		import_fault(row, column, "is not a code",
					 "Use 1 to 64 characters without '/', ':' and control characters.");
}

static bool
is_amount(ImportColumn column)
{
	return column == IMPORT_RATIO || column == IMPORT_REGISTER_MAX || column == IMPORT_RATED_KW ||
		   column == IMPORT_ALARM1 || column == IMPORT_ALARM2;
}

bool
import_agrees(const ImportRow *row, ImportColumn column, const char *stored)
{
	const char *given = row->field[column];
	int64 a;
	int64 b;

	if (given == NULL || stored == NULL)
		return true;
	if (is_amount(column) && decimal_parse(given, 6, &a) == DECIMAL_OK &&
		decimal_parse(stored, 6, &b) == DECIMAL_OK)
		return a == b;
	return strcmp(given, stored) == 0;
}

static char *
trimmed(const char *text)
{
	size_t length;

	text += strspn(text, " \t\r\n");
	length = strlen(text);
	while (length > 0 && strchr(" \t\r\n", text[length - 1]))
		length--;
	return length ? pnstrdup(text, length) : NULL;
}

static void
read_fields(ImportRow *row, const TriggerData *trigger)
{
	TupleDesc type = RelationGetDescr(trigger->tg_relation);
	int i;

	for (i = 0; i < IMPORT_COLUMNS; i++)
	{
		int column = SPI_fnumber(type, column_name[i]);
		char *text = column > 0 ? SPI_getvalue(trigger->tg_trigtuple, type, column) : NULL;

		row->field[i] = text ? trimmed(text) : NULL;
	}
}

static void
check_decimal(const ImportRow *row, ImportColumn column, int decimals, int64 min, const char *hint)
{
	int64 value;

	if (row->field[column] == NULL)
		return;
	switch (decimal_parse(row->field[column], decimals, &value))
	{
		case DECIMAL_OK:
			if (value < min)
				import_fault(row, column, "is too small", hint);
			break;
		case DECIMAL_TOO_FINE:
			import_fault(row, column, psprintf("has more than %d decimals", decimals), hint);
		case DECIMAL_OVERFLOW:
			import_fault(row, column, "is too large", hint);
		case DECIMAL_SYNTAX:
			import_fault(row, column, "is no number", hint);
	}
}

static void
check_choice(const ImportRow *row, ImportColumn column, const char *const *choice, const char *hint)
{
	if (row->field[column] == NULL)
		return;
	for (; *choice; choice++)
		if (strcmp(*choice, row->field[column]) == 0)
			return;
	import_fault(row, column, "is unknown", hint);
}

/* A column that means nothing without another one. */
static void
check_needs(const ImportRow *row, ImportColumn column, ImportColumn needed)
{
	if (row->field[column] && row->field[needed] == NULL)
		import_fault(row, column, psprintf("needs column \"%s\"", column_name[needed]),
					 psprintf("Fill in \"%s\" or leave both empty.", column_name[needed]));
}

static void
check_fields(const ImportRow *row)
{
	static const ImportColumn code_columns[] = { IMPORT_BUILDING, IMPORT_FLOOR, IMPORT_UNIT,
												 IMPORT_GATEWAY,  IMPORT_AGENT, IMPORT_METER,
												 IMPORT_ACCOUNT };
	static const char *const transports[] = { "tcp", "rtu", "rtu_over_tcp", NULL };
	static const char *const purposes[] = { "prepaid", "check", NULL };
	int64 unit;
	int i;

	if (row->field[IMPORT_METER] == NULL)
		import_fault(row, IMPORT_METER, "is empty", "Every row names a meter.");
	for (i = 0; i < lengthof(code_columns); i++)
		if (row->field[code_columns[i]])
			import_require_code(row, code_columns[i]);
	check_choice(row, IMPORT_TRANSPORT, transports, "Use tcp, rtu or rtu_over_tcp.");
	check_choice(row, IMPORT_PURPOSE, purposes, "Use prepaid or check.");
	if (row->field[IMPORT_UNIT_ID] &&
		(decimal_parse(row->field[IMPORT_UNIT_ID], 0, &unit) != DECIMAL_OK || unit < 0 ||
		 unit > 255))
		import_fault(row, IMPORT_UNIT_ID, "is no unit address", "Give 1 to 247.");
	if (row->field[IMPORT_METER_ADDRESS] &&
		(strlen(row->field[IMPORT_METER_ADDRESS]) > 12 ||
		 strspn(row->field[IMPORT_METER_ADDRESS], "0123456789") !=
			 strlen(row->field[IMPORT_METER_ADDRESS])))
		import_fault(row, IMPORT_METER_ADDRESS, "is no meter address", "Give up to 12 digits.");
	check_decimal(row, IMPORT_RATIO, 6, 1, "Give CT x PT, more than 0, such as 40.");
	check_decimal(row, IMPORT_REGISTER_MAX, 3, 1,
				  "Give the kWh at which the register starts anew.");
	check_decimal(row, IMPORT_RATED_KW, 3, 1, "Give kW, more than 0.");
	check_decimal(row, IMPORT_START_KWH, 3, 0, "Give the kWh the register shows.");
	check_decimal(row, IMPORT_ALARM1, row->site->decimals, PG_INT64_MIN,
				  psprintf("Give an amount in %s.", row->site->currency));
	check_decimal(row, IMPORT_ALARM2, row->site->decimals, PG_INT64_MIN,
				  psprintf("Give an amount in %s.", row->site->currency));
	check_needs(row, IMPORT_FLOOR, IMPORT_BUILDING);
	check_needs(row, IMPORT_TRANSPORT, IMPORT_GATEWAY);
	check_needs(row, IMPORT_ADDRESS, IMPORT_GATEWAY);
	check_needs(row, IMPORT_AGENT, IMPORT_GATEWAY);
	check_needs(row, IMPORT_UNIT_ID, IMPORT_GATEWAY);
	check_needs(row, IMPORT_METER_ADDRESS, IMPORT_GATEWAY);
	check_needs(row, IMPORT_CUSTOMER, IMPORT_ACCOUNT);
	check_needs(row, IMPORT_PHONE, IMPORT_ACCOUNT);
	check_needs(row, IMPORT_TARIFF, IMPORT_ACCOUNT);
	check_needs(row, IMPORT_START_KWH, IMPORT_ACCOUNT);
}

static void
find_site(ImportRow *row)
{
	static DbQuery query = { "SELECT site_id FROM prepay.site WHERE code = $1", 1, { TEXTOID } };
	const char *code = row->field[IMPORT_SITE];
	int32 site_id;

	row->at = IMPORT_SITE;
	if (code)
	{
		Datum arg = CStringGetTextDatum(code);

		if (db_run(&query, &arg) == 0)
			import_fault(row, IMPORT_SITE, "is no site", "Create it with prepay.create_site().");
	}
	site_id = code_site(row->caller, code);
	auth_require(row->caller, MAY_CONFIGURE, site_id, "import meters");
	lock_site_exclusive(site_id);
	row->site = site_get(site_id);
}

/* An account that exists must agree; its phone is filled in where it has none. */
static int32
known_account(ImportRow *row)
{
	static DbQuery query = { "SELECT account_id, customer, phone, state FROM prepay.account"
							 " WHERE site_id = $1 AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	static DbQuery fill = { "UPDATE prepay.account SET phone = $3 WHERE site_id = $1"
							" AND account_id = $2 AND phone IS NULL",
							3,
							{ INT4OID, INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(row->site->site_id),
					 CStringGetTextDatum(row->field[IMPORT_ACCOUNT]), (Datum) 0 };
	int32 account_id;

	if (db_run(&query, args) == 0)
		return 0;
	account_id = db_int32(0, 1);
	if (strcmp(db_text(0, 4), "open") != 0)
		import_fault(row, IMPORT_ACCOUNT, "is closed", "Codes stay taken; choose another.");
	if (!import_agrees(row, IMPORT_CUSTOMER, db_text(0, 2)))
		import_fault(row, IMPORT_CUSTOMER,
					 psprintf("differs: the account is \"%s\"'s", db_text(0, 2)),
					 "Correct the row, or change the account with prepay.update_account().");
	if (!import_agrees(row, IMPORT_PHONE, db_text(0, 3)))
		import_fault(row, IMPORT_PHONE, psprintf("differs: the account has \"%s\"", db_text(0, 3)),
					 "Correct the row, or change the account with prepay.update_account().");
	if (row->field[IMPORT_PHONE] && db_text(0, 3) == NULL)
	{
		args[1] = Int32GetDatum(account_id);
		args[2] = CStringGetTextDatum(row->field[IMPORT_PHONE]);
		db_run(&fill, args);
	}
	return account_id;
}

/* The account's tariff, where the row names one. */
static void
check_tariff(ImportRow *row, int32 account_id)
{
	static DbQuery query = {
		"SELECT t.code FROM prepay.tariff_assignment a"
		" JOIN prepay.tariff t USING (site_id, tariff_id)"
		" WHERE a.site_id = $1 AND a.target_kind = 'account' AND a.target_id = $2"
		" AND a.valid_from <= $3 ORDER BY a.valid_from DESC, a.assignment DESC LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(row->site->site_id), Int32GetDatum(account_id),
					 TimestampTzGetDatum(row->site->now) };
	char *stored;

	if (row->field[IMPORT_TARIFF] == NULL)
		return;
	stored = db_run(&query, args) > 0 ? db_text(0, 1) : NULL;
	if (stored == NULL || strcmp(stored, row->field[IMPORT_TARIFF]) != 0)
		import_fault(row, IMPORT_TARIFF,
					 stored ? psprintf("differs: the account has \"%s\"", stored)
							: "differs: the account has none of its own",
					 "Change it with prepay.assign_tariff().");
}

/* The account of a meter that belongs to one; 0: none. */
static int32
present_owner(const ImportRow *row, int32 meter_id)
{
	static DbQuery query = { "SELECT account_id FROM prepay.account_meter WHERE site_id = $1"
							 " AND meter_id = $2 AND valid_to = 'infinity'",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(row->site->site_id), Int32GetDatum(meter_id) };

	return db_run(&query, args) > 0 ? db_int32(0, 1) : 0;
}

static void
post_opening(const ImportRow *row, int32 account_id)
{
	VendCall call = { .operation = "open_account", .site = row->site };
	LedgerEntry entry = { .kind = "opening", .note = "opening balance" };

	call.target.site_id = row->site->site_id;
	call.target.id = account_id;
	vend_lock(&call);
	vend_post_result(&call, &entry);
	vend_finish(&call);
}

static void
import_account(ImportRow *row, int32 meter_id, const char *place_code)
{
	int32 account_id;
	int32 owner = present_owner(row, meter_id);
	bool is_new;

	if (row->field[IMPORT_ACCOUNT] == NULL)
		return;
	row->at = IMPORT_ACCOUNT;
	account_id = known_account(row);
	is_new = account_id == 0;
	if (owner != 0 && owner != account_id)
		import_fault(row, IMPORT_METER, "belongs to another account",
					 "Remove it there first: prepay.remove_meter().");
	if (is_new)
	{
		if (row->field[IMPORT_CUSTOMER] == NULL)
			import_fault(row, IMPORT_CUSTOMER, "is empty", "A new account needs its customer.");
		row->at = IMPORT_PHONE;
		account_check_phone(row->field[IMPORT_PHONE]);
		row->at = IMPORT_TARIFF;
		if (row->field[IMPORT_TARIFF])
			(void) account_find_tariff(row->site, row->field[IMPORT_TARIFF]);
		row->at = IMPORT_ACCOUNT;
		account_id = account_open(row->site, row->caller, row->field[IMPORT_ACCOUNT],
								  row->field[IMPORT_CUSTOMER], row->field[IMPORT_PHONE], place_code,
								  row->field[IMPORT_TARIFF]);
	}
	else
		check_tariff(row, account_id);
	if (owner == 0)
	{
		purse_require_alone(row->site, account_id, meter_id, 0);
		owner_begin(row->site, account_id, meter_id, row->field[IMPORT_START_KWH], row->site->now);
		owner_rate(row->site, &meter_id, 1, row->site->now);
		purse_begin(row->site, account_id, meter_id);
	}
	if (is_new)
		post_opening(row, account_id);
	else if (owner == 0)
		account_redecide(row->site, account_id);
}

static void
import_row(ImportRow *row)
{
	char *place_code = NULL;
	int32 place_id;
	int32 gateway_id;
	int32 meter_id;

	find_site(row);
	check_fields(row);
	row->at = IMPORT_UNIT;
	place_id = import_place(row, &place_code);
	gateway_id = import_gateway(row);
	meter_id = import_meter(row, gateway_id, place_id);
	import_account(row, meter_id, place_code);
}

/*
 * Plans made while the tables were empty walk whole sites. Statistics taken as a
 * load grows make all sessions plan anew; later autovacuum does it.
 */
static void
keep_statistics(int rows)
{
	if (rows == FIRST_ANALYZE_ROWS || (rows >= NEXT_ANALYZE_ROWS && (rows & (rows - 1)) == 0))
		db_execute("ANALYZE prepay.place, prepay.gateway, prepay.meter, prepay.meter_term,"
				   " prepay.meter_state, prepay.meter_control, prepay.account,"
				   " prepay.account_state, prepay.account_meter, prepay.ledger_entry,"
				   " prepay.tariff_assignment, prepay.command");
}

/* The column at fault: the one a table's constraint is named after, else where the row stood. */
static ImportColumn
column_of(const ImportRow *row, const ErrorData *error)
{
	int i;

	for (i = 0; error->constraint_name && i < IMPORT_COLUMNS; i++)
	{
		const char *found = strstr(error->constraint_name, column_name[i]);

		if (found > error->constraint_name && found[-1] == '_' &&
			found[strlen(column_name[i])] == '_')
			return i;
	}
	return row->at;
}

/* Errors of what the row calls become errors of the row; rights and system errors pass. */
static void
rethrow_as_row(const ImportRow *row, ErrorData *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	if (error->sqlerrcode != ERRCODE_PP_BAD_IMPORT && error->elevel == ERROR &&
		(category == ERRCODE_DATA_EXCEPTION || category == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ||
		 category == MAKE_SQLSTATE('P', 'P', '0', '0', '0')))
	{
		error->sqlerrcode = ERRCODE_PP_BAD_IMPORT;
		error->message = psprintf("meter_import row %d, column \"%s\": %s", row->number,
								  column_name[column_of(row, error)], error->message);
		if (error->hint == NULL)
			error->hint = "Mend the value; nothing of this statement was stored.";
	}
	ReThrowError(error);
}

/*
 * meter_import_row: INSTEAD OF INSERT row trigger of view meter_import. Rows are
 * counted per statement. Raises PP070.
 */
Datum
prepay_meter_import_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	ImportRow row = { 0 };
	DbSession session;
	int *count = (int *) fcinfo->flinfo->fn_extra;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_INSTEAD(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("meter_import_row is an INSTEAD OF INSERT trigger function")));
	/* The trigger's call information lives as long as its statement. */
	if (count == NULL)
		count = fcinfo->flinfo->fn_extra =
			MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(int));
	row.number = ++*count;
	db_enter(&session);
	row.caller = session.caller;
	read_fields(&row, trigger);
	PG_TRY();
	{
		import_row(&row);
		keep_statistics(row.number);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(session.outer);
		error = CopyErrorData();
		FlushErrorState();
		rethrow_as_row(&row, error);
	}
	PG_END_TRY();
	db_leave(&session);
	return PointerGetDatum(trigger->tg_trigtuple);
}
