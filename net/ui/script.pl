#!/usr/bin/perl
# All modules of the page as one script, small: perl script.pl DIR FILE... writes it to stdout.
#
# The modules stand one behind the other, as they are given, but those that are needed before those that need them, in one
# scope: what a module declares for itself or for others gets a name of its own, and imports become the name of what they mean.
# A module of views/ is found by its name, as import() would. Comments and needless blanks are left out, declarations behind
# each other become one, true, false and 0.5 are written shorter, and names of variables become short: in each scope the first
# letters that mean nothing else there, so that functions that do alike look alike and pack well. So do functions of the
# language that want no `this` and are used twice, Math.max. Names of properties stay, and so does what no scope declares: it is
# the browser's.
# script.pl - reads one script from stdin, and writes it without comments and blanks, names as they are.
#
# What modules may be written like is what this understands, else it ends with an error: imports of names on a line each,
# exports where something is declared or as a list, no default export, no await outside of functions, no label, no var, names
# of plain letters, a semicolon behind each statement.
use strict;
use warnings;

my $dir = shift;
my @later;	# modules that are found by their name when they are used
my %keyword = map { $_ => 1 } qw(arguments async await break case catch class const continue debugger default delete do else enum eval export
	extends false finally for function get if implements import in instanceof interface let new null of package private protected public
	return set static super switch this throw true try typeof undefined var void while with yield);
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

# What signs are: {tokens, roles: of each that is a word "key" (a property), "short" (key and variable in one), "var"; close: of each that
# opens the one that closes; opened: the other way round; braces: of each brace that opens "object", "class", "block"; joins: semicolons
# between two declarations, which may be one: filled by scopes()}.
sub parse {
	my ($t) = @_;
	my (@stack, @roles, %close, @open, %braces);
	my $word = sub { my ($i, $text) = @_; $i >= 0 && $i < @$t && $t->[$i][0] eq "id" && $t->[$i][1] eq $text };
	for my $i (0 .. $#$t) {
		if ($t->[$i][0] eq "p" && $t->[$i][1] =~ /^[({\[]$/) { push @open, $i }
		elsif ($t->[$i][0] eq "p" && $t->[$i][1] =~ /^[)}\]]$/) { $close{pop @open} = $i }
		elsif ($t->[$i][0] eq "tmpl") {
			if ($t->[$i][1] =~ /^\}/) { $close{pop @open} = $i }
			if ($t->[$i][1] =~ /\$\{$/) { push @open, $i }
		}
	}
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
				$braces{$i} = $stack[-1]{kind};
				$stack[-1]{case} = 0;
			} elsif ($text =~ /^[(\[]$/) { push @stack, {kind => $text} }
			elsif ($text =~ /^[)}\]]$/) { pop @stack }
			elsif ($text eq "?") { $stack[-1]{ternary}++ if @stack }
			elsif ($text eq ":" && @stack) {
				if ($stack[-1]{ternary}) { $stack[-1]{ternary}-- }
				elsif ($stack[-1]{kind} eq "block") { $stack[-1]{case} = 1 }
			}
			$stack[-1]{case} = 0 if @stack && $text ne ":" && $text !~ /^[)}\]]$/;
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
		}
	}
	return {tokens => $t, roles => \@roles, close => \%close, opened => {reverse %close}, braces => \%braces, joins => {}};
}

