# Short messages through the real gammu-smsd with its dummy phone: out, in several parts, delivery reports,
# failures, questions by SMS, and what the daemon's role cannot do.
use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8 encode);
use File::Basename qw(dirname);
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site start_program stop_program wait_until write_file healthy);

my ($schema) = grep { m{/pgsql\.sql$} } split /\n/, `dpkg -L gammu-smsd 2>/dev/null`;
plan skip_all => 'gammu-smsd is not installed' unless $schema && -e $schema;

my $node = new_server('sms', clock => '2026-03-02T09:00:00+08');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $phone = "$folder/phone";

install($node, 'postgres');
make_site($node, 'postgres');
mkdir $phone or die;
sql(q{SELECT prepay.set_setting('town', 'alarm1_amount', '20')});
sql(q{INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 3) AS n});
sql(q{SELECT prepay.open_account('A1', 'Li', '13800000001', meters => '{M1}', opening_balance => 100, key => 'o1')});
sql(q{SELECT prepay.open_account('A2', 'Wang', '021-555 0102, +86 138 0000 0002', meters => '{M2}',
	opening_balance => 60.5, key => 'o2', options => '{"language": "en"}')});
sql(q{SELECT prepay.open_account('A3', 'Sun', '13800000003', meters => '{M3}', opening_balance => 100, key => 'o3')});
sql(q{INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, m, prepay.now(), 0 FROM generate_series(1, 3) AS m});

sub sql
{
	my ($query) = @_;

	return decode_utf8($node->safe_psql('postgres', encode_utf8($query)));
}

sub fails
{
	my ($query, $pattern, $what) = @_;
	my ($status, $out, $error) = $node->psql('postgres', encode_utf8($query));

	ok($status != 0 && $error =~ $pattern, $what) or diag $error;
	return;
}

# Uses that much in the next minute.
sub use_energy
{
	my ($meter, $kwh) = @_;

	sql(qq{INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
		SELECT 1, $meter, max(read_at) + interval '1 second', max(kwh) + $kwh FROM prepay.reading WHERE meter_id = $meter});
	return;
}

# Session zones differ on purpose: Gammu's times have none.
sub exchange
{
	return sql(q{SET timezone = 'Asia/Shanghai'; SELECT prepay.sms_exchange()});
}

sub state
{
	my ($account) = @_;

	return sql(qq{SELECT string_agg(state, ' ' ORDER BY notification_id) FROM prepay.messages
		WHERE account = '$account' AND template <> 'balance'});
}

# Exchanges until messages of an account stand as they should.
sub reaches
{
	my ($account, $wanted, $what) = @_;

	ok(wait_until(sub { exchange(); state($account) eq $wanted }, 30), $what)
	  or diag state($account), "\n", sql('SELECT * FROM smsd.sentitems'), "\n",
	  slurp_file("$folder/smsd.log"), slurp_file("$folder/out.log");
	return;
}

my $drop = 0;

# A message that the dummy phone finds in its memory.
sub phone_receives
{
	my ($kind, $number, $text, @more) = @_;
	my $hex = unpack 'H*', encode('UTF-16BE', $text);
	my $name = ++$drop;

	write_file("$folder/drop", join("\n", '[SMSBackup000]', "PDU = $kind", 'SMSC = "123456"',
			'DateTime = ' . strftime('%Y%m%dT%H%M%S', localtime), 'State = UnRead', "Number = \"$number\"", 'Coding = Unicode',
			'Folder = 1', @more, "Text00 = $hex", ''));
	rename "$folder/drop", "$phone/sms/1/$name" or die "$phone/sms/1/$name: $!";
	return;
}

sub start_daemon
{
	my ($host, $port) = ($node->host, $node->port);

	write_file("$folder/smsdrc", <<"EOF");
[gammu]
model = dummy
connection = none
port = $phone
gammuloc = /dev/null
[smsd]
service = sql
driver = native_pgsql
host = $host:$port
user = smsd
password = none
database = postgres
phoneid = gate1
commtimeout = 1
loopsleep = 1
receivefrequency = 1
statusfrequency = 5
checksecurity = 0
deliveryreport = sms
debuglevel = 1
logfile = $folder/smsd.log
EOF
	return start_program("$folder/out.log", 'gammu-smsd', '-c', "$folder/smsdrc");
}

