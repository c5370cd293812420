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
room_sources() { find $rooms -name '*.[ch]' | sort; }

check "every file stem is unique in the tree" "$(sources | sed 's,.*/,,' | sort | uniq -d)"
check "no banned calls" "$(room_sources | xargs grep -nE '\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|atol|atof|alloca|gmtime|localtime|gets)[[:space:]]*\(' | grep -vE '^[^:]*:[0-9]*:[[:space:]]*(\*|/\*|//)')"
check "atomics, mutexes and threads only in core/rt and core/base" "$(find core/model core/seam core/promql proto storage net -name '*.[ch]' | xargs grep -nE '\b(pthread_(create|mutex|cond|rwlock)|__atomic_|atomic_(load|store|fetch)|_Atomic)' | grep -vE ':[[:space:]]*(\*|/\*|//)')"
check "time only from core/base/clock" "$(find $rooms -name '*.c' -not -path 'core/base/*' -not -path 'core/rt/*' | xargs grep -nE '\b(clock_gettime|gettimeofday|time)[[:space:]]*\((NULL|CLOCK|&)')"
check "files of the store only through fsio" "$(find storage -name '*.c' -not -path 'storage/meta/*' | xargs grep -nE '\b(open|openat|pread|pwrite|write|fsync|fdatasync|rename|renameat|unlink|unlinkat|mmap)[[:space:]]*\(' | grep -vE '(fsio_|->|ops|\.)[a-z_]*(open|write|rename)' | grep -vE ':[[:space:]]*(\*|/\*|//)')"
check "every header has its guard, named after its path" "$(find $rooms tests/lib -name '*.h' | while read -r h; do
	g=$(printf '%s' "$h" | tr 'a-z/.' 'A-Z__'); grep -q "^#ifndef $g\$" "$h" || echo "$h: no guard $g"; done)"
check "every header and source begins with a comment or says what it is" "$(find $rooms -name '*.h' | while read -r h; do head -n 1 "$h" | grep -q '^/\*' || echo "$h"; done)"
check "no leftovers" "$(git ls-files 2>/dev/null | grep -E '\.[ch]$|\.sh$|\.am$|\.md$|\.py$' | grep -v '^tests/tidy/' | xargs grep -nE 'TODO|FIXME|XXX[^X]|not implemented|unimplemented|placeholder|HACK' | grep -vE 'mkdtemp|-XXXXXX')"
check "no machine paths or session words" "$(git ls-files 2>/dev/null | grep -vE '^(tests/tidy/|LICENSE|tests/fuzz/corpus/)' | xargs grep -nIE '/work/|/tmp/(brief|b-)|\bsubagent|\bLLM\b' )"
check "no bare core in .gitignore" "$(grep -nx 'core' .gitignore)"
big=$(room_sources | xargs wc -l | awk '$2 != "total" && $1 > 1000 { print $2 ": " $1 " lines" }')
check "no file past 1,000 lines" "$big"
echo "1..$n"
