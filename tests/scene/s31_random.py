#!/usr/bin/env python3
"""Random expressions over random data, answered by kymod and by a Prometheus: the same series, times, values, errors, and with
3.x warnings and infos with their positions. Half of the data lies in files, half in memory.

KYMO_DIFF_PROM: the other one (`prometheus`, which is 2.42 in Debian and knows less: no histograms, no newer functions, borders
that belong to windows on both sides). KYMO_DIFF_N: expressions (400). KYMO_SEED: of all that is random (1; a number, or `time`).
KYMO_DIFF_FEATURES: more of --enable-feature for both. KYMO_DIFF_LOG: a file for each difference.
"""
import shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from randdata import Data
from randql import Gen

PROM = os.environ.get("KYMO_DIFF_PROM", "prometheus")
need(PROM)
N = int(os.environ.get("KYMO_DIFF_N", "400"))
SEED = os.environ.get("KYMO_SEED", "1")
SEED = int(time.time()) if SEED == "time" else int(SEED)
told = subprocess.run([PROM, "--version"], capture_output=True, text=True)
two = re.search(r"version 2\.", told.stdout + told.stderr)
VERSION = 2 if two else 3
FEATURES = [] if two else ["promql-experimental-functions", "promql-extended-range-selectors", "promql-binop-fill-modifiers", "promql-per-step-stats"]
FEATURES += [f for f in os.environ.get("KYMO_DIFF_FEATURES", "").split(",") if f]
top = tmpdir("random")
END = 1780000000000  # always the same expressions at the same times: what is right today is so tomorrow
data = Data(SEED, END, days=1 if two else 3, histograms=not two, from_zero=not two)

kymod = Kymod(os.path.join(top, "data"), "--web.enable-admin-api", "--retention", "20y", *(["--enable-feature", ",".join(FEATURES)] if FEATURES else []))
prom_port = free_port()
open(os.path.join(top, "prometheus.yml"), "w").write("global: {evaluation_interval: 1m}\n")
prom = Process([PROM, f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={top}/tsdb", f"--web.listen-address=127.0.0.1:{prom_port}", "--log.level=error",
                "--web.enable-remote-write-receiver", *(["--enable-feature=" + ",".join(FEATURES)] if FEATURES else [])], os.path.join(top, "prom.log"))


def prom_is_ready():
    end = time.time() + 120
    while time.time() < end and prom.alive():
        try:
            if request(prom_port, "GET", "/-/ready")[0] == 200:
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


if not ok(prom_is_ready(), "the other server is ready"):
    note(tail(prom.log_path))
    done()
refused, half, flushed = [], data.end - 3600000, False
for t, body in data.bodies():
    if t >= half and not flushed:
        flushed = request(kymod.port, "POST", "/api/v1/admin/tsdb/flush", timeout=300)[0] == 204
    for port in (kymod.port, prom_port):
        status, answer, _ = write(port, body)
        if status != 204 and status != 200:
            refused.append(f"{'kymod' if port == kymod.port else 'prometheus'} {status} {answer[:200]}")
ok(not refused, f"all is written to both {refused[:2]}")
ok(flushed, "what was written first is in files")

conns = {}


def ask(port, path, params):
    """Over one connection each."""
    for again in range(2):
        c = conns.get(port) or http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        conns[port] = c
        try:
            c.request("POST", f"/api/v1/{path}", urllib.parse.urlencode(params), {"Content-Type": "application/x-www-form-urlencoded"})
            r = c.getresponse()
            return r.status, json.loads(r.read())
        except (OSError, http.client.HTTPException):
            c.close()
            conns.pop(port)
            if again:
                raise


def same_text(a, b, tolerance):
    return a == b or close(a, b, tolerance)


def hist_differs(a, b, tolerance):
    if not (same_text(a["count"], b["count"], tolerance) and same_text(a["sum"], b["sum"], tolerance)):
        return True
    x, y = a.get("buckets", []), b.get("buckets", [])
    return len(x) != len(y) or any(p[0] != q[0] or not all(same_text(p[i], q[i], tolerance) for i in (1, 2, 3)) for p, q in zip(x, y))


def points_of(s):
    """time in ms -> a float's text, or a histogram."""
    out = {}
    for key in ("value", "histogram"):
        if key in s:
            out[round(s[key][0] * 1000)] = s[key][1]
    for key in ("values", "histograms"):
        for t, v in s.get(key, []):
            out[round(t * 1000)] = v
    return out


def vector_map(result):
    return {tuple(sorted(s["metric"].items())): points_of(s) for s in result}


