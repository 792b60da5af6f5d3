# All money functions at once on the same accounts, beside readings, tick() and changes of settings: no
# deadlock, nothing but refusals that a rule explains, and what plain arithmetic says. Then a day's
# calls once more, twice, in any order and at the same time: the first results, and not a cent moves.
use strict;
use warnings;

use List::Util qw(shuffle sum0);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site set_clock journal_client write_file healthy deadlocks same_lines);

my $ACCOUNTS = 12;
my $HOURS = 60;
my $node = new_server('money', clock => '2026-01-01T00:00:00+08', conf => "deadlock_timeout = 200ms\n");
my $folder = PostgreSQL::Test::Utils::tempdir();

install($node, 'town');
make_site($node, 'town');
# Refusals are part of the game; any other error is not. The answer is "label|amount|debt".
$node->safe_psql('town', qq{
	CREATE FUNCTION attempt(label text, statement text) RETURNS text LANGUAGE plpgsql AS \$\$
	DECLARE
		answer text;
	BEGIN
		EXECUTE statement INTO answer;
		RETURN label || '|' || answer;
	EXCEPTION WHEN OTHERS THEN
		IF SQLSTATE NOT LIKE 'PP02_' THEN
			RAISE;
		END IF;
		RETURN label || '|refused ' || SQLSTATE;
	END \$\$;
	SELECT prepay.set_setting('town', 'emergency_credit', '20');
	INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, $ACCOUNTS) AS n;
	SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100, key => 'o' || n)) FROM generate_series(1, $ACCOUNTS) AS n;
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, '2026-01-01 00:00+08', 0 FROM generate_series(1, $ACCOUNTS) AS n;});
set_clock($node, '2026-01-04T00:00:00+08');

my $seed = $ENV{PREPAY_SEED} // time ^ $$;
srand $seed;
note "seed $seed (PREPAY_SEED repeats it)";

sub account { return 'A' . (1 + int rand $ACCOUNTS) }
sub cents { return sprintf '%.2f', (1 + int rand shift) / 100 }

# ---- the storm ----

my @job;

sub ask
{
	my ($client, $label, $call, $amount, $debt) = @_;

	push @{ $job[$client] }, [ $label, sprintf q{SELECT attempt('%s', $q$SELECT %s || '|' || %s FROM %s$q$)}, $label, $amount, $debt, $call ];
	return;
}

