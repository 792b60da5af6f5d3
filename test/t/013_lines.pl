# Every kind of connection at once: native TCP, several requests in flight on one, serial frames over
# TCP, a serial line of 9600 baud, one with a slave we did not write, and TLS with certificates of
# both sides. Each meter's register arrives, and orders are carried out on each kind.
use strict;
use warnings;

use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site start_program stop_program free_port start_simulator start_agent sim_value write_file wait_until);

my $node = new_server('lines');
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my @kinds = qw(tcp window over_tcp serial tls);
my %unit;
my $n = 0;
my @meters = map { my $g = $_; map { my $m = "$g-$_"; $unit{$m} = $_; sprintf '%s %s %d acrel-ddsy1352 kw=0 start_kwh=%d.25', $m, $g, $_, 1000 + 7 * $n++ } 1 .. 4 } @kinds;
my $sim = start_simulator($folder, '2026-01-05T00:00:00+08:00', [ 'tcp', 'window', 'over_tcp rtu', 'serial rtu=9600', 'tls' ], \@meters);
my @programs = ($sim->{program});

END { local $?; stop_program($_) foreach reverse @programs; }

# A null modem between a path and a port of the simulator, and one to a slave of pymodbus.
sub tty
{
	my ($name, $other) = @_;

	push @programs, start_program("$folder/socat.log", 'socat', "pty,raw,echo=0,link=$folder/$name,mode=600", $other);
	wait_until(sub { -e "$folder/$name" }, 10) or die "socat makes no $name";
	return "$folder/$name";
}

my $serial = tty('ttyA', 'tcp:' . $sim->{gateway}{serial});
my $foreign = tty('ttyB', "pty,raw,echo=0,link=$folder/ttyC,mode=600");
wait_until(sub { -e "$folder/ttyC" }, 10);
write_file("$folder/slave.py", <<'PYTHON');
import struct, sys
from pymodbus.datastore import ModbusSequentialDataBlock, ModbusServerContext, ModbusSlaveContext
from pymodbus.server import StartSerialServer
from pymodbus.transaction import ModbusRtuFramer
registers = [0] * 400
registers[0x48:0x4a] = struct.unpack(">HH", struct.pack(">f", 4321.5))
slaves = {3: ModbusSlaveContext(ir=ModbusSequentialDataBlock(0, registers), zero_mode=True)}
StartSerialServer(context=ModbusServerContext(slaves=slaves, single=False), framer=ModbusRtuFramer,
                  port=sys.argv[1], baudrate=19200, timeout=0.01)
PYTHON
push @programs, start_program("$folder/slave.log", '/usr/bin/python3', "$folder/slave.py", "$folder/ttyC");

# An authority, the gateway's certificate, the agent's; and an authority nobody here trusts.
foreach my $ca ('ca', 'stranger')
{
	system_or_bail('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', "/CN=$ca", '-keyout', "$folder/$ca.key", '-out', "$folder/$ca.crt");
}
foreach my $who ('gateway', 'agent')
{
	write_file("$folder/$who.ext", "subjectAltName=IP:127.0.0.1\n");
	system_or_bail('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', "/CN=$who", '-keyout', "$folder/$who.key", '-out', "$folder/$who.csr");
	system_or_bail('openssl', 'x509', '-req', '-in', "$folder/$who.csr", '-CA', "$folder/ca.crt", '-CAkey', "$folder/ca.key", '-CAcreateserial', '-days', '2', '-extfile', "$folder/$who.ext", '-out', "$folder/$who.crt");
}
my $secure = free_port();
push @programs, start_program("$folder/socat.log", 'socat', "openssl-listen:$secure,bind=127.0.0.1,reuseaddr,fork,cert=$folder/gateway.crt,key=$folder/gateway.key,cafile=$folder/ca.crt,verify=1", "tcp:$sim->{gateway}{tls}");

