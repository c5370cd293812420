#!/bin/sh
# fuzz.sh SECONDS FUZZER...: each fuzzer for so long on a copy of its corpus, two at a time; one line each when it ends.
seconds=$1
shift
marks=$(mktemp -d)
trap 'rm -rf "$marks"' EXIT

one() { # one FUZZER
	name=$(basename "$1")
	stem=${name#fuzz_}
	work=$(mktemp -d)
	mkdir -p "$work/corpus" "$work/out"
	cp -r "$KYMO_SRC/tests/fuzz/corpus/$stem/." "$work/corpus/" 2>/dev/null
	cp -r "$KYMO_SRC/tests/fuzz/repro/$stem/." "$work/corpus/" 2>/dev/null
	dict=
	[ -f "$KYMO_SRC/tests/fuzz/$stem.dict" ] && dict="-dict=$KYMO_SRC/tests/fuzz/$stem.dict"
	if "$1" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -artifact_prefix="$work/out/" $dict "$work/corpus" >"$work/log" 2>&1; then
		echo "fuzz ok $name: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$work/log" | tail -n 1) runs"
		rm -rf "$work"
	else
		touch "$marks/$name"
		{
			echo "fuzz FAILED $name, findings in $work/out"
			tail -n 30 "$work/log"
		} | sed 's/^/ /; 1s/^ //'
	fi
}

while [ $# -gt 0 ]; do
	a=$1 b=${2:-}
	one "./${a#./}" &
	if [ -n "$b" ]; then
		shift
		one "./${b#./}" &
	fi
	shift
	wait
done
[ -z "$(ls "$marks")" ]
