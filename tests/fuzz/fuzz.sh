#!/bin/sh
# fuzz.sh SECONDS FUZZER...: each fuzzer for so long on a copy of its corpus; one line each.
seconds=$1
shift
bad=0
for f in "$@"; do
	name=$(basename "$f")
	stem=${name#fuzz_}
	work=$(mktemp -d)
	mkdir -p "$work/corpus" "$work/out"
	cp -r "$KYMO_SRC/tests/fuzz/corpus/$stem/." "$work/corpus/" 2>/dev/null
	cp -r "$KYMO_SRC/tests/fuzz/repro/$stem/." "$work/corpus/" 2>/dev/null
	dict=
	[ -f "$KYMO_SRC/tests/fuzz/$stem.dict" ] && dict="-dict=$KYMO_SRC/tests/fuzz/$stem.dict"
	if "$f" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -artifact_prefix="$work/out/" $dict "$work/corpus" >"$work/log" 2>&1; then
		echo "fuzz ok $name: $(grep -oE '#[0-9]+' "$work/log" | tail -n 1 | tr -d '#') runs"
		rm -rf "$work"
	else
		echo "fuzz FAILED $name, findings in $work/out"
		tail -n 30 "$work/log"
		bad=1
	fi
done
exit $bad
