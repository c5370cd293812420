#!/bin/sh
# What kymod does with more than it can: it is held to a share of a CPU by a control group (version 1
# or 2, which takes root), kymobench first measures what it takes then, and offers three times as much
# without repeating. One JSON line of kymobench for each of both, and what is left after 5 s.
#   bench/overload.sh KYMOD KYMOBENCH DIR [share of a CPU, %] [seconds] [connections]
# Series are made beforehand; each connection sends requests of 2,000 samples. The period of the
# group is 10 ms: with the usual 100 ms nobody is answered within 80 ms of it, whatever is asked.
set -e
[ $# -ge 3 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0" >&2; exit 2; }
kymod=$1 bench=$2 dir=$3 share=${4:-20} seconds=${5:-60} conns=${6:-64} port=${PORT:-25511}
period=10000 quota=$((share * 100)) data=$dir/overload.$$
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	group=/sys/fs/cgroup/kymo.$$ && mkdir "$group"
	hold() { echo "$1 $period" >"$group/cpu.max"; }
	free=max procs=$group/cgroup.procs
else
	group=/sys/fs/cgroup/cpu/kymo.$$ && mkdir "$group"
	echo $period >"$group/cpu.cfs_period_us"
	hold() { echo "$1" >"$group/cpu.cfs_quota_us"; }
	free=-1 procs=$group/cgroup.procs
fi
hold $free
sh -c 'echo $$ >"$0"; exec "$@"' "$procs" "$kymod" --listen 127.0.0.1:$port --data-dir "$data" \
	--loops 2 --no-self-metrics 2>"$data.log" &
pid=$!
trap 'kill $pid 2>/dev/null; wait $pid 2>/dev/null; rmdir "$group"; rm -rf "$data" "$data.log"' EXIT
until curl -so /dev/null "http://127.0.0.1:$port/-/ready"; do sleep 0.1; done
series=$((conns * 2000))
run() { "$bench" write --url http://127.0.0.1:$port --series $series --batch 2000 --memory 3000 --pid $pid "$@" 2>"$data.err" || true; }
run --connections 8 --rounds 1 >/dev/null
sleep 1
hold $quota
capacity=$(run --connections 16 --rounds $((share * 40000 * 10 / series + 1)) --pace 1ms --step 1ms --retry 30)
echo "{\"capacity\":$capacity}"
each_ms=$(echo "$capacity" | python3 -c "import json, sys; print(max(1, round($series * 1000 / 3 / json.load(sys.stdin)['samples_per_s'])))")
overload=$(run --connections $conns --rounds $((seconds * 1000 / each_ms)) --pace ${each_ms}ms --step ${each_ms}ms --retry 0)
echo "{\"offered_3_times\":$overload}"
sleep 5
after=$(run --connections 4 --rounds 5 --pace 500ms --step 500ms --retry 0)
echo "{\"after_5_s\":$after}"
