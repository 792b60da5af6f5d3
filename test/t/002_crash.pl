# kill -9 of the whole server while clients sell, insert readings and deliver batches. Each client
# keeps a journal of what it was told is done, and goes on after the crash with what it was not told,
# repeating that statement. Nothing acknowledged is missing, nothing is there twice.
use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep);

use Prepay qw(new_server install make_site set_clock crash journal_client wait_until healthy);

my $ROUNDS = 4;
my $SALES = 4000;
my $node = new_server('crash', clock => '2026-01-01T00:00:00+08', conf => "fsync = on\nsynchronous_commit = on\ncheckpoint_timeout = 30s\n");
my $folder = PostgreSQL::Test::Utils::tempdir();

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', q{
	SELECT prepay.create_agent('gw');
	INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352' FROM generate_series(1, 8) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100, key => 'o' || n)) FROM generate_series(1, 8) AS n;});
set_clock($node, '2026-01-20T00:00:00+08');

# Five clients with all they will ever do; amounts differ so that a lost or doubled one shows.
my %jobs;
my $cents = 0;
foreach my $client (1 .. 2)
{
	foreach my $n (1 .. $SALES)
	{
		my $account = 1 + ($n * 7 + $client) % 8;
		my $amount = sprintf '%.2f', 0.01 * (1 + $n % 97);

		push @{ $jobs{"cashier$client"} }, [ "c$client-$n", "SELECT prepay.sell('A$account', $amount, 'c$client-$n') IS NOT NULL" ];
	}
}
# Meters 1 to 4 by INSERT, one row; 5 to 8 by ingest in batches. Half a kWh every 10 minutes.
foreach my $n (0 .. 4000)
{
	my $meter = 1 + $n % 4;
	my $step = int($n / 4);

	push @{ $jobs{inserter} }, [ "i-$n", "INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, $meter, timestamptz '2026-01-01 00:00+08' + $step * interval '10 minutes', $step * 0.5) ON CONFLICT DO NOTHING" ];
}
foreach my $n (1 .. 1500)
{
	my $null = '{NULL,NULL,NULL,NULL}';

	push @{ $jobs{agent} }, [ "b-$n", "SELECT prepay.ingest('gw', '00000000-0000-0000-0000-000000000001', $n, '{5,6,7,8}', array_fill(timestamptz '2026-01-01 00:00+08' + $n * interval '10 minutes', '{4}'), "
		  . "array_fill($n * 0.5, '{4}'), '$null', '$null', '$null', '$null', '$null', '$null', '$null') IS NOT NULL" ];
}
push @{ $jobs{clock} }, [ "t-$_", 'SELECT prepay.tick() >= 0' ] foreach 1 .. 50_000;

my %acknowledged = map { $_ => 0 } keys %jobs;

sub read_journals
{
	foreach my $client (keys %jobs)
	{
		my $journal = "$folder/$client";
		my $last = -e $journal ? () = slurp_file($journal) =~ /^done /mg : 0;

		$acknowledged{$client} = $last;
	}
	return;
}

# What the clients were told is done must be in the database.
sub check_journals
{
	my ($round) = @_;

	foreach my $client (grep { /cashier/ } sort keys %jobs)
	{
		my $done = $acknowledged{$client};
		my $number = $client =~ s/cashier//r;
		my $missing = $node->safe_psql('town', "SELECT count(*) FROM generate_series(1, $done) AS n WHERE NOT EXISTS (SELECT FROM prepay.ledger_entry WHERE key = 'c$number-' || n)");
		my $beyond = $node->safe_psql('town', "SELECT count(*) FROM prepay.ledger_entry WHERE key LIKE 'c$number-%'") - $done;

		is($missing, 0, "round $round: no acknowledged sale of $client is missing");
		ok($beyond == 0 || $beyond == 1, "round $round: at most the one in doubt is there besides ($beyond)");
	}
	my $done = $acknowledged{inserter};
	is($node->safe_psql('town', "SELECT count(*) FROM generate_series(0, $done - 1) AS n WHERE NOT EXISTS (SELECT FROM prepay.reading WHERE meter_id = 1 + n % 4 AND read_at = timestamptz '2026-01-01 00:00+08' + n / 4 * interval '10 minutes')"),
		0, "round $round: no acknowledged reading is missing");
	$done = $acknowledged{agent};
	my $stored = $node->safe_psql('town', "SELECT coalesce(max(last_seq), 0) FROM prepay.agent_spool");
	ok($stored == $done || $stored == $done + 1, "round $round: batches stored ($stored) are those acknowledged ($done)");
	is($node->safe_psql('town', 'SELECT count(*) FROM prepay.reading WHERE meter_id > 4'), 4 * $stored, "round $round: each batch is there whole");
	healthy($node, 'town', "round $round");
	return;
}

foreach my $round (1 .. $ROUNDS)
{
	my %client = map {
		my $client = $_;
		my @rest = @{ $jobs{$client} };

		splice @rest, 0, $acknowledged{$client};
		$client => journal_client($node, 'town', "$folder/$client", @rest);
	} keys %jobs;

	sleep 2;
	crash($node);
	$_->finish foreach values %client;
	my %before = %acknowledged;
	read_journals();
	note join ', ', map { "$_ $acknowledged{$_}" } sort keys %jobs;
	foreach my $client (sort keys %jobs)
	{
		ok($acknowledged{$client} > $before{$client} || $acknowledged{$client} == @{ $jobs{$client} },
			"round $round: $client was at work");
	}
	$node->start;
	check_journals($round);
}

# To the end, without a crash.
my @last = map {
	my $client = $_;
	my @rest = @{ $jobs{$client} };

	splice @rest, 0, $acknowledged{$client};
	@rest = () if $client eq 'clock';
	journal_client($node, 'town', "$folder/$client", @rest);
} sort keys %jobs;
$_->finish foreach @last;

my $sold = 0;
foreach my $n (1 .. $SALES)
{
	$sold += 2 * (1 + $n % 97);
}
is($node->safe_psql('town', q{SELECT sum(amount) * 100 FROM prepay.ledger_entry WHERE kind = 'sale'}) + 0, $sold, 'every sale is booked once');
is($node->safe_psql('town', 'SELECT count(*) FROM prepay.reading'), 4001 + 4 * 1500, 'every reading is stored once');
$node->safe_psql('town', 'SELECT prepay.tick()');
# 4001 inserts: meter 1 has 1001 steps, the others 1000; 1499 steps between the first and last batch.
is($node->safe_psql('town', q{SELECT sum(balance) * 100 FROM prepay.account_status}) + 0,
	80_000 + $sold - 50 * (1000 + 3 * 999 + 4 * 1499), 'balances are openings and sales less what was used');
is(Prepay::deadlocks($node), 0, 'no deadlock');
healthy($node, 'town', 'in the end');

done_testing();
