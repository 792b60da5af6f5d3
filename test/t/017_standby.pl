# A standby takes over the gateways of an agent that was killed, and gives them back when it returns.
# Both poll the same meters for a moment on either side; no reading is lost, none is filed as
# foreign, and every order is carried out by one of them.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site running_clock start_simulator start_agent simctl sim_value
  stop_program kill_program wait_until healthy);

my $METERS = 6;
# A quarter of an hour of business each second.
my $clock = running_clock('2026-01-05T00:00:00+08:00', 900);
my $node = new_server('standby', clock => $clock);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sim = start_simulator($folder, $clock, [ 'G1', 'G2' ],
	[ map { sprintf 'M%d G%d %d acrel-ddsy1352 kw=%.1f start_kwh=%d', $_, 1 + $_ % 2, $_, 0.5 + $_ / 10, 100 * $_ } 1 .. $METERS ]);
my %agent;

END { local $?; stop_program($_) foreach values %agent; stop_program($sim->{program}) if $sim; }

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('a'), prepay.create_agent('b');
	CREATE ROLE agent_a LOGIN IN ROLE prepay_agent;
	CREATE ROLE agent_b LOGIN IN ROLE prepay_agent;
	SELECT prepay.create_agent('a', '{"role": "agent_a"}'), prepay.create_agent('b', '{"role": "agent_b"}');
	SELECT prepay.set_setting('town', 'poll_interval', '15 minutes'), prepay.set_setting('town', 'off_command_ttl', '10 days');
	INSERT INTO prepay.gateway (site_id, code, agent, standby_agent, address) VALUES (1, 'G1', 'a', 'b', '$sim->{gateway}{G1}'), (1, 'G2', 'b', 'a', '$sim->{gateway}{G2}');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, 1 + n % 2, n, 'acrel-ddsy1352' FROM generate_series(1, $METERS) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 1000000, key => 'o' || n)) FROM generate_series(1, $METERS) AS n;});

sub query { return ($node->psql('town', $_[0]))[1] // '' }

sub until_true
{
	my ($what, $sql) = @_;

	ok(wait_until(sub { query($sql) eq 't' }, 90), $what) or diag(query('SELECT * FROM prepay.gateway_status'), "\n", query('TABLE prepay.command'));
	return;
}

sub launch
{
	my ($name) = @_;

	mkdir "$folder/$name";
	local $ENV{PGUSER} = "agent_$name";
	$agent{$name} = start_agent("$folder/$name", $node, 'town', $name);
	return;
}

sub read_since
{
	my ($who, $meters, $since) = @_;

	return "SELECT count(DISTINCT meter_id) = $meters FROM prepay.reading r JOIN prepay.meter m USING (meter_id) WHERE source = '$who' AND gateway_id = 1 AND read_at > timestamptz '$since'";
}

sub ordered
{
	my ($meter, $order, $what) = @_;

	$node->safe_psql('town', "SELECT prepay.control('$meter', '$order')");
	until_true($what, qq{SELECT status = 'done' FROM prepay.command ORDER BY command_id DESC LIMIT 1});
	return;
}

launch($_) foreach qw(a b);
until_true('all meters are read', "SELECT count(DISTINCT meter_id) = $METERS FROM prepay.reading");
is(query(q{SELECT count(*) FROM prepay.reading r JOIN prepay.meter m USING (meter_id) WHERE r.source <> CASE m.gateway_id WHEN 1 THEN 'a' ELSE 'b' END}), 0, 'each by its own agent');
until_true('both are heard of', q{SELECT bool_and(state = 'ok') FROM prepay.agent});

# Killed, and a minute of silence made short.
kill_program($agent{a});
my $killed = query('SELECT prepay.now()');
$node->safe_psql('town', q{UPDATE prepay.agent SET last_beat_at = last_beat_at - interval '2 minutes' WHERE code = 'a'});
until_true('it is lost', q{SELECT state = 'lost' FROM prepay.agent WHERE code = 'a'});
until_true('the standby reads its meters', read_since('b', $METERS / 2, $killed));
is(query(q{SELECT served_by FROM prepay.gateway_status WHERE gateway = 'G1'}), 'b', 'and the view says so');
ordered('M2', 'trip', 'the standby carries out an order');
is(sim_value($sim, 'M2', 'relay'), 'open', 'at the meter');

# Back again.
launch('a');
until_true('it is back', q{SELECT state = 'ok' FROM prepay.agent WHERE code = 'a'});
my $back = query('SELECT prepay.now()');
until_true('it reads its meters again', read_since('a', $METERS / 2, $back));
ordered('M2', 'close', 'and carries out orders');
is(query(q{SELECT agent FROM prepay.command ORDER BY command_id DESC LIMIT 1}), 'a', 'itself');
is(sim_value($sim, 'M2', 'relay'), 'closed', 'at the meter');
ok(wait_until(sub { slurp_file("$folder/b/prepayd.log") =~ /plan_applied.*gateways=2.*plan_applied[^\n]*gateways=1 /s }, 60), 'the standby has let go');
my $alone = query('SELECT prepay.now()');
until_true('time goes on', "SELECT prepay.now() > timestamptz '$alone' + interval '1 hour'");
is(query("SELECT count(*) FROM prepay.reading r JOIN prepay.meter m USING (meter_id) WHERE source = 'b' AND gateway_id = 1 AND read_at > timestamptz '$alone' + interval '15 minutes'"), 0, 'and reads them no more');
simctl($sim, "set M$_ kw=0") foreach 1 .. $METERS;
my $still = query('SELECT prepay.now()');
until_true('the last poll is in', "SELECT bool_and(last_read_at > timestamptz '$still' + interval '5 minutes') FROM prepay.meter_status");
is(stop_program($agent{$_}), 0, "$_ stops cleanly") foreach qw(a b);
is(query("SELECT kwh FROM prepay.reading r JOIN prepay.meter USING (meter_id) WHERE code = 'M$_' ORDER BY read_at DESC LIMIT 1") + 0, sim_value($sim, "M$_", 'kwh') + 0, "M$_: no energy is lost") foreach 1 .. $METERS;
is(query('SELECT count(*) FROM prepay.reading_review'), 0, 'no reading was taken for a foreign one');
is(query(q{SELECT count(*) FROM prepay.command WHERE attempts > 1 OR status <> 'done'}), 0, 'every order was carried out once');
healthy($node, 'town', 'after all of this');

done_testing();
