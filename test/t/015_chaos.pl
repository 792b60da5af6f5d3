# Chaos for a minute (CHAOS_SECONDS=600 for ten): the agent is killed, the server is crashed, links are
# cut, meters misbehave, orders and sales go on. In the end no reading is lost or there twice, no money
# either, every relay is where it should be, and the agent has had one spool all the time.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

use Prepay qw(new_server install make_site running_clock crash start_simulator start_agent simctl sim_value
  stop_program kill_program wait_until healthy deadlocks);

my $SECONDS = $ENV{CHAOS_SECONDS} // 60;
my $METERS = 24;
my $seed = $ENV{CHAOS_SEED} // time ^ $$;
# Half an hour of business each two seconds.
my $RATE = 900;
my $clock = running_clock('2026-01-05T00:00:00+08:00', $RATE);
my $node = new_server('chaos', clock => $clock, conf => "fsync = on\nsynchronous_commit = on\n");
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sim = start_simulator($folder, $clock, [ 'G1', 'G2', 'G3 rtu' ],
	[ map { sprintf 'M%d G%d %d acrel-ddsy1352 kw=%.1f start_kwh=%d', $_, 1 + $_ % 3, $_, 0.5 + $_ / 10, 100 * $_ } 1 .. $METERS ]);
my $agent;

END { local $?; stop_program($agent); stop_program($sim->{program}) if $sim; }

srand $seed;
note "CHAOS_SEED=$seed";
install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	SELECT prepay.set_setting('town', 'poll_interval', '15 minutes'), prepay.set_setting('town', 'off_command_ttl', '10 days');
	INSERT INTO prepay.gateway (site_id, code, agent, transport, address, options) VALUES (1, 'G1', 'gw', 'tcp', '$sim->{gateway}{G1}', '{}'),
		(1, 'G2', 'gw', 'tcp', '$sim->{gateway}{G2}', '{"window": 4, "poll": "spread"}'), (1, 'G3', 'gw', 'rtu_over_tcp', '$sim->{gateway}{G3}', '{}');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, rated_kw, register_max)
	SELECT 1, 'M' || n, 1 + n % 3, n, 'acrel-ddsy1352', 50, 1000000 FROM generate_series(1, $METERS) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 1000000, key => 'o' || n)) FROM generate_series(1, $METERS) AS n;});

my $sold = 0;
my %acknowledged;

# What the server has said is done; an answer that is lost may be repeated with its key.
sub sell
{
	my ($key) = @_;
	my $account = 'A' . (1 + int rand $METERS);

	$acknowledged{$key} = $account if ($node->psql('town', "SELECT prepay.sell('$account', 10, '$key')"))[0] == 0;
	return;
}

my @chaos = (
	sub { kill_program($agent); sleep rand 2; $agent = start_agent($folder, $node, 'town', 'gw'); 'the agent is killed' },
	sub { crash($node); sleep rand 2; $node->start; 'the server is crashed' },
	sub { my $g = 'G' . (1 + int rand 3); simctl($sim, "fault $g refuse"); sleep rand 3; simctl($sim, "fault $g off"); "$g is cut off" },
	sub { my $m = 'M' . (1 + int rand $METERS); my @kind = ('silence n=3', 'late n=4 ms=1200', 'noise n=3', 'partial n=2 ms=0', 'disconnect n=2', 'silence lost=answer on=write n=2', 'exception n=2 code=6', 'wrong_unit n=3'); my $k = $kind[ rand @kind ]; simctl($sim, "fault $m $k"); "$m: $k" },
	sub { my $m = 'M' . (1 + int rand $METERS); my $o = rand() < 0.5 ? 'trip' : 'close'; $node->psql('town', "SELECT prepay.control('$m', '$o')"); "$o $m" },
	sub { sell('sale-' . ++$sold); 'a sale' });

