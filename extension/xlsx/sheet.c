#include "sheet.h"

#include <ctype.h>
#include <math.h>
#include <xlsxwriter.h>

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define MAX_CELL_UTF16 32767 /* length of a cell's text: Excel's limit */
#define EXACT_DIGITS 15		 /* decimal digits that a spreadsheet's number keeps */
#define EXACT_INTEGER INT64CONST(999999999999999)
#define MAX_SCALE 20 /* decimals with a format of their own */
#define MIN_WIDTH 6	 /* of a column, in characters */
#define MAX_WIDTH 60
#define FILTER_BUTTON 3	 /* its width */
#define DAY_ZERO 2415019 /* Excel's day 0 as a Julian day, right from 1 March 1900 on */
#define FIRST_DAY 61	 /* before it Excel knows a 29 February 1900 */
#define LAST_DAY 2958465 /* 31 December 9999 */
#define DAY_WIDTH 10	 /* 2026-03-01 */
#define INSTANT_WIDTH 19 /* 2026-03-01 08:00:00 */
#define TIME_WIDTH 8

typedef enum CellKind
{
	CELL_TEXT,
	CELL_BOOL,
	CELL_INT16,
	CELL_INT32,
	CELL_INT64,
	CELL_NUMERIC,
	CELL_FLOAT,
	CELL_DATE,
	CELL_TIME,
	CELL_TIMESTAMP,
	CELL_TIMESTAMPTZ
} CellKind;

typedef struct Column
{
	CellKind kind;
	FmgrInfo out;
	char *name;
	const char *note;
	int width; /* of the widest value so far */
} Column;

struct Sheet
{
	lxw_workbook *book; /* NULL: finished or abandoned */
	lxw_worksheet *sheet;
	const char *title;
	int n_sheet;
	lxw_row_t next;
	int n_column;
	Column *column;
	lxw_format *head;
	lxw_format *integer;
	lxw_format *decimal[MAX_SCALE + 1];
	lxw_format *day;
	lxw_format *time;
	lxw_format *instant;
	MemoryContext row_memory;
};

/* ---- columns and formats ---- */

static CellKind
cell_kind(Oid type)
{
	switch (getBaseType(type))
	{
		case BOOLOID:
			return CELL_BOOL;
		case INT2OID:
			return CELL_INT16;
		case INT4OID:
			return CELL_INT32;
		case INT8OID:
			return CELL_INT64;
		case NUMERICOID:
			return CELL_NUMERIC;
		case FLOAT4OID:
		case FLOAT8OID:
			return CELL_FLOAT;
		case DATEOID:
			return CELL_DATE;
		case TIMEOID:
			return CELL_TIME;
		case TIMESTAMPOID:
			return CELL_TIMESTAMP;
		case TIMESTAMPTZOID:
			return CELL_TIMESTAMPTZ;
		default:
			return CELL_TEXT;
	}
}

static void
widen(Column *column, int width)
{
	if (width > column->width)
		column->width = Min(width, MAX_WIDTH);
}

/* In columns of a fixed-width font; Chinese takes two. The longest line counts. */
static int
text_width(const char *utf8)
{
	int widest = 0;
	int width = 0;

	for (; *utf8 != '\0'; utf8 += pg_encoding_mblen(PG_UTF8, utf8))
	{
		if (*utf8 == '\n')
			width = 0;
		else if (!IS_HIGHBIT_SET(*utf8))
			width++;
		else
			width += Max(pg_encoding_dsplen(PG_UTF8, utf8), 0);
		widest = Max(widest, width);
	}
	return widest;
}

