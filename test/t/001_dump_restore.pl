# A dump put into an empty database gives the same books: balances, hashes, usage, partitions,
# rights. Triggers must not rate the readings once more while they are loaded, and everything
# works on from there.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install set_clock healthy same_lines);

my $clock = '2026-01-10T00:00:00+08';
my $node = new_server('main', clock => $clock);

install($node, 'town');
$node->safe_psql('town', q{
	SELECT prepay.create_site('town', '小镇', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'America/Los_Angeles', 'USD');
	SELECT prepay.define_tariff(s || '/zj', '{"periods": ["peak", "valley"],
		"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
		"tiers": {"upto": [50, 100]}, "prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}')
	FROM unnest('{town,mall}'::text[]) AS s;
	SELECT prepay.set_setting(s, 'tariff', 'zj') FROM unnest('{town,mall}'::text[]) AS s;
	SELECT prepay.set_setting('town', 'alarm1_amount', '50');
	SELECT prepay.create_agent('town/gw');
	INSERT INTO prepay.place (site_id, kind, code) VALUES (1, 'building', '八号楼');
	INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw', '127.0.0.1:502');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, place_id) SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352', 1 FROM generate_series(1, 6) AS n;
	INSERT INTO prepay.meter (site_id, code, rated_kw) SELECT 2, 'M' || n, 20 FROM generate_series(1, 4) AS n;
	SELECT count(prepay.open_account(s || '/A' || n, '张三', '13800000000', meters => ARRAY[s || '/M' || n, s || '/M' || n + CASE s WHEN 'town' THEN 3 ELSE 2 END],
		opening_balance => 100 * n, key => 'o' || n)) FROM (VALUES ('town', 3), ('mall', 2)) AS v (s, accounts), generate_series(1, accounts) AS n;
	CREATE ROLE regress_dump_cashier;
	GRANT prepay_cashier TO regress_dump_cashier;
	INSERT INTO prepay.operator_site (site_id, operator) VALUES (1, 'regress_dump_cashier');
	GRANT SELECT ON prepay.site TO PUBLIC;
	CREATE INDEX reading_own_index ON prepay.reading (read_at);
	SELECT prepay.tick();
});
# Two months of readings in the months' partitions and in the default one.
my $readings = q{INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
	SELECT site_id, meter_id, t, (extract(epoch FROM t - '%s') / 3600 * meter_id / 7)::numeric(12,2), true
	FROM prepay.meter, generate_series('%s'::timestamptz, '%s', '6 hours') AS t;};
set_clock($node, '2026-03-02T00:00:00+08');
$node->safe_psql('town', sprintf($readings, '2025-12-28 00:00+08', '2025-12-28 00:00+08', '2026-03-01 23:00+08'));
$node->safe_psql('town', q{
	INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'slip', 'zh', '{account} {print_no} {#reprint}{reprint}{/reprint}');
	SELECT prepay.receipt('town/A1', 1, 'slip');
	SELECT prepay.sell('town/A1', 33.33, 's1'), prepay.sell('mall/A2', 44.44, 's2', 'wechat', 'note');
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-02-01 01:23:45.678901+08', 120.001), (1, 2, '2026-03-01 23:30+08', -5);
	SELECT prepay.control('town/M3', 'trip', reason => 'works');
	SELECT prepay.ingest('town/gw', '00000000-0000-0000-0000-000000000001', 5, '{1}', '{2026-03-01 23:45+08}', '{250}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}');
	SELECT prepay.tick();
});
# A meter locked after overload, one off by it, and one that the next sample would trip.
$node->safe_psql('town', q{
	SELECT prepay.sell('town/A' || n, 9999, 'rich' || n) FROM generate_series(1, 3) AS n;
	SELECT prepay.set_setting('town', 'overload_restores', '1'), prepay.set_setting('town', 'poll_interval', '1 hour');
	UPDATE prepay.meter SET power_limit_kw = 9 WHERE site_id = 1 AND meter_id IN (2, 5, 6);
	INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time, action, cap_kw) VALUES (1, 'night', '22:00', '06:00', 'cap', 5);});
foreach my $minute (10, 20, 30, 40)
{
	set_clock($node, "2026-03-02T00:$minute:00+08");
	$node->safe_psql('town', qq{SELECT prepay.tick();
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT site_id, meter_id, '2026-03-02 00:$minute+08', register_wh / 1000.0, 6, true
		FROM prepay.meter_state WHERE site_id = 1 AND (meter_id = 2 OR meter_id = 5 AND $minute >= 30 OR meter_id = 6 AND $minute = 40);});
}
is($node->safe_psql('town', q{SELECT string_agg(format('%s %s %s', meter, desired_why, overload_trips), ', ' ORDER BY meter) FROM prepay.meter_status WHERE site = 'town' AND meter IN ('M2', 'M5', 'M6')}),
	'M2 locked 2, M5 overload_off 1, M6 on 0', 'overload before the dump');