# The scopes of a module: what stands from one sign to another may be declared there: {from, to, names => {name => 1},
# order => [names as they are declared], outer => the scope around it, body => it belongs to the scope around it (a function's
# body and its parameters)}. Returns the scope of each sign, the module's own one (of all it has) first.
sub scopes {
	my ($name, $parsed) = @_;
	my ($t, $roles, $close, $opened, $braces) = @$parsed{qw(tokens roles close opened braces)};
	my $sign = sub { my ($i) = @_; $i >= 0 && $i < @$t && $t->[$i][0] =~ /^(p|id)$/ ? $t->[$i][1] : "" };
	my $behind = sub {	# the sign behind this one or behind what it opens
		my ($i) = @_;
		$i = $close->{$i} while exists $close->{$i};
		return $i + 1;
	};
	my $value_end = sub {	# where a value ends that begins at $i: the sign behind it
		my ($i) = @_;
		for (my $ternary = 0; $i < @$t && $sign->($i) !~ /^[,;)}\]]$/ && $t->[$i][1] !~ /^\}/; $i = $behind->($i)) {
			$sign->($i) =~ /^(const|let|var|return|if|for|while|switch|throw)$/ && !($roles->[$i] // 0) && $sign->($i - 1) ne "." and fail($name, "no semicolon before $t->[$i][1]");
			if ($sign->($i) eq "?") { $ternary++ }
			elsif ($sign->($i) eq ":" && !$ternary--) { last }
		}
		return $i;
	};
	my $statement_end;
	$statement_end = sub {	# the sign behind a statement
		my ($i) = @_;
		return $behind->($i) if $sign->($i) eq "{";
		if ($sign->($i) =~ /^(if|for|while)$/) {
			my $begin = $i;
			$i++ while $sign->($i) ne "(";
			$i = $statement_end->($behind->($i));
			return $sign->($begin) eq "if" && $sign->($i) eq "else" ? $statement_end->($i + 1) : $i;
		}
		$sign->($i) =~ /^(do|switch|try|function|class)$/ and fail($name, "$t->[$i][1] without a block around it");
		$i = $behind->($i) while $i < @$t && $sign->($i) !~ /^[;}]$/;
		return $sign->($i) eq ";" ? $i + 1 : $i;
	};
	my $module = {from => -1, to => scalar @$t, names => {}, order => []};
	my (@scopes, @binds);	# binds: [scope, from, to, in braces] of parameters
	my $scope = sub { my $s = {from => $_[0], to => $_[1], names => {}, order => [], body => $_[2]}; push @scopes, $s; return $s };
	for my $i (0 .. $#$t) {
		if ($sign->($i) eq "=>") {
			my $from = $sign->($i - 1) eq ")" ? $opened->{$i - 1} : $i - 1;
			my $s = $scope->($from, $sign->($i + 1) eq "{" ? $close->{$i + 1} : $value_end->($i + 1) - 1);
			push @binds, $from == $i - 1 ? [$s, $from, $i] : [$s, $from + 1, $i - 1];
		}
		elsif ($sign->($i) eq "for" && !($roles->[$i] // 0) && $sign->($i - 1) ne ".") {
			my $open = $sign->($i + 1) eq "await" ? $i + 2 : $i + 1;
			$scope->($open, $statement_end->($behind->($open)) - 1);
		}
		next unless ($braces->{$i} // "") eq "block";
		my $body = $sign->($i - 1) eq "=>";
		if ($sign->($i - 1) eq ")") {	# of a function, a method, catch; of if and while there is nothing that binds
			my $open = $opened->{$i - 1};
			my $b = $sign->($open - 1);
			if ($b !~ /^(if|while|for|switch|await)$/) {
				$b =~ /^(\*|\w+)$/ or fail($name, "a function that is not understood: $b(");
				push @binds, [$scope->($open, $close->{$i}), $open + 1, $i - 1];
				$body = 1;
			}
		}
		$scope->($i, $close->{$i}, $body);
	}
	@scopes = sort { $a->{from} <=> $b->{from} || $b->{to} <=> $a->{to} } @scopes;
	my (@at, @in);
	my $next = 0;
	my $now = $module;
	for my $i (0 .. $#$t) {
		while ($now->{to} < $i) { $now = $now->{outer} }
		while ($next < @scopes && $scopes[$next]{from} == $i) {
			$scopes[$next]{outer} = $now;
			$now = $scopes[$next++];
		}
		$at[$i] = $now;
	}
	my $declare = sub {
		my ($s, $i) = @_;
		return if $keyword{$sign->($i)};	# get, set, of: they stay
		push @{$s->{order}}, $t->[$i][1] unless $s->{names}{$t->[$i][1]}++;
	};
	my $pattern;
	$pattern = sub {	# a name or a pattern that begins at $i; the sign behind it
		my ($s, $i) = @_;
		$i++ if $sign->($i) eq "...";
		if ($t->[$i][0] eq "id") { $declare->($s, $i); return $i + 1 }
		$sign->($i) =~ /^[{\[]$/ or fail($name, "a pattern that is not understood: $t->[$i][1]");
		for (my $k = $i + 1; $k < $close->{$i}; $k++) {
			next if $sign->($k) eq ",";
			$k += 2 if $sign->($i) eq "{" && $sign->($k + 1) eq ":";
			$k = $pattern->($s, $k);
			$k = $value_end->($k);
		}
		return $close->{$i} + 1;
	};
	for (@binds) {
		my ($s, $from, $to) = @$_;
		for (my $k = $from; $k < $to; $k++) { $k = $value_end->($pattern->($s, $k)) }
	}
	for my $i (0 .. $#$t) {
		next if $t->[$i][0] ne "id" || $sign->($i - 1) eq "." || ($roles->[$i] // "") eq "key";
		if ($t->[$i][1] =~ /^(const|let)$/) {
			for (my $k = $i + 1;; $k++) {
				$k = $pattern->($at[$i], $k);
				last if $sign->($k) =~ /^(of|in)$/;
				$k = $value_end->($k);
				next if $sign->($k) eq ",";
				$parsed->{joins}{$k} = 1 if $sign->($k) eq ";" && $sign->($k + 1) =~ /^(const|let)$/;
				last;
			}
		}
		elsif ($t->[$i][1] eq "var") { fail($name, "var") }
		elsif ($sign->($i - 1) =~ /^(function|class)$/ || $sign->($i - 1) eq "*" && $sign->($i - 2) eq "function") { $declare->($at[$i], $i) }
	}
	return ($module, \@at, \@scopes);
}

# Prints the tokens, variables by their names in @$names, without needless blanks, semicolons before a brace that closes,
# commas behind the last of a list, brackets around the only parameter of an arrow function.
sub give {
	my ($parsed, $names) = @_;
	my ($t, $roles, $joins, $opened, $braces) = @$parsed{qw(tokens roles joins opened braces)};
	my $last = ["p", ";"];
	my $sign_at = sub { my ($i) = @_; $i >= 0 && $i < @$t && $t->[$i][0] eq "p" ? $t->[$i][1] : "" };
	my (%left_out, %head, %ends);	# head: the bracket that ends what an if, for or while begins with; ends: of a block
	for my $i (0 .. $#$t) {
		if (my $o = $opened->{$i}) {
			my $before = $t->[$o - 1][1];
			$head{$i} = 1 if $sign_at->($i) eq ")" && $before =~ /^(if|for|while)$/;
			$ends{$i} = 1 if ($braces->{$o} // "") eq "block" && $before ne "=>" && !($before eq ")" && $t->[$opened->{$o - 1} - 1][1] eq "function");
		}
		my ($a, $b) = ($sign_at->($i), $sign_at->($i + 1));
		$left_out{$i} = 1 if $a eq ";" && $b eq "}" && !$head{$i - 1} || $a eq "," && $b =~ /^[)}\]]$/ && $sign_at->($i - 1) !~ /^[,\[]$/;
		if ($a eq "(" && $i + 3 < @$t && $t->[$i + 1][0] eq "id" && $sign_at->($i + 2) eq ")" && $sign_at->($i + 3) eq "=>") {
			@left_out{$i, $i + 2} = (1, 1);
		}
	}
	for my $i (0 .. $#$t) {
		my ($kind, $sign, $break) = @{$t->[$i]};
		$break = 0 if $i && ($head{$i - 1} || $ends{$i - 1} || $t->[$i - 1][1] eq "else");
		next if $left_out{$i};
		if ($joins->{$i}) { $sign = ","; $left_out{$i + 1} = 1 }
		my $role = $roles->[$i] // "";
		my $new = $names && $names->[$i] // $sign;
		if ($role eq "var") {
			$sign = $new;
			@left_out{$i + 1, $i + 2} = (1, 1) if $parsed->{functions}{$i};
		}
		elsif ($names && $sign =~ /^(true|false)$/ && $kind eq "id" && $last->[1] !~ /^\??\.$/ && !($last->[1] =~ /^[{,]$/ && $sign_at->($i + 1) eq ":")) {
			$sign = $sign eq "true" ? "!0" : "!1";
			$kind = "p";
		}
		elsif ($names && $kind eq "num") { $sign =~ s/^0\./\./ }
		elsif ($sign eq "const" && $names && $role ne "key") { $sign = "let" }
		elsif ($role eq "short" && $new ne $sign) { $sign = "$sign:$new" }
		my $blank = $kind =~ /^(id|num|re)$/ && $last->[0] =~ /^(id|num|re)$/ && !($kind eq "re" && $last->[0] eq "id")	# 1 in, /x/ in
			|| $kind eq "p" && $last->[0] eq "p" && $last->[1] =~ /[-+]$/ && $sign =~ /^[-+]/	# a - -b
			|| $kind eq "p" && $last->[0] eq "num" && $sign =~ /^\./;	# 1 .toFixed()
		# Where a line ends without a semicolon the language may see one.
		my $line = $break && !($last->[0] eq "p" && $last->[1] =~ /^([;{,(\[=:?&|+*<]|=>|&&|\|\||\?\?)$/) &&
			!($kind eq "p" && $sign =~ /^([;},)\].:?]|&&|\|\||\?\?|\?\.)$/) && !($last->[0] eq "p" && $last->[1] eq ")" && $kind eq "id" && $sign eq "return");
		print $line ? "\n" : $blank ? " " : "", $sign;
		$last = [$sign =~ /^![01]$/ ? "num" : $kind, $sign];
	}
	print "\n";
}

binmode STDOUT, ":encoding(UTF-8)";
if ($dir eq "-") {
	binmode STDIN, ":encoding(UTF-8)";
	local $/;
	give(parse(tokens("stdin", scalar <STDIN>)), undef);
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
visit($_, "the list") for grep { exists $modules{$_} && $_ ne "app.js" } @ARGV;
# What import() may find, views, stands by its name behind all others, but for app.js, which begins.
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

# What each word means: [scope, name], or of the outermost scope its meaning(), or undef: the browser's.
my (%uses, %first, %taken, %functions);
my $of_language = qr/^(Array|JSON|Math|Number|Object)$/;
sub function_at {	# "Math.max", where that begins at a sign
	my ($t, $i) = @_;
	return $i + 2 < @$t && $t->[$i][1] =~ $of_language && $t->[$i + 1][1] eq "." && $t->[$i + 2][0] eq "id" ? "$t->[$i][1].$t->[$i + 2][1]" : undef;
}
for my $m (@order) {
	my $t = tokens($m->{name}, $m->{text});
	my $parsed = $m->{parsed} = parse($t);
	my $roles = $parsed->{roles};
	my ($module, $at, $scopes) = scopes($m->{name}, $parsed);
	$m->{scopes} = $scopes;
	for my $name (keys %{$m->{exports}}) {
		my $here = $m->{exports}{$name};
		exists $module->{names}{$here} || $m->{imports}{$here} or fail($m->{name}, "exports $name, which is not there");
	}
	for my $i (0 .. $#$t) {
		next unless ($roles->[$i] // "") =~ /^(var|short)$/;
		my $name = $t->[$i][1];
		my $s = $at->[$i];
		$s = $s->{outer} while $s && !exists $s->{names}{$name};
		my $it;
		if ($s && $s != $module) { $it = [$s, $name] }
		elsif ($s || $m->{imports}{$name}) { $it = meaning($m, $name); $uses{$it}++; $first{$it} //= keys %first; $s = $module }
		else {
			$taken{$name} = 1;
			$s = $module;
			if (my $function = function_at($t, $i)) { $it = $function; $functions{$function}++; $uses{$it}++; $first{$it} //= keys %first }
		}
		$m->{means}[$i] = $it;
		# Scopes between here and there must not give the name to something else.
		for (my $in = $at->[$i]; $in != $s; $in = $in->{outer}) { $in->{sees}{ref $it ? "$it->[0] $name" : $it // $name} = $it // $name }
	}
}

my @letters = ((split //, "etaoinsrhldcumfpgwybvkxjqz"), "A" .. "Z", "_", "\$");	# those of text first: they pack better
my @more = ("a" .. "z", "A" .. "Z", 0 .. 9, "_", "\$");
sub nth {
	my ($n) = @_;
	my $name = $letters[$n % 54];
	$n = int($n / 54);
	while ($n) { $n--; $name .= $more[$n % 64]; $n = int($n / 64) }
	return $name;
}
for my $rare (grep { $functions{$_} < 2 } keys %functions) { delete $functions{$rare}; delete $uses{$rare} }
# Of the outermost scope: the most used ones have a letter, those of the end first, as few others reach them.
my @free = grep { !$keyword{$_} && !$taken{$_} } reverse(@letters), map { nth($_) } @letters .. 2000 + keys %uses;
my %outer = map { $_ => shift @free } sort { $uses{$b} <=> $uses{$a} || $first{$a} <=> $first{$b} } keys %uses;

# Names of a module: new ones for each scope, those around it first.
sub names {
	my ($m) = @_;
	my $new = sub { my ($it) = @_; ref $it ? $it->[0]{new}{$it->[1]} : $outer{$it} // $it };
	for my $s (@{$m->{scopes}}) {
		my %gone = map { $new->($_) => 1 } values %{$s->{sees}};
		if ($s->{body}) { $gone{$_} = 1 for values %{$s->{outer}{new}} }
		my $next = 0;
		for my $name (@{$s->{order}}) {
			my $short;
			do { $short = nth($next++) } while $gone{$short} || $keyword{$short};
			$s->{new}{$name} = $short;
		}
	}
	my $means = $m->{means};
	for my $i (grep { defined $means->[$_] && $means->[$_] =~ /^\w+\.\w+$/ } 0 .. $#$means) {
		if ($functions{$means->[$i]}) { $m->{parsed}{functions}{$i} = 1 }
		else { $means->[$i] = undef }
	}
	return [map { defined $_ ? $new->($_) : undef } @$means];
}
print "let ", join(",", map { "$outer{$_}=$_" } sort keys %functions), ";" if %functions;
give($_->{parsed}, names($_)) for @order;
