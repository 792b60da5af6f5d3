# Meters of DL/T 645-2007 on the line of a converter, next to Modbus meters: energy, power, relay and
# clock are read, orders are carried out with the password of the gateway's options, a clock that is
# wrong is told and set. The meter here is written from the standard, not from the agent.
use strict;
use warnings;

use Cwd qw(abs_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site start_program stop_program free_port start_agent write_file wait_until);

my $node = new_server('dlt645');
my $folder = abs_path(PostgreSQL::Test::Utils::tempdir());
my $port = free_port();

write_file("$folder/meter.py", <<'PYTHON');
import datetime, socketserver, struct, sys, zoneinfo
ZONE = zoneinfo.ZoneInfo("Asia/Shanghai")
ADDRESS = bytes.fromhex("202211110001")[::-1]
PASSWORD = bytes([2, 0x11, 0x22, 0x33])
state = {"open": False, "ahead": datetime.timedelta(minutes=7), "date": None}

def crc(frame):
    value = 0xffff
    for byte in frame:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0xa001 if value & 1 else value >> 1
    return struct.pack("<H", value)

def clock():
    return datetime.datetime.now(ZONE) + state["ahead"]

def bcd(text):
    return bytes.fromhex(text)[::-1]

def value(di):
    now = clock()
    return {0x00010000: bcd("00123456"), 0x02030000: bcd("015000"),
            0x04000503: bytes([0x10 if state["open"] else 0, 0]),
            0x0400010C: bcd(now.strftime("%y%m%d0%w%H%M%S"))}.get(di)

def command(control, data):
    if control == 0x11:
        found = value(struct.unpack("<I", data[:4])[0])
        return (0x91, data[:4] + found) if found else (0xd1, b"\x02")
    if control == 0x1c:
        if data[:4] != PASSWORD:
            return 0xdc, b"\x04"
        until = datetime.datetime.strptime(data[10:16].hex(), "%S%M%H%d%m%y").replace(tzinfo=ZONE)
        if not datetime.timedelta(0) < until - datetime.datetime.now(ZONE) < datetime.timedelta(minutes=6):
            return 0xdc, b"\x01"
        state["open"] = data[8] == 0x1a
        return 0x9c, b""
    if control == 0x14 and data[4:8] == PASSWORD:
        di = struct.unpack("<I", data[:4])[0]
        text = data[12:][::-1].hex()
        if di == 0x04000101:
            state["date"] = text[:6]
        elif di == 0x04000102:
            asked = datetime.datetime.strptime(state["date"] + text, "%y%m%d%H%M%S").replace(tzinfo=ZONE)
            state["ahead"] = asked - datetime.datetime.now(ZONE)
        return 0x94, b""
    return control | 0xc0, b"\x01"

class Line(socketserver.BaseRequestHandler):
    def handle(self):
        buffer = b""
        while True:
            buffer += self.receive()
            while buffer:
                used = self.frame(buffer)
                if used == 0:
                    break
                buffer = buffer[used:]

    def receive(self):
        data = self.request.recv(512)
        if not data:
            raise ConnectionResetError
        return data

    def frame(self, b):
        if b[0] == 0x21 and len(b) >= 8:  # Modbus unit 33
            if crc(b[:6]) == b[6:8]:
                answer = bytes([0x21, b[1], 2 * b[5]]) + (struct.pack(">f", 55.5) * 63)[:2 * b[5]]
                self.request.sendall(answer + crc(answer))
            return 8
        if b[0] != 0x68:
            return 1 if b[0] != 0x21 else 0
        if len(b) < 12 or len(b) < 12 + b[9]:
            return 0
        size = 12 + b[9]
        good = b[size - 1] == 0x16 and sum(b[:size - 2]) & 0xff == b[size - 2]
        if good and b[1:7] == ADDRESS:
            control, data = command(b[8], bytes(byte - 0x33 & 0xff for byte in b[10:size - 2]))
            head = b"\x68" + ADDRESS + b"\x68" + bytes([control, len(data)]) + bytes(byte + 0x33 & 0xff for byte in data)
            self.request.sendall(b"\xfe\xfe" + head + bytes([sum(head) & 0xff, 0x16]))
        return size

