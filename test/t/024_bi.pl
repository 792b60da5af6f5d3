# BI tools: every panel of every Grafana dashboard is run against a town as an analyst may; ODBC, JDBC and LibreOffice
# Base get columns with their types and comments.
use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site set_clock);

my $top = rel2abs("$FindBin::Bin/../..");
my $folder = rel2abs(PostgreSQL::Test::Utils::tempdir());
my $node = new_server('bi', clock => '2026-03-01T00:00:00+08', conf => "listen_addresses = '127.0.0.1'\ntimezone = 'Asia/Shanghai'\n");

# ---- a town in which something happens ----

install($node, 'postgres');
make_site($node, 'postgres');
sql(<<'SQL');
CREATE ROLE bi_analyst LOGIN;
GRANT prepay_analyst TO bi_analyst;
INSERT INTO prepay.operator_site (site_id, operator) VALUES (1, 'bi_analyst');
SELECT prepay.create_agent('main');
INSERT INTO prepay.place (site_id, code, kind, parent_id, area_m2) VALUES (1, 'B1', 'building', NULL, NULL), (1, 'U1', 'unit', 1, 50), (1, 'U2', 'unit', 1, 30);
INSERT INTO prepay.gateway (site_id, code, place_id, agent, address) VALUES (1, 'G1', 1, 'main', '192.0.2.1:502'), (1, 'G2', 1, 'main', '192.0.2.2:502');
INSERT INTO prepay.meter (site_id, code, place_id, gateway_id, unit_id, circuit, rated_kw) VALUES (1, 'M1', 2, 1, 1, 'C1', 10), (1, 'M2', 3, 1, 2, 'C2', 10);
INSERT INTO prepay.meter (site_id, code, place_id, purpose, gateway_id, unit_id) VALUES (1, 'LIFT', 1, 'check', 2, 1);
SELECT prepay.open_account('A1', '张三', '13800000000', 'U1', '{M1}', opening_balance => 30, key => 'o1');
SELECT prepay.open_account('A2', '李四', '13900000000', 'U2', '{M2}');
SELECT prepay.set_setting('town', 'alarm1_amount', '20');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, m, prepay.now(), 0, 1.5, true FROM generate_series(1, 3) AS m;
INSERT INTO prepay.energy_share (site_id, code, place_id, master_meter_id, master_measures, basis, price) VALUES (1, 'lift', 1, 3, 'public', 'area', 0.5);
SELECT prepay.sell('A2', 500, 's1', 'wechat');
SELECT prepay.sell('A1', 10, 's2');
SELECT prepay.refund('A2', 5, 'r1');
SELECT prepay.open_shift(100);
SQL
for my $day ('2026-03-02', '2026-03-31', '2026-04-01')
{
	set_clock($node, "${day}T12:00:00+08");
	sql(q{INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, m, prepay.now(),
		m * extract(epoch FROM prepay.now() - timestamptz '2026-03-01 00:00+08') / 86400, 1.5, m <> 1 FROM generate_series(1, 3) AS m
		WHERE m < 3 OR prepay.now() > '2026-03-30'});
}
sql(q{SELECT prepay.post_public_energy('town', 'lift', '2026-03-01')});
sql(q{SELECT prepay.control('meter:M2', 'read')});
set_clock($node, '2026-04-01T12:10:00+08');
sql(q{INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, prepay.now(), 70)});
# The first gateway is silent from here on.
sql(q{UPDATE prepay.gateway_state SET contact = 'lost', contact_since = prepay.now() WHERE gateway_id = 2});
sql(q{UPDATE prepay.meter_state SET contact = 'lost', contact_since = prepay.now() WHERE meter_id = 3});
sql(q{UPDATE prepay.meter_state SET contact = 'ok', contact_since = prepay.now() WHERE meter_id < 3});

sub sql
{
	my ($query) = @_;

	return decode_utf8($node->safe_psql('postgres', encode_utf8($query)));
}

# As the analyst: status, output, errors.
sub ask
{
	my ($query) = @_;
	my ($out, $error) = ('', '');
	my $status = $node->psql('postgres', encode_utf8($query), stdout => \$out, stderr => \$error, extra_params => [ '-U', 'bi_analyst' ]);

	return ($status, decode_utf8($out), $error);
}

