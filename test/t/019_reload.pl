# Reload: SIGHUP again and again, and plans that change meanwhile, lose no poll of a meter that stays.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use Prepay qw(new_server install make_site running_clock start_simulator start_agent stop_program wait_until);

my $METERS = 20;
my $INTERVAL = 3;
my $ROUNDS = 7;
my $clock = running_clock('2026-01-05T00:00:00+08:00', 1);
my $node = new_server('reload', clock => $clock);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sim = start_simulator($folder, $clock, [ 'G1', 'G2', 'G3 rtu' ],
	[ map { sprintf 'M%d G%d %d acrel-ddsy1352 kw=1', $_, 1 + $_ % 3, $_ } 1 .. $METERS + $ROUNDS ]);
my $agent;

END { local $?; stop_program($agent); stop_program($sim->{program}) if $sim; }

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw'), prepay.set_setting('town', 'poll_interval', '$INTERVAL s');
	INSERT INTO prepay.gateway (site_id, code, agent, transport, address, options) VALUES (1, 'G1', 'gw', 'tcp', '$sim->{gateway}{G1}', '{}'),
		(1, 'G2', 'gw', 'tcp', '$sim->{gateway}{G2}', '{"window": 4}'), (1, 'G3', 'gw', 'rtu_over_tcp', '$sim->{gateway}{G3}', '{}');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, 1 + n % 3, n, 'acrel-ddsy1352' FROM generate_series(1, $METERS) AS n;});
$agent = start_agent($folder, $node, 'town', 'gw');

sub query { return ($node->psql('town', $_[0]))[1] // '' }

ok(wait_until(sub { query("SELECT count(DISTINCT meter_id) FROM prepay.reading") eq $METERS }, 60), 'all meters are read');
my $since = query('SELECT prepay.now()');
foreach my $round (1 .. $ROUNDS)
{
	my $meter = $METERS + $round;
	my $until = time + $INTERVAL;

	# A plan that changes: a meter more, another name, other limits of a line that is in use.
	$node->safe_psql('town', qq{
		INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) VALUES (1, 'M$meter', 1 + $meter % 3, $meter, 'acrel-ddsy1352');
		UPDATE prepay.meter SET code = 'N' || meter_id WHERE meter_id = $round;
		UPDATE prepay.gateway SET options = options || '{"timeout_ms": ${\(1000 + $round)}}' WHERE code = 'G2';});
	while (time < $until)
	{
		kill 'HUP', $agent->{pid};
		sleep 0.1;
	}
}
my $reloads = () = slurp_file("$folder/prepayd.log") =~ /event=plan_requested signal=SIGHUP/g;
cmp_ok($reloads, '>', 5 * $ROUNDS, "$reloads reloads");
my $until = query('SELECT prepay.now()');
sleep 2 * $INTERVAL;
is(query("SELECT count(DISTINCT meter_id) FROM prepay.reading"), $METERS + $ROUNDS, 'meters that came by them are read');
# A poll belongs to the nearest point of the grid: the agent's clock may be a little before the server's.
is(query(qq{
	WITH g AS (SELECT generate_series(ceil(extract(epoch FROM timestamptz '$since') / $INTERVAL)::bigint, floor(extract(epoch FROM timestamptz '$until') / $INTERVAL)::bigint - 1) AS grid)
	SELECT string_agg(format('meter %s at %s', n, grid * $INTERVAL), ', ') FROM g CROSS JOIN generate_series(1, $METERS) AS m (n)
	WHERE NOT EXISTS (SELECT FROM prepay.reading r WHERE r.meter_id = m.n AND round(extract(epoch FROM read_at) / $INTERVAL) = grid)}), '', 'no poll of a meter that stayed was lost');
is(stop_program($agent), 0, 'the agent stops cleanly');

done_testing();
