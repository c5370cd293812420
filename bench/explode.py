#!/usr/bin/env python3
"""A tenant makes series without end: does another one notice, does memory stay, is it named? (Not part of CI.)

The tenant "shop" sends DISTINCT series, each once, spread over SECONDS (kymobench's k6 with --churn 1:
every label is the series' number in ever coarser steps), under rules that keep NAMES metrics and
VALUES values of each label. The tenant "calm" writes SERIES series every PACE, alone for ALONE
seconds, then beside it (CHURN=0: beside the same series again and again). Told are the calm one's latencies, resident memory, after how many seconds
the label was named, and what is stored. ACTION=refuse tries that, RULES=0 none of it.

  KYMO_BUILD=build DISTINCT=100000000 SECONDS=600 python3 bench/explode.py
"""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "scene"))
from lib import *

ENV = os.environ.get
DISTINCT, SECONDS = int(float(ENV("DISTINCT", "100000000"))), int(ENV("SECONDS", "600"))
SERIES, PACE_MS, ALONE = int(ENV("SERIES", "10000")), int(ENV("PACE_MS", "1000")), int(ENV("ALONE", "60"))
NAMES, VALUES, ACTION = int(ENV("NAMES", "100")), int(ENV("VALUES", "1000")), ENV("ACTION", "replace")
LOOPS, CHURN = ENV("LOOPS", "2"), ENV("CHURN", "1")
top = tmpdir("explode", ENV("TOP"))
TOKENS = {n: n + "-secret-0123456789abcdef" for n in ("shop", "calm")}
ROUND_MS = 500
EACH = DISTINCT * ROUND_MS // (SECONDS * 1000)  # series of a round


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


conf = os.path.join(top, "kymo.yml")
rows = "\n".join(f'  - {{name: {n}, token_hash: "{token_hash(t)}", roles: [write, read], tenant: {n}}}' for n, t in TOKENS.items())
rules = f'  shop:\n    cardinality:\n    - {{label: __name__, max_values: {NAMES}, action: {ACTION}}}\n    - {{label: "*", max_values: {VALUES}, action: {ACTION}}}\n'
with open(conf, "w") as f:
    f.write(f"identities:\n  tokens:\n{rows}\ntenants:\n{rules if ENV('RULES', '1') == '1' else '  shop: {}'}\n")
os.chmod(conf, 0o600)
for n, t in TOKENS.items():
    with open(os.path.join(top, n + ".token"), "w") as f:
        f.write(t + "\n")
    os.chmod(os.path.join(top, n + ".token"), 0o600)
k = Kymod(os.path.join(top, "data"), "--config", conf, "--loops", LOOPS, "--no-self-metrics")


def ask(who, path, **params):
    _, body, _ = request(k.port, "GET", f"/api/v1/{path}?" + urllib.parse.urlencode(params), None, {"Authorization": "Bearer " + TOKENS[who]})
    return json.loads(body).get("data")


def bench(who, *flags):
    return subprocess.Popen([BENCH, "write", "--url", f"http://127.0.0.1:{k.port}", "--kind", "kymo", "--token-file", os.path.join(top, who + ".token"), *flags], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def result(p):
    out = p.communicate()[0].splitlines()
    return json.loads(out[-1]) if out else {}


def calm(seconds):
    return bench("calm", "--series", str(SERIES), "--batch", "500", "--connections", "4", "--rounds", str(seconds * 1000 // PACE_MS), "--step", f"{PACE_MS}ms", "--pace", f"{PACE_MS}ms")


def rss_mb():
    with open(f"/proc/{k.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) // 1024


result(calm(5))
alone = result(calm(ALONE))
note(f"alone: p50 {alone['p50_ms']:.2f} ms, p99 {alone['p99_ms']:.2f} ms")


def cpu_s():
    with open(f"/proc/{k.pid}/stat") as f:
        return sum(int(x) for x in f.read().rsplit(")", 1)[1].split()[11:13]) / os.sysconf("SC_CLK_TCK")


seen, named, memory, began = time.time(), None, [], cpu_s()
shop = bench("shop", "--workload", "k6", "--series", str(EACH), "--churn", CHURN, "--batch", "2000", "--connections", "4", "--rounds", str(SECONDS * 1000 // ROUND_MS), "--step", f"{ROUND_MS}ms", "--pace", f"{ROUND_MS}ms")
beside = calm(SECONDS)
while shop.poll() is None and beside.poll() is None:
    if named is None and any(e["label"] == "series_id" and e["kind"] != "rule" for e in ask("shop", "cardinality/explosions")):
        named = time.time() - seen
        note(f"named after {named:.1f} s")
    memory.append(rss_mb())
    if len(memory) % 60 == 0:
        note(f"{len(memory)} s: resident {memory[-1]} MB, series {ask('shop', 'cardinality', limit=1)['series']}")
    time.sleep(1)
got, sent = result(beside), result(shop)
third, used = len(memory) // 3, cpu_s() - began
note(f"beside {sent.get('samples')} series ({sent.get('failed')} requests failed, {sent.get('partial')} partial) in {sent.get('seconds')} s: p50 {got['p50_ms']:.2f} ms, p99 {got['p99_ms']:.2f} ms ({got['p99_ms'] - alone['p99_ms']:+.2f}), {got['failed']} failed; {used:.1f} s of CPU")
note(f"resident, MB: first third at most {max(memory[:third])}, last third at most {max(memory[-third:])}")
now = ask("shop", "cardinality", limit=12)
note(f"stored of shop: {now['series']} series; values: " + ", ".join(f"{x['name']} {x['values']}" for x in now["labels"]))
note("explosions: " + "; ".join(f"{e['kind']} {e['metric']}/{e['label']} {e.get('action', '')} {e['valuesPerSecond']:.0f}/s" for e in now["explosions"] if e["now"])[:1000])
k.end()
