# Online payment end to end: orders, real HTTP through prepayd, repeats at once, a killed server, a killed agent.
use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8);
use File::Basename qw(dirname);
use HTTP::Tiny;
use JSON::PP qw(decode_json);
use MIME::Base64 qw(encode_base64 decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site start_program stop_program kill_program wait_until write_file free_port crash healthy deadlocks);

my $node = new_server('payment', clock => '2027-03-02T12:00:00+08');
my $folder = PostgreSQL::Test::Utils::tempdir();
my $vectors = dirname(__FILE__) . '/../sql/pay_vectors.inc';
my $port = free_port();
my $metrics = free_port();

install($node, 'postgres');
make_site($node, 'postgres');

sub sql
{
	my ($query) = @_;

	return decode_utf8($node->safe_psql('postgres', encode_utf8($query)));
}

# ---- set-up: keys of the vectors, but Alipay's our own, so that any message can be signed here ----

sub openssl
{
	my @arguments = @_;

	system('openssl', @arguments) == 0 or die "openssl @arguments";
	return;
}

openssl('genrsa', '-out', "$folder/alipay.key", '2048');
openssl('rsa', '-in', "$folder/alipay.key", '-pubout', '-out', "$folder/alipay.pub");
sql(qq{\\i $vectors
	CREATE TABLE vector AS SELECT * FROM pay_vector;
	CREATE TABLE key AS SELECT * FROM pay_key;
	INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES
		(1, 'alipay', '2088000000000001', '2021000000000001', 'https://pay.example/pay/alipay'),
		(1, 'wechat', '1900000001', 'wx0000000000000001', 'https://pay.example/pay/wechat'),
		(1, 'unionpay', '777290000000001', NULL, 'https://pay.example/pay/unionpay');
	SELECT prepay.set_payment_key('town', channel, name, value, serial) FROM key;});
sql("SELECT prepay.set_payment_key('town', 'alipay', 'alipay_public_key', '" . slurp_file("$folder/alipay.pub") . "')");
sql(q{SELECT prepay.open_account('A' || n, 'Li') FROM generate_series(1, 4) AS n});
sql(q{CREATE ROLE gw LOGIN; GRANT prepay_agent, prepay_payment TO gw});
sql(qq{SELECT prepay.create_agent('gate1', '{"role": "gw", "payment_listen": "127.0.0.1:$port"}')});

sub start_agent
{
	my $conninfo = $node->connstr('postgres') . ' user=gw';

	mkdir "$folder/spool";
	write_file("$folder/prepayd.conf",
		"[agent]\nname = gate1\nconninfo = $conninfo\nspool = $folder/spool\nmetrics = 127.0.0.1:$metrics\nlog_level = info\n");
	return start_program("$folder/prepayd.log", $ENV{PREPAYD}, '--config', "$folder/prepayd.conf");
}

sub post
{
	my ($channel, $body, $headers) = @_;
	my $answer = HTTP::Tiny->new(timeout => 20)->post("http://127.0.0.1:$port/pay/$channel",
		{ content => $body, headers => $headers // { 'Content-Type' => 'application/x-www-form-urlencoded' } });

	return "$answer->{status} $answer->{content}";
}

sub post_vector
{
	my ($name) = @_;
	my ($channel, $headers, $body) = split /\t/, sql("COPY (SELECT channel, encode(convert_to(headers::text, 'UTF8'), 'hex'), encode(convert_to(body, 'UTF8'), 'hex')
		FROM vector WHERE name = '$name') TO STDOUT");

	return post($channel, pack('H*', $body), decode_json(pack 'H*', $headers));
}

sub escaped
{
	my ($text) = @_;

	$text =~ s/([^A-Za-z0-9_.~-])/sprintf '%%%02X', ord $1/ge;
	return $text;
}

sub signature
{
	my ($key, $text) = @_;

	write_file("$folder/text", $text);
	openssl('dgst', '-sha256', '-sign', $key, '-out', "$folder/sign", "$folder/text");
	return encode_base64(slurp_file("$folder/sign"), '');
}

sub is_signature
{
	my ($public, $text, $sign) = @_;

	write_file("$folder/text", $text);
	write_file("$folder/sign", decode_base64($sign));
	return system("openssl dgst -sha256 -verify '$public' -signature '$folder/sign' '$folder/text' >/dev/null") == 0;
}

# What Alipay posts when an order was paid.
sub alipay_message
{
	my ($order, $trade, $amount) = @_;
	my %field = (app_id => '2021000000000001', seller_id => '2088000000000001', charset => 'utf-8', trade_status => 'TRADE_SUCCESS',
		out_trade_no => $order, trade_no => $trade, total_amount => $amount, gmt_payment => '2027-03-02 12:00:00', subject => 'electricity & more');

	$field{sign} = signature("$folder/alipay.key", join '&', map { "$_=$field{$_}" } sort keys %field);
	$field{sign_type} = 'RSA2';
	return join '&', map { "$_=" . escaped($field{$_}) } sort keys %field;
}

my $agent = start_agent();

ok(wait_until(sub { post('alipay', 'x') =~ /^400 failure/ }, 60), 'the agent passes messages on') or diag slurp_file("$folder/prepayd.log");

# ---- requests are signed as the channels want them ----

sub form_fields
{
	my ($text) = @_;
	my %field = map { my ($name, $value) = split /=/, $_, 2; $value =~ s/%(..)/chr hex $1/ge; ($name => $value) } split /&/, $text;

	return %field;
}

my $request = decode_json(encode_utf8(sql(q{SELECT request FROM prepay.create_payment_order('A1', 88.8, 'alipay', '{"scene": "app"}')})));
my %field = form_fields($request->{order_string});
my $sign = delete $field{sign};
write_file("$folder/app.der", decode_base64(sql(q{SELECT value FROM key WHERE name = 'app_private_key'})));
openssl('rsa', '-inform', 'DER', '-in', "$folder/app.der", '-pubout', '-out', "$folder/app.pub");
ok(is_signature("$folder/app.pub", join('&', map { "$_=$field{$_}" } sort keys %field), $sign), "Alipay's order string is signed");
is(decode_json($field{biz_content})->{total_amount}, '88.80', '... over the amount');

$request = decode_json(encode_utf8(sql(q{SELECT request FROM prepay.create_payment_order('A1', 88.8, 'wechat')})));
write_file("$folder/wechat.pem", sql(q{SELECT value FROM key WHERE name = 'merchant_key' AND channel = 'wechat'}));
openssl('x509', '-in', "$folder/wechat.pem", '-pubkey', '-noout', '-out', "$folder/wechat.pub");
my %part = $request->{headers}{Authorization} =~ /(\w+)="([^"]*)"/g;
ok(is_signature("$folder/wechat.pub", "POST\n/v3/pay/transactions/native\n$part{timestamp}\n$part{nonce_str}\n" . encode_utf8($request->{body}) . "\n", $part{signature}),
	"WeChat's request is signed");