socketserver.ThreadingTCPServer.allow_reuse_address = True
server = socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Line)
server.daemon_threads = True
server.serve_forever()
PYTHON
$ENV{PYTHONWARNINGS} = 'ignore';
my $meter = start_program("$folder/meter.log", '/usr/bin/python3', "$folder/meter.py", $port);
my $agent;

END { local $?; stop_program($agent); stop_program($meter); }

install($node, 'town');
make_site($node, 'town');
$node->safe_psql('town', qq{
	SELECT prepay.create_agent('gw');
	INSERT INTO prepay.gateway (site_id, code, agent, transport, address, poll_interval, options) VALUES
		(1, 'G', 'gw', 'rtu_over_tcp', '127.0.0.1:$port', '1 s', '{"password": "02112233", "operator": "01020304"}');
	INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, address, model) VALUES
		(1, 'D', 1, NULL, '202211110001', 'dlt645-2007'), (1, 'absent', 1, 2, NULL, 'dlt645-2007'), (1, 'M', 1, 33, NULL, 'eastron-sdm630');
	SELECT prepay.open_account('A', 'Customer', meters => ARRAY['D'], opening_balance => 100, key => 'o');});
$agent = start_agent($folder, $node, 'town', 'gw');

sub until_true
{
	my ($what, $sql) = @_;

	ok(wait_until(sub { $node->safe_psql('town', $sql) eq 't' }, 30), $what);
	return;
}

until_true('the register of the DL/T 645 meter', q{SELECT min(kwh) = 1234.56 AND max(kwh) = 1234.56 AND max(kw) = 1.5 FROM prepay.readings WHERE meter = 'D'});
until_true('its relay', q{SELECT bool_and(relay_closed) FROM prepay.reading WHERE meter_id = 1});
until_true('the Modbus meter beside it', q{SELECT max(kwh) = 55.5 FROM prepay.readings WHERE meter = 'M'});
until_true('its clock, in the time zone of the site', q{SELECT max(meter_clock - read_at) BETWEEN '6 min 50 s' AND '7 min 10 s' FROM prepay.reading WHERE meter_id = 1});
ok(wait_until(sub { slurp_file("$folder/prepayd.log") =~ /event=meter_clock_off meter=D seconds=4[12]\d/ }, 10), 'the drift is told once');
$node->safe_psql('town', q{SELECT prepay.control('D', 'set_clock')});
until_true('the clock is set', q{SELECT status = 'done' FROM prepay.command WHERE action = 'set_clock'});
until_true('and right', q{SELECT abs(extract(epoch FROM meter_clock - read_at)) < 10 FROM prepay.reading WHERE meter_id = 1 ORDER BY read_at DESC LIMIT 1});
foreach my $order ([ 'trip', 'off' ], [ 'close', 'on' ])
{
	$node->safe_psql('town', "SELECT prepay.control('D', '$order->[0]')");
	until_true("$order->[0]: done and read back", "SELECT observed = '$order->[1]' AND acknowledged = '$order->[1]' FROM prepay.meter_status WHERE meter = 'D'");
}
$node->safe_psql('town', q{UPDATE prepay.gateway SET options = options || '{"password": "02000000"}'});
ok(wait_until(sub { slurp_file("$folder/prepayd.log") =~ /plan_applied.*plan_applied/s }, 20), 'a changed password arrives');
$node->safe_psql('town', q{SELECT prepay.control('D', 'trip')});
until_true('a wrong password is a refusal', q{SELECT count(*) > 0 FROM prepay.command WHERE action = 'trip' AND result ->> 'error' LIKE '%password%'});
is($node->safe_psql('town', q{SELECT relay_closed FROM prepay.reading WHERE meter_id = 1 ORDER BY read_at DESC LIMIT 1}), 't', 'and the relay is where it was');
is($node->safe_psql('town', q{SELECT count(*) FROM prepay.readings WHERE meter = 'absent'}), 0, 'a silent station gives nothing');
is(stop_program($agent), 0, 'the agent stops cleanly');

done_testing();
