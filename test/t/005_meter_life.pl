# Who pays for what is a function of the facts: meters go from account to account, are replaced, get
# other ratios, are misread and corrected. A random town is told all of that as it happens, or long
# after, readings first or last, with mistakes that are put right. Charges, unowned energy and balances
# come out the same, and all energy is somewhere.
use strict;
use warnings;

use List::Util qw(max min shuffle sum);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install set_clock healthy same_lines);

my $DAYS = 9;
my $ACCOUNTS = 4;
my @RATIO = (undef, 1, 1.5, 40, 0.3); # of meters 1 to 4; the last one replaces the third
my $node = new_server('life', clock => '2026-01-01T00:00:00+00');
my @seeds = $ENV{PREPAY_SEED} ? split(/,/, $ENV{PREPAY_SEED}) : (1, 2, 3, 4, 1 + (time ^ $$) % 1_000_000);
my $tou = q{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"], ["07:15", "b"], ["21:40", "a"]]}]};
my %tariff = (
	t => qq[{$tou, "tiers": {"accumulate": "month", "upto": [20, 55]}, "prices": {"a": [0.3, 0.35, 0.6], "b": [0.55, 0.6, 0.9]}, "standing": [{"name": "service", "amount": 0.1, "per": "day"}]}],
	u => qq[{$tou, "tiers": {"accumulate": "day_allowance", "upto": [3], "allocation": "proportional"}, "prices": {"a": [0.3, 0.35], "b": [0.55, 0.7]}}],
	v => q[{"prices": 0.538, "surcharges": [{"name": "fund", "per_kwh": 0.0211}]}]);

sub pick
{
	return $_[ int rand @_ ];
}

sub stamp
{
	return POSIX::strftime('%Y-%m-%dT%H:%M:%S+00', gmtime $_[0]);
}

sub kwh
{
	return defined $_[0] ? sprintf '%d.%03d', $_[0] / 1000, $_[0] % 1000 : 'NULL';
}

# Times at which something is known of a meter, with what its register really showed.
sub random_samples
{
	my ($start, @event_time) = @_;
	my %at = map { $_ => 1 } @event_time;
	my $time = $start + 60 + int rand 40_000;

	while ($time < $start + $DAYS * 86400)
	{
		$at{$time} //= 0;
		$time += pick(900, 1800, 1800, 3600, 7200, 20_000, 50_000, 100_000, 180_000) + int rand 120;
	}
	my $register = int rand 50_000;
	return map { $register += pick(0, 1, 1, 2, 5, int rand 200, int rand 4000); { time => $_, is_event => $at{$_}, register => $register } } sort { $a <=> $b } keys %at;
}

# The life of a meter: given and taken at times that ascend.
sub random_terms
{
	my ($start) = @_;
	my @time = sort { $a <=> $b } map { $start + 3600 + int rand(($DAYS - 1) * 86400) } 1 .. pick(0, 1, 2, 3, 4, 5);
	my @event;
	my $owner = 0;

	foreach my $time (@time)
	{
		push @event, { time => $time, take => $owner } if $owner;
		$owner = $owner && rand() < 0.4 ? 0 : 1 + int rand $ACCOUNTS;
		push @event, { time => $time, give => $owner } if $owner;
	}
	return @event;
}

# Everything that happens to the town's meters, each with the calls that tell it.
sub random_town
{
	my ($start) = @_;
	my @fact;
	my $replaced;

	# The third last: what replaces it is known then.
	foreach my $meter (1, 2, 4, 3)
	{
		my @event = $meter == 4 ? () : random_terms($start);
		my $late = $start + int(($DAYS - 0.5) * 86400);
		my %sample = map { $_->{time} => $_ } my @sample = random_samples($start, $late, map { $_->{time} } @event);
		my $last = 0;

		$replaced = $sample{$late}{register} if $meter == 4;
		push @event, { time => $late, replace => $replaced } if $meter == 3 && @event && $event[-1]{give};

		foreach my $event (@event)
		{
			# Told by a person, or not known; a replacement has both registers.
			my $told = $sample{ $event->{time} };

			$told->{told} = 1 if rand() < 0.5 || defined $event->{replace};
			push @fact, { %$event, meter => $meter, kind => 'owner', register => $told->{told} ? $told->{register} : undef };
		}
		foreach my $sample (@sample)
		{
			my $least = $last;

			$last = $sample->{register};
			next if $sample->{is_event};
			my $misread = rand() < 0.08 && $least > 0;

			push @fact, { kind => 'reading', meter => $meter, time => $sample->{time}, misread => $misread,
				register => $misread ? $least + int rand($last - $least + 1) : $last };
			push @fact, { kind => 'correction', meter => $meter, time => $sample->{time}, register => $last } if $misread;
		}
		push @fact, { kind => 'ratio', meter => $meter, time => $start + 7200 + int rand(($DAYS - 1) * 86400), ratio => pick(1, 2, 0.7, 10) } if rand() < 0.6;
	}
	return @fact;
}

our $careless; # whether mistakes are made and put right

sub tell_owner
{
	my ($site, $fact) = @_;
	my ($from, $to) = @$fact{qw(take give)};
	my $rest = sprintf "'s%d/M%d', %s, '%s'", $site, $fact->{meter}, kwh($fact->{register}), stamp($fact->{time});

	return "SELECT prepay.remove_meter('s$site/A$from', $rest);\n" if $from;
	return sprintf "SELECT prepay.replace_meter('s%d/M3', 's%d/M4', %s, %s, '%s');\n", $site, $site, kwh($fact->{register}), kwh($fact->{replace}), stamp($fact->{time}) if defined $fact->{replace};
	my $wrong = 1 + $to % $ACCOUNTS;

	return ($careless && rand() < 0.3 ? "SELECT prepay.add_meter('s$site/A$wrong', $rest); SELECT prepay.remove_meter('s$site/A$wrong', $rest);\n" : '') . "SELECT prepay.add_meter('s$site/A$to', $rest);\n";
}

sub sentence
{
	my ($site, $fact) = @_;
	my $meter = "'s$site/M$fact->{meter}'";
	my $time = stamp($fact->{time});

	return tell_owner($site, $fact) if $fact->{kind} eq 'owner';
	return sprintf "SELECT prepay.correct_reading(%s, '%s', %s, 'misread');\n", $meter, $time, kwh($fact->{register}) if $fact->{kind} eq 'correction';
	return ($careless && rand() < 0.5 ? "SELECT prepay.change_meter($meter, '{\"ratio\": 7}', '$time');\n" : '') . "SELECT prepay.change_meter($meter, '{\"ratio\": $fact->{ratio}}', '$time');\n"
	  if $fact->{kind} eq 'ratio';
	return sprintf "INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (%d, %d, '%s', %s);\n", $site, $fact->{meter}, $time, kwh($fact->{register});
}

sub of_kind
{
	my ($kind, @fact) = @_;

	return grep { $_->{kind} eq $kind } @fact;
}

# Terms of a meter are told in their order, a correction after its reading; else as it comes.
sub mixed
{
	my @fact = @_;
	my @order;
	my (%owner, %reading);

	push @{ $owner{ $_->{meter} } }, $_ foreach of_kind('owner', @fact);
	foreach my $fact (shuffle @fact)
	{
		my $key = "$fact->{meter} $fact->{time}";

		if ($fact->{kind} eq 'owner')
		{
			push @order, shift @{ $owner{ $fact->{meter} } };
		}
		elsif ($fact->{kind} ne 'correction')
		{
			push @order, $fact;
			push @order, $reading{$key} if $fact->{misread} && $reading{$key};
			$reading{$key} = 'told' if $fact->{kind} eq 'reading';
		}
		elsif (($reading{$key} // '') eq 'told')
		{
			push @order, $fact;
		}
		else
		{
			$reading{$key} = $fact;
		}
	}
	return @order;
}

sub with_ticks
{
	my ($site, @fact) = @_;

	return join '', map { sentence($site, $_) . (rand() < 0.1 ? "SELECT prepay.tick(3);\n" : '') } @fact;
}

my @way = (
	[ 'as it happens', sub {
		my ($site, @fact) = @_;
		my $script = '';

		# At one moment the old owner goes before the new one comes; a correction comes an hour later.
		my @order = sort { $a->{when} <=> $b->{when} || !!$b->{take} <=> !!$a->{take} } map { { %$_, when => $_->{time} + ($_->{kind} eq 'correction' ? 3600 : 0) } } @fact;
		$script .= sprintf("SET prepay.now = '%s';\n", stamp($_->{when})) . with_ticks($site, $_) foreach @order;
		return $script;
	} ],
	[ 'readings first', sub {
		my ($site, @fact) = @_;

		return with_ticks($site, shuffle(of_kind('reading', @fact)), shuffle(of_kind('ratio', @fact)), of_kind('owner', @fact), shuffle(of_kind('correction', @fact)));
	} ],
	[ 'readings last', sub {
		my ($site, @fact) = @_;

		return with_ticks($site, of_kind('owner', @fact), shuffle(of_kind('ratio', @fact)), shuffle(of_kind('reading', @fact)), shuffle(of_kind('correction', @fact)));
	} ],
	[ 'mixed, with mistakes put right', sub {
		my ($site, @fact) = @_;

		local $careless = 1;
		return with_ticks($site, mixed(@fact));
	} ]);

foreach my $seed (@seeds)
{
	my $database = "seed$seed";
	my $zone = (srand($seed), pick('Asia/Shanghai', 'America/Los_Angeles', 'Europe/Berlin', 'Australia/Lord_Howe'))[1];
	# About a change of daylight saving time, or the turn of a year.
	my $start = pick(1_772_400_000, 1_774_200_000, 1_792_300_000, 1_797_700_000);
	my @fact = random_town($start);

	note "seed $seed (PREPAY_SEED repeats it): $zone, ", scalar @fact, ' facts';
	set_clock($node, stamp($start - 86400));
	install($node, $database);
	foreach my $site (1 .. @way)
	{
		$node->safe_psql($database, "SELECT prepay.create_site('s$site', 'Site', '$zone', 'EUR');"
			. join('', map { "SELECT prepay.define_tariff('s$site/$_', '$tariff{$_}');" } sort keys %tariff)
			. "SELECT prepay.set_setting('s$site', 'tariff', 'v');"
			. join('', map { "INSERT INTO prepay.meter (site_id, code, ratio) VALUES ($site, 'M$_', $RATIO[$_]);" } 1 .. 4)
			. join('', map { "SELECT prepay.open_account('s$site/A$_', 'Customer', opening_balance => 100, key => 'o$_', tariff => '" . (qw(t t u v))[ $_ - 1 ] . "');" } 1 .. $ACCOUNTS));
	}
	set_clock($node, stamp($start + ($DAYS + 1) * 86400));
	foreach my $site (1 .. @way)
	{
		$node->safe_psql($database, $way[ $site - 1 ][1]->($site, @fact));
	}
	# How far an account is sealed depends on what was known when; after the delay all are sealed alike.
	set_clock($node, stamp($start + ($DAYS + 4) * 86400));
	while ($node->safe_psql($database, 'SELECT prepay.tick(5)') > 0) { }

	my %result;
	foreach my $site (1 .. @way)
	{
		my $how = "seed $seed, $way[$site - 1][0]";
		my %query = (
			'balances' => "SELECT account, balance, sealed_through FROM prepay.account_status WHERE site = 's$site' ORDER BY account",
			'usage' => qq{SELECT account, meter, day, tariff, version, component, item, period, tier, trim_scale(sum(kwh)), trim_scale(sum(amount))
				FROM prepay.usage_daily WHERE site = 's$site' GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 HAVING sum(kwh) <> 0 OR sum(amount) <> 0 ORDER BY 1, 2, 3, 4, 5, 6, 7, 8, 9},
			'unowned energy' => "SELECT meter, day, kwh, from_time, to_time, since, until FROM prepay.unowned_energy WHERE site = 's$site' ORDER BY meter, from_time");

		foreach my $what (sort keys %query)
		{
			my $got = $node->safe_psql($database, $query{$what});

			$result{$what} //= $got;
			same_lines($got, $result{$what}, "$how: the same $what");
		}
		is($node->safe_psql($database, "SELECT reason, count(*) FROM prepay.reading_review WHERE site_id = $site GROUP BY reason"), '', "$how: every reading is believed");
	}
	# Where the ratio is one throughout, what is charged and what is unowned is what the register moved.
	my @moved;
	foreach my $meter (grep { my $m = $_; $RATIO[$m] == 1 && !grep { $_->{meter} == $m } of_kind('ratio', @fact) } 1 .. 4)
	{
		my @register = map { $_->{register} } grep { $_->{meter} == $meter && defined $_->{register} && !$_->{misread} } @fact;

		push @moved, sprintf 'M%d|%s', $meter, kwh(max(@register) - min(@register)) if @register && max(@register) > min(@register);
	}
	my $all = join ',', map { /^(M\d)/ ? "'$1'" : () } @moved;
	is($all ? $node->safe_psql($database, "SELECT meter, sum(kwh) FROM (SELECT site, meter, kwh FROM prepay.usage_daily WHERE component = 'energy'
		UNION ALL SELECT site, meter, kwh FROM prepay.unowned_energy) e WHERE site = 's4' AND meter IN ($all) GROUP BY meter ORDER BY meter") : '', join("\n", @moved), "seed $seed: all energy is accounted for");
	healthy($node, $database, "seed $seed");
}

done_testing();