# ---- dashboards ----

my %value = (site => 'town', building => 'B1', account => 'A1');

# What Grafana makes of a query before it sends it.
sub expand
{
	my ($query) = @_;
	my ($from, $to) = ("'2026-02-28T16:00:00Z'", "'2026-04-02T00:00:00Z'");

	$query =~ s/\$__timeFilter\(([^()]+)\)/$1 BETWEEN $from AND $to/g;
	$query =~ s/\$__timeFrom\(\)/$from/g;
	$query =~ s/\$__timeTo\(\)/$to/g;
	$query =~ s/\$\{(\w+):sqlstring\}/exists $value{$1} ? "'$value{$1}'" : "\${$1}"/ge;
	return $query;
}

sub columns
{
	my ($query) = @_;
	my ($status, $out, $error) = ask("$query\n\\gdesc");

	return $status ? [] : [ map { [ split /\|/ ] } split /\n/, $out ];
}

# Panels that are rightly empty in a town that is well.
my %may_be_empty = map { $_ => 1 } ('Debt');

sub check_panel
{
	my ($board, $panel) = @_;
	my $query = expand($panel->{targets}[0]{rawSql});
	my $name = "$board->{uid}: $panel->{title}";
	my ($status, $out, $error) = ask($query);
	my $columns = columns($query);

	unlike($query, qr/\$/, "$name: nothing is left unexpanded");
	is($error, '', "$name: runs as an analyst");
	ok(length $out || $may_be_empty{ $panel->{title} }, "$name: shows something");
	if ($panel->{type} eq 'timeseries')
	{
		is("@{ $columns->[0] // [] }", 'time timestamp with time zone', "$name: begins with the time");
		like($columns->[-1][1], qr/^(numeric|bigint)/, "$name: ends with a number");
	}
	is($panel->{datasource}{uid}, 'prepay', "$name: its data source is the provisioned one");
	return;
}

my %uid;
for my $file (sort glob "$top/sql/grafana/dashboards/*.json")
{
	my $board = JSON::PP->new->utf8->decode(PostgreSQL::Test::Utils::slurp_file($file));
	my %id;

	ok(!$uid{ $board->{uid} }++, "$file has a uid of its own");
	for my $variable (@{ $board->{templating}{list} })
	{
		my ($status, $out, $error) = ask(expand($variable->{query}));

		is($error, '', "$board->{uid}: \$$variable->{name} runs");
		like("\n$out\n", qr/\n\Q$value{ $variable->{name} }\E\n/, "and offers $value{ $variable->{name} }");
	}
	for my $panel (@{ $board->{panels} })
	{
		ok(!$id{ $panel->{id} }++, "$board->{uid}: panel $panel->{id} has a number of its own");
		check_panel($board, $panel);
	}
}
is(scalar keys %uid, 5, 'five dashboards');

# ---- columns of every kind of driver ----

sub output
{
	my (@command) = @_;
	my ($out, $error) = ('', '');

	IPC::Run::run([ 'timeout', '180', @command ], '<', \'', '>', \$out, '2>', \$error) or die "@command: $error";
	return decode_utf8($out);
}

my $server = sql(<<'SQL');
SELECT string_agg(concat_ws(E'\t', a.attname, t.typname, col_description(a.attrelid, a.attnum)), E'\n' ORDER BY a.attnum) || E'\n'
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = 'prepay.sales'::regclass AND a.attnum > 0
SQL
$server .= "\n" unless $server =~ /\n\z/;
my ($host, $port) = ($node->host, $node->port);

# psqlODBC hands on names and types, and no comment of any column.
is(output('/usr/bin/python3', "$top/test/bi/odbc_columns.py", $host, $port, 'bi_analyst', 'sales'), $server =~ s/\t[^\t\n]*$//gmr, 'ODBC');
is(output('/usr/bin/python3', "$top/test/bi/base_columns.py", "$folder/office", $host, $port, 'bi_analyst', 'sales'),
	$server, 'LibreOffice Base');
is(output('java', '-cp', '/usr/share/java/postgresql.jar', "$top/test/bi/JdbcColumns.java", "jdbc:postgresql://127.0.0.1:$port/postgres", 'bi_analyst', 'sales'),
	$server, 'JDBC');

done_testing();
