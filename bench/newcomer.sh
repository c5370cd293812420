#!/bin/sh
# A newcomer's walk, timed: from a bare Debian 12 to the first graph of a real Prometheus' data in the page, step by step
# as README.md and the page "First steps" have it.
#   bench/newcomer.sh [DIR]        as root; DIR/newcomer.PID (default: below TMPDIR) holds the Debian, 2 GB, and goes at the end
#   LIMIT=300                      seconds that the walk may take: status 1 when it takes more, or when there is no graph
#   KEEP=1                         leaves the folder; SHOT=FILE.png: a picture of the page
# Counted: installing git, the clone, packages, build and start (./bootstrap run), Debian's prometheus and node_exporter,
# scraping as Debian configures it (each 15 s), Chromium's start, the page, until curves are drawn.
# Not counted: installing Debian (mmdebstrap's smallest, without any package list or cache), and what a person reads and types.
# What differs from a machine of its own: it is a folder of this one, with its kernel, its network and its disk. Sources of
# packages, proxies and other Acquire settings are those of this machine's apt. The clone is of HEAD of this checkout, from
# disk. Services are started by hand, on free ports, since nothing here is an init. The browser is this machine's chromium.
# Needs mmdebstrap, git, curl, python3, chromium, unshare and nsenter. All that runs in there is ended by one id.
set -eu
top=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
limit=${LIMIT:-300} hard=1800
# All of it, whatever hangs, is bounded in time.
[ "${NEWCOMER_BOUND:-}" = "$PPID" ] || NEWCOMER_BOUND=$$ exec timeout --kill-after=60 $hard "$0" "$@"
[ "$(id -u)" = 0 ] || { echo "newcomer: needs root, for a Debian in a folder" >&2; exit 2; }
for tool in mmdebstrap git curl python3 chromium unshare nsenter; do
	command -v $tool >/dev/null || { echo "newcomer: needs $tool" >&2; exit 2; }