is($node->safe_psql('town', q{SELECT * FROM prepay.drop_readings('2026-01-01')}), '2026-01-01 00:00:00+00|0|10|10', 'old readings dropped before the dump');
healthy($node, 'town', 'before the dump');

# Everything a restored database has to have the same, one row a line.
my @facts = (
	[ 'accounts', 'SELECT * FROM prepay.account_status ORDER BY site, account' ],
	[ 'ledger entries with their hashes', 'SELECT * FROM prepay.ledger_entry ORDER BY site_id, account_id, seq' ],
	[ 'usage', 'SELECT * FROM prepay.usage_line_all ORDER BY 1, 2, 3, 4, 6, 7, 8, 9, 10, 11, 12' ],
	[ 'readings by partition', 'SELECT tableoid::regclass, * FROM prepay.reading ORDER BY site_id, meter_id, read_at' ],
	[ 'drops', 'SELECT * FROM prepay.retention ORDER BY 1, 2' ],
	[ 'kept readings', 'SELECT * FROM prepay.reading_kept ORDER BY 1, 2' ],
	[ 'meters', 'SELECT * FROM prepay.meter_status ORDER BY site, meter' ],
	[ 'alarms', 'SELECT * FROM prepay.alarm_history ORDER BY alarm_id' ],
	[ 'commands', 'SELECT * FROM prepay.command ORDER BY command_id' ],
	[ 'messages', 'SELECT * FROM prepay.notification ORDER BY notification_id' ],
	[ 'reviews', 'SELECT * FROM prepay.reading_review ORDER BY review_id' ],
	[ 'marks', 'SELECT * FROM prepay.reading_mark ORDER BY 1, 2, 3' ],
	[ 'anchors', 'SELECT * FROM prepay.anchor ORDER BY 1, 2' ],
	[ 'keys', 'SELECT * FROM prepay.posting ORDER BY 1, 2' ],
	[ 'spools', 'SELECT * FROM prepay.agent_spool' ],
	[ 'account states', 'SELECT * FROM prepay.account_state ORDER BY 1, 2' ],
	[ 'watched meters', 'SELECT * FROM prepay.meter_watch ORDER BY 1, 2' ],
	[ 'supply decisions', q{SELECT * FROM prepay.supply_decision('town/place:八号楼') ORDER BY meter} ],
	[ 'meter states', 'SELECT * FROM prepay.meter_state ORDER BY 1, 2' ],
	[ 'templates', 'SELECT * FROM prepay.receipt_template ORDER BY 1, 2, 3' ],
	[ 'prints', 'SELECT * FROM prepay.receipt_print ORDER BY 1, 2, 3, 4' ],
	[ 'models', 'SELECT code, profile FROM prepay.meter_model ORDER BY 1' ],
	[ 'partitions', q{SELECT inhrelid::regclass::text, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid
		WHERE inhparent = 'prepay.reading'::regclass ORDER BY 1} ],
	[ 'rights on tables and views', q{SELECT c.relname, c.relkind, c.relowner::regrole, (SELECT array_agg(a ORDER BY a::text) FROM unnest(c.relacl) AS a), c.relrowsecurity
		FROM pg_class c WHERE relnamespace = 'prepay'::regnamespace AND relkind IN ('r', 'p', 'v') ORDER BY 1} ],
	[ 'rights on functions', q{SELECT p.oid::regprocedure::text, (SELECT array_agg(a ORDER BY a::text) FROM unnest(p.proacl) AS a)
		FROM pg_proc p WHERE pronamespace = 'prepay'::regnamespace ORDER BY 1} ],
	[ 'indexes', q{SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = 'prepay'::regnamespace ORDER BY 1} ],
	[ 'triggers', q{SELECT tgrelid::regclass::text, tgname, tgenabled, pg_get_triggerdef(t.oid) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
		WHERE c.relnamespace = 'prepay'::regnamespace AND NOT tgisinternal ORDER BY 1, 2} ],
	[ 'constraints', q{SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'prepay'::regnamespace ORDER BY 1, 2} ],
	[ 'policies', q{SELECT polrelid::regclass::text, polname, pg_get_expr(polqual, polrelid) FROM pg_policy ORDER BY 1, 2} ],
	[ 'views', q{SELECT viewname, definition FROM pg_views WHERE schemaname = 'prepay' ORDER BY 1} ],
	[ 'comments', q{SELECT c.relname, d.objsubid, d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
		WHERE d.classoid = 'pg_class'::regclass AND c.relnamespace = 'prepay'::regnamespace ORDER BY 1, 2} ]);