def data_differs(a, b, tolerance):
    if a["resultType"] != b["resultType"]:
        return f"type {a['resultType']} {b['resultType']}"
    if a["resultType"] in ("scalar", "string"):
        return "" if same_text(a["result"][1], b["result"][1], tolerance) else f"{a['result']} {b['result']}"
    x, y = vector_map(a["result"]), vector_map(b["result"])
    if set(x) != set(y):
        return f"series: theirs alone {sorted(set(x) - set(y))[:2]} ours alone {sorted(set(y) - set(x))[:2]}"
    if len(x) != len(a["result"]) or len(y) != len(b["result"]):
        return "a label set twice"
    for k, p in x.items():
        q = y[k]
        if set(p) != set(q):
            return f"times of {k}: {sorted(set(p) ^ set(q))[:4]}"
        for t, v in p.items():
            w = q[t]
            if isinstance(v, dict) != isinstance(w, dict):
                return f"{k} at {t}: {v} {w}"
            if hist_differs(v, w, tolerance) if isinstance(v, dict) else not same_text(v, w, tolerance):
                return f"{k} at {t}: theirs {v} ours {w}"
    return ""


def counts_differ(a, b, expr):
    """Samples used and read, in all and at each step. A histogram counts by its buckets, and how many empty ones it has is up to how a
    server cuts chunks; so is how many info series are looked at. There only where something is counted must be the same."""
    x, y = ({k: v for k, v in m["stats"]["samples"].items() if k != "peakSamples"} for m in (a, b))
    if re.search(r"nh\w+|mixed|info\(|__name__", expr):
        x, y = ({k: [[t, n > 0] for t, n in v] for k, v in m.items() if isinstance(v, list)} for m in (x, y))
    if x == y:
        return ""
    return ", ".join(f"{k}: theirs {str(x.get(k))[:200]} ours {str(y.get(k))[:200]}" for k in sorted(set(x) | set(y)) if x.get(k) != y.get(k))


# Hints of resets follow from how a server cuts chunks, which nobody promises; the extent of fixes from the order of groups.
UNCERTAIN = re.compile(r"conflicting counter resets|needed to be fixed for monotonicity|results truncated|more (warning|info) annotations omitted")


def rss_mib():
    return int(re.search(r"VmRSS:\s*(\d+)", open(f"/proc/{kymod.pid}/status").read()).group(1)) // 1024


def error_text(a):
    """Which of several groups is told of is up to the order in which they are looked at."""
    return re.sub(r"match group .*", "match group", a[1].get("error") or "")


# Of all that one operator has to say of a step the other server tells the last.
OPERATOR = re.compile(r"encountered for binary operator|reconciled during (addition|subtraction)")


def notes_differ(a, b):
    told = [[t for k in ("warnings", "infos") for t in m.get(k, []) if OPERATOR.search(t)] for m in (a, b)]
    if bool(told[0]) != bool(told[1]):
        return f"theirs {told[0]} ours {told[1]}"
    for kind in ("warnings", "infos"):
        x, y = (sorted(t for t in m.get(kind, []) if not UNCERTAIN.search(t) and not OPERATOR.search(t)) for m in (a, b))
        if x != y and len(x) < 9 and len(y) < 9:
            return f"{kind}: theirs {x[:3]} ours {y[:3]}"
    return ""


def loose(names):
    """What divides differences of nearly equal numbers shows the last bits of its operands."""
    return 1e-6 if {"stddev", "stdvar", "deriv", "predict_linear", "stddev_over_time", "stdvar_over_time", "tan", "double_exponential_smoothing"} & set(names) else 1e-8


def is_small(a, b):
    """The same but for noise around 0, where the operands were much larger."""
    if a["resultType"] in ("scalar", "string"):
        return False
    x, y = vector_map(a["result"]), vector_map(b["result"])
    if set(x) != set(y) or any(set(x[k]) != set(y[k]) for k in x):
        return False
    flat = [(x[k][t], y[k][t]) for k in x for t in x[k]]
    return all(not isinstance(v, dict) and not isinstance(w, dict) and (close(v, w, 1e-6) or max(abs(float(v)), abs(float(w))) < 1e-7 or abs(float(v) - float(w)) < 1e-6) for v, w in flat)