static void
make_columns(Sheet *sheet, TupleDesc row, const char *const *note)
{
	sheet->n_column = row->natts;
	sheet->column = palloc0(row->natts * sizeof(Column));
	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(row, i);
		Column *column = &sheet->column[i];
		char *name = NameStr(attribute->attname);
		Oid out;
		bool is_varlena;

		column->kind = cell_kind(attribute->atttypid);
		getTypeOutputInfo(attribute->atttypid, &out, &is_varlena);
		fmgr_info(out, &column->out);
		column->name = pstrdup(pg_server_to_any(name, strlen(name), PG_UTF8));
		if (note[i] != NULL)
			column->note = pstrdup(pg_server_to_any(note[i], strlen(note[i]), PG_UTF8));
		column->width = MIN_WIDTH;
		widen(column, text_width(column->name) + FILTER_BUTTON);
	}
}

static lxw_format *
number_format(Sheet *sheet, const char *pattern)
{
	lxw_format *format = workbook_add_format(sheet->book);

	format_set_num_format(format, pattern);
	return format;
}

static lxw_format *
decimal_format(Sheet *sheet, int scale)
{
	if (scale > MAX_SCALE)
		scale = MAX_SCALE;
	if (sheet->decimal[scale] == NULL)
	{
		char pattern[] = "#,##0.00000000000000000000";

		pattern[scale == 0 ? strlen("#,##0") : strlen("#,##0.") + scale] = '\0';
		sheet->decimal[scale] = number_format(sheet, pattern);
	}
	return sheet->decimal[scale];
}

static void
make_formats(Sheet *sheet)
{
	sheet->head = workbook_add_format(sheet->book);
	format_set_bold(sheet->head);
	format_set_bottom(sheet->head, LXW_BORDER_THIN);
	sheet->integer = number_format(sheet, "0");
	sheet->day = number_format(sheet, "yyyy-mm-dd");
	sheet->time = number_format(sheet, "hh:mm:ss");
	sheet->instant = number_format(sheet, "yyyy-mm-dd hh:mm:ss");
}

/* ---- sheets ---- */

static void
write_head(Sheet *sheet)
{
	lxw_comment_options box = { .width = 260, .height = 100 };

	for (int i = 0; i < sheet->n_column; i++)
	{
		Column *column = &sheet->column[i];

		worksheet_write_string(sheet->sheet, 0, i, column->name, sheet->head);
		if (column->note != NULL)
			worksheet_write_comment_opt(sheet->sheet, 0, i, column->note, &box);
	}
	worksheet_freeze_panes(sheet->sheet, 1, 0);
	sheet->next = 1;
}

static void
begin_sheet(Sheet *sheet)
{
	const char *name = sheet->title;

	if (sheet->n_sheet++ > 0)
		name = psprintf("%s (%d)", sheet->title, sheet->n_sheet);
	sheet->sheet = workbook_add_worksheet(sheet->book, name);
	if (sheet->sheet == NULL)
		elog(ERROR, "libxlsxwriter refuses the sheet \"%s\"", name);
	write_head(sheet);
}

static void
raise_full(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_DISK_FULL), errmsg("the workbook cannot be written"),
			 errdetail("%s.", what),
			 errhint("Make room for temporary files, or export fewer rows with a WHERE clause.")));
}

static void
end_sheet(Sheet *sheet)
{
	for (int i = 0; i < sheet->n_column; i++)
		worksheet_set_column(sheet->sheet, i, i, sheet->column[i].width + 1, NULL);
	worksheet_autofilter(sheet->sheet, 0, 0, sheet->next - 1, sheet->n_column - 1);
	/* The library does not look whether its rows reached the disk. */
	if (sheet->sheet->optimize_tmpfile != NULL &&
		(fflush(sheet->sheet->optimize_tmpfile) != 0 || ferror(sheet->sheet->optimize_tmpfile)))
		raise_full("The file system for temporary files is full");
}

Sheet *
sheet_begin(const char *path, const char *title, TupleDesc row, const char *const *note)
{
	Sheet *sheet = palloc0(sizeof(Sheet));
	lxw_workbook_options options = { .constant_memory = LXW_TRUE };

	sheet->title = title;
	sheet->row_memory =
		AllocSetContextCreate(CurrentMemoryContext, "row of a workbook", ALLOCSET_SMALL_SIZES);
	make_columns(sheet, row, note);
	sheet->book = workbook_new_opt(path, &options);
	if (sheet->book == NULL)
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	make_formats(sheet);
	begin_sheet(sheet);
	return sheet;
}

