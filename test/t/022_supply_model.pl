# Supply and relays against rules written down once more (test/t/supply): thousands of random histories of
# payments, charges, policies, schedules, orders, tenants and agents that fail. What must hold is told in
# test/t/supply/histories.py.
#
#   PREPAY_SEED=7     begin with this seed (printed in each line) instead of the one of all runs
#   PREPAY_SECONDS=9  go on for so long instead of ten towns or 25 s
use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install deadlocks);

my $seed = $ENV{PREPAY_SEED} // 20261122;
my @long = $ENV{PREPAY_SECONDS} ? ('--seconds', $ENV{PREPAY_SECONDS}) : ('--towns', 10);
my $node = new_server('supply', conf => "fsync = off\n");

install($node, 'supply');

my @command = ('python3', dirname(__FILE__) . '/supply/histories.py', '--conninfo',
	sprintf('host=%s port=%d', $node->host, $node->port), '--seed', $seed, @long);
my $output = '';
my $good = IPC::Run::run(\@command, '<', '/dev/null', '>', \$output, '2>&1');

foreach my $line (split /\n/, $output)
{
	if ($line =~ /^(not )?ok \d+ - (.*)/)
	{
		ok(!$1, $2);
	}
	else
	{
		diag($line =~ s/^# //r);
	}
}
ok($good, 'the histories have come to their end');
is(deadlocks($node), 0, 'nobody waited for each other');

done_testing();
