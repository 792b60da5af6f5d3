-- Files. The library is apart, so that the core does not need libxlsxwriter.
CREATE FUNCTION prepay.xlsx(query text) RETURNS bytea
	AS '$libdir/pg_prepay_xlsx', 'prepay_xlsx' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.xlsx(text) IS 'The rows of a query as an Excel workbook (.xlsx, 导出Excel): frozen header with the columns'' comments, filter, widths; numbers, dates and times keep their types, instants are in the session''s time zone, numbers of more than 15 digits are text. The query runs with the caller''s rights and only reads. Over 1,048,575 rows go on in further sheets.';
