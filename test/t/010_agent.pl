# The whole chain: simulated meters, the agent, the server. Readings arrive while the agent is killed
# and the server is crashed in mid-run, each once; relays follow balances and orders and are read
# back; in the end every register in the database is the one the meter shows.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use Prepay qw(new_server install make_site running_clock crash start_simulator start_agent simctl sim_value
  stop_program kill_program wait_until healthy);

my $METERS = 12;
# Half an hour of business in a second and a quarter.
my $clock = running_clock('2026-01-05T00:00:00+08:00', 1440);
my $node = new_server('agent', clock => $clock);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sim = start_simulator($folder, $clock, [ 'G1', 'G2' ],
	[ map { sprintf 'M%d G%d %d acrel-ddsy1352 kw=%.1f start_kwh=%d', $_, 1 + ($_ > 6), $_, 0.5 + $_ / 10, 1000 * $_ } 1 .. $METERS ]);
my $agent;

END { stop_program($agent); stop_program($sim->{program}) if $sim; }

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	CREATE ROLE agent_gw LOGIN IN ROLE prepay_agent;
	SELECT prepay.create_agent('gw', '{"role": "agent_gw"}');
	SELECT prepay.set_setting('town', 'poll_interval', '30 minutes'), prepay.set_setting('town', 'off_command_ttl', '12 hours');
	INSERT INTO prepay.place (site_id, kind, code) VALUES (1, 'building', 'B1');
	INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw', '$sim->{gateway}{G1}'), (1, 'G2', 'gw', '$sim->{gateway}{G2}');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, place_id)
	SELECT 1, 'M' || n, 1 + (n > 6)::int, n, 'acrel-ddsy1352', CASE WHEN n > 6 THEN 1 END FROM generate_series(1, $METERS) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', '13800000000', meters => ARRAY['M' || n], opening_balance => CASE n WHEN 1 THEN 3 ELSE 10000 END, key => 'o' || n))
	FROM generate_series(1, $METERS) AS n;});

sub query
{
	my ($sql) = @_;
	my ($status, $result) = $node->psql('town', $sql);

	return $status == 0 ? $result : '';
}

sub until_true
{
	my ($what, $seconds, $sql) = @_;

	ok(wait_until(sub { query($sql) eq 't' }, $seconds), $what) or diag(query('TABLE prepay.command'), "\n", query('SELECT meter, contact, relay, desired, commanded, observed, last_read_at FROM prepay.meter_status'));
	return;
}

sub relays
{
	my (@meters) = @_;

	return join ' ', map { sim_value($sim, $_, 'relay') } @meters;
}

# With the rights of the agent's role only: it can do all it needs.
sub launch
{
	local $ENV{PGUSER} = 'agent_gw';

	return start_agent($folder, $node, 'town', 'gw');
}

$agent = launch();
until_true('all meters are read', 20, "SELECT count(DISTINCT meter_id) = $METERS FROM prepay.reading");
until_true('gateways are in contact', 10, q{SELECT bool_and(state = 'ok') FROM prepay.gateway_status});
until_true('the agent has a beat', 10, q{SELECT state = 'ok' FROM prepay.agent});

# A customer uses up what he has: the relay is cut at the meter, and the energy stops.
simctl($sim, 'set M1 kw=20');
until_true('the cut is done and read back', 30, q{SELECT observed = 'off' AND acknowledged = 'off' FROM prepay.meter_status WHERE meter = 'M1'});
is(relays('M1'), 'open', 'the simulated relay is open');
is(query(q{SELECT state FROM prepay.account_status WHERE account = 'A1'}), 'arrears', 'in arrears');
like(query(q{SELECT string_agg(kind, ' ' ORDER BY kind) FROM prepay.alarm_active WHERE account = 'A1'}), qr/arrears/, 'the alarm is active');
simctl($sim, 'set M1 kw=0.1');
$node->safe_psql('town', q{SELECT prepay.sell('A1', 5000, 'sale-1')});
until_true('paid: closed and read back', 20, q{SELECT observed = 'on' AND acknowledged = 'on' FROM prepay.meter_status WHERE meter = 'M1'});
is(relays('M1'), 'closed', 'the simulated relay is closed');

# kill -9 of the agent: it goes on where it was, and nothing is there twice.
my $before = query('SELECT count(*) FROM prepay.reading');
kill_program($agent);
sleep 3;
$agent = launch();
until_true('the killed agent polls again', 20, "SELECT count(*) > $before + 2 * $METERS FROM prepay.reading");