# ---- before there is a carrier ----

fails('SELECT prepay.sms_exchange()', qr/there is no table smsd\.outbox.*gammu\.sql/s,
	'without the schema it says what to run');
$node->command_ok([ 'psql', '-Xq', '-d', $node->connstr('postgres'), '-v', "gammu=$schema", '-f',
		dirname(__FILE__) . '/../../sql/gammu.sql' ],
	'sql/gammu.sql puts the schema there');
is(exchange(), 0, 'nothing to do');

# ---- out, and delivered ----

use_energy(1, 85);
is(state('A1'), 'queued', 'a crossing: one message');
is(exchange(), 1, 'handed over');
is(state('A1'), 'taken', 'it is with the carrier');
is(exchange(), 0, 'and not handed over again');
is(sql(q{SELECT "DestinationNumber", "Coding", "MultiPart", "DeliveryReport" FROM smsd.outbox}),
	'13800000001|Unicode_No_Compression|f|yes', 'Chinese goes as UCS-2, with a report asked for');

my $daemon = start_daemon();

reaches('A1', 'sent', 'the daemon has sent it');
is(sql(q{SELECT "TextDecoded" FROM smsd.sentitems}), sql(q{SELECT body FROM prepay.messages}), 'to the letter');
phone_receives('Status_Report', '13800000001', 'Delivered', 'MessageReference = 255');
reaches('A1', 'delivered', 'the report came back');

# ---- several parts ----

sql(q{INSERT INTO prepay.message_template VALUES (1, 'alarm1', 'zh',
	'{balance}' || repeat('电', 61) || '😀' || repeat('费', 130))});
use_energy(3, 85);
exchange();
is(sql(q{SELECT o."TextDecoded" || string_agg(m."TextDecoded", '' ORDER BY m."SequencePosition") =
	(SELECT body FROM prepay.messages WHERE account = 'A3')
	FROM smsd.outbox o JOIN smsd.outbox_multipart m USING ("ID") GROUP BY o."ID"}), 't', 'the parts are the text');
is(sql(q{SELECT string_agg(char_length(t) || ' ' || left(u, 6) || right(u, 4), ' ' ORDER BY right(u, 4))
	FROM (SELECT "TextDecoded", "UDH" FROM smsd.outbox
	UNION ALL SELECT "TextDecoded", "UDH" FROM smsd.outbox_multipart) AS p (t, u)}),
	'66 0500030301 66 0500030302 65 0500030303', 'of 67 units at most, numbered, no character cut in two');
reaches('A3', 'sent', 'sent when all parts are');
is(sql(q{SELECT count(*) FROM smsd.sentitems WHERE "DestinationNumber" = '13800000003'}), 3, 'three of them');
sql(q{UPDATE smsd.sentitems SET "Status" = 'DeliveryOK'
	WHERE "DestinationNumber" = '13800000003' AND "SequencePosition" < 3});
exchange();
is(state('A3'), 'sent', 'not delivered before the last part is');
sql(q{UPDATE smsd.sentitems SET "Status" = 'DeliveryOK' WHERE "DestinationNumber" = '13800000003'});
exchange();
is(state('A3'), 'delivered', 'delivered with it');

# ---- questions ----

sub answers
{
	return sql(q{SELECT string_agg(phone || ': ' || body, ' / ' ORDER BY notification_id)
		FROM prepay.messages WHERE template = 'balance'});
}

phone_receives('Deliver', '+8613800000001', '查询余额');
ok(wait_until(sub { exchange(); answers() ne '' }, 20), 'a question is answered');
is(answers(), '13800000001: 账户A1电费余额15.00元。', 'with the balance, to the phone as it is known here');
phone_receives('Deliver', '13800000002', 'balance?');
phone_receives('Deliver', '13999999999', 'BALANCE');
phone_receives('Deliver', '13800000001', 'thank you');
ok(wait_until(sub { sql('SELECT count(*) FROM smsd.inbox') == 4 }, 20), 'three more came in');
exchange();
exchange();
is(answers(), '13800000001: 账户A1电费余额15.00元。 / +86 138 0000 0002: A2: balance 60.50 CNY.',
	'any of a customer\'s phones; a stranger gets no answer, nor does what is no question');
