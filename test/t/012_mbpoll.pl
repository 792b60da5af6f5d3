# The same meter read by the agent, by mbpoll and by its own display: three ways, one value.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site start_simulator start_agent simctl sim_value stop_program wait_until);

my $clock = '2026-01-05T00:00:00+08:00';
my $node = new_server('mbpoll', clock => $clock);
my $folder = PostgreSQL::Test::Utils::tempdir();
my %start = (M1 => '1234.56', M2 => '0.07', M3 => '999999.99');
my $sim = start_simulator($folder, $clock, ['G1'], [ map { "$_ G1 " . substr($_, 1) . " acrel-ddsy1352 kw=0 start_kwh=$start{$_}" } sort keys %start ]);

END { stop_program($sim->{program}) if $sim; }

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw', '$sim->{gateway}{G1}');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352' FROM generate_series(1, 3) AS n;});

# The agent once, by itself: --once polls everything, delivers and ends.
mkdir "$folder/spool";
Prepay::write_file("$folder/prepayd.conf", "[agent]\nname = gw\nconninfo = " . $node->connstr('town') . "\nspool = $folder/spool\n");
command_ok([ $ENV{PREPAYD}, '--check-config', '--config', "$folder/prepayd.conf" ], 'the configuration is sound');
command_ok([ $ENV{PREPAYD}, '--once', '--config', "$folder/prepayd.conf" ], 'one round of polling');

my ($host, $port) = split /:/, $sim->{gateway}{G1};
foreach my $meter (sort keys %start)
{
	my $unit = substr $meter, 1;
	# Two holding registers at address 0, high word first, in 0.01 kWh.
	my $said = qx(mbpoll -m tcp -a $unit -0 -r 0 -c 2 -t 4 -1 -q -p $port $host);
	my @word = $said =~ /^\[\d+\]:\s+(\d+)/mg;

	is(scalar @word, 2, "$meter: mbpoll reads two registers") or diag($said);
	my $kwh = sprintf '%.2f', ($word[0] * 65536 + $word[1]) / 100;
	is($kwh, $start{$meter}, "$meter: mbpoll sees the register");
	is(sim_value($sim, $meter, 'kwh'), $start{$meter}, "$meter: so does the display");
	is($node->safe_psql('town', "SELECT round(kwh, 2) FROM prepay.readings WHERE meter = '$meter'"), $start{$meter}, "$meter: so does the database");
}
# And by hand, through libmodbus.
my $profile = Cwd::abs_path("$ENV{PREPAYD}.profiles/acrel-ddsy1352.json");
my ($probed, $fault) = run_command([ $ENV{PREPAYD}, '--probe', $sim->{gateway}{G1}, '3', $profile ]);
like($probed, qr/^  kwh = 999999\.99$/m, '--probe sees the register');
like($probed, qr/^  relay_closed = true$/m, 'and the relay');
command_fails([ $ENV{PREPAYD}, '--probe', $sim->{gateway}{G1}, '77', $profile ], '--probe of a unit that is not there fails');
is($node->safe_psql('town', 'SELECT bool_and(relay_closed) FROM prepay.reading'), 't', 'the relays are seen as closed');

# Switched by another tool: the agent's next round sees it.
system("mbpoll -m tcp -a 2 -0 -r 87 -t 4 -q -p $port $host 1 1 >$folder/write.log 2>&1");
is(sim_value($sim, 'M2', 'relay'), 'open', 'mbpoll opened the relay of M2');
$node->append_conf('postgresql.conf', "prepay.now = '2026-01-05T01:00:00+08:00'\n");
$node->reload;
wait_until(sub { $node->safe_psql('town', 'SHOW prepay.now') =~ /01:00/ }, 10);
command_ok([ $ENV{PREPAYD}, '--once', '--config', "$folder/prepayd.conf" ], 'another round');
is($node->safe_psql('town', q{SELECT string_agg(meter || ' ' || relay, ', ' ORDER BY meter) FROM prepay.meter_status}), 'M1 closed, M2 open, M3 closed', 'the database knows');

done_testing();