/* ---- cells ---- */

static int
utf16_length(const char *utf8)
{
	int n = 0;

	for (; *utf8 != '\0'; utf8++)
		n += (*utf8 & 0xC0) == 0x80 ? 0 : (*utf8 & 0xF8) == 0xF0 ? 2 : 1;
	return n;
}

static bool
is_escape(const char *text)
{
	if (text[0] != '_' || text[1] != 'x')
		return false;
	for (int i = 2; i < 6; i++)
		if (!isxdigit((unsigned char) text[i]))
			return false;
	return text[6] == '_';
}

/* Excel reads _x0041_ as the letter A: its first character is escaped the same way. */
static const char *
without_escapes(const char *text)
{
	StringInfoData safe;

	if (strstr(text, "_x") == NULL)
		return text;
	initStringInfo(&safe);
	for (; *text != '\0'; text++)
		if (is_escape(text))
			appendStringInfoString(&safe, "_x005F_");
		else
			appendStringInfoChar(&safe, *text);
	return safe.data;
}

static void
write_text(Sheet *sheet, int i, const char *text)
{
	Column *column = &sheet->column[i];
	const char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);

	if (strlen(utf8) > MAX_CELL_UTF16 && utf16_length(utf8) > MAX_CELL_UTF16)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the text in column \"%s\" of row %u is too long for a cell",
							   column->name, sheet->next),
						errdetail("It has %d characters; a cell holds %d.", utf16_length(utf8),
								  MAX_CELL_UTF16),
						errhint("Export a part of it with left(), or leave the column out.")));
	widen(column, text_width(utf8));
	worksheet_write_string(sheet->sheet, sheet->next, i, without_escapes(utf8), NULL);
}

static void
write_number(Sheet *sheet, int i, double number, lxw_format *format, int width)
{
	widen(&sheet->column[i], width);
	worksheet_write_number(sheet->sheet, sheet->next, i, number, format);
}

static void
write_integer(Sheet *sheet, int i, int64 number)
{
	char text[MAXINT8LEN + 1];
	int width = pg_lltoa(number, text);

	if (number < -EXACT_INTEGER || number > EXACT_INTEGER)
		write_text(sheet, i, text);
	else
		write_number(sheet, i, (double) number, sheet->integer, width);
}

/* Digits without leading and trailing zeros; not finite: more than any. */
static int
significant_digits(const char *text)
{
	int digits = 0;
	int zeros = 0;

	for (; *text != '\0'; text++)
	{
		if (*text == '0')
			zeros += digits > 0;
		else if (isdigit((unsigned char) *text))
		{
			digits += zeros + 1;
			zeros = 0;
		}
		else if (*text != '.' && *text != '-')
			return EXACT_DIGITS + 1;
	}
	return digits;
}

static void
write_numeric(Sheet *sheet, int i, const char *text)
{
	const char *point = strchr(text, '.');
	int length = strlen(text);
	int whole = point ? point - text : length;

	if (significant_digits(text) > EXACT_DIGITS)
		write_text(sheet, i, text);
	else
		write_number(sheet, i, strtod(text, NULL),
					 decimal_format(sheet, point ? length - whole - 1 : 0), length + whole / 3);
}

/* By its text, the shortest that means it: a real's 0.1 is not 0.10000000149. */
static void
write_float(Sheet *sheet, int i, const char *text)
{
	double number = strtod(text, NULL);

	if (isfinite(number))
		write_number(sheet, i, number, NULL, strlen(text));
	else
		write_text(sheet, i, text);
}

static bool
is_excel_day(int64 day)
{
	return day >= FIRST_DAY && day <= LAST_DAY;
}