$agent = start_agent($folder, $node, 'town', 'gw');
ok(wait_until(sub { ($node->psql('town', "SELECT count(DISTINCT meter_id) = $METERS FROM prepay.reading"))[1] eq 't' }, 30), 'all meters are read');
my $end = time + $SECONDS;
my $events = 0;
while (time < $end)
{
	# Orders and sales oftener than disasters.
	my $what = $chaos[ rand() < 0.5 ? 3 + int rand 3 : int rand @chaos ]->();

	note $what;
	$events++;
	sleep rand 0.6;
}
cmp_ok($events, '>', $SECONDS / 4, "$events events");

# Peace: everything is closed again, stands still, and is counted.
simctl($sim, "fault M$_ off") foreach 1 .. $METERS;
simctl($sim, "fault G$_ off") foreach 1 .. 3;
sub query { return ($node->psql('town', $_[0]))[1] // '' }
ok(wait_until(sub { query("SELECT count(*) = $METERS FROM prepay.meter_status WHERE contact = 'ok'") eq 't' }, 90), 'every meter is in contact again');
ok(wait_until(sub { query(q{SELECT count(*) FROM prepay.command WHERE status IN ('queued', 'sent', 'unknown')}) eq '0' }, 120), 'every order has come to an end') or diag(query(q{SELECT * FROM prepay.command WHERE status IN ('queued', 'sent', 'unknown')}));
foreach my $n (1 .. $METERS)
{
	my ($desired, $observed) = split /\|/, query("SELECT desired, observed FROM prepay.meter_status WHERE meter = 'M$n'");
	my $seen = sim_value($sim, "M$n", 'relay') eq 'closed' ? 'on' : 'off';

	is("$desired $observed", "$seen $seen", "M$n: the relay is where it should be");
}
simctl($sim, "set M$_ kw=0") foreach 1 .. $METERS;
my $still = query('SELECT prepay.now()');
ok(wait_until(sub { query("SELECT bool_and(last_read_at > timestamptz '$still' + interval '5 minutes') FROM prepay.meter_status") eq 't' }, 60), 'the last poll is in');
is(stop_program($agent), 0, 'the agent stops cleanly');
is(query("SELECT kwh FROM prepay.reading r JOIN prepay.meter USING (meter_id) WHERE code = 'M$_' ORDER BY read_at DESC LIMIT 1") + 0, sim_value($sim, "M$_", 'kwh') + 0, "M$_: no energy is lost") foreach 1 .. $METERS;
is(query('SELECT sum(kwh) FROM prepay.usage_daily') + 0, query('SELECT sum(last - first) FROM (SELECT max(kwh) AS last, min(kwh) AS first FROM prepay.reading GROUP BY meter_id) AS d') + 0, 'every kWh is rated once');
is(query('SELECT count(*) FROM prepay.reading_review'), 0, 'no reading is in doubt');
is(query('SELECT count(*) FROM prepay.agent_spool'), 1, 'one spool all the time');
is(query(q{SELECT count(*) FROM prepay.ledger_entry WHERE kind = 'sale' AND key NOT IN (SELECT key FROM prepay.posting)}), 0, 'every sale has its posting');
is(query(qq{SELECT count(*) FROM unnest(ARRAY[@{[ join ',', map { "'$_'" } 'none', sort keys %acknowledged ]}]) AS k WHERE k <> 'none' AND NOT EXISTS (SELECT FROM prepay.ledger_entry WHERE key = k)}), 0, 'no sale that was acknowledged is missing');
# While the agent is down for seconds polls are missed; none is missed for longer.
my $gap = query(q{SELECT max(gap) FROM (SELECT extract(epoch FROM read_at - lag(read_at) OVER (PARTITION BY meter_id ORDER BY read_at)) AS gap FROM prepay.reading) AS g}) / $RATE;
cmp_ok($gap, '<', 60, sprintf('the longest gap of a meter was %.0f s', $gap));
healthy($node, 'town', 'after all of this');
is(deadlocks($node), 0, 'no deadlock');

done_testing();