done
work=${1:-${TMPDIR:-/tmp}}/newcomer.$$
root=$work/debian
mkdir -p "$work"
space=''
cleanup() {
	# Who is first in a space of processes takes all others along; mounts were made in a space of their own, too.
	[ -z "$space" ] || kill -KILL "$space" 2>/dev/null || true
	wait 2>/dev/null || true
	[ -n "${KEEP:-}" ] || rm -rf --one-file-system "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

now() { date +%s.%N; }
since() { echo "$1 $(now)" | awk '{ printf "%.1f", $2 - $1 }'; }
say() { printf '%7s s  %s\n' "$1" "$2"; }
step() { say "$(since "$last")" "$1"; last=$(now); }
die() { echo "newcomer: $1" >&2; tail -n 20 "$work"/*.log >&2 2>/dev/null; exit 1; }

# ---- a bare Debian 12
begin=$(now)
sources=$(grep -ls bookworm /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources || true)
[ -n "$sources" ] || die "this machine's apt has no source of bookworm"
# shellcheck disable=SC2086
mmdebstrap --variant=minbase --mode=root bookworm "$root" $sources >"$work/debian.log" 2>&1 || die "no Debian"
apt-config dump | grep -E '^Acquire::(http|https|Check|Retries|ForceIPv)' >"$root/etc/apt/apt.conf.d/90newcomer" || true
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
git -c safe.directory='*' -C "$top" bundle create -q "$root/srv/kymo.bundle" HEAD
say "$(since "$begin")" "a bare Debian 12, $(ls "$root"/var/lib/dpkg/info/*.list | wc -l) packages (not counted)"
unshare --mount --propagation private --pid --fork --kill-child --mount-proc="$root/proc" sleep "$hard" & space=$!
inner=''
for _ in 1 2 3 4 5 6 7 8 9 10; do
	inner=$(cat "/proc/$space/task/$space/children" 2>/dev/null | tr -d ' ') && [ -n "$inner" ] && mountpoint -q "/proc/$inner/root$root/proc" && break
	sleep 0.1
done
[ -n "$inner" ] || die "no space of its own"
there() { # there COMMANDS: as root of the new machine, with nothing of this one's environment but proxies
	nsenter --target "$inner" --mount --pid -- env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb \
		${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
		chroot "$root" sh -ec "cd /root && $1"
}
ports=$(python3 -c 'import socket
s = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
print(*(x.getsockname()[1] for x in s))')
# shellcheck disable=SC2086
set -- $ports
kymod=$1 exporter=$2 prometheus=$3
until_ready() { # until_ready PORT PATH WHAT PROGRAM: while the program is there
	until curl -fs -o /dev/null "http://127.0.0.1:$1$2"; do
		kill -0 "$4" 2>/dev/null || die "$3 ended"
		sleep 0.2
	done
}

# ---- the walk
begin=$(now) last=$begin
there 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq git ca-certificates' >"$work/git.log" 2>&1 || die "no git"
step "apt-get install git ca-certificates"
there 'git clone -q /srv/kymo.bundle kymo' >"$work/clone.log" 2>&1 || die "no clone"
step "git clone"
there "cd kymo && exec ./bootstrap run --listen 127.0.0.1:$kymod" >"$work/kymod.log" 2>&1 & run=$!
until grep -q 'configuring in\|building with' "$work/kymod.log" 2>/dev/null; do
	kill -0 $run 2>/dev/null || die "bootstrap ended"
	sleep 0.2
done
step "./bootstrap run: packages"
until_ready "$kymod" /-/ready kymod $run
step "./bootstrap run: built, kymod is ready"
there 'DEBIAN_FRONTEND=noninteractive apt-get install -y -qq prometheus prometheus-node-exporter' >"$work/prometheus-install.log" 2>&1 || die "no prometheus"
step "apt-get install prometheus prometheus-node-exporter"
there "printf 'remote_write:\n  - url: http://localhost:$kymod/api/v1/write\n' >>/etc/prometheus/prometheus.yml
	sed -i 's/localhost:9090/localhost:$prometheus/; s/localhost:9100/localhost:$exporter/' /etc/prometheus/prometheus.yml"
there "exec prometheus-node-exporter --web.listen-address=127.0.0.1:$exporter" >"$work/exporter.log" 2>&1 &
there "exec prometheus --config.file=/etc/prometheus/prometheus.yml --storage.tsdb.path=/var/lib/prometheus/metrics2 --web.listen-address=127.0.0.1:$prometheus" >"$work/prometheus.log" 2>&1 & scraper=$!
until_ready "$prometheus" /-/ready prometheus $scraper
step "remote_write is in prometheus.yml, prometheus runs"
PAGE="http://127.0.0.1:$kymod" SCENES=$top/tests/scene SHOT=${SHOT:-} python3 -B - >"$work/page.log" 2>&1 <<'EOF' || die "no graph"
import os, sys, time
sys.path.insert(0, os.environ["SCENES"])
from chrome import Chrome
with Chrome() as c:
    p = c.page(1280, 800)
    p.open(os.environ["PAGE"] + "/graph?g0.expr=rate(node_cpu_seconds_total%5B1m%5D)&g0.tab=0&g0.range_input=5m")
    # Curves: a row of the legend each, and a canvas that is not of one color. Before two scrapes there is nothing to see: Run again.
    drawn = """(() => { const c = document.querySelector("canvas"), n = document.querySelectorAll(".k-legend-name").length;
        if (!c || !c.width || !n) return 0;
        const d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data, seen = new Set();
        for (let i = 0; i < d.length; i += 4) if (d[i + 3] > 200) seen.add(d[i] >> 4 << 8 | d[i + 1] >> 4 << 4 | d[i + 2] >> 4);
        return seen.size > 5 ? n : 0; })()"""
    end, n = time.time() + 180, 0
    while not (n := p.js(drawn)) and time.time() < end:
        p.rest(1)
        p.js("""[...document.querySelectorAll("main button")].find((b) => /^Run/.test(b.textContent))?.click()""")
        p.rest(0.5)
    if os.environ["SHOT"] or not n:
        p.shot(os.environ["SHOT"] or "no-graph.png")
    if not n:
        sys.exit("nothing drawn: " + p.js("document.querySelector('main').innerText")[:2000])
    print("series", n)
EOF
series=$(sed -n 's/^series //p' "$work/page.log")
step "Chromium, the page, a graph of rate(node_cpu_seconds_total[1m])"
total=$(since "$begin")
load=$(cut -d' ' -f1-3 /proc/loadavg)
say "$total" "in all: $series series drawn; $(nproc) CPUs, load $load; $(git -c safe.directory='*' -C "$top" rev-parse --short HEAD)"
[ "${total%.*}" -lt "$limit" ] || { echo "newcomer: more than $limit s" >&2; exit 1; }