static bool
write_date(Sheet *sheet, int i, DateADT date)
{
	int64 day = (int64) date + POSTGRES_EPOCH_JDATE - DAY_ZERO;

	if (DATE_NOT_FINITE(date) || !is_excel_day(day))
		return false;
	write_number(sheet, i, (double) day, sheet->day, DAY_WIDTH);
	return true;
}

static bool
write_instant(Sheet *sheet, int i, Timestamp instant, bool with_zone)
{
	struct pg_tm tm;
	fsec_t micros;
	int zone;
	int64 day;

	if (TIMESTAMP_NOT_FINITE(instant) ||
		timestamp2tm(instant, with_zone ? &zone : NULL, &tm, &micros, NULL, NULL) != 0)
		return false;
	day = (int64) date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) - DAY_ZERO;
	if (!is_excel_day(day))
		return false;
	write_number(sheet, i,
				 day + (tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec + micros / 1e6) / 86400,
				 sheet->instant, INSTANT_WIDTH);
	return true;
}

static void
write_as_text(Sheet *sheet, int i, Datum value)
{
	write_text(sheet, i, OutputFunctionCall(&sheet->column[i].out, value));
}

static void
write_cell(Sheet *sheet, int i, Datum value)
{
	bool written = true;

	switch (sheet->column[i].kind)
	{
		case CELL_TEXT:
			written = false;
			break;
		case CELL_BOOL:
			worksheet_write_boolean(sheet->sheet, sheet->next, i, DatumGetBool(value), NULL);
			break;
		case CELL_INT16:
			write_integer(sheet, i, DatumGetInt16(value));
			break;
		case CELL_INT32:
			write_integer(sheet, i, DatumGetInt32(value));
			break;
		case CELL_INT64:
			write_integer(sheet, i, DatumGetInt64(value));
			break;
		case CELL_NUMERIC:
			write_numeric(sheet, i, OutputFunctionCall(&sheet->column[i].out, value));
			break;
		case CELL_FLOAT:
			write_float(sheet, i, OutputFunctionCall(&sheet->column[i].out, value));
			break;
		case CELL_DATE:
			written = write_date(sheet, i, DatumGetDateADT(value));
			break;
		case CELL_TIME:
			write_number(sheet, i, DatumGetTimeADT(value) / 1e6 / 86400, sheet->time, TIME_WIDTH);
			break;
		case CELL_TIMESTAMP:
			written = write_instant(sheet, i, DatumGetTimestamp(value), false);
			break;
		case CELL_TIMESTAMPTZ:
			written = write_instant(sheet, i, DatumGetTimestampTz(value), true);
			break;
	}
	if (!written)
		write_as_text(sheet, i, value);
}

void
sheet_row(Sheet *sheet, const Datum *value, const bool *isnull)
{
	MemoryContext outer;

	if (sheet->next == LXW_ROW_MAX)
	{
		end_sheet(sheet);
		begin_sheet(sheet);
	}
	outer = MemoryContextSwitchTo(sheet->row_memory);
	for (int i = 0; i < sheet->n_column; i++)
		if (!isnull[i])
			write_cell(sheet, i, value[i]);
	sheet->next++;
	MemoryContextSwitchTo(outer);
	MemoryContextReset(sheet->row_memory);
}

/* ---- the end ---- */

void
sheet_finish(Sheet *sheet)
{
	lxw_workbook *book = sheet->book;
	lxw_error error;

	end_sheet(sheet);
	sheet->book = NULL; /* freed by workbook_close() even if it fails */
	error = workbook_close(book);
	if (error != LXW_NO_ERROR)
		raise_full(lxw_strerror(error));
}

void
sheet_abandon(Sheet *sheet)
{
	lxw_worksheet *each;

	if (sheet->book == NULL)
		return;
	/* Freeing a workbook leaves the files of its rows open. */
	STAILQ_FOREACH(each, sheet->book->worksheets, list_pointers)
	if (each->optimize_tmpfile != NULL)
		fclose(each->optimize_tmpfile);
	lxw_workbook_free(sheet->book);
	sheet->book = NULL;
}
