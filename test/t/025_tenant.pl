# Tenants over HTTP: the transaction of PostgREST's requests in psql, its conventions through a stand-in, and the page in a
# headless browser. That a token is signed as RFC 7515 has it is the stand-in's to check, with a library of its own.
use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8);
use File::Spec::Functions qw(rel2abs);
use FindBin;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site set_clock start_program stop_program wait_until free_port healthy);

my $top = rel2abs("$FindBin::Bin/../..");
my $folder = rel2abs(PostgreSQL::Test::Utils::tempdir());
my $secret = 'thirty-two bytes of a secret, or more of them';
my $node = new_server('tenant', clock => '2026-03-01T00:00:00+08', conf => "timezone = 'Asia/Shanghai'\n");
$ENV{LC_ALL} = 'C.UTF-8';

sub sql
{
	my ($query, %option) = @_;

	return decode_utf8($node->safe_psql('postgres', encode_utf8($query), %option));
}

# ---- a house with two households ----

install($node, 'postgres');
make_site($node, 'postgres');
system('openssl', 'genrsa', '-out', "$folder/app.key", '2048') == 0 or die 'openssl';
my $key = slurp_file("$folder/app.key");
sql(qq{
	CREATE ROLE web LOGIN NOINHERIT;
	GRANT prepay_authenticator, prepay_tenant TO web;
	INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'U1', '一单元'), (1, 'U2', '二单元');
	INSERT INTO prepay.meter (site_id, code, place_id) VALUES (1, 'M1', 1), (1, 'M2', 2);
	SELECT prepay.open_account('A1', '张三', '13800000000', 'U1', '{M1}', opening_balance => 20, key => 'o1');
	SELECT prepay.open_account('A2', '李四', '13900000000', 'U2', '{M2}', opening_balance => 30, key => 'o2');
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 0, true FROM generate_series(1, 2) AS m;
	INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES (1, 'alipay', '2088000000000001', '2021000000000001', 'https://pay.example/pay/alipay');
	SELECT prepay.set_payment_key('town', 'alipay', 'app_private_key', '$key');
	SELECT prepay.create_tenant('A1', '蓝色茶壶 Blue 7'), prepay.create_tenant('A2', 'Red kettle 88'), prepay.set_tenant_secret('$secret');});
set_clock($node, '2026-03-02T00:00:00+08');
sql(q{INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, m, prepay.now(), 12.5 * m, 0.5, true FROM generate_series(1, 2) AS m;
	SELECT prepay.sell('A1', 100, 's1', 'wechat')});

# ---- the transaction that PostgREST wraps a request in ----

sub request
{
	my ($claims, $query) = @_;
	my ($out, $error) = ('', '');

	$claims =~ s/'/''/g;
	$node->psql('postgres', encode_utf8("BEGIN; SET LOCAL ROLE prepay_tenant; SET LOCAL \"request.jwt.claims\" = '$claims'; SET LOCAL search_path = prepay_api; $query; COMMIT"),
		stdout => \$out, stderr => \$error, extra_params => [ '-U', 'web', '-q' ]);
	return decode_utf8($out) . $error;
}

my $token = request('{"role": "prepay_tenant"}', q{SELECT log_in('town/A1', '蓝色茶壶 Blue 7')});
like($token, qr/\A[\w-]+\.[\w-]+\.[\w-]+\z/, 'a token');
my (undef, $body) = split /\./, $token;
(my $claims = $body) =~ tr{-_}{+/};
$claims = decode_base64($claims);
is(request($claims, 'SELECT account, customer, balance FROM my_account'), 'A1|张三|107.50', 'its account is one row');
is(request('{"role": "prepay_tenant"}', 'SELECT count(*) FROM my_account'), '0', 'without a token there is none');
like(request($claims, 'SELECT * FROM prepay.account'), qr/permission denied/, 'the schema behind is closed');
like(request($claims, 'RESET ROLE; SET ROLE prepay_admin'), qr/permission denied to set role/, 'a front becomes nobody else');

# ---- a front's HTTP ----

my $port = free_port();
my $front = start_program("$folder/front.log", '/usr/bin/python3', "$top/test/web/postgrest.py", $port,
	sprintf('host=%s port=%s dbname=postgres user=web', $node->host, $node->port), $secret, 'prepay_tenant', "$top/sql/web");
my $url = "http://127.0.0.1:$port";
my $http = HTTP::Tiny->new(timeout => 60);
wait_until(sub { $http->get("$url/")->{status} == 200 }, 60) or die 'the front does not answer';