install($node, 'town');
make_site($node, 'town');
my $files = qq{"certificate": "$folder/agent.crt", "key": "$folder/agent.key"};
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	INSERT INTO prepay.gateway (site_id, code, agent, transport, address, poll_interval, options) VALUES
		(1, 'tcp', 'gw', 'tcp', '$sim->{gateway}{tcp}', '1 s', '{}'),
		(1, 'window', 'gw', 'tcp', '$sim->{gateway}{window}', '1 s', '{"window": 4, "poll": "spread"}'),
		(1, 'over_tcp', 'gw', 'rtu_over_tcp', '$sim->{gateway}{over_tcp}', '1 s', '{}'),
		(1, 'serial', 'gw', 'rtu', '$serial', '3 s', '{"baud": 9600, "parity": "E"}'),
		(1, 'tls', 'gw', 'tcp', '127.0.0.1:$secure', '1 s', '{"tls": {"ca": "$folder/ca.crt", $files}}'),
		(1, 'foreign', 'gw', 'rtu', '$foreign', '1 s', '{"baud": 19200}'),
		(1, 'mistrusted', 'gw', 'tcp', 'localhost:$secure', '1 s', '{"tls": {"ca": "$folder/stranger.crt", $files}}'),
		(1, 'faulty', 'gw', 'rtu', '/dev/none', '1 s', '{"baud": 9601}'),
		(1, 'absent', 'gw', 'rtu', '/dev/none', '1 s', '{}');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model)
	SELECT 1, g.code || '-' || n, gateway_id, n, 'acrel-ddsy1352' FROM prepay.gateway g, generate_series(1, 4) AS n WHERE g.code NOT IN ('foreign');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model)
	SELECT 1, 'F', gateway_id, 3, 'eastron-sdm630' FROM prepay.gateway WHERE code = 'foreign';
	SELECT count(prepay.open_account('A' || meter_id, 'Customer', meters => ARRAY[code], opening_balance => 100, key => 'o' || meter_id)) FROM prepay.meter WHERE code ~ '-1\$';});
my $agent = start_agent($folder, $node, 'town', 'gw');
push @programs, $agent;

foreach my $meter (map { (split)[0] } @meters)
{
	ok(wait_until(sub { $node->safe_psql('town', "SELECT count(*) >= 2 FROM prepay.readings WHERE meter = '$meter'") eq 't' }, 30), "$meter is read");
	is($node->safe_psql('town', "SELECT min(kwh)::numeric(12,2) || ' ' || max(kwh)::numeric(12,2) FROM prepay.readings WHERE meter = '$meter'"), join(' ', (sim_value($sim, $meter, 'kwh')) x 2), "$meter: the register, nothing else");
}
ok(wait_until(sub { $node->safe_psql('town', q{SELECT max(kwh) = 4321.5 FROM prepay.readings WHERE meter = 'F'}) eq 't' }, 30), 'a slave of pymodbus is read');
foreach my $kind (@kinds)
{
	$node->safe_psql('town', "SELECT prepay.control('meter:$kind-1', 'trip')");
	ok(wait_until(sub { sim_value($sim, "$kind-1", 'relay') eq 'open' }, 20), "$kind: an order is carried out");
	ok(wait_until(sub { $node->safe_psql('town', "SELECT observed = 'off' FROM prepay.meter_status WHERE meter = '$kind-1'") eq 't' }, 20), "$kind: and read back");
}
is($node->safe_psql('town', q{SELECT count(*) FROM prepay.readings WHERE meter ~ '^(mistrusted|faulty|absent)'}), 0, 'nothing came from where nothing can');
my $log = slurp_file("$folder/prepayd.log");
like($log, qr/event=gateway_unreachable address=localhost:$secure reason="the gateway's certificate/, 'a certificate of a stranger is not taken');
like($log, qr{event=gateway_faulty gateway=faulty address=/dev/none fault=".*9601.* is no rate}, 'a faulty option names itself and stops nobody else');
like($log, qr{event=gateway_unreachable address=/dev/none reason="No such file}, 'a missing device is said');
is(stop_program($agent), 0, 'the agent stops cleanly');

done_testing();
