#!/usr/bin/env python3
"""A tenant makes series without end: does another one notice, does memory stay, is it named? (Not part of CI.)

The tenant "shop" sends DISTINCT series, each once, spread over SECONDS (kymobench's k6 with --churn 1:
every label is the series' number in ever coarser steps), under rules that keep NAMES metrics and
VALUES values of each label. The tenant "calm" writes SERIES series every PACE_MS, in requests of 500,
from a process of its own: ALONE seconds alone, as long while shop sends as fast to another server of
this machine, then beside it (CHURN=0: beside the same series again and again; ACTION=refuse: refused
instead of rewritten; RULES=0: no rules). Between the second and the third only the server differs:
that is what it adds itself; between the first and the second it is the machine. PARTS of each in turn.
Told are calm's latencies (of how many requests), turns of the server's loops in CPU time, resident
memory, after how many seconds the label was named, and what is stored.

  KYMO_BUILD=build DISTINCT=100000000 SECONDS=600 python3 bench/explode.py
  KYMO_BUILD=build DISTINCT=5e6 SECONDS=30 ALONE=30 PACE_MS=100 SERIES=5000 PARTS=3 python3 bench/explode.py
"""
import os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "scene"))
from lib import *

ENV = os.environ.get
DISTINCT, SECONDS = int(float(ENV("DISTINCT", "100000000"))), int(ENV("SECONDS", "600"))
SERIES, PACE_MS, ALONE = int(ENV("SERIES", "10000")), int(ENV("PACE_MS", "500")), int(ENV("ALONE", "60"))
NAMES, VALUES, ACTION = int(ENV("NAMES", "100")), int(ENV("VALUES", "1000")), ENV("ACTION", "replace")
LOOPS, CHURN, TRANSPORT, PARTS = ENV("LOOPS", "2"), ENV("CHURN", "1"), ENV("TRANSPORT", "http1"), int(ENV("PARTS", "1"))
top = tmpdir("explode", ENV("TOP"))
TOKENS = {n: n + "-secret-0123456789abcdef" for n in ("shop", "calm", "operator")}
ROUND_MS = 500
EACH = DISTINCT * ROUND_MS // (SECONDS * 1000)  # series of a round


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


conf = os.path.join(top, "kymo.yml")
rows = "\n".join(f'  - {{name: {n}, token_hash: "{token_hash(t)}", roles: [write, read], tenant: {n}}}' for n, t in TOKENS.items() if n != "operator")
rows += f'\n  - {{name: operator, token_hash: "{token_hash(TOKENS["operator"])}", roles: [admin]}}'
rules = f'  shop:\n    cardinality:\n    - {{label: __name__, max_values: {NAMES}, action: {ACTION}}}\n    - {{label: "*", max_values: {VALUES}, action: {ACTION}}}\n'
with open(conf, "w") as f:
    f.write(f"identities:\n  tokens:\n{rows}\ntenants:\n{rules if ENV('RULES', '1') == '1' else '  shop: {}'}\n")
os.chmod(conf, 0o600)
for n, t in TOKENS.items():
    with open(os.path.join(top, n + ".token"), "w") as f:
        f.write(t + "\n")
    os.chmod(os.path.join(top, n + ".token"), 0o600)
FLAGS = ["--config", conf, "--loops", LOOPS, "--no-self-metrics"]
k = Kymod(os.path.join(top, "data"), *FLAGS)
other = Kymod(os.path.join(top, "other"), *FLAGS)


def ask(who, path, **params):
    _, body, _ = request(k.port, "GET", f"/api/v1/{path}?" + urllib.parse.urlencode(params), None, {"Authorization": "Bearer " + TOKENS[who]})
    return json.loads(body).get("data")


