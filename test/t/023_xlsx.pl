# Workbooks as two programs that are not ours read them: LibreOffice the values, openpyxl types and layout.
use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8);
use File::Spec::Functions qw(rel2abs);
use IPC::Run ();
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site write_file);

my $node = new_server('xlsx', clock => '2026-03-02T09:15:07+08');
my $folder = rel2abs(PostgreSQL::Test::Utils::tempdir());

install($node, 'postgres');
make_site($node, 'postgres');
$node->safe_psql('postgres', "ALTER DATABASE postgres SET timezone = 'Asia/Shanghai'");

sub output
{
	my (@command) = @_;
	my ($out, $error) = ('', '');

	IPC::Run::run(\@command, '<', \'', '>', \$out, '2>', \$error) or die "@command: $error";
	return decode_utf8($out);
}

sub workbook
{
	my ($name, $query) = @_;
	my $base64 = $node->safe_psql('postgres',
		encode_utf8("SELECT encode(prepay.xlsx(\$xlsx\$$query\$xlsx\$), 'base64')"));

	write_file("$folder/$name.xlsx", decode_base64($base64));
	return "$folder/$name.xlsx";
}

# LibreOffice's own CSV of the first sheet, cells as it shows them.
sub shown
{
	my ($file) = @_;

	output('timeout', '120', 'soffice', "-env:UserInstallation=file://$folder/office", '--headless', '--convert-to',
		'csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true', '--outdir', $folder, $file);
	return decode_utf8(PostgreSQL::Test::Utils::slurp_file($file =~ s/xlsx$/csv/r));
}

sub inspect
{
	my ($file, $expression) = @_;

	return output('python3', '-c', <<"PYTHON", $file) =~ s/\n\z//r;
import sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1])
sheet = book.worksheets[0]
print($expression)
PYTHON
}

# ---- values: every type, and text that a spreadsheet would like to make something of ----

my $values = workbook('values', <<'SQL');
SELECT * FROM (VALUES
	(1, 1234567.50::numeric(12,2), 0.568000::numeric, '张三', '=1+1', date '2026-03-01', timestamptz '2026-03-01 08:00:05+08', true, 999999999999999, time '07:30'),
	(-2, -0.05, -1, ' two  blanks ', '_x0041_', '1900-03-01', '2026-02-28 16:00:00Z', false, 1000000000000000, '23:59:59'),
	(0, 123456789012345.67, 1e-12, E'two\nlines', '<&">', 'infinity', '-infinity', NULL, -9223372036854775808, '00:00'),
	(NULL, 'NaN', 99999999999999.9, '', '''quoted', '1900-02-28', '10000-01-01 00:00+08', NULL, NULL, NULL)
) AS v (number, amount, price, 客户, note, day, read_at, ok, big, at)
SQL

is(shown($values), <<'CSV', 'LibreOffice shows every value as the database has it');
number,amount,price,客户,note,day,read_at,ok,big,at
1,"1,234,567.50",0.568000,张三,=1+1,2026-03-01,2026-03-01 08:00:05,TRUE,999999999999999,07:30:00
-2,-0.05,-1, two  blanks ,_x0041_,1900-03-01,2026-03-01 00:00:00,FALSE,1000000000000000,23:59:59
0,123456789012345.67,0.000000000001,"two
lines","<&"">",infinity,-infinity,,-9223372036854775808,00:00:00
,NaN,"99,999,999,999,999.9",,'quoted,1900-02-28,10000-01-01 00:00:00+08,,,
CSV
is(inspect($values, q{' '.join(c.data_type for r in (2, 4) for c in sheet[r])}),
	'n n n s s d d b n d n s n s s s s n s d', 'numbers are numbers unless a digit would be lost');
is(inspect($values, q{sheet['B2'].number_format + ' ' + sheet['F2'].number_format + ' ' + sheet['G2'].number_format}),
	'#,##0.00 yyyy-mm-dd yyyy-mm-dd hh:mm:ss', 'formats of amounts, days and instants');
is(inspect($values, q{repr(sheet['B2'].value) + ' ' + repr(sheet['G3'].value)}),
	'1234567.5 datetime.datetime(2026, 3, 1, 0, 0)', 'stored values');

# ---- layout ----

$node->safe_psql('postgres', q{INSERT INTO prepay.meter (site_id, code, name) VALUES (1, 'M001', repeat('很长的名字', 5))});
$node->safe_psql('postgres', q{SELECT prepay.open_account('A1', '张三', meters => '{M001}'); SELECT prepay.sell('A1', 88.5, 'k')});
my $sales = workbook('sales', 'SELECT * FROM prepay.sales');
is(inspect($sales, q{sheet.title + ' ' + str(sheet.freeze_panes) + ' ' + str(sheet.auto_filter.ref).split(':')[0] + ' ' + str(sheet['A1'].font.b)}),
	'sales A2 A1 True', 'the sheet has the name of the view, a frozen bold header and a filter');
is(inspect($sales, q{[c.value for c in sheet[1] if c.comment is None]}), '[]', 'every column has its comment as a note');
like(inspect($sales, q{[c.comment.text for c in sheet[1] if c.value == 'booked_at'][0]}), qr{Asia/Shanghai}, 'and times the zone they are in');
is(inspect(workbook('wide', 'SELECT name, code FROM prepay.meter'), q{[round(sheet.column_dimensions[c].width) for c in 'AB']}),
	'[52, 9]', 'a Chinese character takes two columns');
is(inspect(workbook('none', 'SELECT * FROM prepay.sales WHERE false'), q{sheet.max_row}), '1', 'no rows: the header alone');

# ---- more rows than a sheet holds, in constant memory ----

my $many = workbook('many', 'SELECT g FROM generate_series(1, 1048577) AS g');
is(output('python3', '-c', <<'PYTHON', $many), "query 1048576 query (2) 3\n", 'rows go on in a second sheet');
import sys, openpyxl
book = openpyxl.load_workbook(sys.argv[1], read_only=True)
print(*(f'{sheet.title} {sheet.max_row}' for sheet in book.worksheets))
PYTHON
my $peak = sub {
	my ($rows) = @_;

	return (split /\n/, $node->safe_psql('postgres', <<SQL))[-1];
SELECT length(prepay.xlsx('SELECT g, repeat(''x'', 20) FROM generate_series(1, $rows) AS g')) > 0;
SELECT (regexp_match(pg_read_file('/proc/' || pg_backend_pid() || '/status'), 'VmHWM:\\s+(\\d+)'))[1]
SQL
};
my ($little, $much) = ($peak->(20000), $peak->(400000));
cmp_ok($much - $little, '<', 32768, "memory hardly grows with the rows ($little kB, $much kB)");

# ---- a query that fails midway leaves nothing behind ----

my ($code, $out, $error) = $node->psql('postgres', <<'SQL', on_error_stop => 0);
SELECT count(*) AS before FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/fd') \gset
SELECT prepay.xlsx('SELECT 1 / (50000 - g) FROM generate_series(1, 100000) AS g');
SELECT count(*) <= :before + 2 FROM pg_ls_dir('/proc/' || pg_backend_pid() || '/fd');
SQL
like($error, qr/division by zero/, 'a query that fails midway fails as it would by itself');
is($out, 't', 'its files are closed');
is($node->safe_psql('postgres', 'SELECT count(*) FROM pg_ls_tmpdir()'), '0', 'and removed');

done_testing();
