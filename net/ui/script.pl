#!/usr/bin/perl
# All modules of the page as one script, small: perl script.pl DIR FILE... writes it to stdout.
#
# The modules stand one behind the other, those that are needed before those that need them, in one scope: what a module
# declares for itself or for others gets a name of its own, and imports become the name of what they mean. A module of views/
# is found by its name, as import() would. Comments and needless blanks are left out, and names of variables become short: inside
# a module a name has the same short one wherever it stands for a variable, so scopes need not be known; names of properties
# stay, and so do the browser's own (@known) where a module does not declare them for itself.
# script.pl - reads one script from stdin, and writes it without comments and blanks, names as they are.
#
# What modules may be written like is what this understands, else it ends with an error: imports of names on a line each,
# exports where something is declared or as a list, no default export, no await outside of functions, no label, names
# of plain letters, a semicolon behind each statement.
use strict;
use warnings;

my $dir = shift;
my @later;	# modules that are found by their name when they are used
my %keyword = map { $_ => 1 } qw(arguments async await break case catch class const continue debugger default delete do else enum eval export
	extends false finally for function get if implements import in instanceof interface let new null of package private protected public
	return set static super switch this throw true try typeof undefined var void while with yield);
my %known = map { $_ => 1 } qw(AbortController AbortSignal Array ArrayBuffer BigInt Blob Boolean CSS CustomEvent DOMException DataTransfer Date
	DocumentFragment Element Error Event EventTarget File FileReader Float32Array Float64Array FormData HTMLElement Headers Image Infinity
	Int32Array IntersectionObserver Intl JSON KeyboardEvent Map Math MouseEvent MutationObserver NaN Node Number Object Option Path2D Promise
	Proxy RangeError ReadableStream Reflect RegExp Request ResizeObserver Response Set String Symbol SyntaxError Text TextDecoder TextEncoder
	TypeError URL URLSearchParams Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakSet addEventListener alert atob blur btoa
	cancelAnimationFrame clearInterval clearTimeout close confirm console crypto customElements decodeURIComponent devicePixelRatio
	dispatchEvent document encodeURIComponent fetch focus frames getComputedStyle getSelection globalThis history indexedDB innerHeight
	innerWidth isFinite isNaN isSecureContext localStorage location matchMedia navigator open origin parent parseFloat parseInt performance
	postMessage print prompt queueMicrotask removeEventListener requestAnimationFrame requestIdleCallback screen scroll scrollTo scrollX scrollY self
	sessionStorage setInterval setTimeout stop structuredClone top window);
# Behind these words comes a value, so a slash begins a regular expression, and a brace an object.
my %before_value = map { $_ => 1 } qw(await case delete do else in instanceof new of return throw typeof void yield);

sub fail { my ($name, $what) = @_; die "script.pl: $name: $what\n" }