# The server crashes while the agent polls: what it read meanwhile arrives later.
my $crashed_at = query('SELECT prepay.now()');
crash($node);
sleep 4;
$node->start;
my $back_at = $node->safe_psql('town', 'SELECT prepay.now()');
until_true('readings of the outage have arrived', 30, qq{SELECT bool_and(n >= 2) FROM (SELECT m.meter_id, count(r.read_at) AS n FROM prepay.meter m
	LEFT JOIN prepay.reading r ON r.meter_id = m.meter_id AND r.read_at BETWEEN timestamptz '$crashed_at' + interval '15 minutes' AND timestamptz '$back_at' - interval '15 minutes' GROUP BY m.meter_id) AS g});
until_true('and polling goes on', 20, "SELECT count(*) > 0 FROM prepay.reading WHERE read_at > timestamptz '$back_at' + interval '1 hour'");

# A building switched by one call, and back; a new meter joins the plan on the way.
is(query(q{SELECT count(*) FROM prepay.control('B1', 'trip') WHERE status = 'queued'}), $METERS - 6, 'one call for a building');
until_true('the building is off', 30, q{SELECT bool_and(observed = 'off') FROM prepay.meter_status WHERE place = 'B1'});
is(relays(map { "M$_" } 7 .. $METERS), join(' ', ('open') x ($METERS - 6)), 'all simulated relays are open');
is(relays('M2'), 'closed', 'the one next door is not');
$node->safe_psql('town', q{SELECT prepay.control('B1', 'close')});
until_true('the building is on', 30, q{SELECT bool_and(observed = 'on') FROM prepay.meter_status WHERE place = 'B1'});
is(relays(map { "M$_" } 7 .. $METERS), join(' ', ('closed') x ($METERS - 6)), 'all simulated relays are closed');
$node->safe_psql('town', q{UPDATE prepay.gateway SET poll_interval = '10 minutes' WHERE code = 'G1'});
my $at = query('SELECT prepay.now()');
until_true('a changed poll interval is taken over', 30, qq{SELECT count(*) >= 4 FROM prepay.reading WHERE meter_id = 2 AND read_at > (SELECT max(read_at) FROM prepay.reading WHERE meter_id = 2) - interval '45 minutes'
	AND prepay.now() > timestamptz '$at' + interval '1 hour'});

# Everything stands still; then each register is the one the database has.
simctl($sim, "set M$_ kw=0") foreach 1 .. $METERS;
my $still = $node->safe_psql('town', 'SELECT prepay.now()');
until_true('the last poll is in', 30, "SELECT bool_and(last_read_at > timestamptz '$still' + interval '5 minutes') FROM prepay.meter_status");
my $status = stop_program($agent);
is($status, 0, 'the agent stops cleanly');
foreach my $n (1 .. $METERS)
{
	is(query("SELECT kwh FROM prepay.reading WHERE meter_id = $n ORDER BY read_at DESC LIMIT 1") + 0, sim_value($sim, "M$n", 'kwh') + 0, "M$n: the last reading is what the meter shows");
}
is(query(q{SELECT count(*) FROM (SELECT kwh < lag(kwh) OVER (PARTITION BY meter_id ORDER BY read_at) AS fell FROM prepay.reading) AS f WHERE fell}), 0, 'no register ever fell');
is(query('SELECT sum(kwh) FROM prepay.usage_daily') + 0, query('SELECT sum(last - first) FROM (SELECT max(kwh) AS last, min(kwh) AS first FROM prepay.reading GROUP BY meter_id) AS d') + 0, 'every kWh is rated once');
is(query('SELECT count(*) FROM prepay.reading_review'), 0, 'no reading is in doubt');
is(query('SELECT count(*) FROM prepay.agent_spool'), 1, 'one spool all the time');
is(query(q{SELECT count(*) FROM prepay.command WHERE status NOT IN ('done', 'superseded', 'expired')}), 0, 'no command is left over');
is(query(q{SELECT string_agg(DISTINCT kind, ' ') FROM prepay.alarm_active WHERE kind IN ('relay_mismatch', 'suspect')}), '', 'no relay is where it should not be');
# The gaps: while the agent lived, no meter was passed over, server or not.
is(query(qq{SELECT count(*) FROM (SELECT read_at - lag(read_at) OVER (PARTITION BY meter_id ORDER BY read_at) AS gap, read_at FROM prepay.reading
	WHERE read_at > timestamptz '$crashed_at' - interval '30 minutes') AS g WHERE gap > interval '95 minutes'}), 0, 'no gap of three polls around the outage');
healthy($node, 'town', 'after all of this');

done_testing();
