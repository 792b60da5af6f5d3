# Eight clients at once on the same accounts and meters: readings in any order and grouping, sales,
# orders, changes of configuration, tick(). No deadlock, no error, and the result is what plain
# arithmetic says, whoever came first.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site set_clock journal_client healthy deadlocks);

my $METERS = 20;
my $STEPS = 480;
my $node = new_server('storm', clock => '2026-01-01T00:00:00+08', conf => "deadlock_timeout = 200ms\n");
my $folder = PostgreSQL::Test::Utils::tempdir();

install($node, 'town');
make_site($node, 'town');
# Ten accounts of two meters each, taken across so that ids of accounts and meters rise differently.
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352' FROM generate_series(1, $METERS) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n, 'M' || 21 - n], opening_balance => 500, key => 'o' || n)) FROM generate_series(1, 10) AS n;
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, n, '2026-01-01 00:00+08', 0, true FROM generate_series(1, $METERS) AS n;});
set_clock($node, '2026-01-22T00:00:00+08');

my $seed = $ENV{PREPAY_SEED} // time ^ $$;
srand $seed;
note "seed $seed (PREPAY_SEED repeats it)";

# One kWh an hour on every meter, whoever delivers it.
sub row
{
	my ($meter, $step) = @_;

	return "(1, $meter, timestamptz '2026-01-01 00:00+08' + $step * interval '1 hour', $step)";
}

my @reading;
foreach my $step (1 .. $STEPS - 1)
{
	push @reading, map { [ $_, $step ] } 1 .. $METERS;
}
# Nearly in order, as meters report, with some far out of it.
@reading = map { $_->[0] } sort { $a->[1] <=> $b->[1] }
  map { [ $_, $_->[1] + rand(6) + (rand() < 0.02 ? 100 * rand() : 0) ] } @reading;

my @job;
my $client = 0;
my $n = 0;
while (@reading)
{
	my @batch = splice @reading, 0, 1 + int rand 40;

	$n++;
	push @{ $job[ $client++ % 5 ] }, [ "r$n", 'INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES ' . join ', ', map { row(@$_) } @batch ];
}
my $sold = 0;
foreach my $n (1 .. 800)
{
	my $account = 1 + int rand 10;
	my $cents = 1 + int rand 500;

	$sold += $cents;
	push @{ $job[5] }, [ "s$n", sprintf q{SELECT prepay.sell('A%d', %.2f, 's%d') IS NOT NULL}, $account, $cents / 100, $n ];
}
foreach my $n (1 .. 150)
{
	my $meter = 1 + int rand $METERS;
	my $action = (qw(trip close keep_on prepaid read))[ int rand 5 ];
	my $target = rand() < 0.3 ? 'town' : "M$meter";

	push @{ $job[6] }, [ "o$n", "SELECT count(*) FROM prepay.control('account:A' || " . (1 + int rand 10) . ", '$action')" ],
	  [ "k$n", "SELECT count(*) FROM prepay.control('town', '" . ($action eq 'read' ? 'read' : 'prepaid') . "')" ],
	  [ "a$n", "SELECT count(*) FROM prepay.take_commands('gw', 5)" ],
	  map { [ "g$n-$_", "SELECT count(prepay.report_command('gw', command_id, attempts, 'done', jsonb_build_object('relay_closed', action = 'close'))) "
			  . "FROM (SELECT * FROM prepay.command WHERE status = 'sent' ORDER BY command_id LIMIT 1) AS c" ] } 1 .. 5;
}
foreach my $n (1 .. 60)
{
	push @{ $job[7] }, [ "t$n", 'SELECT prepay.tick(50) >= 0' ],
	  [ "u$n", "SELECT prepay.update_account('A" . (1 + int rand 10) . "', '{\"alarm1_amount\": " . int(rand 100) . "}')" ],
	  [ "p$n", "UPDATE prepay.meter SET alarm2_amount = " . int(rand 50) . " WHERE code = 'M" . (1 + int rand $METERS) . "'" ];
	# The same price once more: versions change, the result does not.
	push @{ $job[7] }, [ "d$n", q{SELECT prepay.define_tariff('one', '{"prices": 1}')} ] if $n % 10 == 0;
	push @{ $job[7] }, [ "e$n", q{SELECT prepay.define_tariff('one', '{"prices": 1}', '2026-01-10 00:00+08', '{"retroactive": true}')} ] if $n % 20 == 0;
}

my @running = map { journal_client($node, 'town', "$folder/client$_", @{ $job[$_] }) } 0 .. $#job;
$_->finish foreach @running;
foreach my $c (0 .. $#job)
{
	my $errors = slurp_file("$folder/client$c.err");

	is($errors, '', "client $c met no error");
	is(scalar(() = slurp_file("$folder/client$c") =~ /^done /mg), scalar @{ $job[$c] }, "client $c did all of its work");
}
is(deadlocks($node), 0, 'no deadlock');

$node->safe_psql('town', "INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES " . join ', ', map { row($_, $STEPS) } 1 .. $METERS);
while ($node->safe_psql('town', 'SELECT prepay.tick()') > 0) { }
is($node->safe_psql('town', 'SELECT count(*) FROM prepay.reading'), $METERS * ($STEPS + 1), 'every reading is stored');
is($node->safe_psql('town', 'SELECT sum(kwh) FROM prepay.usage_daily') + 0, $METERS * $STEPS, 'every kWh is rated once');
is($node->safe_psql('town', 'SELECT sum(balance) FROM prepay.account_status') * 100, 500_000 + $sold - 100 * $METERS * $STEPS, 'money in less energy used');
is($node->safe_psql('town', q{SELECT count(*) FROM (SELECT account_id FROM prepay.ledger_entry GROUP BY account_id HAVING max(seq) <> count(*)) AS g}), 0, 'entries are numbered without a gap');
is($node->safe_psql('town', q{SELECT count(*) FROM (SELECT 1 FROM prepay.alarm WHERE cleared_at IS NULL GROUP BY kind, account_id, meter_id HAVING count(*) > 1) AS d}), 0, 'no alarm is there twice');
is($node->safe_psql('town', q{SELECT count(*) FROM (SELECT 1 FROM prepay.command WHERE status = 'queued' AND action IN ('trip', 'close') GROUP BY meter_id HAVING count(*) > 1) AS d}), 0, 'no relay command is queued twice');
healthy($node, 'town', 'after the storm');

done_testing();
