# Turn SQL parts and meter profiles into C strings, so that the library carries its own storage.
# usage: embed.pl NAME=FILE... ; "NAME=GLOB" is expanded here
use strict;
use warnings;

print "/* Made by embed.pl; do not edit. */\n";
print "typedef struct StoragePart\n{\n\tconst char *name;\n\tconst char *sql;\n} StoragePart;\n";

my (%files, @names);
my $name = '';
for my $arg (@ARGV)
{
	if ($arg =~ s/^(\w+)=//)
	{
		$name = $1;
		push @names, $name;
	}
	push @{ $files{$name} }, grep { -f } glob $arg;
}
for my $part (@names)
{
	print "static const StoragePart ${part}_parts[] = {\n";
	for my $file (sort @{ $files{$part} })
	{
		open my $in, '<', $file or die "$file: $!\n";
		(my $code = $file) =~ s{.*/|\.\w+$}{}g;
		print "\t{ \"$code\",\n";
		while (my $line = <$in>)
		{
			chomp $line;
			$line =~ s/(["\\])/\\$1/g;
			print "\t\"$line\\n\"\n";
		}
		print "\t},\n";
	}
	print "};\n";
}
