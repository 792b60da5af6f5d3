# Field buses misbehave: silence, answers too late, for others, in pieces, glued together, garbage,
# broken connections. No wrong value is ever stored, the other meters do not suffer, contact that is
# lost is noticed and found again, and a command whose answer is lost is settled by reading back.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use Prepay qw(new_server install make_site running_clock start_simulator start_agent simctl sim_value
  stop_program wait_until healthy);

# A poll every half second, so that a fault meets several.
my $clock = running_clock('2026-01-05T00:00:00+08:00', 1200);
my $node = new_server('faults', clock => $clock);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sim = start_simulator($folder, $clock, [ 'G1', 'G2' ],
	[ map { sprintf 'M%d G%d %d acrel-ddsy1352 kw=2 start_kwh=%d', $_, 1 + ($_ > 3), $_, 100 * $_ } 1 .. 6 ]);
my $agent;

END { stop_program($agent); stop_program($sim->{program}) if $sim; }

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	SELECT prepay.set_setting('town', 'off_command_ttl', '1 day');
	INSERT INTO prepay.gateway (site_id, code, agent, address, poll_interval) VALUES (1, 'G1', 'gw', '$sim->{gateway}{G1}', '10 minutes'), (1, 'G2', 'gw', '$sim->{gateway}{G2}', '10 minutes');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, rated_kw, register_max)
	SELECT 1, 'M' || n, 1 + (n > 3)::int, n, 'acrel-ddsy1352', 10, 1000000 FROM generate_series(1, 6) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100000, key => 'o' || n)) FROM generate_series(1, 6) AS n;});
$agent = start_agent($folder, $node, 'town', 'gw');

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('town', $sql);
}

sub until_true
{
	my ($what, $seconds, $sql) = @_;

	ok(wait_until(sub { query($sql) eq 't' }, $seconds), $what);
	return;
}

# $count polls of a meter from now on.
sub polls
{
	my ($meter, $count, $seconds) = @_;
	my $from = query('SELECT prepay.now()');

	return wait_until(sub { query("SELECT count(*) >= $count FROM prepay.reading r JOIN prepay.meter m USING (meter_id) WHERE m.code = '$meter' AND read_at > '$from'") eq 't' }, $seconds);
}

ok(polls("M$_", 1, 20), "M$_ is read") foreach 1 .. 6;

# Each kind of fault at M2, for some requests; meanwhile M1 and M3 behind the same gateway are read on.
foreach my $fault ('silence n=2', 'late n=2 ms=2500', 'wrong_tid n=2', 'wrong_unit n=2', 'partial n=2 ms=50', 'partial n=2 ms=0', 'glue n=3', 'noise n=2', 'disconnect n=2', 'exception n=2 code=4', 'exception n=2 code=6')
{
	my $requests = sub { simctl($sim, 'stats') =~ /faults=(\d+)/ ? $1 : die 'no count of faults' };
	my $before = $requests->();
	my ($wanted) = $fault =~ /n=(\d+)/;

	simctl($sim, "fault M2 $fault");
	ok(wait_until(sub { $requests->() >= $before + $wanted }, 30), "$fault: the meter misbehaved");
	ok(polls('M2', 2, 30), "$fault: M2 is read again afterwards");
	ok(polls($_, 2, 15), "$fault: $_ is read on") foreach 'M1', 'M6';
}
is(query('SELECT count(*) FROM prepay.reading_review'), 0, 'no reading is in doubt');
is(query(q{SELECT count(*) FROM (SELECT kwh < lag(kwh) OVER (PARTITION BY meter_id ORDER BY read_at) AS fell FROM prepay.reading) AS f WHERE fell}), 0, 'no register ever fell');
is(query(q{SELECT count(*) FROM prepay.reading r JOIN prepay.meter m USING (meter_id) WHERE kwh NOT BETWEEN 100 * meter_id AND 100 * meter_id + 3 * extract(epoch FROM read_at - '2026-01-05 00:00+08') / 3600 + 1}), 0,
	'every value is one the meter can have shown');

