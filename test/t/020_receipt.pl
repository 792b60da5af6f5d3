# Receipts and statements on paper: the HTML is rendered, and what is on the page is looked at: its size, its copies,
# every character as text and as ink. A text can be in a PDF and not on its page, so ink is counted.
use strict;
use warnings;
use utf8;

use Encode qw(decode_utf8 encode_utf8);
use IPC::Run ();
use PostgreSQL::Test::Utils;
use Test::More;

use Prepay qw(new_server install make_site write_file);

my $node = new_server('paper', clock => '2026-03-02T09:15:07+08');
my $folder = PostgreSQL::Test::Utils::tempdir();

install($node, 'postgres');
make_site($node, 'postgres');
sql(q{UPDATE prepay.site SET name = '滨江商业小镇'});
sql(q{INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'B1', '一号楼东区')});
sql(q{INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M001'), (1, 'M002')});
sql(q{SELECT prepay.open_account('A1', '杭州某某餐饮管理有限公司', '13800000000', 'B1', '{M001,M002}')});
sql(q{SELECT prepay.open_account('A2', repeat('特别长的名字有限公司', 300), place => 'B1')});
sql(q{SELECT prepay.open_account('A3', '<script>张三</script>{amount}&amp;')});
sql(q{SELECT prepay.sell(account, 107000.53, 'k' || account, 'wechat', '首次购电') FROM unnest('{A1,A2,A3}'::text[]) AS account});

sub sql
{
	my ($query) = @_;

	return decode_utf8($node->safe_psql('postgres', encode_utf8($query)));
}

sub output
{
	my (@command) = @_;
	my ($out, $error) = ('', '');

	IPC::Run::run(\@command, '<', \'', '>', \$out, '2>', \$error) or die "@command: $error";
	return $out;
}

# A PDF of a receipt, and what is in it: pages as text, words with their places, pictures.
sub render
{
	my ($name, $html) = @_;
	my $pdf = "$folder/$name.pdf";
	my %paper;

	write_file("$folder/$name.html", encode_utf8($html));
	output('weasyprint', '-q', "$folder/$name.html", $pdf);
	$paper{info} = output('pdfinfo', $pdf);
	$paper{fonts} = [ grep { /\bCID|TrueType|Type/ } split /\n/, output('pdffonts', $pdf) ];
	$paper{text} = [ split /\f/, decode_utf8(output('pdftotext', $pdf, '-')) ];
	$paper{words} = [ map { [ words_of($_) ] }
		  decode_utf8(output('pdftotext', '-bbox', $pdf, '-')) =~ m{<page .*?</page>}sg ];
	output('pdftoppm', '-r', '144', '-gray', $pdf, "$folder/$name");
	$paper{picture} = [ map { read_picture($_) } sort glob "$folder/$name-*.pgm" ];
	return \%paper;
}

sub words_of
{
	my ($page) = @_;
	my @words;

	while ($page =~ m{<word xMin="(.*?)" yMin="(.*?)" xMax="(.*?)" yMax="(.*?)">(.*?)</word>}g)
	{
		push @words, { box => [ $1, $2, $3, $4 ], text => unescape($5) };
	}
	return @words;
}

sub unescape
{
	my ($text) = @_;
	my %char = (lt => '<', gt => '>', quot => '"', '#39' => "'", amp => '&', emsp => ' ');

	return $text =~ s/&([#\w]+);/$char{$1}/gr;
}

sub read_picture
{
	my ($file) = @_;
	my $data = slurp_file($file);

	$data =~ s/^P5\s+(\d+)\s+(\d+)\s+255\s// or die "$file is no picture";
	return { width => $1, height => $2, pixel => $data };
}

# Dark pixels of a box given in points; a picture has two pixels a point.
sub ink
{
	my ($picture, $x0, $y0, $x1, $y1) = @_;
	my $dark = 0;

	foreach my $y (int(2 * $y0) .. int(2 * $y1) - 1)
	{
		next if $y >= $picture->{height};
		my $row = substr $picture->{pixel}, $y * $picture->{width} + int(2 * $x0), int(2 * ($x1 - $x0));
		$dark += $row =~ tr/\x00-\x80//;
	}
	return $dark;
}

# Characters that have a place on the page but no ink in it. Chinese ones are all of one width.
sub blank_characters
{
	my ($paper) = @_;
	my @blank;

	foreach my $page (0 .. $#{ $paper->{words} })
	{
		foreach my $word (@{ $paper->{words}[$page] })
		{
			my ($x0, $y0, $x1, $y1) = @{ $word->{box} };
			my @char = $word->{text} =~ /^\p{Han}+$/ ? split(//, $word->{text}) : ($word->{text});
			my $step = ($x1 - $x0) / @char;

			foreach my $i (0 .. $#char)
			{
				push @blank, $char[$i]
				  if !ink($paper->{picture}[$page], $x0 + $i * $step, $y0, $x0 + ($i + 1) * $step, $y1);
			}
		}
	}
	return @blank;
}

# Characters the HTML shows and the page does not give back as text.
sub lost_characters
{
	my ($html, $paper) = @_;
	my ($body) = $html =~ m{<body>(.*)</body>}s;
	my %on_page = map { $_ => 1 } split //, join '', @{ $paper->{text} };
	my %wanted = map { $_ => 1 } split //, unescape($body =~ s/<[^>]*>//gr =~ s/\s+//gr);

	return sort grep { !$on_page{$_} } keys %wanted;
}

sub no_blanks
{
	return join '', split ' ', $_[0];
}

sub check_paper
{
	my ($what, $html, $paper, @labels) = @_;

	like($paper->{info}, qr/^Pages:\s+3$/m, "$what: three copies, one page each");
	my ($width, $height) = $paper->{info} =~ /^Page size:\s+([\d.]+) x ([\d.]+) pts/m;
	ok(abs($width / 72 * 25.4 - 241) < 0.2 && abs($height / 72 * 25.4 - 93.1) < 0.2,
		"$what: 241 mm by 93.1 mm");
	foreach my $page (0 .. 2)
	{
		my $text = no_blanks($paper->{text}[$page]);

		is_deeply([ grep { $text =~ /\Q$labels[$_]\E/ } 0 .. 2 ], [$page],
			"$what: page $page is labelled $labels[$page] and nothing else")
		  or diag(encode_utf8($text));
	}
	is_deeply([ grep { !/\byes yes yes\b/ } @{ $paper->{fonts} } ], [], "$what: all fonts are embedded");
	cmp_ok(scalar @{ $paper->{fonts} }, '>=', 1, "$what: there is a font");
	return;
}

sub check_glyphs
{
	my ($what, $html, $paper) = @_;

	is(join(' ', map { encode_utf8($_) } lost_characters($html, $paper)), '',
		"$what: every character is on the page as text");
	is(join(' ', map { encode_utf8($_) } blank_characters($paper)), '', "$what: and as ink");
	return;
}

# Chinese, every word of it.
my $html = sql(q{SELECT prepay.receipt('A1', 2, 'receipt-html')});
my $chinese = render('chinese', $html);
check_paper('Chinese', $html, $chinese, '存根联', '客户联', '记账联');
check_glyphs('Chinese', $html, $chinese);
my $hash = sql(q{SELECT left(encode(hash, 'hex'), 16) FROM prepay.ledger WHERE account = 'A1' AND seq = 2});
foreach my $text ('售电收据', '滨江商业小镇', '杭州某某餐饮管理有限公司', '13800000000', '一号楼东区', 'M001M002',
	'107000.53', '人民币壹拾万柒仟元零伍角叁分', '微信支付', '首次购电', '2026-03-0209:15:07', $hash)
{
	is(scalar(grep { no_blanks($_) =~ /\Q$text\E/ } @{ $chinese->{text} }), 3, encode_utf8("$text is on all copies"));
}
unlike(join('', @{ $chinese->{text} }), qr/补打/, 'the original is no reprint');

# English, and a reprint.
sql(q{SELECT prepay.update_account('A1', '{"language": "en"}')});
$html = sql(q{SELECT prepay.receipt('A1', 2, 'receipt-html')});
my $english = render('english', $html);
check_paper('English', $html, $english, 'StubREPRINT1', 'CustomerREPRINT1', 'AccountsREPRINT1');
check_glyphs('English', $html, $english);

# A name that fills pages stays in its line, one that is markup stays text.
$html = sql(q{SELECT prepay.receipt('A2', 2, 'receipt-html')});
my $long = render('long', $html);
check_paper('a long name', $html, $long, '存根联', '客户联', '记账联');
is(scalar(grep { no_blanks($_) =~ /壹拾万柒仟元零伍角叁分.*首次购电.*客户（签字）/s } @{ $long->{text} }), 3,
	'the rest of the receipt is where it was');
$html = sql(q{SELECT prepay.receipt('A3', 2, 'receipt-html')});
my $markup = render('markup', $html);
check_paper('a name of markup', $html, $markup, '存根联', '客户联', '记账联');
check_glyphs('a name of markup', $html, $markup);
is(scalar(grep { no_blanks($_) =~ m{<script>张三</script>\{amount\}&amp;} } @{ $markup->{text} }), 3,
	'it is printed as it is written');

# A statement fills pages of A4.
sql(q{INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, t, extract(day FROM t)
	FROM generate_series(1, 2) AS m, generate_series('2026-03-01 00:00+08'::timestamptz, '2026-03-02 08:00+08', '4 hours') AS t});
foreach my $language (qw(zh en))
{
	sql(qq{SELECT prepay.update_account('A1', '{"language": "$language"}')});
	$html = sql(q{SELECT prepay.statement_print('A1', NULL, 'statement-html')});
	my $statement = render("statement-$language", $html);
	like($statement->{info}, qr/^Page size:.*\(A4\)$/m, "statement, $language: A4");
	check_glyphs("statement, $language", $html, $statement);
	foreach my $text ('杭州某某餐饮管理有限公司', '107000.53', 'M002', $language eq 'zh' ? '售电(账目2)' : 'sale(entry2)')
	{
		like(no_blanks($statement->{text}[0]), qr/\Q$text\E/, encode_utf8("statement, $language: $text"));
	}
}

# The checks themselves can fail: a character no font has (fonts do fill the first private area), and text that leaves no ink.
$html = '<meta charset="utf-8"><body>张三' . chr(0x10FFFD) . '</body>';
is(join('', lost_characters($html, render('missing', $html))), chr(0x10FFFD), 'a missing glyph would be seen');
is(join('', blank_characters(render('white', '<meta charset="utf-8"><body style="color: white">张三</body>'))),
	'张三', 'and so would one without ink');

done_testing();