sub call
{
	my ($path, $argument, $bearer) = @_;
	my %header = (($bearer ? (Authorization => "Bearer $bearer") : ()), 'Content-Type' => 'application/json');
	my $answer = $argument ? $http->post("$url/api/$path", { headers => \%header, content => JSON::PP->new->utf8->encode($argument) })
	  : $http->get("$url/api/$path", { headers => \%header });

	return ($answer->{status}, decode_utf8($answer->{content}));
}

sub rows
{
	my ($path, $bearer) = @_;
	my ($status, $content) = call($path, undef, $bearer);

	return $status == 200 ? JSON::PP->new->allow_nonref->decode($content) : "$status $content";
}

is((call('rpc/log_in', { account => 'A1', password => 'wrong' }))[1], 'null', 'a wrong password gives nothing');
($token) = map { JSON::PP->new->allow_nonref->decode($_) } (call('rpc/log_in', { account => 'A1', password => '蓝色茶壶 Blue 7' }))[1];
my ($other) = map { JSON::PP->new->allow_nonref->decode($_) } (call('rpc/log_in', { account => 'A2', password => 'Red kettle 88' }))[1];
is(scalar @{ rows('my_account') }, 0, 'without a token no rows');
is_deeply([ map { $_->{account} } @{ rows('my_account', $token) } ], ['A1'], 'with one, the account');
is_deeply([ map { $_->{account} } @{ rows('my_account', $other) } ], ['A2'], 'with another, the other');
is_deeply([ map { "$_->{day} $_->{kwh}" } @{ rows('my_usage_daily?day=gte.2026-03-01&order=day.desc&limit=5', $token) } ], ['2026-03-01 12.5'], 'usage by day');
is(scalar @{ rows('my_recharges?seq=gt.0&account=eq.A2', $token) }, 0, 'a filter finds no other account');
my ($head, $payload, $signature) = split /\./, $token;
my $forged = join '.', $head, (split /\./, $other)[1], $signature;
like(rows('my_account', $forged), qr/^401 /, 'a token is signed as a whole');
like((call('rpc/switch_my_meter', { meter => 'M2', on => JSON::PP::false }, $token))[1], qr/has no meter/, "another's meter is unknown");
is((call('rpc/switch_my_meter', { meter => 'M2', on => JSON::PP::false }, $other))[1], '"off"', 'its own is switched off');
is((call('rpc/create_payment_order', { amount => '50.00', channel => 'paypal' }, $token))[0], 400, 'no such channel');
is((call('rpc/change_my_password', { old_password => 'Red kettle 88', new_password => 'Red kettle 99' }, $other))[1], 'true', 'a new password');
is(scalar @{ rows('my_account', $other) }, 0, 'ends the token');

# ---- the page ----

my ($page, $error) = ('', '');
IPC::Run::run([ 'timeout', '300', '/usr/bin/python3', "$top/test/web/page.py", "$url/", 'A1', encode_utf8('蓝色茶壶 Blue 7'), 'M1', $folder ], '<', '/dev/null', '>', \$page, '2>', \$error)
  or diag($error);
is(decode_utf8($page), <<'TEXT', 'a tenant at the page');
wrong password: 户号或密码不正确，或暂时被锁定。
balance: 107.50 CNY
state: 正常
months: 2026-03 | 12.500 | 12.5
days: 2026-03-01 | M1 | all | 1 | 12.500 | 1 | 12.5
recharges: sale | 100.00 |  | 0.00 | 100.00 | 100.000 | wechat | 3; opening |  |  |  | 20.00 |  |  | 1
supply: 供电
switched off: 断电
switched on: 供电
order: 50.00 | 支付宝 | created
saved: 已保存。
phone: 13911112222
logged out: 0
kiosk keeps nothing: 0
TEXT
is(sql(q{SELECT phone FROM prepay.account WHERE code = 'A1'}), '13911112222', 'the phone is changed');
is(sql(q{SELECT count(*) FROM prepay.payment_order WHERE account_id = 1}), '1', 'an order is there');
is(sql(q{SELECT string_agg(DISTINCT operator || ' ' || action, ', ' ORDER BY operator || ' ' || action) FROM prepay.operator_log WHERE login = 'web'}),
	'account:A1 switch_my_meter, account:A1 update account, account:A2 change_my_password, account:A2 switch_my_meter', 'the log says whose account did it');
healthy($node, 'postgres', 'after the tenants');

stop_program($front);
done_testing();