# One meter is silent for good: it is lost, the others are not, and it is found again.
simctl($sim, 'fault M2 silence');
until_true('a silent meter is lost', 60, q{SELECT contact = 'lost' AND state = 'lost' FROM prepay.meter_status WHERE meter = 'M2'});
is(query(q{SELECT string_agg(coalesce(meter, gateway), ' ' ORDER BY meter) FROM prepay.alarm_active WHERE kind = 'lost'}), 'M2', 'and only that one');
ok(polls($_, 3, 15), "$_ is not held up by it") foreach 'M1', 'M3';
simctl($sim, 'fault M2 off');
until_true('it is found again', 60, q{SELECT contact = 'ok' FROM prepay.meter_status WHERE meter = 'M2'});
until_true('and its alarm is cleared', 20, q{SELECT count(*) = 0 FROM prepay.alarm_active WHERE kind = 'lost'});

# A gateway is gone: one alarm for it, none for its meters; the other gateway goes on.
simctl($sim, 'fault G2 refuse');
until_true('a dead gateway is lost', 60, q{SELECT state = 'lost' FROM prepay.gateway_status WHERE gateway = 'G2'});
is(query(q{SELECT string_agg(coalesce(gateway, meter), ' ') FROM prepay.alarm_active WHERE kind = 'lost'}), 'G2', 'one alarm: the gateway');
ok(polls('M1', 3, 15), 'the other gateway goes on');
# An order meanwhile waits, and is carried out when the gateway is back.
query(q{SELECT prepay.control('M5', 'trip')});
simctl($sim, 'fault G2 off');
until_true('the gateway is back', 60, q{SELECT state = 'ok' FROM prepay.gateway_status WHERE gateway = 'G2'});
until_true('its alarm is cleared', 20, q{SELECT count(*) = 0 FROM prepay.alarm_active WHERE kind = 'lost'});
until_true('the order is carried out', 60, q{SELECT observed = 'off' FROM prepay.meter_status WHERE meter = 'M5'});
is(sim_value($sim, 'M5', 'relay'), 'open', 'the simulated relay is open');

# The write is done but its answer is lost: settled by reading back, not by guessing or writing twice.
simctl($sim, 'fault M1 silence n=1 lost=answer on=write');
query(q{SELECT prepay.control('M1', 'trip')});
until_true('a lost answer: done and read back', 60, q{SELECT observed = 'off' AND acknowledged = 'off' FROM prepay.meter_status WHERE meter = 'M1'});
is(sim_value($sim, 'M1', 'relay'), 'open', 'the simulated relay is open');
# The write is not done and there is no answer either: it is done after all.
simctl($sim, 'fault M1 silence n=1 on=write');
query(q{SELECT prepay.control('M1', 'close')});
until_true('a lost request: done in the end', 90, q{SELECT observed = 'on' AND acknowledged = 'on' FROM prepay.meter_status WHERE meter = 'M1'});
is(sim_value($sim, 'M1', 'relay'), 'closed', 'the simulated relay is closed');
# The connection breaks right at the write.
simctl($sim, 'fault M3 disconnect n=1 on=write');
query(q{SELECT prepay.control('M3', 'trip')});
until_true('a broken connection: done in the end', 90, q{SELECT observed = 'off' FROM prepay.meter_status WHERE meter = 'M3'});
is(query(q{SELECT count(*) FROM prepay.command WHERE status IN ('failed', 'refused')}), 0, 'no command failed');
# A meter that refuses: told apart from one that is out of reach.
simctl($sim, 'fault M6 exception code=2 on=write');
query(q{SELECT prepay.control('M6', 'trip')});
until_true('an exception is a refusal', 60, q{SELECT count(*) = 1 FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) WHERE m.code = 'M6' AND action = 'trip' AND status IN ('refused', 'failed')});
is(sim_value($sim, 'M6', 'relay'), 'closed', 'and the relay is where it was');

stop_program($agent);
healthy($node, 'town', 'after all faults');

done_testing();
