# The agent's own brake: an order for a whole building cuts no more supplies a minute than the agent is
# allowed, whoever gives it; the rest is said to be braked and follows when the minute is over.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site running_clock start_simulator start_agent simctl sim_value stop_program wait_until);

my $METERS = 20;
my $LIMIT = 7;
my $clock = running_clock('2026-01-05T00:00:00+08:00', 1);
my $node = new_server('brake', clock => $clock);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sim = start_simulator($folder, $clock, ['G1'], [ map { "M$_ G1 $_ acrel-ddsy1352 kw=1" } 1 .. $METERS ]);
my $agent;

END { local $?; stop_program($agent); stop_program($sim->{program}) if $sim; }

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw'), prepay.set_setting('town', 'agent_trips_per_minute', '$LIMIT');
	INSERT INTO prepay.gateway (site_id, code, agent, address, poll_interval) VALUES (1, 'G1', 'gw', '$sim->{gateway}{G1}', '1 s');
	INSERT INTO prepay.place (site_id, kind, code) VALUES (1, 'building', 'B1');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, place_id) SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352', 1 FROM generate_series(1, $METERS) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 1000, key => 'o' || n)) FROM generate_series(1, $METERS) AS n;});
$agent = start_agent($folder, $node, 'town', 'gw');

sub query { return ($node->psql('town', $_[0]))[1] // '' }
sub open_relays { return scalar grep { sim_value($sim, "M$_", 'relay') eq 'open' } 1 .. $METERS }

ok(wait_until(sub { query("SELECT count(DISTINCT meter_id) FROM prepay.reading") eq $METERS }, 60), 'all meters are read');
$node->safe_psql('town', q{SELECT prepay.control('B1', 'trip')});
my $rest = $METERS - $LIMIT;
ok(wait_until(sub { query(q{SELECT count(*) FROM prepay.command WHERE result ->> 'error' LIKE 'braked: this agent cuts no more than 7 supplies a minute'}) eq $rest }, 50), 'the rest says why');
is(query(q{SELECT count(*) FROM prepay.command WHERE status = 'done'}), $LIMIT, 'as many as are allowed are done');
is(open_relays(), $LIMIT, 'and no meter more');
like(slurp_file("$folder/prepayd.log"), qr/level=error event=brake_on trips_per_minute=7\n/, 'the agent says so');
is(() = slurp_file("$folder/prepayd.log") =~ /event=brake_on/g, 1, 'once');
# Giving supply back is not braked, and nothing that was asked for is forgotten.
$node->safe_psql('town', q{SELECT prepay.control('B1', 'close')});
ok(wait_until(sub { query(q{SELECT count(*) FROM prepay.command WHERE status IN ('queued', 'sent', 'unknown')}) eq '0' }, 60), 'all is closed again at once');
is(open_relays(), 0, 'at the meters');
is(stop_program($agent), 0, 'the agent stops cleanly');

done_testing();
