# A meter that keeps its own money, end to end: sales are in it exactly once, whatever is killed
# and whichever answer is lost; money is paid out only after it was taken out; its prices, tables and limits
# are the tariff's; what somebody else does to it is noticed.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use Prepay qw(new_server install running_clock start_simulator start_agent simctl sim_value stop_program
  kill_program wait_until healthy);

my $clock = running_clock('2026-01-05T00:00:00+08:00', 600);
my $node = new_server('meter_money', clock => $clock);
my $folder = PostgreSQL::Test::Utils::tempdir();
my $sim = start_simulator($folder, $clock, ['G1'],
	[ 'M1 G1 1 complete-prepaid kw=2 shape=flat count=7 forced=0,0 price=9.9', 'M2 G1 2 acrel-ddsy1352 kw=1 count=0 forced=0,0' ]);
my $agent;

END { stop_program($agent); stop_program($sim->{program}) if $sim; }

sub query
{
	my ($sql) = @_;

	return $node->safe_psql('town', $sql);
}

sub until_true
{
	my ($what, $seconds, $sql) = @_;

	ok(wait_until(sub { query($sql) eq 't' }, $seconds), $what)
	  or diag(query('SELECT * FROM prepay.purse_moves'), "\n", query('SELECT * FROM prepay.own_money_meters'));
	return;
}

# Accepted writes of money, as the meter journals them.
sub accepted
{
	my ($meter) = @_;
	my ($host, $port) = split /:/, $sim->{control};
	my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port) or die "no simulator: $!";
	my $n = 0;

	print $socket "journal $meter\n";
	while (my $line = <$socket>)
	{
		last if $line =~ /^end/;
		$n++ if $line =~ /fc=0x20 .*result=ok/;
	}
	return $n;
}

# What is in the meter and what it has used: all that was ever put in and not taken out.
sub put_in
{
	my ($meter, $price) = @_;
	my %now = simctl($sim, "get $meter") =~ /\b(balance|energy)=(\S+)/g;

	return sprintf '%.1f', $now{balance} + $now{energy} * $price;
}

