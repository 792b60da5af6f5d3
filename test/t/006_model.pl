# An independent model of the money (test/t/model, exact fractions, the rules and nothing of how the
# server keeps them) against the server: random tariffs, time zones, meters that move, versions and
# assignments of the past. Each history is told in several ways, in order, late, at once, in any
# batches and transactions, beside a tick() that never rests, and over the death of a server process;
# every usage line, tier position, entry and balance comes out as the model has it.
#
#   PREPAY_SEED=7     begin with this seed (printed in each line) instead of a new one
#   PREPAY_SECONDS=9  go on for so long
use strict;
use warnings;

use File::Basename qw(dirname);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install deadlocks);

my $seconds = $ENV{PREPAY_SECONDS} // 20;
my $seed = $ENV{PREPAY_SEED} // 1 + (time ^ $$) % 1_000_000;
my $node = new_server('model', clock => '2026-01-01T00:00:00+00',
	conf => "restart_after_crash = on\n");

install($node, 'model');

sub compare
{
	my @command = ('python3', dirname(__FILE__) . '/model/model.py', '--conninfo',
		sprintf('host=%s port=%d', $node->host, $node->port), '--seed', $seed, @_);
	my $output = '';
	my $good = IPC::Run::run(\@command, '<', '/dev/null', '>', \$output, '2>&1');
	my $cases = 0;

	foreach my $line (split /\n/, $output)
	{
		if ($line =~ /^(not )?ok \d+ - (.*)/)
		{
			ok(!$1, $2);
			$cases++;
		}
		else
		{
			diag($line =~ s/^# //r);
		}
	}
	ok($good && $cases > 0, "the model has come to its end: @_");
	return;
}

compare('--seconds', $seconds, '--ways', 'live,late,at_end,at_once');
compare('--cases', 2, '--ways', 'running');
compare('--cases', 1, '--ways', 'crashing');
is(deadlocks($node), 0, 'nobody waited for each other');

done_testing();
