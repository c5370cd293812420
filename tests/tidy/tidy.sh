#!/bin/sh
# Checks of the source itself: unique stems, banned calls, header shape, leftovers, format. Prints TAP.
cd "${KYMO_SRC:-.}" || exit 1
n=0
check() { # check TITLE OFFENDERS
	n=$((n + 1))
	if [ -z "$2" ]; then echo "ok $n - $1"
	else echo "not ok $n - $1"; printf '%s\n' "$2" | head -n 20 | sed 's/^/# /'
	fi
}
rooms="core proto storage net"
sources() { find $rooms tests bench -name '*.[ch]' | sort; }
# All files of the project; git may find the tree owned by somebody else; a tarball and a bare machine have no git.
files() { git -c safe.directory='*' ls-files 2>/dev/null | grep . ||
	find . \( -name 'build*' -o -name .git -o -name autom4te.cache -o -path ./data \) -prune -o -type f -print | sed 's,^\./,,'; }
room_sources() { find $rooms -name '*.[ch]' | sort; }

check "every file stem is unique in the tree" "$(sources | sed 's,.*/,,' | sort | uniq -d)"
check "no banned calls" "$(room_sources | xargs grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|alloca|gmtime|localtime|gets)[[:space:]]*\(' | grep -vE '^[^:]*:[0-9]*:[[:space:]]*(\*|/\*|//)')"
check "atomics, mutexes and threads only in core/rt and core/base" "$(find core/model core/seam core/account core/promql proto storage net -name '*.[ch]' | xargs grep -nE '\b(pthread_(create|mutex|cond|rwlock)|__atomic_|atomic_(load|store|fetch)|_Atomic)' | grep -vE ':[[:space:]]*(\*|/\*|//)')"
check "time only from core/base/clock" "$(find $rooms -name '*.c' -not -path 'core/base/*' -not -path 'core/rt/*' | xargs grep -nE '\b(clock_gettime|gettimeofday|time)[[:space:]]*\((NULL|CLOCK|&)')"
files_touched() { # calls that touch files outside fsio; anonymous memory is no file, so mmap(... MAP_ANONYMOUS ..., -1, ...) may stand
	find storage -name '*.c' -not -path 'storage/meta/*' | xargs awk '
		{ call = $0 }
		/(^|[^A-Za-z0-9_])mmap[[:space:]]*\(/ { line = $0; where = FILENAME ":" FNR; if ($0 !~ /;/ && (getline rest) > 0) call = line rest; if (call ~ /MAP_ANONYMOUS.*-1/) next; print where ": " line; next }
		{ print FILENAME ":" FNR ": " $0 }' |
		grep -E '\b(open|openat|pread|pwrite|write|fsync|fdatasync|rename|renameat|unlink|unlinkat|mmap)[[:space:]]*\(' |
		grep -vE '(fsio_|->|ops|\.)[a-z_]*(open|write|rename)' | grep -vE ':[[:space:]]*(\*|/\*|//)'
}
check "files of the store only through fsio" "$(files_touched)"
check "every header has its guard, named after its path" "$(find $rooms tests/lib -name '*.h' | while read -r h; do
	g=$(printf '%s' "$h" | tr 'a-z/.' 'A-Z__'); grep -q "^#ifndef $g\$" "$h" || echo "$h: no guard $g"; done)"