$request = decode_json(encode_utf8(sql(q{SELECT request FROM prepay.create_payment_order('A1', 88.8, 'unionpay')})));
write_file("$folder/union.pem", sql(q{SELECT value FROM key WHERE name = 'merchant_key' AND channel = 'unionpay'}));
openssl('x509', '-in', "$folder/union.pem", '-pubkey', '-noout', '-out', "$folder/union.pub");
%field = %{ $request->{fields} };
$sign = delete $field{signature};
write_file("$folder/plain", join '&', map { "$_=$field{$_}" } sort keys %field);
my ($digest) = `openssl dgst -sha256 -r '$folder/plain'` =~ /^(\w+)/;
ok(is_signature("$folder/union.pub", $digest, $sign), "UnionPay's form is signed");

# ---- one message, many times at once ----

my ($order) = split /\|/, sql(q{SELECT order_no FROM prepay.create_payment_order('A1', 12.34, 'alipay')});
my $message = alipay_message($order, 'T1', '12.34');
my @posters;

for my $n (1 .. 12)
{
	my $pid = fork // die;

	if (!$pid)
	{
		my $answer = post('alipay', $message);

		require POSIX;
		POSIX::_exit($answer eq '200 success' ? 0 : 1);
	}
	push @posters, $pid;
}
is(scalar(grep { waitpid $_, 0; $? } @posters), 0, 'twelve at once are all accepted');
is(sql(q{SELECT count(*), sum(amount) FROM prepay.ledger WHERE tender = 'alipay'}), '1|12.34', '... and credited once');
is(sql(qq{SELECT string_agg(outcome || ' ' || n, ', ' ORDER BY outcome) FROM (SELECT outcome, count(*) AS n FROM prepay.payment_notices WHERE order_no = '$order' GROUP BY 1) o}),
	'credited 1, repeated 11', '... and logged each time');
is(sql(q{SELECT DISTINCT operator || ' ' || till FROM prepay.ledger WHERE tender = 'alipay'}), 'gw gw', '... by the role of the front');

# ---- the other channels, with the headers they need ----

sql(q{INSERT INTO prepay.payment_order (site_id, order_no, account_id, channel, scene, amount, subject, created_at, created_by, expires_at, state_at)
	SELECT 1, no, 2, CASE WHEN no ~ 'WECHAT' THEN 'wechat' ELSE 'unionpay' END, 'page', 100, 'x', prepay.now(), 'me', prepay.now() + interval '30 minutes', prepay.now()
	FROM unnest('{1PWECHAT0001,1PUNIONPAY01}'::text[]) AS no});
is(post_vector('wechat_paid'), '200 {"code":"SUCCESS","message":""}', 'WeChat Pay');
is(post_vector('wechat_stale'), '401 {"code":"FAIL","message":"stale"}', '... but not what is old');
is(post_vector('unionpay_paid'), '200 ok', 'UnionPay');
is(sql(q{SELECT balance FROM prepay.account_status WHERE account = 'A2'}), '200.00', '... are credited');

# ---- refused ----

