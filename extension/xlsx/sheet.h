/*
 * sheet.h: rows of values to an Excel workbook, in constant memory.
 *
 * libxlsxwriter puts a row into a temporary file as soon as the next one begins.
 * Cells keep their type: numbers that a spreadsheet can hold to the last digit are
 * numbers, others are text, for a silently rounded amount is a wrong amount.
 */
#ifndef PREPAY_SHEET_H
#define PREPAY_SHEET_H

#include "postgres.h"

#include "access/tupdesc.h"

typedef struct Sheet Sheet;

/*
 * Begin a workbook in a file that exists. note[column] is shown at the column's head,
 * NULL: none. It holds memory that no memory context frees: sheet_finish() or
 * sheet_abandon() must follow.
 */
extern Sheet *sheet_begin(const char *path, const char *title, TupleDesc row,
						  const char *const *note);
/* Instants are written in the session's time zone. 54000: a text longer than a cell holds. */
extern void sheet_row(Sheet *sheet, const Datum *value, const bool *isnull);
/* Write the file. 53100: a file system is full. */
extern void sheet_finish(Sheet *sheet);
/* After an error, wherever it was raised. */
extern void sheet_abandon(Sheet *sheet);

#endif
