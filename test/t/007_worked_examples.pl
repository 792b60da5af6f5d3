# Published tariff examples (China, Japan, Malaysia, Korea) through the server: each is a tariff, an
# account and a meter of a town, the readings are those of the example, and the amounts of
# usage_daily must give the published price. test/unit/test_vectors.c reads the same table.
use strict;
use warnings;

use File::Basename qw(dirname);
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install set_clock healthy);

my $file = dirname(__FILE__) . '/../unit/data/worked_examples.json';
# Numbers stay the text they are.
my @cases = @{ JSON::PP->new->allow_bignum->decode(slurp_file($file))->{cases} };
my $json = JSON::PP->new->allow_bignum->canonical;
my $node = new_server('examples', clock => '2020-01-01T00:00:00+08');
my %month_of = map { $_->{id} => month($_) } @cases;

install($node, 'postgres');
$node->safe_psql('postgres', "SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai')");

sub month
{
	my ($case) = @_;

	return $case->{standing_month} // substr $case->{intervals}[0][0], 0, 7;
}

# Each account is opened when its month begins.
sub open_case
{
	my ($case) = @_;
	my %options = (tier_start => $case->{start} ? $case->{start}{kwh} : 0, tier_extra_kwh => $case->{extra_kwh} // 0);

	return sprintf q{
		SELECT prepay.define_tariff('%1$s', '%2$s');
		INSERT INTO prepay.meter (site_id, code) VALUES (1, '%1$s');
		SELECT prepay.open_account('%1$s', 'Customer', meters => '{meter:%1$s}', tariff => '%1$s', options => '%3$s');},
	  $case->{id}, $json->encode($case->{definition}), $json->encode(\%options);
}

sub read_case
{
	my ($case) = @_;
	my $register = 0;
	my $sql = '';

	foreach my $interval (@{ $case->{intervals} })
	{
		my ($from, $to, $kwh) = @$interval;

		$sql .= sprintf q{
			INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, at::timestamp AT TIME ZONE 'Asia/Shanghai', kwh
			FROM prepay.meter, (VALUES ('%s', %s::numeric), ('%s', %s + %s)) AS r (at, kwh) WHERE code = '%s'
			ON CONFLICT DO NOTHING;}, $from, $register, $to, $register, $kwh, $case->{id};
		$register .= " + $kwh";
	}
	return $sql;
}

# To the cent of the example: down, to the nearest, or not at all.
sub price
{
	my ($case) = @_;
	my ($round, $decimals) = @{ $case->{expect} }{qw(round decimals)};
	my $rounded = $round eq 'floor' ? "floor(sum(amount) * 10 ^ $decimals) / 10 ^ $decimals" : $round eq 'half' ? "round(sum(amount), $decimals)" : 'sum(amount)';

	my $month = $case->{standing_month} ? "AND day < date '$month_of{$case->{id}}-01' + interval '1 month'" : '';

	return $node->safe_psql('postgres', qq{
		SELECT COALESCE($rounded, 0) = $case->{expect}{cost}, COALESCE(sum(amount), 0) FROM prepay.usage_daily
		WHERE account = '$case->{id}' $month});
}

foreach my $month (sort { $a cmp $b } keys %{ { map { $_ => 1 } values %month_of } })
{
	my $sql = join '', map { open_case($_) } grep { $month_of{ $_->{id} } eq $month } @cases;

	$node->safe_psql('postgres', "SET prepay.now = '$month-01 00:00+08';\n$sql");
}
set_clock($node, '2020-10-05T00:00:00+08');
$node->safe_psql('postgres', join '', map { read_case($_) } @cases);
while ($node->safe_psql('postgres', 'SELECT prepay.tick(100)') > 0) { }

foreach my $case (@cases)
{
	my ($right, $sum) = split /\|/, price($case);

	ok($right eq 't', "$case->{id}: $case->{expect}{cost}") or diag("the lines say $sum");
}
healthy($node, 'postgres', 'all examples');
ok(@cases >= 85, 'all examples were read');

done_testing();
