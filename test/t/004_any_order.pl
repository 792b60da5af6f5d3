# What is owed is a function of the set of readings: a random town is given the same readings in
# order, shuffled, all in one statement, and in random batches with tick() in between. Balances and
# every usage line come out the same, to the last digit, and explain() adds up to them. A site where
# another tariff is in force costs what backtest() says of that tariff.
use strict;
use warnings;

use List::Util qw(shuffle sum);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install set_clock healthy same_lines);

my $METERS = 6;
my $DAYS = 24;
my $node = new_server('order', clock => '2026-01-01T00:00:00+00');
my @seeds = $ENV{PREPAY_SEED} ? ($ENV{PREPAY_SEED}) : (1, 2, 3, 4, 5, 1 + (time ^ $$) % 1_000_000);

sub pick
{
	return $_[ int rand @_ ];
}

sub price
{
	return sprintf '%.*f', pick(2, 3, 4, 6), rand(2) - (rand() < 0.05 ? 1 : 0);
}

# A tariff with anything in it that changes how energy is priced.
sub random_tariff
{
	my ($accumulate) = @_;
	my $periods = 1 + int rand 4;
	my @name = map { "p$_" } 1 .. $periods;
	my $tiers = int rand 4;
	my $bound = 0;
	my @upto = map { $bound += 1 + int rand($accumulate eq 'day_allowance' ? 6 : 90) } 1 .. $tiers;
	my @day_type = rand() < 0.5 ? ('weekend') : ();
	my $seasons = rand() < 0.4;
	my @row;

	foreach my $type (@day_type, undef)
	{
		my %time = ('00:00' => 1);

		$time{ sprintf '%02d:%02d', int rand 24, pick(0, 0, 30, 15, 17) } = 1 foreach 1 .. int rand 6;
		my $slots = join ', ', map { sprintf '["%s", "%s"]', $_, pick(@name) } sort keys %time;
		push @row, sprintf '{%s"slots": [%s]}', $type ? qq{"day_type": "$type", } : '', $slots;
	}
	push @row, sprintf '{"season": "s", "slots": [["00:00", "%s"], ["06:30", "%s"]]}', pick(@name), pick(@name) if $seasons;
	my @part = (sprintf('"periods": [%s]', join ', ', map { qq{"$_"} } @name), sprintf('"schedule": [%s]', join ', ', @row),
		sprintf('"prices": {%s}', join ', ', map { sprintf '"%s": [%s]', $_, join ', ', map { price() } 0 .. $tiers } @name));
	push @part, sprintf '"tiers": {"accumulate": "%s", "upto": [%s], "allocation": "%s"}', $accumulate, join(', ', @upto), pick(qw(chronological proportional)) if $tiers;
	push @part, '"day_types": [{"name": "weekend", "days": [6, 7]}]' if @day_type;
	push @part, '"seasons": [{"name": "s", "from": "03-10", "to": "10-28"}, {"name": "t", "from": "10-28", "to": "03-10"}]' if $seasons;
	push @part, '"surcharges": [{"name": "fund", "per_kwh": 0.02}, {"name": "vat", "percent": 13.25, "on": ["energy", "fund"]}]' if rand() < 0.5;
	return '{' . join(', ', @part) . '}';
}

# Registers of a meter at random times; the last wraps around at 1000 kWh.
sub random_readings
{
	my ($meter, $start) = @_;
	my $time = $start + int rand 7200;
	my $register = $meter == $METERS ? 990_000 - int rand 8000 : int rand 1_000_000;
	my $reverse = int rand 10_000;
	my @reading;

	while ($time < $start + $DAYS * 86400)
	{
		my $step = pick(300, 900, 1800, 1800, 1800, 3600, 7200, 40_000, 90_000, 150_000) + int rand 120;

		push @reading, { meter => $meter, time => sprintf('%d.%06d', $time, int rand 1e6), kwh => $register, reverse => $meter == 2 && rand() < 0.9 ? $reverse : undef };
		$time += $step;
		# At most 8 kW, often nothing.
		$register += my $used = rand() < 0.2 ? 0 : int rand $step / 3600 * 8000;
		$register %= 1_000_000 if $meter == $METERS;
		$reading[-1]{used} = $used;
		$reverse += int rand $step / 3600 * 300;
	}
	return @reading;
}