$message =~ s/total_amount=12.34/total_amount=12.35/;
is(post('alipay', $message), '401 failure', 'a changed amount is refused');
like(post('alipay', 'x' x 100_000), qr/^413 /, 'a message that is too large is refused');
like(post('alipay', 'x' x 10_000_000), qr/^(413|599) /, '... and one of 10 MB without being read');
like(post('paypal', 'x'), qr/^404 /, 'there is no other channel');
like(HTTP::Tiny->new->get("http://127.0.0.1:$port/pay/alipay")->{status}, qr/^(405|501)$/, 'nothing but POST');
is(sql(q{SELECT count(*) || ' ' || max(octet_length(body)) FROM prepay.payment_notice WHERE site_id = 0 AND body_bytes = 100000}), '1 4096', 'of rubbish only a beginning is logged');
is(sql(q{SELECT count(*) FROM prepay.payment_notice WHERE body_bytes > 1000000}), '0', '... and the largest not at all');

# ---- a channel that does not wait for the answer ----

($order) = split /\|/, sql(q{SELECT order_no FROM prepay.create_payment_order('A1', 5, 'alipay')});
$message = alipay_message($order, 'T2', '5.00');
my $holder = start_program("$folder/holder.log", 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c',
	'BEGIN', '-c', 'SELECT 1 FROM prepay.account_state WHERE account_id = 1 FOR UPDATE', '-c', 'SELECT pg_sleep(600)');
ok(wait_until(sub { sql(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'}) eq '1' }, 60), 'the account is held');
like(HTTP::Tiny->new(timeout => 1)->post("http://127.0.0.1:$port/pay/alipay", { content => $message })->{content}, qr/timed out/i, 'no answer comes, the channel goes away');
sql(q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event = 'PgSleep'});
$holder->{run}->finish;
ok(wait_until(sub { sql(qq{SELECT state FROM prepay.payments WHERE order_no = '$order'}) eq 'paid' }, 60), 'the message counts all the same');
is(post('alipay', $message), '200 success', '... and its repetition is accepted');

# ---- what the agent's role can do with it: nothing but post ----

my (undef, undef, $error) = $node->psql('postgres', 'SELECT * FROM prepay.payment_key', extra_params => [ '-U', 'gw' ]);
like($error, qr/permission denied/, "the agent's role cannot read keys");
(undef, undef, $error) = $node->psql('postgres', "SELECT prepay.create_payment_order('A1', 1, 'alipay')", extra_params => [ '-U', 'gw' ]);
like($error, qr/permission denied/, '... nor order');

# ---- server and agent are killed while messages come, and the channel repeats what was not accepted ----

my @orders = split /\n/, sql(q{SELECT o.order_no FROM generate_series(1, 40) AS n, prepay.create_payment_order('A' || 3 + n % 2, 1.01, CASE WHEN n > 0 THEN 'alipay' END) AS o});
my %body = map { $orders[$_] => alipay_message($orders[$_], "K$_", '1.01') } 0 .. $#orders;
my $pid = fork // die;

if (!$pid)
{
	my %left = %body;
	my $end = time + 300;

	while (%left && time < $end)
	{
		foreach my $no (sort keys %left)
		{
			my $answer = post('alipay', $left{$no});

			delete $left{$no} if $answer eq '200 success';
			# So slowly that both are killed while some are left.
			select undef, undef, undef, 0.1;
		}
	}
	require POSIX;
	POSIX::_exit(%left ? 1 : 0);
}

sub credited
{
	return sql(q{SELECT count(*) FROM prepay.ledger WHERE account IN ('A3', 'A4') AND kind = 'sale'});
}

ok(wait_until(sub { credited() >= 3 }, 60), 'messages come');
crash($node);
like(post('alipay', 'x'), qr/^(503|599) /, 'without a database the channel is asked to come again');
$node->start;
ok(wait_until(sub { credited() >= 8 }, 60), 'they come on after the server was killed');
kill_program($agent);
$agent = start_agent();
waitpid $pid, 0;
is($?, 0, 'each was accepted in the end, though server and agent were killed');
is(sql(q{SELECT count(*), count(DISTINCT key), sum(amount) FROM prepay.ledger WHERE account IN ('A3', 'A4') AND kind = 'sale'}), '40|40|40.40', '... and credited exactly once');
is(sql(q{SELECT count(*) FROM prepay.payments_unapplied}), '0', '... none beside its order');

# ---- at last ----

my $counts = HTTP::Tiny->new->get("http://127.0.0.1:$metrics/metrics")->{content};
like($counts, qr/prepayd_payment_messages_total\{result="accepted"\} [1-9]/, 'messages are counted');
sql(q{SELECT prepay.create_agent('gate1', '{"payment_listen": ""}')});
ok(wait_until(sub { post('alipay', 'x') =~ /^599/ }, 60), 'the front closes when it is not wanted any more');
is(deadlocks($node), 0, 'no deadlock');
healthy($node, 'postgres', 'after all that');
is(stop_program($agent), 0, 'the agent ends in order');
done_testing();
