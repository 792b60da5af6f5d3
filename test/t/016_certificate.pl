# The agent's way to the server in the open: TLS with verify-full and a client certificate in place of
# a password, mapped to the agent's role; the service manager's notifications; metrics and health.
use strict;
use warnings;

use Cwd qw(abs_path);
use IO::Socket::UNIX;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Socket qw(SOCK_DGRAM);
use Test::More;

use Prepay qw(new_server install make_site start_program stop_program free_port start_simulator write_file wait_until);

my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my ($agent, $sim);

END { local $?; stop_program($agent); stop_program($sim->{program}) if $sim; }

foreach my $ca ('ca', 'stranger')
{
	system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', "/CN=$ca", '-keyout', "$folder/$ca.key", '-out', "$folder/$ca.crt");
}
foreach my $who ([ 'server', 'localhost', 'ca' ], [ 'agent', 'agent_gw', 'ca' ], [ 'thief', 'agent_gw', 'stranger' ])
{
	my ($file, $name, $ca) = @$who;

	write_file("$folder/$file.ext", "subjectAltName=DNS:localhost\n");
	system_or_bail('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', "/CN=$name", '-keyout', "$folder/$file.key", '-out', "$folder/$file.csr");
	system_or_bail('openssl', 'x509', '-req', '-in', "$folder/$file.csr", '-CA', "$folder/$ca.crt", '-CAkey', "$folder/$ca.key", '-CAcreateserial', '-days', '2', '-extfile', "$folder/$file.ext", '-out', "$folder/$file.crt");
	chmod 0600, "$folder/$file.key";
}
my $node = new_server('certificate', conf => "ssl = on\nssl_cert_file = '$folder/server.crt'\nssl_key_file = '$folder/server.key'\nssl_ca_file = '$folder/ca.crt'\nssl_min_protocol_version = 'TLSv1.2'\n");
$node->append_conf('postgresql.conf', "listen_addresses = '127.0.0.1'\n");
unlink $node->data_dir . '/pg_hba.conf';
$node->append_conf('pg_hba.conf', "local all all trust\nhostssl all agent_gw 127.0.0.1/32 cert\n");
$node->restart;

$sim = start_simulator($folder, '2026-01-05T00:00:00+08:00', ['G1'], ['M1 G1 1 acrel-ddsy1352 kw=0 start_kwh=77.5']);
install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	CREATE ROLE agent_gw LOGIN IN ROLE prepay_agent;
	SELECT prepay.create_agent('gw', '{"role": "agent_gw"}');
	INSERT INTO prepay.gateway (site_id, code, agent, address, poll_interval) VALUES (1, 'G1', 'gw', '$sim->{gateway}{G1}', '1 s');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) VALUES (1, 'M1', 1, 1, 'acrel-ddsy1352');});

my $metrics = free_port();

# With the certificate of $who; the service manager listens on $folder/notify.
sub launch
{
	my ($who, $host) = @_;

	mkdir "$folder/spool";
	write_file("$folder/prepayd.conf", "[agent]\nname = gw\nspool = $folder/spool\nmetrics = 127.0.0.1:$metrics\nconninfo = host=$host port=" . $node->port . " dbname=town user=agent_gw sslmode=verify-full sslrootcert=$folder/ca.crt sslcert=$folder/$who.crt sslkey=$folder/$who.key\n");
	local $ENV{NOTIFY_SOCKET} = "$folder/notify";
	local $ENV{WATCHDOG_USEC} = 1000000;
	delete local @ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)};
	return start_program("$folder/$who.log", $ENV{PREPAYD}, '--config', "$folder/prepayd.conf");
}

sub log_has
{
	my ($who, $pattern) = @_;

	return wait_until(sub { slurp_file("$folder/$who.log") =~ $pattern }, 15);
}

$agent = launch('thief', 'localhost');
ok(log_has('thief', qr/event=database_unreachable.*(unknown ca|certificate|SSL|closed)/), 'a certificate of another authority does not get in');
is(stop_program($agent), 0, 'stopped');
# 127.0.0.1 is not in the server's certificate.
$agent = launch('agent', '127.0.0.1');
ok(log_has('agent', qr/event=database_unreachable.*server certificate/), 'a server under another name is not spoken to');
is(stop_program($agent), 0, 'stopped');
is($node->safe_psql('town', 'SELECT count(*) FROM prepay.reading'), 0, 'nothing came that way');

my $manager = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => "$folder/notify") or die "notify: $!";
$manager->blocking(0);
$agent = launch('agent', 'localhost');
ok(wait_until(sub { $node->safe_psql('town', 'SELECT count(*) > 1 AND min(kwh) = 77.5 FROM prepay.reading') eq 't' }, 20), 'readings come over TLS');
is($node->safe_psql('town', q{SELECT bool_and(s.ssl AND s.client_dn = '/CN=agent_gw') AND count(*) = 2 FROM pg_stat_ssl s JOIN pg_stat_activity USING (pid) WHERE usename = 'agent_gw'}), 't', 'both connections show the certificate');
my ($said, $message) = ('', '');
ok(wait_until(sub { $said .= $message while defined $manager->recv($message, 512) && length $message; $said =~ /READY=1/ && $said =~ /WATCHDOG=1/ }, 10), 'the service manager hears that it is ready, and that it lives');
like($said, qr/STATUS=1 of 1 meters in contact, database up/, 'and what it does');

sub http
{
	my ($path) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $metrics) or die "no metrics: $!";

	print $socket "GET $path HTTP/1.0\r\n\r\n";
	local $/;
	return <$socket>;
}
like(http('/healthz'), qr/200 OK.*^ok /ms, 'healthy');
my ($head, $text) = split /\r\n\r\n/, http('/metrics'), 2;
# The rules of promtool check metrics: help and type for each name, base units, counters end in _total.
my %type = $text =~ /^# TYPE (\S+) (\S+)$/mg;
my %help = map { $_ => 1 } $text =~ /^# HELP (\S+) \S/mg;
foreach my $name (sort keys %type)
{
	ok($help{$name}, "$name has a help text");
	is($name =~ /_total$/ ? 'counter' : 'other', $type{$name} eq 'counter' ? 'counter' : 'other', "$name: counters and they alone end in _total");
	unlike($name, qr/milli|micro|minutes|hours|_ms$/, "$name: base units");
}
my %seen = map { s/_(bucket|sum|count)$//r => 1 } $text =~ /^(prepayd_\w+)/mg;
is_deeply([ grep { !$type{$_} } sort keys %seen ], [], 'no sample without a type');
is(stop_program($agent), 0, 'the agent stops cleanly');

done_testing();