def bench(server, who, *flags):
    return subprocess.Popen([BENCH, "write", "--url", f"http://127.0.0.1:{server.port}", "--kind", "kymo", "--transport", TRANSPORT, "--token-file", os.path.join(top, who + ".token"), *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def result(p):
    out = p.communicate()[0].splitlines()
    return json.loads(out[-1]) if out else {}


def calm(seconds):
    return bench(k, "calm", "--series", str(SERIES), "--batch", "500", "--connections", "4", "--rounds", str(seconds * 1000 // PACE_MS), "--step", f"{PACE_MS}ms", "--pace", f"{PACE_MS}ms")


def shop_at(server, seconds):
    return bench(server, "shop", "--workload", "k6", "--series", str(EACH), "--churn", CHURN, "--batch", "2000", "--connections", "4", "--rounds", str(seconds * 1000 // ROUND_MS), "--step", f"{ROUND_MS}ms", "--pace", f"{ROUND_MS}ms")


def told(what, r):
    note(f"{what}: p50 {r['p50_ms']:.2f} ms, p99 {r['p99_ms']:.2f} ms of {r['requests']} requests, {r['failed']} failed")
    return r


def rss_mb():
    with open(f"/proc/{k.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) // 1024


def cpu_s():
    with open(f"/proc/{k.pid}/stat") as f:
        return sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


def turns():
    """How many turns took at most so many ms of CPU, and slices far too long, since the start."""
    text = request(k.port, "GET", "/metrics", None, {"Authorization": "Bearer " + TOKENS["operator"]})[1].decode()
    return {float(le) * 1000: int(n) for le, n in re.findall(r'^kymo_loop_turn_cpu_seconds_bucket\{le="([^"]+)"\} (\d+)', text, re.M)}


def turns_text(before, now):
    counts = {le: now[le] - before.get(le, 0) for le in now}
    total = counts.get(float("inf"), 0)
    of = lambda part: min((le for le in counts if counts[le] >= total * part), default=0)
    return f"{total} turns, ms of CPU at most: p99 {of(0.99):g}, all {of(1):g}"


def beside(seconds):
    """calm beside shop at the same server: its result, shop's, seconds until the label had a name, resident MB, CPU seconds."""
    seen, named, memory, began, before = time.time(), None, [], cpu_s(), turns()
    shop, own = shop_at(k, seconds), calm(seconds)
    while shop.poll() is None and own.poll() is None:
        if named is None and any(e["label"] == "series_id" and e["kind"] != "rule" for e in ask("shop", "cardinality/explosions")):
            named = time.time() - seen
            note(f"named after {named:.1f} s")
        memory.append(rss_mb())
        if len(memory) % 60 == 0:
            note(f"{len(memory)} s: resident {memory[-1]} MB, series {ask('shop', 'cardinality', limit=1)['series']}")
        time.sleep(1)
    got, sent = told("beside", result(own)), result(shop)
    note(f"beside {sent.get('samples')} series ({sent.get('failed')} requests failed, {sent.get('partial')} partial) in {sent.get('seconds')} s, {cpu_s() - began:.1f} s of CPU; {turns_text(before, turns())}")
    third = max(1, len(memory) // 3)
    note(f"resident, MB: first third at most {max(memory[:third])}, last third at most {max(memory[-third:])}")
    return got


def elsewhere(seconds):
    shop, own = shop_at(other, seconds), calm(seconds)
    got = told("shop at another server", result(own))
    result(shop)
    return got


result(calm(5))
rises = []
for _ in range(PARTS):
    before = turns()
    alone = told("alone", result(calm(ALONE)))
    note(turns_text(before, turns()))
    apart = elsewhere(ALONE)
    got = beside(SECONDS)
    rises.append((apart["p99_ms"] - alone["p99_ms"], got["p99_ms"] - apart["p99_ms"]))
    note(f"p99 rises by {rises[-1][0]:+.2f} ms by the machine, {rises[-1][1]:+.2f} ms by the server")
note(f"medians: p99 rises by {sorted(r[0] for r in rises)[PARTS // 2]:+.2f} ms by the machine, {sorted(r[1] for r in rises)[PARTS // 2]:+.2f} ms by the server")
now = ask("shop", "cardinality", limit=12)
note(f"stored of shop: {now['series']} series; values: " + ", ".join(f"{x['name']} {x['values']}" for x in now["labels"]))
note("explosions: " + "; ".join(f"{e['kind']} {e['metric']}/{e['label']} {e.get('action', '')} {e['valuesPerSecond']:.0f}/s" for e in now["explosions"] if e["now"])[:1000])
for server in (k, other):
    server.end()