sub row
{
	my ($site, $reading) = @_;

	return sprintf '(%d, %d, to_timestamp(%s), %d::numeric / 1000, %s)', $site, $reading->{meter}, $reading->{time},
	  $reading->{kwh}, defined $reading->{reverse} ? "$reading->{reverse}::numeric / 1000" : 'NULL';
}

sub insert
{
	my ($site, @reading) = @_;

	return 'INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh) VALUES ' . join(', ', map { row($site, $_) } @reading) . ";\n";
}

sub at_time
{
	my ($time) = @_;

	return sprintf "SET prepay.now = '%s';\n", POSIX::strftime('%Y-%m-%dT%H:%M:%S+00', gmtime $time);
}

# As they come: the clock goes along, and so does the sealing of days.
sub in_order
{
	my ($site, @reading) = @_;
	my $script = '';

	foreach my $reading (sort { $a->{time} <=> $b->{time} || $a->{meter} <=> $b->{meter} } @reading)
	{
		$script .= at_time($reading->{time} + 60) . insert($site, $reading);
		$script .= "SELECT prepay.tick();\n" if rand() < 0.1;
	}
	return $script;
}

sub shuffled
{
	my ($site, @reading) = @_;

	return join '', map { insert($site, $_) } shuffle @reading;
}

sub at_once
{
	my ($site, @reading) = @_;

	return insert($site, shuffle @reading);
}

sub in_batches
{
	my ($site, @reading) = @_;
	my $script = '';

	@reading = shuffle @reading;
	while (@reading)
	{
		$script .= insert($site, splice @reading, 0, 1 + int rand 25);
		$script .= 'SELECT prepay.tick(' . (1 + int rand 20) . ");\n" if rand() < 0.4;
	}
	return $script;
}

my @way = ([ 'in order, the clock going along', \&in_order ], [ 'shuffled', \&shuffled ], [ 'in one statement', \&at_once ], [ 'in random batches with tick()', \&in_batches ]);