# Tokens: [kind, text, line break before it]; kinds: id, num, str, re, tmpl (a piece of a template), p (all other signs).
sub tokens {
	my ($name, $text) = @_;
	my (@out, @braces);
	my $break = 0;
	my $push = sub { push @out, [$_[0], $_[1], $break]; $break = 0 };
	my $template = sub {	# from behind ` or } on
		$text =~ /\G((?:[^`\\\$]|\\.|\$(?!\{))*)(`|\$\{)/gcs or fail($name, "a template without an end");
		$out[-1][1] .= $1 . $2;
		push @braces, "`" if $2 eq "\${";
	};
	pos($text) = 0;
	while (pos($text) < length $text) {
		if ($text =~ /\G(\s+)/gc) { $break = 1 if $1 =~ /\n/ }
		elsif ($text =~ m{\G(//[^\n]*|/\*.*?\*/)}gcs) { $break = 1 if $1 =~ /\n/ }
		elsif ($text =~ /\G("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')/gc) { $push->("str", $1) }
		elsif ($text =~ /\G(0[xX][0-9a-fA-F_]+n?|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?n?)/gc) { $push->("num", $1) }
		elsif ($text =~ /\G([A-Za-z_\$][\w\$]*)/gc) { $push->("id", $1) }
		elsif ($text =~ /\G`/gc) { $push->("tmpl", "`"); $template->() }
		elsif ($text =~ m{\G/}gc) {
			my $p = $out[-1];
			my $value = $p && ($p->[0] =~ /^(num|str|re)$/ || $p->[0] eq "tmpl" && $p->[1] =~ /`$/ || $p->[0] eq "id" && !$before_value{$p->[1]} || $p->[0] eq "p" && $p->[1] =~ /^[\])}]$/);
			if ($value) { $text =~ /\G=/gc ? $push->("p", "/=") : $push->("p", "/") }
			else {
				$text =~ m{\G((?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*)}gc or fail($name, "a regular expression without an end");
				$push->("re", "/$1");
			}
		}
		elsif ($text =~ /\G(=>|\.\.\.|\?\?=|\*\*=|&&=|\|\|=|>>>=|===|!==|>>>|<<=|>>=|\*\*|\?\?|\?\.(?!\d)|&&|\|\||==|!=|<=|>=|\+\+|--|\+=|-=|\*=|%=|&=|\|=|\^=|<<|>>|[-+*%=<>!&|^~?:;,.(){}\[\]])/gc) {
			my $sign = $1;
			if ($sign eq "{") { push @braces, "{" }
			elsif ($sign eq "}") {
				my $open = pop @braces // fail($name, "a brace too many");
				if ($open eq "`") { $push->("tmpl", "}"); $template->(); next }
			}
			$push->("p", $sign);
		}
		else { fail($name, "what is this? " . substr($text, pos $text, 40)) }
	}
	return \@out;
}

# From the folder of a module to another one.
sub path {
	my ($from, $to) = @_;
	my @at = split m{/}, $from;
	pop @at;
	for (split m{/}, $to) { if ($_ eq "..") { pop @at } elsif ($_ ne ".") { push @at, $_ } }
	return join "/", @at;
}

# A module: {name, text, imports => {name here => [module, name there]}, exports => {name for others => name here}}
sub module {
	my ($name) = @_;
	local $_;
	open my $in, "<:encoding(UTF-8)", "$dir/$name" or fail($name, $!);
	my $m = {name => $name, imports => {}, exports => {}, needs => []};
	my $text = "";
	while (<$in>) {
		if (/^import /) {
			/^import \{([^}]*)\} from "(\.[^"]+)";\s*$/ or fail($name, "an import that is not understood: $_");
			my ($names, $from) = ($1, path($name, $2));
			push @{$m->{needs}}, $from;
			for (split /,/, $names) {
				/^\s*(\w+)(?: as (\w+))?\s*$/ or fail($name, "an import that is not understood: $_");
				$m->{imports}{$2 // $1} = [$from, $1];
			}
			next;
		}
		if (/^export /) {
			if (/^export \{([^}]*)\};\s*$/) { $m->{exports}{s/ //gr} = s/ //gr for split /,/, $1; next }
			if (s/^export ((?:const|async function\*?|function\*?|class) (\w+))/$1/) { $m->{exports}{$2} = $2 }
			else { fail($name, "an export that is not understood: $_") }
		}
		/^(await|for await) / and fail($name, "an await outside of functions");
		s/import\.meta\.url/new URL("$name", import.meta.url).href/g;
		s/(?<![\w.])import\("([^"()]*)"\)/push @later, path($name, $1); "Promise.resolve(found[\"$later[-1]\"])"/ge;
		s/(?<![\w.])import\((`[^`()]*`)\)/Promise.resolve(found[new URL($1, "x:\/$name").pathname.slice(1)])/g;
		$text .= $_;
	}
	$m->{text} = $text;
	return $m;
}

# What each sign that is a word is: [1] of roles: "key" (of an object, a property), "short" (key and variable in one), "var".
sub roles {
	my ($t) = @_;
	my (@stack, @roles, %declared, %top);
	my $is = sub { my ($i, $text) = @_; $i >= 0 && $i < @$t && $t->[$i][0] eq "p" && $t->[$i][1] eq $text };
	my $word = sub { my ($i, $text) = @_; $i >= 0 && $i < @$t && $t->[$i][0] eq "id" && $t->[$i][1] eq $text };
	my $binds = sub {	# words of a pattern or of parameters from i to j that become variables
		my ($i, $j, $outside) = @_;
		for my $k ($i .. $j) {
			next unless $t->[$k][0] eq "id";
			my ($p, $n) = ($t->[$k - 1][1], $t->[$k + 1][1]);
			next unless $p =~ /^([({\[,:]|\.\.\.)$/ && $n =~ /^[,)}\]=]$/;
			$declared{$t->[$k][1]} = 1;
			$top{$t->[$k][1]} = 1 if $outside;
		}
	};
	my %close;
	my @open;
	for my $i (0 .. $#$t) {
		if ($t->[$i][0] eq "p" && $t->[$i][1] =~ /^[({\[]$/) { push @open, $i }
		elsif ($t->[$i][0] eq "p" && $t->[$i][1] =~ /^[)}\]]$/) { $close{pop @open} = $i }
		elsif ($t->[$i][0] eq "tmpl") {
			if ($t->[$i][1] =~ /^\}/) { $close{pop @open} = $i }
			if ($t->[$i][1] =~ /\$\{$/) { push @open, $i }
		}
	}
	my %opened = reverse %close;
	for my $i (0 .. $#$t) {
		my ($kind, $text) = @{$t->[$i]};
		my $p = $i ? $t->[$i - 1] : ["p", ";"];
		if ($kind eq "tmpl") {
			pop @stack if $text =~ /^\}/;
			push @stack, {kind => "("} if $text =~ /\$\{$/;
		} elsif ($kind eq "p") {
			if ($text eq "{") {
				my $object;
				if ($p->[0] eq "id") {
					if ($before_value{$p->[1]} || $p->[1] =~ /^(const|let|var|return)$/) { $object = $p->[1] !~ /^(do|else)$/ }
					my $class = $word->($i - 2, "class") || $word->($i - 2, "extends");
					push @stack, {kind => $object ? "object" : $class ? "class" : "block"};
				} else {
					$object = $p->[0] eq "p" && $p->[1] !~ /^([;{})]|=>)$/;
					$object = 0 if $p->[1] eq ":" && $stack[-1] && $stack[-1]{case};
					push @stack, {kind => $object ? "object" : "block"};
				}
				$stack[-1]{case} = 0;
			} elsif ($text =~ /^[(\[]$/) { push @stack, {kind => $text} }
			elsif ($text =~ /^[)}\]]$/) { pop @stack }
			elsif ($text eq "?") { $stack[-1]{ternary}++ if @stack }
			elsif ($text eq ":" && @stack) {
				if ($stack[-1]{ternary}) { $stack[-1]{ternary}-- }
				elsif ($stack[-1]{kind} eq "block") { $stack[-1]{case} = 1 }
			}
			$stack[-1]{case} = 0 if @stack && $text ne ":" && $text !~ /^[)}\]]$/;
			if ($text eq "=>") {
				if ($p->[0] eq "id") { $declared{$p->[1]} = 1 }
				elsif ($p->[1] eq ")") { $binds->($opened{$i - 1} + 1, $i - 2) }
			} elsif ($text eq "{" && $p->[1] eq ")" && $p->[0] eq "p") {
				my $from = $opened{$i - 1};	# of a function, a method, catch; of if and while there is nothing that binds
				my ($b, $c) = ($t->[$from - 1], $from > 1 ? $t->[$from - 2] : ["p", ";"]);
				$binds->($from + 1, $i - 2) if $b->[0] eq "id" && $b->[1] !~ /^(if|while|for|switch|with)$/ || $c->[1] eq "function";
			}
		} elsif ($kind eq "id" && !$keyword{$text}) {
			my $in = @stack ? $stack[-1]{kind} : "block";
			my $n = $i < $#$t ? $t->[$i + 1] : ["p", ";"];
			my $begins = $in eq "object" && $p->[0] eq "p" && $p->[1] =~ /^[{,]$/ || $in eq "class" && $p->[0] eq "p" && $p->[1] =~ /^[{};]$/;
			my $q = $i > 1 ? $t->[$i - 2] : ["p", ";"];
			my $prefixed = $in =~ /^(object|class)$/ && ($p->[0] eq "id" && $p->[1] =~ /^(get|set|async|static)$/ || $p->[1] eq "*") && $q->[1] =~ /^[{,};*]$|^(async|static)$/;
			if ($p->[0] eq "p" && $p->[1] =~ /^\??\.$/) { $roles[$i] = "key" }
			elsif (($begins || $prefixed) && $n->[1] =~ /^[:(]$/ && $n->[0] eq "p") { $roles[$i] = "key" }
			elsif ($begins && $n->[0] eq "p" && $n->[1] =~ /^[,}=]$/) { $roles[$i] = $in eq "class" ? "key" : "short" }
			else { $roles[$i] = "var" }
			if ($roles[$i] eq "var" && $p->[0] eq "id" && $p->[1] =~ /^(const|let|var|function|class)$/ || $p->[1] eq "*" && $word->($i - 2, "function")) {
				$declared{$text} = 1;
				$top{$text} = 1 if !@stack;
			}
		}
		# const a = 1, b = 2; const {c} = d
		if ($kind eq "id" && $text =~ /^(const|let|var)$/ && $p->[1] ne ".") {
			for (my $k = $i + 1; $k < @$t; $k++) {
				my $s = $t->[$k];
				my $starts = $k == $i + 1 || $t->[$k - 1][0] eq "p" && $t->[$k - 1][1] eq ",";
				if ($starts && $s->[0] eq "id") { $declared{$s->[1]} = 1; $top{$s->[1]} = 1 if !@stack }
				elsif ($starts && $s->[0] eq "p" && $s->[1] =~ /^[{\[]$/) { $binds->($k + 1, $close{$k} - 1, !@stack) }
				last if $s->[0] eq "p" && $s->[1] =~ /^[;)}\]]$/ || $s->[0] eq "id" && $s->[1] =~ /^(of|in)$/ && $s->[1] ne "";
				$k = $close{$k} if exists $close{$k} && $s->[0] eq "p";
				$k = $close{$k} if $s->[0] eq "tmpl" && exists $close{$k};
			}
		}
	}
	return (\@roles, \%declared, \%top);
}

# Prints the tokens with the names of %short for variables, without needless blanks, semicolons before a brace that closes,
# commas behind the last of a list, brackets around the only parameter of an arrow function.
sub give {
	my ($t, $roles, $short) = @_;
	my $last = ["p", ";"];
	my $sign_at = sub { my ($i) = @_; $i >= 0 && $i < @$t && $t->[$i][0] eq "p" ? $t->[$i][1] : "" };
	my (%left_out, @open, %head);	# head: the bracket that ends what an if, for or while begins with
	for my $i (0 .. $#$t) {
		if ($sign_at->($i) eq "(") { push @open, $i }
		elsif ($sign_at->($i) eq ")") { my $o = pop @open; $head{$i} = 1 if $o && $t->[$o - 1][1] =~ /^(if|for|while)$/ }
		my ($a, $b) = ($sign_at->($i), $sign_at->($i + 1));
		$left_out{$i} = 1 if $a eq ";" && $b eq "}" && !$head{$i - 1} || $a eq "," && $b =~ /^[)}\]]$/ && $sign_at->($i - 1) !~ /^[,\[]$/;
		if ($a eq "(" && $i + 3 < @$t && $t->[$i + 1][0] eq "id" && $sign_at->($i + 2) eq ")" && $sign_at->($i + 3) eq "=>") {
			@left_out{$i, $i + 2} = (1, 1);
		}
	}
	for my $i (0 .. $#$t) {
		next if $left_out{$i};
		my ($kind, $sign, $break) = @{$t->[$i]};
		my $role = $roles->[$i] // "";
		my $new = $short && $short->{$sign} // $sign;
		if ($role eq "var") { $sign = $new }
		elsif ($sign eq "const" && $short) { $sign = "let" }
		elsif ($role eq "short" && $new ne $sign) { $sign = "$sign:$new" }
		my $joins = $kind =~ /^(id|num|re)$/ && $last->[0] =~ /^(id|num|re)$/ && !($kind eq "re" && $last->[0] eq "id")	# 1 in, /x/ in
			|| $kind eq "p" && $last->[0] eq "p" && $last->[1] =~ /[-+]$/ && $sign =~ /^[-+]/	# a - -b
			|| $kind eq "p" && $last->[0] eq "num" && $sign =~ /^\./;	# 1 .toFixed()
		# Where a line ends without a semicolon the language may see one.
		my $line = $break && !($last->[0] eq "p" && $last->[1] =~ /^([;{,(\[=:?&|+*<]|=>|&&|\|\||\?\?)$/) &&
			!($kind eq "p" && $sign =~ /^([;},)\].:?]|&&|\|\||\?\?|\?\.)$/) && !($last->[0] eq "p" && $last->[1] eq ")" && $kind eq "id" && $sign eq "return");
		print $line ? "\n" : $joins ? " " : "", $sign;
		$last = [$kind, $sign];
	}
	print "\n";
}

binmode STDOUT, ":encoding(UTF-8)";
if ($dir eq "-") {
	binmode STDIN, ":encoding(UTF-8)";
	local $/;
	give(tokens("stdin", scalar <STDIN>), [], undef);
	exit;
}

# theme.js is a script of its own: it runs before anything is painted.
my %modules = map { $_ => module($_) } grep { /\.js$/ && $_ ne "theme.js" } @ARGV;
my (@order, %seen);
sub visit {
	my ($name, $by) = @_;
	my $m = $modules{$name} or fail($by, "$name is not there");
	return if $seen{$name}++;
	visit($_, $name) for @{$m->{needs}};
	push @order, $m;
}
visit($_, "the list") for sort grep { $_ ne "app.js" } keys %modules;
# What import() finds stands by its name behind all others, but for app.js, which begins.
my %found = map { $_ => 1 } @later, grep { m{^views/} && $modules{$_}{exports}{show} } keys %modules;
my ($found, $n) = ({name => "", imports => {}, exports => {found => "found"}, text => "const found = {"}, 0);
for my $name (sort keys %found) {
	my $m = $modules{$name} or fail("the list", "$name is not there");
	$found->{text} .= "\"$name\": {";
	for (sort keys %{$m->{exports}}) {
		$found->{imports}{"found$n"} = [$name, $_];
		$found->{text} .= "$_: found$n, ";
		$n++;
	}
	$found->{text} .= "}, ";
}
$found->{text} .= "};\n";
push @order, $found;
$modules{""} = $found;
$_->{imports}{found} = ["", "found"] for grep { $_ ne $found } values %modules;
visit("app.js", "the list");

# What a name of the outermost scope of a module means: module and name where it is declared.
sub meaning {
	my ($m, $name, $by) = @_;
	my $from = $m->{imports}{$name} or return "$m->{name} $name";
	my $there = $modules{$from->[0]};
	exists $there->{exports}{$from->[1]} or fail($m->{name}, "$from->[0] exports no $from->[1]");
	return meaning($there, $there->{exports}{$from->[1]});
}

my (%uses, %everywhere, %taken);
for my $m (@order) {
	my $t = $m->{tokens} = tokens($m->{name}, $m->{text});
	my ($roles, $declared, $top) = roles($t);
	$m->{roles} = $roles;
	for my $name (keys %{$m->{exports}}) {
		$top->{$m->{exports}{$name}} || $m->{imports}{$m->{exports}{$name}} or fail($m->{name}, "exports $name, which is not there");
	}
	for my $i (0 .. $#$t) {
		next unless ($roles->[$i] // "") =~ /^(var|short)$/;
		my $name = $t->[$i][1];
		if ($top->{$name} || $m->{imports}{$name}) { my $it = $m->{outer}{$name} //= meaning($m, $name); $uses{$it}++ }
		elsif ($declared->{$name} && !$known{$name}) { $m->{own}{$name}++; $everywhere{$name}++ }
		else { $m->{taken}{$name} = 1; $taken{$name} = 1 }
	}
}

my @letters = ("a" .. "z", "A" .. "Z", "_", "\$");
my @more = ("a" .. "z", "A" .. "Z", 0 .. 9, "_", "\$");
sub nth {
	my ($n) = @_;
	my $name = $letters[$n % 54];
	$n = int($n / 54);
	while ($n) { $n--; $name .= $more[$n % 64]; $n = int($n / 64) }
	return $name;
}
# Of the outermost scope: the most used ones have a letter, of the end of the alphabet.
my $LETTERS = 8;
my (%outer, $next);
my @outer = sort { $uses{$b} <=> $uses{$a} || $a cmp $b } keys %uses;
$outer{$outer[$_]} = $letters[53 - $_] for 0 .. ($#outer < $LETTERS ? $#outer : $LETTERS - 1);
$next = 54;
for my $it (grep { !exists $outer{$_} } @outer) {
	my $new;
	do { $new = nth($next++) } while $keyword{$new} || $known{$new} || $taken{$new};
	$outer{$it} = $new;
}
# Names that stand in many modules have the same letter in all: then they pack better.
my %common;
my @common = sort { $everywhere{$b} <=> $everywhere{$a} || $a cmp $b } keys %everywhere;
$#common = $#letters - $LETTERS if @common > @letters - $LETTERS;
@common{@common} = @letters[0 .. $#common];

# Short names for one module: name => short.
sub short_names {
	my ($m) = @_;
	my %short = map { $_ => $outer{$m->{outer}{$_}} } keys %{$m->{outer}};
	my %gone = map { $_ => 1 } values %short, keys %{$m->{taken}};
	my $own = $m->{own};
	for (grep { exists $common{$_} && !$gone{$common{$_}} } keys %$own) { $short{$_} = $common{$_}; $gone{$common{$_}} = 1 }
	my $next = 0;
	for my $name (sort { $own->{$b} <=> $own->{$a} || $a cmp $b } grep { !exists $short{$_} } keys %$own) {
		my $new;
		do { $new = nth($next++) } while $keyword{$new} || $known{$new} || $gone{$new};
		$short{$name} = $new;
	}
	return \%short;
}
give($_->{tokens}, $_->{roles}, short_names($_)) for @order;