check "every header and source begins with a comment or says what it is" "$(find $rooms -name '*.h' | while read -r h; do head -n 1 "$h" | grep -q '^/\*' || echo "$h"; done)"
# Not leftovers: names for mkstemp and mkdtemp, and what Prometheus' parser says of modifiers that its user must switch on.
check "no leftovers" "$(files | grep -E '\.[ch]$|\.sh$|\.am$|\.md$|\.py$' | grep -v '^tests/tidy/' | xargs grep -nE 'TODO|FIXME|XXX|not implemented|unimplemented|placeholder|HACK' | grep -vE '[.-]X{6}"|(anchored|smoothed) modifier not implemented')"
check "no machine paths or session words" "$(files | grep -vE '^(tests/tidy/|LICENSE|tests/fuzz/corpus/)' | xargs grep -nIE '/work/|/tmp/(brief|b-)|\bsubagent|\bLLM\b' )"
check "no bare core in .gitignore" "$(grep -nx 'core' .gitignore)"
listed() { # listed STEM-PATTERN PATHS...: which of them no line of tests.am names
	pattern=$1
	shift
	for f in "$@"; do
		[ -e "$f" ] || continue
		stem=$(basename "$f"); stem=${stem%.*}
		grep -qE "$(printf "$pattern" "$stem")" tests/tests.am || echo "$f is not in tests/tests.am"
	done
}
check "every unit test is built and run" "$(listed '^UNIT_TESTS \\+=.* %s( |$)' tests/unit/*/t_*.c tests/promql/t_*.c)"
check "every fuzzer is built and run" "$(listed '^FUZZERS \\+=.* %s( |$)' tests/fuzz/fuzz_*.c)"
check "every fuzzer has seeds" "$(for f in tests/fuzz/fuzz_*.c; do s=${f##*/fuzz_}; [ -n "$(ls "tests/fuzz/corpus/${s%.c}" 2>/dev/null)" ] || echo "$f: tests/fuzz/corpus/${s%.c} is empty"; done)"
check "every scene runs" "$(listed '/scene/%s\\.py( |$)' tests/scene/s*.py)"
check "every micro bench is built" "$(for f in bench/micro/b_*.c; do s=$(basename "$f" .c); grep -qE "^EXTRA_PROGRAMS \+=.* $s( |$)" bench/bench.am || echo "$f is not in bench/bench.am"; done)"
check "every file of the page is packed" "$(for f in $(cd net/ui && find . -name '*.js' -o -name '*.css' -o -name '*.html' -o -name '*.svg' -o -path './help/*.md' | sed 's|^\./||' | sort); do grep -qx "UI_FILES += $f" net/net.am || echo "net/ui/$f is not in net/net.am"; done)"
# What a comment, a script or a page cites is here: a path from the top, or a name beside the file. Pages of others are cited by title.
cited() {
	files | grep -E '\.(c|h|def|am|sh|py|md)$|^bootstrap$|^\.ci/' | grep -v '^tests/tidy/' | xargs grep -noE '[A-Za-z0-9_./-]+\.md\b' |
		grep -vE ':(\.[a-z]|/)|^net/net.am:[0-9]*:help/|^[^:]*:[0-9]*:(help|out)\.md$' | while IFS=: read -r file line page; do
		page=${page#./}
		[ -f "$page" ] || [ -f "$(dirname "$file")/$page" ] || echo "$file:$line: $page"
	done
}
check "every page that is cited is here" "$(cited)"
# Lines of comments, tabs counted as eight: readable in two windows side by side, and in a diff.
long_comments() {
	sources | xargs awk '
		FNR == 1 { inside = 0 }
		{ text = $0; gsub(/"([^"\\]|\\.)*"/, "", text); begins = index(text, "/*"); comment = inside || begins || text ~ /(^|[ \t])\/\//
		  if (begins) { inside = 1; text = substr(text, begins + 2) }
		  if (inside && index(text, "*/")) inside = 0
		  if (!comment) next
		  wide = 0
		  for (i = 1; i <= length($0); i++) { if (substr($0, i, 1) == "\t") wide += 8 - wide % 8; else wide++ }
		  if (wide > 100) print FILENAME ":" FNR ": " wide " columns" }'
}
check "lines of comments end at 100 columns" "$(long_comments)"
big=$(room_sources | xargs wc -l | awk '$2 != "total" && $1 > 1000 { print $2 ": " $1 " lines" }')
check "no file past 1,000 lines" "$big"
if command -v clang-format-14 >/dev/null 2>&1; then
	check "every file stands as clang-format 14 puts it" "$(sources | xargs clang-format-14 --dry-run 2>&1 | grep -E '^[a-z][^ ]*: warning' | sed 's/:.*//' | sort | uniq -c)"
else
	n=$((n + 1)); echo "ok $n - every file stands as clang-format 14 puts it # SKIP clang-format-14 is not installed"
fi
echo "1..$n"