my %want = map { $_->[0] => $node->safe_psql('town', $_->[1]) } @facts;
isnt($want{$_}, '', "there are $_") foreach map { $_->[0] } @facts;

sub same_books
{
	my ($server, $database, $how) = @_;

	foreach my $fact (@facts)
	{
		same_lines($server->safe_psql($database, $fact->[1]), $want{ $fact->[0] }, "$how: the same $fact->[0]");
	}
	healthy($server, $database, $how);
	return;
}

# Into another cluster: roles first, then the database, stopping at the first error.
my $other = new_server('other', clock => '2026-03-02T00:40:00+08');
my $folder = PostgreSQL::Test::Utils::tempdir();

$node->command_ok([ 'pg_dumpall', '--roles-only', '-f', "$folder/roles.sql" ], 'pg_dumpall --roles-only');
$node->command_ok([ 'pg_dump', '-f', "$folder/town.sql", 'town' ], 'pg_dump');
# The superuser is there already; that one line is known to fail.
$other->psql('postgres', slurp_file("$folder/roles.sql"), on_error_stop => 0);
$other->safe_psql('postgres', 'CREATE DATABASE copy');
$other->command_ok([ 'psql', '-Xq', '-v', 'ON_ERROR_STOP=1', '-d', $other->connstr('copy'), '-f', "$folder/town.sql" ],
	'the dump loads without an error');
same_books($other, 'copy', 'plain dump');

# The archive format, two jobs at once, into the same cluster.
$node->command_ok([ 'pg_dump', '-Fc', '-f', "$folder/town.dump", 'town' ], 'pg_dump -Fc');
$node->safe_psql('postgres', 'CREATE DATABASE twin');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', '2', '-d', $node->connstr('twin'), "$folder/town.dump" ],
	'pg_restore with two jobs');
same_books($node, 'twin', 'archive');

# Section by section, as people do who want to look in between.
$node->safe_psql('postgres', 'CREATE DATABASE slices');
foreach my $section (qw(pre-data data post-data))
{
	$node->command_ok([ 'pg_restore', '--exit-on-error', "--section=$section", '-d', $node->connstr('slices'), "$folder/town.dump" ],
		"pg_restore --section=$section");
}
same_books($node, 'slices', 'by sections');

# All of them work on, and in the same way.
set_clock($_, '2026-03-06T00:00:00+08') foreach $node, $other;
my @all = ([ $node, 'town' ], [ $other, 'copy' ], [ $node, 'twin' ], [ $node, 'slices' ]);
my %after;
foreach my $place (@all)
{
	my ($server, $database) = @$place;

	$server->safe_psql($database, sprintf($readings, '2025-12-28 00:00+08', '2026-03-02 00:00+08', '2026-03-05 23:00+08'));
	$server->safe_psql($database, q{
		SELECT prepay.sell('town/A1', 10, 's9'), prepay.open_account('town/A9', '李四', opening_balance => 5, key => 'o9');
		SELECT prepay.tick(), prepay.tick();
		SELECT prepay.install();});
	healthy($server, $database, "$database after more readings");
	my $result = $server->safe_psql($database, q{SELECT site, account, state, balance, posted_balance FROM prepay.account_status ORDER BY 1, 2});
	$after{first} //= $result;
	is($result, $after{first}, "$database works on like the original");
	is($server->safe_psql($database, q{SELECT (prepay.sell('town/A1', 33.33, 's1')).seq}),
		$node->safe_psql('town', q{SELECT seq FROM prepay.posting WHERE key = 's1'}), "$database still knows the keys");
	is($server->safe_psql($database, q{SELECT prepay.receipt('town/A1', 1, 'slip')}), 'A1 2 补打第1次', "$database still knows what was printed");
	my ($status, undef, $error) = $server->psql($database, 'DROP EXTENSION pg_prepay');
	like($error, qr/cannot drop extension pg_prepay because other objects depend on it/, "$database: DROP EXTENSION is refused");
}

# A cashier of the original is one in the copy.
is($other->safe_psql('copy', q{SET ROLE regress_dump_cashier; SELECT DISTINCT site FROM prepay.account_status}), 'town', 'rows by site in the copy');

done_testing();