foreach my $hour (1 .. $HOURS)
{
	push @{ $job[0] }, [ "r$hour", "INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, timestamptz '2026-01-01 00:00+08' + $hour * interval '1 hour', $hour FROM generate_series(1, $ACCOUNTS) AS n" ];
	push @{ $job[0] }, [ "t$hour", 'SELECT prepay.tick(5) >= 0' ];
}
foreach my $n (1 .. 250)
{
	my $till = rand() < 0.3 ? q{, options => '{"till": "desk"}'} : '';

	ask(1 + $n % 2, "s$n", sprintf(q{prepay.sell('%s', %s, 's%d'%s)}, account(), cents(1000), $n, $till), 'amount', 0);
}
foreach my $n (1 .. 150)
{
	ask(3, "f$n", sprintf(q{prepay.refund('%s', %s, 'f%d')}, account(), cents(2000), $n), 'amount', 0);
	ask(4, "x$n", sprintf(q{prepay.transfer('%s', '%s', %s, 'x%d')}, account(), account(), cents(2000), $n), 0, 0);
}
# A transfer to itself is an argument error, not a refusal.
@{ $job[4] } = grep { $_->[1] !~ /'(A\d+)', '\1'/ } @{ $job[4] };
foreach my $n (1 .. 120)
{
	my $account = account();

	# The first side of the posting it names; what rating booked and what paid a debt are parts of others.
	ask(5, "v$n", "(SELECT kind, seq, debt FROM prepay.ledger WHERE account = '$account' AND kind IN ('sale', 'refund', 'adjustment', 'credit', 'transfer_in', 'transfer_out', 'debt')"
		  . " AND COALESCE(debt, 0) >= 0 ORDER BY md5(seq::text || '$n') LIMIT 1) AS o, LATERAL prepay.reverse('$account', o.seq, 'v$n') AS r",
		q{CASE WHEN o.kind LIKE 'transfer%' THEN 0 ELSE r.amount END}, 'COALESCE(-o.debt, 0)');
	ask(5, "a$n", sprintf(q{prepay.adjust('%s', %s, 'a%d', 'because')}, account(), (rand() < 0.5 ? '-' : '') . cents(500), $n), 'amount', 0);
	my $terms = rand() < 0.5 ? '{}' : '{"percent": 25, "cap": 3, "per": "day"}';
	my $amount = cents(300);
	ask(6, "d$n", sprintf(q{prepay.add_debt('%s', %s, 'd%d', '%s')}, account(), $amount, $n, $terms), 'amount', $amount);
	ask(6, "g$n", sprintf(q{prepay.grant_credit('%s', %s, 'g%d', '{"priority": %d}')}, account(), cents(300), $n, rand 3), 'amount', 0);
	ask(6, "e$n", sprintf(q{prepay.activate_emergency_credit('%s', 'e%d')}, account(), $n), 'amount', 0);
}
foreach my $n (1 .. 25)
{
	push @{ $job[7] }, [ "p$n", "SELECT prepay.update_account('" . account() . "', '{\"alarm1_amount\": " . int(rand 100) . '}\')' ],
	  [ "m$n", "SELECT prepay.set_setting('town', 'sale_fee_percent', '" . int(rand 5) . q{')} ],
	  [ "k$n", q{SELECT count(*) FROM prepay.open_shift(0, 'desk')} ], [ "q$n", q{SELECT count(*) FROM prepay.close_shift(0, 'desk')} ],
	  [ "b$n", "SELECT prepay.open_account('B$n', 'Guest', opening_balance => 5, key => 'b$n')" ],
	  [ "w$n", "SELECT prepay.sell('B$n', 1, 'w$n'); SELECT attempt('c$n', \$q\$SELECT 0 || '|0' FROM prepay.close_account('B$n', 'c$n')\$q\$)" ];
}

my @running = map { journal_client($node, 'town', "$folder/client$_", @{ $job[$_] }) } 0 .. $#job;
$_->finish foreach @running;
my ($amount, $debt, $posted, $refused) = (0, 0, 0, 0);
foreach my $c (0 .. $#job)
{
	my $journal = slurp_file("$folder/client$c");

	is(slurp_file("$folder/client$c.err"), '', "client $c met nothing but refusals");
	is(scalar(() = $journal =~ /^done /mg), scalar @{ $job[$c] }, "client $c did all of its work");
	$refused += () = $journal =~ /\|refused PP02/g;
	while ($journal =~ /^[a-z]\d+\|(-?[\d.]+)\|(-?[\d.]+)$/mg)
	{
		$amount += int($1 * 100 + ($1 < 0 ? -0.5 : 0.5));
		$debt += int($2 * 100 + ($2 < 0 ? -0.5 : 0.5));
		$posted++;
	}
}
note "$posted postings, $refused refused";
cmp_ok($posted, '>', 600, 'much was posted');
cmp_ok($refused, '>', 10, 'and some was refused');
is(deadlocks($node), 0, 'no deadlock');

while ($node->safe_psql('town', 'SELECT prepay.tick()') > 0) { }
# What pays debt leaves balance and debt alike; everything else is in the journals.
is($node->safe_psql('town', q{SELECT round((sum(balance) - sum(debt)) * 100) FROM prepay.account_status WHERE account LIKE 'A%'}),
	100 * 100 * $ACCOUNTS + $amount - $debt - 100 * $ACCOUNTS * $HOURS, 'balances less debts are what the clients were told, less the energy used');
is($node->safe_psql('town', q{SELECT count(*) FROM prepay.posting WHERE key !~ '^[obw]\d'}), $posted, 'what was acknowledged is posted, and nothing else');
is($node->safe_psql('town', 'SELECT sum(kwh) FROM prepay.usage_daily') + 0, $ACCOUNTS * $HOURS, 'every kWh is rated once');
is($node->safe_psql('town', q{SELECT count(*) FROM (SELECT till FROM prepay.ledger WHERE receipt_no IS NOT NULL GROUP BY till HAVING count(*) <> max(receipt_no) OR min(receipt_no) <> 1) AS g}), 0, 'receipts of every till are numbered without a gap');
is($node->safe_psql('town', q{SELECT count(*) FROM prepay.closed_accounts WHERE balance <> 0}), 0, 'what is closed is settled');
is($node->safe_psql('town', q{SELECT sum(r.net) - (SELECT sum(amount + COALESCE(fee, 0)) FROM prepay.ledger WHERE tender IS NOT NULL) FROM prepay.sales_daily r}) + 0, 0, 'the daily report is the ledger');
is($node->safe_psql('town', q{SELECT count(*) FROM (SELECT DISTINCT ON (account) account, closing_balance FROM prepay.account_monthly ORDER BY account, month DESC) m JOIN prepay.account_status s USING (account) WHERE closing_balance <> posted_balance}), 0, 'the monthly balances are the ledger');
healthy($node, 'town', 'after the storm');

# ---- a day's calls, again ----

my @day;
my $take = 0;
foreach my $n (1 .. 40)
{
	my ($one, $two) = (account(), account());

	$two = 'A' . (1 + ($one =~ /(\d+)/)[0] % $ACCOUNTS) if $one eq $two;
	push @day, sprintf(q{prepay.sell('%s', %s, 'D-s%d', 'wechat', 'day %d')}, $one, 10 + cents(5000), $n, $n),
	  sprintf(q{prepay.refund('%s', %s, 'D-f%d', 'again', '{"tender": "card"}')}, $one, cents(100), $n),
	  sprintf(q{prepay.transfer('%s', '%s', %s, 'D-x%d')}, $one, $two, cents(500), $n),
	  sprintf(q{prepay.adjust('%s', %s, 'D-a%d', 'day %d')}, $two, cents(100), $n, $n),
	  sprintf(q{prepay.add_debt('%s', %s, 'D-d%d', '{"percent": 10}')}, $two, cents(500), $n),
	  sprintf(q{prepay.grant_credit('%s', %s, 'D-g%d', '{"expires": "2026-02-01"}')}, $one, cents(500), $n),
	  sprintf(q{prepay.reverse('%s', %d, 'D-v%d', 'mistake')}, $one, 3 + $n, $n);
}
push @day, map { sprintf q{prepay.close_account('A%d', 'D-c%d', '{"collect": true}')}, $_, $_ } 1 .. 3;

# The first time, one after the other: what each is answered.
my %answer;
foreach my $n (0 .. $#day)
{
	my ($code, $out, $error) = $node->psql('town', "SELECT * FROM $day[$n]");

	$answer{$n} = $code == 0 ? $out : undef;
	$take++ if $code == 0;
	like($error, qr/PP02\d|own unspent|reversed|owes|closed|credit of entry|debt of entry/, "refused: $day[$n]") if $code != 0;
}
cmp_ok($take, '>', 200, 'a day of calls');
my $books = q{SELECT a.account_id, s.last_seq, s.last_hash, s.posted_minor, s.debt_minor, s.purchases FROM prepay.account a JOIN prepay.account_state s USING (site_id, account_id) ORDER BY 1};
my $before = $node->safe_psql('town', $books);
my $tills = $node->safe_psql('town', 'SELECT * FROM prepay.till ORDER BY till');

# Twice more each, shuffled, four clients at a time. Much has happened since: the answer is still the first.
my @again = shuffle((grep { defined $answer{$_} } 0 .. $#day) x 2);
my @part;
push @{ $part[ $_ % 4 ] }, [ $_, "SELECT 'answer $again[$_] ' || r::text FROM (SELECT * FROM $day[$again[$_]]) AS r" ] foreach 0 .. $#again;
@running = map { journal_client($node, 'town', "$folder/again$_", @{ $part[$_] }) } 0 .. 3;
$_->finish foreach @running;
my %same;
foreach my $c (0 .. 3)
{
	is(slurp_file("$folder/again$c.err"), '', "replaying client $c met no error");
	foreach my $line (split /\n/, slurp_file("$folder/again$c"))
	{
		$same{$1}{$2}++ if $line =~ /^answer (\d+) (.*)$/;
	}
}
is(scalar(grep { keys %{ $same{$_} } == 1 && sum0(values %{ $same{$_} }) == 2 } keys %same), $take, 'every call gave the same answer both times');
my @first = map { join '|', map { $_ // '' } (split /\|/, $answer{$_}, -1)[ 1, 2, 3, 4, 5, 6 ] } sort { $a <=> $b } keys %same;
my @later = map { my ($row) = keys %{ $same{$_} }; join '|', (split /,/, substr($row, 1))[ 1, 2, 3, 4, 5, 6 ] } sort { $a <=> $b } keys %same;
same_lines(join("\n", @later), join("\n", @first), 'and it was the first one');
same_lines($node->safe_psql('town', $books), $before, 'no ledger has moved');
same_lines($node->safe_psql('town', 'SELECT * FROM prepay.till ORDER BY till'), $tills, 'no receipt was given out');

# New calls, by two clients at the same time: each is done once, and both get its answer.
my @twin = map { sprintf q{prepay.%s}, $_ } map { (sprintf(q{sell('A%d', 7, 'T-s%d')}, 4 + $_ % 9, $_), sprintf(q{refund('A%d', 0.01, 'T-f%d')}, 4 + $_ % 9, $_), sprintf(q{transfer('A%d', 'A%d', 0.01, 'T-x%d')}, 4 + $_ % 9, 4 + ($_ + 1) % 9, $_)) } 1 .. 60;
@running = map { journal_client($node, 'town', "$folder/twin$_", map { [ $_, "SELECT 'answer $_ ' || r::text FROM (SELECT * FROM $twin[$_]) AS r" ] } 0 .. $#twin) } 0 .. 1;
$_->finish foreach @running;
is(slurp_file("$folder/twin$_.err"), '', "twin $_ met no error") foreach 0 .. 1;
same_lines((join "\n", sort grep { /^answer/ } split /\n/, slurp_file("$folder/twin0")), (join "\n", sort grep { /^answer/ } split /\n/, slurp_file("$folder/twin1")), 'twins are answered alike');
is($node->safe_psql('town', q{SELECT count(*) FROM prepay.posting WHERE key LIKE 'T-%'}), scalar @twin, 'each is posted once');
is($node->safe_psql('town', q{SELECT sum(amount) FROM prepay.ledger WHERE key LIKE 'T-%'}) + 0, 60 * 7 - 60 * 0.01 + $node->safe_psql('town', q{SELECT COALESCE(sum(amount), 0) FROM prepay.ledger WHERE key LIKE 'T-%' AND kind = 'debt'}) - $node->safe_psql('town', q{SELECT COALESCE(sum(fee), 0) FROM prepay.ledger WHERE key LIKE 'T-%'}), 'with its money');

# One login with many sessions: each takes a till nobody holds, no more tills than sessions, and no gap.
# What the planner knows of tills is from when there was one.
my $SESSIONS = 10;
install($node, 'busy');
make_site($node, 'busy');
$node->safe_psql('busy', q{SELECT count(prepay.open_account('A' || n, 'Customer', opening_balance => 1, key => 'o' || n)) FROM generate_series(1, 100) AS n; ANALYZE prepay.till});
write_file("$folder/sell.sql", "\\set a random(1, 100)\n\\set k random(1, 1000000000000)\nSELECT prepay.sell('A' || :a, 1, 'k' || :k);\n");
my $done = '';
IPC::Run::run([ 'pgbench', '-n', '-f', "$folder/sell.sql", '-c', $SESSIONS, '-t', 200, $node->connstr('busy') ], '>', \$done, '2>', \my $said);
like($done, qr/actually processed: @{[ 200 * $SESSIONS ]}\//, 'every sale was made') or diag($said);
is($node->safe_psql('busy', 'SELECT sum(last_receipt_no) FROM prepay.till'), 100 + 200 * $SESSIONS, 'as many receipts');
cmp_ok($node->safe_psql('busy', 'SELECT count(*) FROM prepay.till'), '<=', $SESSIONS, 'no more tills than sessions');
healthy($node, 'busy', 'after a rush');
is(deadlocks($node), 0, 'no deadlock');
healthy($node, 'town', 'in the end');

done_testing();
