# Helpers of the TAP tests: a server with an installed site, the simulator, the agent.
package Prepay;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use List::Util qw(min);
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT_OK = qw(new_server install make_site set_clock running_clock crash journal_client
  write_file start_program stop_program kill_program wait_until free_port simctl sim_value
  start_simulator start_agent deadlocks healthy
  same_lines);

# A server in a folder of its own; business time stands at $clock ('' is real time).
sub new_server
{
	my ($name, %option) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', "max_connections = 60\n" . ($option{conf} // ''));
	$node->start;
	set_clock($node, $option{clock}) if defined $option{clock};
	return $node;
}

# For all sessions that begin from now on.
sub set_clock
{
	my ($node, $clock) = @_;

	$node->append_conf('postgresql.conf', "prepay.now = '$clock'\n");
	$node->reload;
	# A reload is a signal: sessions that begin before it arrives would still have the old clock.
	wait_until(sub { $node->safe_psql('postgres', "SHOW prepay.now") eq $clock }, 10)
	  or die "the clock was not taken over";
	return;
}

# From $business on, $rate business seconds a real second.
sub running_clock
{
	my ($business, $rate) = @_;

	return "$business\@" . POSIX::strftime('%Y-%m-%dT%H:%M:%S+00:00', gmtime) . "*$rate";
}

sub install
{
	my ($node, $database) = @_;

	$node->safe_psql('postgres', "CREATE DATABASE $database") if $database ne 'postgres';
	$node->safe_psql($database, 'CREATE EXTENSION pg_prepay; SELECT prepay.install();');
	return;
}

# One site with a flat price of 1, where amounts are easily told.
sub make_site
{
	my ($node, $database) = @_;

	$node->safe_psql($database, q{
		SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
		SELECT prepay.define_tariff('one', '{"prices": 1}');
		SELECT prepay.set_setting('town', 'tariff', 'one');});
	return;
}

sub healthy
{
	my ($node, $database, $what) = @_;

	same_lines($node->safe_psql($database, 'SELECT * FROM prepay.verify()'), '',
		"verify() is empty: $what");
	return;
}

# Two query results; where they differ, the first lines that only one of them has.
sub same_lines
{
	my ($got, $expected, $what) = @_;
	my %got = map { $_ => 1 } split /\n/, $got;
	my %expected = map { $_ => 1 } split /\n/, $expected;
	my @more = sort grep { !$expected{$_} } keys %got;
	my @less = sort grep { !$got{$_} } keys %expected;

	ok($got eq $expected, $what)
	  or diag(scalar @more, ' lines too many, ', scalar @less, " are missing\n",
		(map { "got      $_\n" } @more[ 0 .. min($#more, 4) ]),
		(map { "expected $_\n" } @less[ 0 .. min($#less, 4) ]));
	return;
}

sub deadlocks
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT sum(deadlocks) FROM pg_stat_database');
}

# kill -9 of the whole server: the postmaster and every backend at once, as a power cut does.
sub crash
{
	my ($node) = @_;
	my $data = $node->data_dir;
	my ($postmaster) = split /\n/, slurp_file("$data/postmaster.pid");
	my @children = split ' ', qx(ps -o pid= --ppid $postmaster);

	kill 'KILL', $postmaster, @children;
	wait_until(sub { !kill 0, $postmaster }, 20) or die "the postmaster does not die";
	wait_until(sub { !grep { kill 0, $_ } @children }, 20) or die "a backend does not die";
	$node->{_pid} = undef;
	return;
}

# Lines of a client: each statement, and a mark in its journal when the server has said it is done.
sub journal_client
{
	my ($node, $database, $journal, @job) = @_;
	my $script = join '', map { "$_->[1];\n\\echo done $_->[0]\n" } @job;
	my $file = "$journal.sql";

	write_file($file, $script);
	return IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($database), '-f', $file ],
		'<', '/dev/null', '>>', $journal, '2>>', "$journal.err");
}

sub write_file
{
	my ($file, $text) = @_;

	open my $handle, '>', $file or die "$file: $!";
	print $handle $text;
	close $handle or die "$file: $!";
	return;
}

# ---- programs ----

sub start_program
{
	my ($log, @command) = @_;
	my $run = IPC::Run::start(\@command, '<', '/dev/null', '>>', $log, '2>&1');

	return { run => $run, pid => $run->{KIDS}[0]{PID}, log => $log, name => $command[0] };
}

sub stop_program
{
	my ($program) = @_;

	return if !$program || !$program->{run};
	kill 'TERM', $program->{pid};
	$program->{run}->finish;
	$program->{run} = undef;
	return $? >> 8;
}

sub kill_program
{
	my ($program) = @_;

	kill 'KILL', $program->{pid};
	$program->{run}->finish;
	$program->{run} = undef;
	return;
}

sub wait_until
{
	my ($condition, $seconds) = @_;
	my $end = time + $seconds;

	while (time < $end)
	{
		return 1 if $condition->();
		sleep 0.1;
	}
	return $condition->() ? 1 : 0;
}

sub free_port
{
	return PostgreSQL::Test::Cluster::get_free_port();
}

# ---- the simulator and its control port ----

sub start_simulator
{
	my ($folder, $clock, $gateways, $meters) = @_;
	my $sim = { control => '127.0.0.1:' . free_port(), gateway => {} };
	my $config = "control $sim->{control}\n";

	# "G1", or with settings: "G1 rtu=9600".
	foreach (@$gateways)
	{
		my ($gateway, @settings) = split;

		$sim->{gateway}{$gateway} = '127.0.0.1:' . free_port();
		$config .= "gateway $gateway $sim->{gateway}{$gateway} @settings\n";
	}
	$config .= "meter $_\n" foreach @$meters;
	write_file("$folder/town.sim", $config);
	$sim->{program} = start_program("$folder/sim.log", $ENV{PREPAY_SIM}, '--config',
		"$folder/town.sim", '--clock', $clock, '--seed', '7');
	wait_until(sub { -e "$folder/sim.log" && slurp_file("$folder/sim.log") =~ /^ready/m }, 10)
	  or die 'the simulator does not start: ' . slurp_file("$folder/sim.log");
	return $sim;
}

# One command of the simulator's control port; dies on an error.
sub simctl
{
	my ($sim, $command) = @_;
	my ($host, $port) = split /:/, $sim->{control};
	my $socket = IO::Socket::INET->new(PeerAddr => $host, PeerPort => $port)
	  or die "the simulator does not listen: $!";

	print $socket "$command\n";
	my $answer = <$socket> // 'error no answer';
	close $socket;
	chomp $answer;
	die "$command: $answer" if $answer !~ /^ok/;
	return $answer;
}

sub sim_value
{
	my ($sim, $meter, $key) = @_;

	simctl($sim, "get $meter") =~ /\b\Q$key\E=(\S+)/ or die "meter $meter has no $key";
	return $1;
}

sub start_agent
{
	my ($folder, $node, $database, $name) = @_;
	my $conninfo = $node->connstr($database);

	mkdir "$folder/spool";
	write_file("$folder/prepayd.conf",
		"[agent]\nname = $name\nconninfo = $conninfo\nspool = $folder/spool\nlog_level = info\n");
	return start_program("$folder/prepayd.log", $ENV{PREPAYD}, '--config', "$folder/prepayd.conf");
}

require IO::Socket::INET;
1;