is(sql(q{SELECT "TextDecoded" FROM smsd.inbox WHERE NOT "Processed"}), 'thank you', 'which stays for people to read');
ok(wait_until(sub {
		exchange();
		sql(q{SELECT count(*) FROM prepay.messages WHERE template = 'balance' AND state = 'sent'}) == 2;
	}, 20), 'the answers went out');

# Somebody asks again and again: three answers an hour, one of them was given above.
sql(q{SELECT prepay.set_setting('town', 'balance_answers_per_hour', '3')});
phone_receives('Deliver', '13800000001', 'YE') foreach 1 .. 4;
ok(wait_until(sub { sql('SELECT count(*) FROM smsd.inbox') == 8 }, 20), 'four more came in');
exchange();
exchange();
is(sql(q{SELECT count(*) FROM prepay.messages WHERE template = 'balance' AND account = 'A1'}), 3, 'no more than the limit is answered');
ok(wait_until(sub {
		exchange();
		sql(q{SELECT count(*) FROM prepay.messages WHERE template = 'balance' AND state = 'sent'}) == 4;
	}, 20), 'and those go out');

# ---- what fails; the daemon stands still, so that its part can be played ----

is(stop_program($daemon), 0, 'the daemon stops');
sql(q{DELETE FROM prepay.message_template WHERE site_id = 1});

# Takes what is in the outbox to sentitems with a status.
sub play
{
	my ($status) = @_;

	sql(qq{WITH gone AS (DELETE FROM smsd.outbox RETURNING *)
		INSERT INTO smsd.sentitems ("ID", "Text", "UDH", "SenderID", "CreatorID", "Status", "DestinationNumber")
		SELECT "ID", '', '', '', "CreatorID", '$status', "DestinationNumber" FROM gone});
	return exchange();
}

use_energy(2, 45.5);
for my $try (1 .. 3)
{
	exchange();
	is(sql(q{SELECT count(*) FROM smsd.outbox}), 2, "try $try of two phones");
	play('SendingError');
	last if $try == 3;
	is(state('A2'), 'queued queued', 'back in the queue');
	exchange();
	is(sql(q{SELECT count(*) FROM smsd.outbox}), 0, 'and not tried at once');
	sql(q{UPDATE prepay.notification SET not_before = prepay.now() WHERE not_before > prepay.now()});
}
is(state('A2'), 'failed failed', 'given up');
exchange();
is(sql(q{SELECT count(*) FROM smsd.outbox}), 0, 'for good');
sql(q{SELECT prepay.sell('A1', 100, 's1')});
use_energy(1, 100);
exchange();
play('DeliveryFailed');
is(state('A1'), 'delivered failed', 'what the network could not deliver is not sent again');

# ---- paid before it went ----

sql(q{SELECT prepay.sell('A3', 100, 's2')});
use_energy(3, 100);
sql(q{SELECT prepay.sell('A3', 100, 's3')});
exchange();
is(state('A3'), 'delivered cancelled', 'nobody is asked to top up after having done so');

# ---- no report is to be expected ----

sql(q{SELECT prepay.sell('A1', 100, 's4')});
use_energy(1, 100);
exchange();
play('SendingOKNoReport');
is(sql(q{SELECT state, carrier_id IS NULL FROM prepay.notification ORDER BY notification_id DESC LIMIT 1}),
	'sent|t', 'nothing more to wait for');

# ---- the daemon's role ----

sql(q{SELECT prepay.sell('A1', 200, 's5')});
use_energy(1, 200);
sql(q{CREATE FUNCTION smsd.steal() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN EXECUTE 'DELETE FROM prepay.notification'; RETURN NEW; END $$;
	ALTER FUNCTION smsd.steal() OWNER TO smsd;
	SET ROLE smsd;
	CREATE TRIGGER steal BEFORE INSERT ON smsd.outbox FOR EACH ROW EXECUTE FUNCTION smsd.steal()});
fails('SELECT prepay.sms_exchange()', qr/permission denied for (schema prepay|table notification)/,
	'a trigger of the daemon runs with the rights of the daemon');
sql('DROP TRIGGER steal ON smsd.outbox');
is(exchange(), 1, 'without it the message goes');
fails('SET ROLE smsd; SELECT * FROM prepay.messages', qr/permission denied/, 'the daemon reads nothing of ours');
healthy($node, 'postgres', 'after all that');
$node->stop;
done_testing();