def params_of(r, gen):
    """Mostly the last two hours, sometimes all days; instant, some steps, or more than fill a word of bits."""
    odd = 0.5 if VERSION < 3 else r.choice((0, 0, 0.5))
    t = data.end / 1000 - r.randrange(0, 6000) // 15 * 15 + odd
    if r.random() < 0.25:
        t = data.begin / 1000 + r.randrange(3600, int(data.end - data.begin) // 1000) // 60 * 60 + odd
    x = r.random()
    if x < 0.4:
        return "query", {"time": f"{t:.3f}"}
    steps, step = (r.randrange(65, 140), r.choice((15, 30, 60))) if x < 0.55 else (r.randrange(2, 30), r.choice((15, 60, 300, 3600)))
    return "query_range", {"start": f"{t - steps * step:.3f}", "end": f"{t:.3f}", "step": str(step)}


def kept_differs(params, steps):
    """The same again, and later by some steps: with what is kept from before, and without."""
    step = int(params["step"])
    for shift in (0, steps):
        p = {**params, **{k: f"{float(params[k]) + shift * step:.3f}" for k in ("start", "end")}}
        a, b = ask(kymod.port, "query_range", p), ask(kymod.port, "query_range", {**p, "nocache": "1"})
        if a[0] != b[0] or a[1].get("data") != b[1].get("data") or sorted(a[1].get("infos", [])) != sorted(b[1].get("infos", [])) or sorted(a[1].get("warnings", [])) != sorted(b[1].get("warnings", [])):
            return f"kept, later by {shift} steps: {json.dumps(a[1])[:300]} computed {json.dumps(b[1])[:300]}"
    return ""


gen = Gen(SEED + 7, data, VERSION, FEATURES)
r = random.Random(SEED + 13)
different, filled, long_ones, errors, rss = [], 0, 0, 0, 0
filled_by = {}
log = open(os.environ["KYMO_DIFF_LOG"], "a") if os.environ.get("KYMO_DIFF_LOG") else None
for i in range(N):
    if i == N // 4:
        rss = rss_mib()
    expr, names = gen.query()
    path, params = params_of(r, gen)
    params["query"] = expr
    counted = VERSION >= 3 and i % 2 == 0  # what is counted does not come from the cache
    asked = {**params, "stats": "all"} if counted else params
    a, b = ask(prom_port, path, asked), ask(kymod.port, path, asked)
    why = ""
    if a[0] != b[0]:
        why = f"status theirs {a[0]} {a[1].get('error')} ours {b[0]} {b[1].get('error')}"
    elif a[0] != 200:
        errors += 1
        if VERSION >= 3 and error_text(a) != error_text(b):
            why = f"error theirs {a[1].get('error')} ours {b[1].get('error')}"
    else:
        full = a[1]["data"]["resultType"] in ("scalar", "string") or bool(a[1]["data"]["result"])
        filled += full
        for name in set(names):
            filled_by[name] = filled_by.get(name, 0) + full
        if path == "query_range":
            long_ones += (float(params["end"]) - float(params["start"])) / int(params["step"]) >= 64
        why = data_differs(a[1]["data"], b[1]["data"], loose(names))
        if why and is_small(a[1]["data"], b[1]["data"]):
            why = ""
        if not why and path == "query_range" and i % 2:
            why = kept_differs(params, r.randrange(1, 9))
        if not why and VERSION >= 3:
            why = notes_differ(a[1], b[1])
        if not why and counted:
            why = counts_differ(a[1]["data"], b[1]["data"], expr)
    if why:
        different.append((expr, path, params, why))
        if log:
            log.write(json.dumps({"expr": expr, "path": path, "params": params, "why": why, "names": names}) + "\n")
            log.flush()
ok(not different, f"{N - len(different)} of {N} answers are the same")
for expr, path, params, why in different[:20]:
    note(f"{path} {expr} {({k: v for k, v in params.items() if k != 'query'})}\n    {why[:600]}")
ok(filled * 2 >= N, f"{filled} of {N} hold something ({errors} are errors of both)")
ok(long_ones * 10 >= N, f"{long_ones} are over more than 64 steps")
after = rss_mib()
ok(after <= rss + 160, f"queries leave little behind but what the cache keeps: {rss} MiB after a quarter of them, {after} MiB at the end")
least = sorted((n, k) for k, n in gen.used.items())
note("least used: " + ", ".join(f"{k} {n} ({filled_by.get(k, 0)} with an answer)" for n, k in least[:12]))
if N >= 20000:
    ok(least[0][0] >= 100, f"each of {len(least)} functions, operators and modifiers is used {least[0][0]} times at least")
ok(kymod.alive() and kymod.end() == 0, "kymod ends with status 0")
prom.end()
shutil.rmtree(top)
done()