install($node, 'town');
query(q{
	INSERT INTO prepay.meter_model (code, profile)
	SELECT 'complete', jsonb_set(jsonb_set(jsonb_set(profile, '{commands,withdraw}', (profile #> '{commands,recharge}') || '{"steps": [{"fc": "0x20", "addr": "0x0200", "data": "u32($amount) u16($count) 0000", "answer_pdu": 12}]}'),
		'{commands,push_tariff}', (profile #> '{commands,push_tariff}') || jsonb_build_object('args', (profile #> '{commands,push_tariff,args}') || '{"price_flat": {"exp10": -4, "max": 999999}}',
			'steps', (profile #> '{commands,push_tariff,steps}') || '[{"fc": 16, "addr": "0x0059", "data": "u32($price_flat)"}]',
			'verify', (profile #> '{commands,push_tariff,verify}') || '[{"fc": 3, "addr": "0x0059", "n": 2, "eq": "u32($price_flat)"}]')),
		'{commands,push_limits}', '{"args": {"alarm1": {"exp10": -2}, "alarm2": {"exp10": -2}, "overdraft": {"exp10": -2}, "power_limit": {"exp10": -1, "max": 65535}},
			"steps": [{"fc": 16, "addr": "0x0046", "data": "u32($alarm1) u32($alarm2) u32($overdraft)"}, {"fc": 16, "addr": "0x0061", "data": "u16($power_limit)"}],
			"verify": [{"fc": 3, "addr": "0x0046", "n": 6, "eq": "u32($alarm1) u32($alarm2) u32($overdraft)"}, {"fc": 3, "addr": "0x0061", "n": 1, "eq": "u16($power_limit)"}]}')
	FROM prepay.meter_model WHERE code = 'acrel-ddsy1352'});
query(qq{
	SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
	SELECT prepay.define_tariff('flat', '{"prices": 0.5, "surcharges": [{"name": "fund", "per_kwh": 0.02}]}');
	SELECT prepay.set_setting('town', 'tariff', 'flat'), prepay.set_setting('town', 'power_limit_kw', '7.5'), prepay.set_setting('town', 'alarm1_amount', '30');
	SELECT prepay.create_agent('gw');
	INSERT INTO prepay.gateway (site_id, code, agent, address, poll_interval) VALUES (1, 'G1', 'gw', '$sim->{gateway}{G1}', '10 minutes');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, prepay_mode, register_max) VALUES (1, 'M1', 1, 1, 'complete', 'meter', 1000000), (1, 'M2', 1, 2, 'acrel-ddsy1352', 'meter', 1000000);
	SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}'), prepay.open_account('A2', 'Li', meters => '{M2}');});
$agent = start_agent($folder, $node, 'town', 'gw');

# Prices, tables and limits first: the tariff by tick(), the limits by order.
until_true('the tariff is pushed and read back', 60, q{SELECT count(*) = 2 FROM prepay.own_money_meters WHERE tariff_push = 'done'});
is(sim_value($sim, 'M1', 'price'), '0.5200', 'the meter prices as the tariff does, surcharge and all');
query(q{SELECT prepay.control('M1', 'push_limits')});
until_true('the limits are pushed and read back', 60, q{SELECT status = 'done' FROM prepay.command WHERE action = 'push_limits'});

# Sold, and in the meter; it closes by itself.
is(sim_value($sim, 'M1', 'relay'), 'open', 'a meter without money is off');
query(q{SELECT prepay.sell('A1', 100, 's1')});
until_true('a sale is in the meter', 60, q{SELECT state = 'done' AND purchase_count = 8 FROM prepay.purse_moves WHERE key = 's1'});
is(sim_value($sim, 'M1', 'relay'), 'closed', 'and it has closed by itself');
is(query(q{SELECT count(*) FROM prepay.command WHERE action IN ('trip', 'close')}), 0, 'nobody switched it');

# Killed in the middle of a recharge: the meter has it and nobody was told.
simctl($sim, 'fault M1 silence lost=answer on=write');
query(q{SELECT prepay.sell('A1', 50, 's2')});
ok(wait_until(sub { sim_value($sim, 'M1', 'count') == 9 }, 60), 'the meter took it, the answer is lost');
kill_program($agent);
simctl($sim, 'fault M1 off');
query(q{SELECT prepay.sell('A1', 25, 's3')});
$agent = start_agent($folder, $node, 'town', 'gw');
until_true('what was cut off is read back, what followed is sent', 150, q{SELECT count(*) = 3 FROM prepay.purse_moves WHERE state = 'done' AND account = 'A1'});
is(sim_value($sim, 'M1', 'count'), 10, 'the meter counts three purchases');
is(accepted('M1'), 3, 'three were written');
is(put_in('M1', 0.52), '175.0', 'and not a cent more is in it');

# Killed before the write: the meter is silent to everything.
simctl($sim, 'fault M1 silence');
query(q{SELECT prepay.sell('A1', 10, 's4')});
until_true('it is handed out', 60, q{SELECT attempts > 0 FROM prepay.purse_moves WHERE key = 's4'});
kill_program($agent);
simctl($sim, 'fault M1 off');
query(q{UPDATE prepay.command SET lease_until = clock_timestamp() WHERE status = 'sent'});
$agent = start_agent($folder, $node, 'town', 'gw');
until_true('it is sent by the next', 150, q{SELECT state = 'done' FROM prepay.purse_moves WHERE key = 's4'});
is(put_in('M1', 0.52), '185.0', 'once');

# Lost answers all along.
simctl($sim, 'fault M1 silence lost=answer on=write n=3');
query(qq{SELECT prepay.sell('A1', 1, 'm$_')}) foreach 1 .. 4;
until_true('four sales through lost answers', 150, q{SELECT count(*) = 4 FROM prepay.purse_moves WHERE key LIKE 'm%' AND state = 'done'});
is(put_in('M1', 0.52), '189.0', 'each once');
is(sim_value($sim, 'M1', 'count'), 15, 'by the count too');

# Paid out after it was taken out, also through a lost answer.
like(($node->psql('town', q{SELECT prepay.refund('A1', 20, 'r1')}))[2], qr/is in its meter.*withdraw/s, 'a refund says what comes first');
simctl($sim, 'fault M1 silence lost=answer on=write n=1');
query(q{SELECT prepay.withdraw('A1', 20, 'r1')});
until_true('withdrawn', 150, q{SELECT (prepay.withdraw('A1', 20, 'r1')).state = 'done'});
is(query(q{SELECT (prepay.refund('A1', 20, 'r1')).amount}), '-20.00', 'then refunded');
is(put_in('M1', 0.52), '169.0', 'it has left the meter once');
like(($node->psql('town', q{SELECT prepay.withdraw('A2', 1, 'r2')}))[2], qr/gives no money back.*remove the meter/s, 'a model that gives nothing back says so');

# The books and the meter agree, with all that was used meanwhile; a hand at the meter is seen.
until_true('read since', 60, q{SELECT meter_balance_at > (SELECT max(finished_at) FROM prepay.purse_moves) FROM prepay.own_money_meters WHERE meter = 'M1'});
is(query(q{SELECT string_agg(kind, ' ') FROM prepay.alarm_active WHERE meter = 'M1'}), '', 'no alarm');
simctl($sim, 'set M1 count=17 balance=5');
until_true('count and balance are alarms', 60, q{SELECT count(*) = 2 FROM prepay.alarm_active WHERE meter = 'M1' AND kind IN ('purchase_count', 'balance_mismatch')});
query(q{SELECT prepay.sell('A1', 30, 's5')});
until_true('nothing goes into a meter that counts otherwise', 60, q{SELECT stuck FROM prepay.own_money_meters WHERE meter = 'M1'});
is(sim_value($sim, 'M1', 'count'), 17, 'the meter was not written');
query(q{SELECT prepay.resolve_recharge('M1', 'again', 'the meter was serviced')});
until_true('sent when somebody has decided', 60, q{SELECT state = 'done' AND purchase_count = 18 FROM prepay.purse_moves WHERE key = 's5'});

stop_program($agent);
healthy($node, 'town', 'after all that');
done_testing();