foreach my $seed (@seeds)
{
	my $database = "seed$seed";
	my $zone = (srand($seed), pick('Asia/Shanghai', 'America/Los_Angeles', 'Europe/Berlin', 'Australia/Lord_Howe', 'America/Santiago'))[1];
	# About a change of daylight saving time, or the turn of a year.
	my $start = pick(1_772_400_000, 1_774_200_000, 1_792_300_000, 1_797_700_000, 1_774_700_000);
	my $before = $start - 3 * 86400;
	my $end = $start + ($DAYS + 1) * 86400;
	my @accumulate = map { pick(qw(month quarter year day_allowance)) } 1 .. 2;
	my @tariff = map { random_tariff($_) } @accumulate;
	my $change = $start + int rand $DAYS * 86400;
	my @reading = map { random_readings($_, $start) } 1 .. $METERS;

	note "seed $seed (PREPAY_SEED repeats it): $zone, ", scalar @reading, " readings, tariffs $tariff[0] $tariff[1]";
	set_clock($node, POSIX::strftime('%Y-%m-%dT%H:%M:%S+00', gmtime $before));
	install($node, $database);
	my $change_at = POSIX::strftime('%Y-%m-%dT%H:%M:%S+00', gmtime $change);
	foreach my $site (1 .. @way + 1)
	{
		my $extra = $seed % 3 * 20;
		# The last site has the second tariff for everybody, and all the time.
		my $setting = $site <= @way ? "SELECT prepay.define_tariff('s$site/t', '$tariff[1]', '$change_at'); SELECT prepay.set_setting('s$site', 'tariff', 't')" : "SELECT prepay.set_setting('s$site', 'tariff', 'u')";

		$node->safe_psql($database, qq{
			SELECT prepay.create_site('s$site', 'Site', '$zone', 'EUR');
			SELECT prepay.define_tariff('s$site/t', '$tariff[0]'), prepay.define_tariff('s$site/u', '$tariff[1]');
			$setting;
			INSERT INTO prepay.meter (site_id, code, ratio) VALUES ($site, 'M1', 1), ($site, 'M2', 1), ($site, 'M3', 1.5), ($site, 'M4', 1), ($site, 'M5', 1);
			INSERT INTO prepay.meter (site_id, code, register_max, rated_kw) VALUES ($site, 'M6', 1000, 9);
			SELECT prepay.open_account('s$site/A1', 'One', meters => '{s$site/M1,s$site/M2,s$site/M6}', opening_balance => 100, key => 'o1', options => '{"tier_extra_kwh": $extra, "tier_start": 5.5}');
			SELECT prepay.open_account('s$site/A2', 'Two', meters => '{s$site/M3,s$site/M4}', opening_balance => 100, key => 'o2');
			SELECT prepay.open_account('s$site/A3', 'Three', meters => '{s$site/M5}', opening_balance => 100, key => 'o3', tariff => 'u');});
	}
	set_clock($node, POSIX::strftime('%Y-%m-%dT%H:%M:%S+00', gmtime $end));
	foreach my $site (1 .. @way)
	{
		$node->safe_psql($database, $way[ $site - 1 ][1]->($site, @reading));
	}
	$node->safe_psql($database, at_once(@way + 1, @reading));
	while ($node->safe_psql($database, 'SELECT prepay.tick(5)') > 0) { }

	my %result;
	foreach my $site (1 .. @way)
	{
		my $how = "seed $seed, $way[$site - 1][0]";
		my $money = $node->safe_psql($database, "SELECT account, balance, posted_balance, sealed_through FROM prepay.account_status WHERE site = 's$site' ORDER BY account");
		my $usage = $node->safe_psql($database, qq{
			SELECT account, meter, day, tariff, version, component, item, period, tier, trim_scale(sum(kwh)), trim_scale(sum(amount))
			FROM prepay.usage_daily WHERE site = 's$site' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
			HAVING sum(kwh) <> 0 OR sum(amount) <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9});

		my $explained = $node->safe_psql($database, qq{
			SELECT account_code, meter, day, tariff, version, component, item, period, tier, trim_scale(sum(kwh)), trim_scale(sum(amount))
			FROM prepay.account CROSS JOIN LATERAL prepay.explain('s$site/' || code, to_timestamp($before), to_timestamp($end))
			WHERE site_id = $site AND component IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9
			HAVING sum(kwh) <> 0 OR sum(amount) <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9});

		$result{money} //= $money;
		$result{usage} //= $usage;
		same_lines($money, $result{money}, "$how: the same balances");
		same_lines($usage, $result{usage}, "$how: the same usage by meter, day, version, period and tier");
		same_lines($explained, $usage, "$how: explain() adds up to the usage");
		is($node->safe_psql($database, "SELECT reason, count(*) FROM prepay.reading_review WHERE site_id = $site GROUP BY reason"), '', "$how: every reading is believed");
	}
	# A back-test of a tariff says what it costs where it is in force. Its kWh are those of the books, whose
	# intervals are cut at other slots: over the edge of the days asked for a Wh may lie on either side.
	my $test_from = $before + int rand 10 * 86400;
	my $range = qq{to_timestamp($test_from), to_timestamp($end - 86400 * 2)};
	my $site = @way + 1;
	same_lines(
		$node->safe_psql($database, qq{SELECT account, trim_scale(draft_amount) FROM prepay.backtest('s1', '$tariff[1]', $range) ORDER BY 1}),
		$node->safe_psql($database, qq{
			SELECT account, trim_scale(amount) FROM prepay.backtest('s$site', '$tariff[1]', $range) ORDER BY 1}),
		"seed $seed: backtest() gives the cost of the tariff in force");
	is($node->safe_psql($database, qq{SELECT count(*) FROM prepay.backtest('s$site', '$tariff[1]', $range) WHERE difference <> 0}), 0, "seed $seed: the tariff in force differs by nothing");
	# What the registers moved is what was rated: nothing lost at any edge.
	my %moved;
	foreach my $meter (1 .. $METERS)
	{
		my @used = map { $_->{used} } grep { $_->{meter} == $meter } @reading;

		$moved{$meter} = sum(@used[ 0 .. $#used - 1 ]);
	}
	is($node->safe_psql($database, q{SELECT meter, sum(kwh) * 1000 FROM prepay.usage_daily WHERE site = 's1' AND component = 'energy' AND meter IN ('M1', 'M4', 'M5', 'M6') GROUP BY meter ORDER BY meter})
		=~ s/\.0+$//mgr, join("\n", map { "M$_|$moved{$_}" } 1, 4, 5, 6), "seed $seed: the energy is what the registers moved");
	healthy($node, $database, "seed $seed");
}

done_testing();
