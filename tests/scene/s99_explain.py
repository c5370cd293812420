#!/usr/bin/env python3
"""What explain=1 says before a query runs, against what trace=1 and the result say when it ran: random queries over series of many densities and label shapes (skewed, tied, churned, deleted, so many that only some are looked at), in memory, in files and in both. Then the parts of the answer: the cache, refusals with their flags, the time it expects; another tenant's data change no byte of it; the trace's numbers add up."""
import math, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("explain")
RND = random.Random(int(os.environ.get("KYMO_SEED", "14")))
QUERIES = int(os.environ.get("KYMO_EXPLAIN_QUERIES", "100"))
TOKENS = {name: name + "-secret-0123456789abcdef" for name in ("acme", "zeta", "admin", "owner")}


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


config = os.path.join(top, "kymod.yml")
with open(config, "w") as f:
    f.write("identities:\n  tokens:\n" + "".join(f'  - {{name: {n}, token_hash: "{token_hash(t)}", {"roles: [admin]" + (", tenant: acme" if n == "owner" else "") if n in ("admin", "owner") else f"roles: [write, read], tenant: {n}"}}}\n' for n, t in TOKENS.items()))
os.chmod(config, 0o600)
k = Kymod(os.path.join(top, "data"), "--config", config, "--loops", "2", "--web.enable-admin-api", "--out-of-order-window", "72h", "--no-self-metrics")
NOW = int(time.time()) // 60 * 60 * 1000
MIN, HOUR = 60000, 3600000


def ask(who, method, path, body=None, headers=None, **params):
    q = "?" + urllib.parse.urlencode(params) if params else ""
    return request(k.port, method, path + q, body, {"Authorization": "Bearer " + TOKENS[who], **(headers or {})})


def push(who, rows):
    for i in range(0, len(rows), 400):
        status, told, _ = ask(who, "POST", "/api/v1/write", snappy(b"".join(series(*r) for r in rows[i:i + 400])), WRITE_HEADERS)
        if status != 204:
            ok(False, f"written: {status} {told[:200]}")


def times(from_ms, to_ms, every_ms):
    return [(t, float(t // every_ms % 97)) for t in range(from_ms, to_ms, every_ms)]


def data(from_ms, to_ms):
    rows = []
    for i in range(20):
        rows.append(({"__name__": "dense_total", "instance": f"i{i}", "job": f"j{i % 3}"}, times(max(from_ms, to_ms - 3 * HOUR) + i * 100, to_ms, 15000)))
    for i in range(20):
        rows.append(({"__name__": "sparse_gauge", "instance": f"i{i}", "job": f"j{i % 4}"}, times(from_ms + i * 1000, to_ms, 5 * MIN)))
    for i in range(150):
        at = from_ms + (to_ms - from_ms) * i // 150
        rows.append(({"__name__": "churn_total", "pod": f"p{from_ms}-{i}", "job": f"j{i % 3}"}, times(at, min(at + 20 * MIN, to_ms), 30000)))
    for i in range(2500):
        rows.append(({"__name__": "wide", "i": str(i), "job": f"j{i % 5}", "zone": f"z{i % 50}"}, times(to_ms - 5 * MIN, to_ms, MIN)))
    at = times(to_ms - 5 * MIN, to_ms, MIN)
    for i in range(600):  # few apps have most of them
        rows.append(({"__name__": "skewed", "app": f"a{int(600 / (i + 1)) if i % 2 else 0}", "user": f"u{i}"}, at))
    for i in range(400):  # a zone is in one region, a host in one zone; some have no rack
        rows.append(({"__name__": "tied", "region": f"r{i % 4}", "zone": f"z{i % 16}", "host": f"h{i % 128}", "cpu": str(i // 128), **({"rack": f"k{i % 9}"} if i % 3 else {})}, at))
    for i in range(200):
        rows.append(({"__name__": "deleted_some", "i": str(i), "half": str(i % 2), "job": f"j{i % 8}"}, at))
    return [r for r in rows if r[1]]


def crowd(to_ms):
    """More than are looked at."""
    at = times(to_ms - 3 * MIN, to_ms, MIN)
    return [({"__name__": "crowd", "user": f"u{i}", "team": f"t{i % 3000}", "app": f"a{RND.randrange(1, 1 + RND.randrange(1, 400))}", "dc": f"d{i % 6}", "room": f"m{i % 36}"}, at) for i in range(40000)]


def call(who, path, **params):
    status, body, _ = ask(who, "GET", "/api/v1/" + path, **params)
    try:
        return status, json.loads(body)
    except ValueError as e:
        raise RuntimeError(f"{params}: {e}: {body[max(0, e.pos - 200):e.pos + 100]}")


def reads(node):
    found = [node] if node.get("kind") == "read" else []
    return found + [x for c in node.get("children", []) for x in reads(c)]


SELECTORS = ['dense_total', 'dense_total{job="j1"}', 'dense_total{instance=~"i1.*"}', 'sparse_gauge', 'sparse_gauge{job!="j1"}', 'churn_total', 'churn_total{job="j2"}', 'wide', 'wide{zone="z7"}',
             'wide{job=~"j[12]"}', '{job="j1"}', 'skewed', 'tied', 'deleted_some', 'crowd', 'crowd{dc="d3"}', '{__name__=~"skewed|tied"}', '{__name__=~".*total"}', 'absent_metric', 'dense_total{instance="i3"}', 'wide{i="17"}']
FORMS = ["{s}", "sum({s})", "sum by (job) (rate({s}[{w}m]))", "max_over_time({s}[{w}m])", "topk(3, {s})", "count({s}) / sum(rate({s}[{w}m]))", "{s}[{w}m]", "quantile_over_time(0.9, {s}[{w}m])"]


LABELS = ["job", "zone", "instance", "pod", "app", "user", "region", "host", "rack", "team", "dc", "room", "half", "__name__", "none"]
# Those whose number of series labels tell; then those where values decide, too, of which the bound alone must hold.
GROUPED = ["sum by ({l}) ({s})", "max by ({l}, {m}) ({s})", "count without ({l}) ({s})", "sum by ({l}) (count by ({l}, {m}) ({s}))", "sum by ({l}) ({s}) / on ({l}) count by ({l}) ({s})", "quantile by ({l}) (0.5, {s})",
           'count by (x) (label_replace({s}, "x", "$1", "{l}", "(..?).*"))', 'sum by (x) (label_join({s}, "x", "-", "{l}", "{m}"))', "sum by ({l}) ({s}) or max by ({m}) ({s})", "{s} * on ({l}) group_left () group by ({l}) ({s})",
           "max_over_time(sum by ({l}) ({s})[10m:1m])", "absent({s})", "sum({s})", "-min by ({l}) ({s})", "sum by ({l}) (sum_over_time({s}[{w}m]))"]
DECIDED = ["sum by ({l}) (rate({s}[{w}m]))", "topk by ({l}) (2, {s})", "bottomk(3, sum by ({l}) ({s}))", 'count_values by ({l}) ("v", {s})', "sum by ({l}) ({s} > 50)", "sum by ({l}) ({s}) unless on ({l}) ({s} > 90)",
           "{s} and on ({l}) topk(5, {s})", "histogram_quantile(0.9, sum by (le, {l}) ({s}))"]


def random_query(oldest_ms):
    kind = RND.choice([FORMS, GROUPED, GROUPED, DECIDED])
    form = RND.choice(kind).replace("{l}", RND.choice(LABELS)).replace("{m}", RND.choice(LABELS))
    expr = form.replace("{s}", RND.choice(SELECTORS)).replace("{w}", str(RND.choice([1, 5, 30, 120])))
    end = NOW - RND.choice([0, 0, 0, MIN, HOUR, 5 * HOUR])
    span = RND.choice([10 * MIN, HOUR, 6 * HOUR, NOW - oldest_ms])
    if "]" == expr[-1] or RND.random() < 0.4:
        return kind is GROUPED, "query", {"query": expr, "time": end / 1000}
    return kind is GROUPED, "query_range", {"query": expr, "start": (end - span) / 1000, "end": end / 1000, "step": max(15, span // 1000 // RND.choice([20, 100, 500]))}


RATIOS = {"series": [], "samples": [], "bytes": [], "memory": [], "groups": [], "seconds": []}


def compare(who, oldest_ms, n, when):
    """Estimates against the run; upper bounds must hold."""
    bad, lost = [], 0
    for _ in range(n):
        grouped, path, params = random_query(oldest_ms)
        status, plan = call(who, path, explain=1, **params)
        again, ran = call(who, path, trace=1, nocache=1, **params)
        if status == 200 and any(w in ran.get("error", "") for w in ("same labelset", "many-to-many", "must be unique", "duplicate series", "multiple matches")):
            continue  # of PromQL, whatever is read
        if status != 200 or again != 200:
            bad.append(f"{params}: {status} {again} {str(plan)[:200]} {str(ran)[:200]}")
            continue
        plan, did = plan["data"], reads(ran["trace"])
        real = {f: sum(r[f] for r in did) for f in ("series", "samples", "bytes_files", "bytes_memory")}
        for s, r in zip(plan["selectors"], did if len(did) == len(plan["selectors"]) else []):
            if r["series"] > s["seriesAtMost"]:
                bad.append(f"{params}: {r['series']} series, at most {s['seriesAtMost']}")
            if r["samples"] > s.get("samplesAtMost", 1 << 60):
                bad.append(f"{params}: {r['samples']} samples, at most {s['samplesAtMost']}")
            if s["seriesKind"] == "exact" and r["series"] != s["series"]:
                bad.append(f"{params}: {r['series']} series, exactly {s['series']}")
        if not did and plan["samples"] > 0:
            lost += 1
        pairs = {"series": (plan["series"], real["series"]), "samples": (plan["samples"], real["samples"]), "bytes": (plan["bytesFromFiles"] + plan["bytesFromMemory"], real["bytes_files"] + real["bytes_memory"])}
        held = next((c["bytes_held"] for c in ran["trace"]["children"] if c["kind"] == "evaluation"), 0)
        root, lines = plan["plan"], len(ran["data"]["result"])
        if "series" in root:
            if lines > root.get("seriesAtMost", 1 << 60) or (root["seriesKind"] == "exact" and lines != root["series"]):
                bad.append(f"{params}: {lines} series of the result, told {root['series']} {root['seriesKind']}, at most {root.get('seriesAtMost')}")
            # Steps further apart than samples are looked for may miss all of a series.
            if grouped and not (root["seriesKind"] != "exact" and params.get("step", 0) > 300):
                pairs["groups"] = (root["series"], lines)
        elif ran["data"]["resultType"] in ("vector", "matrix"):
            bad.append(f"{params}: nobody knows how many series come out")
        if plan["seconds"] is not None and len(RATIOS["series"]) > 30:
            took = (ran["trace"]["duration_msec"] - ran["trace"]["children"][0]["duration_msec"]) / 1000
            # A millisecond is nothing; to leave out those that were quick would leave out the overestimated.
            RATIOS["seconds"].append(((plan["seconds"] + 0.001) / (took + 0.001), when, params, plan["seconds"], took))
        if held > 200000:
            pairs["memory"] = (plan["memoryBytes"], held)
        for f, (guess, is_) in pairs.items():
            RATIOS[f].append((max(guess, 1) / max(is_, 1), when, params, guess, is_))
    ok(not bad and not lost, f"{when}: {n} queries were explained and run, no bound was wrong: {bad[:3]} {lost}")


def bounded(who, queries, when):
    """What is told as exact is so, and no bound is wrong."""
    for q in queries:
        status, plan = call(who, "query", explain=1, nocache=1, query=q, time=NOW / 1000 - 60)
        again, ran = call(who, "query", nocache=1, query=q, time=NOW / 1000 - 60)
        root, lines = plan["data"]["plan"] if status == 200 else {}, len(ran["data"]["result"]) if again == 200 else -1
        ok(lines >= 0 and root.get("series") == lines or lines > 0 and root.get("seriesKind") != "exact" and lines <= root.get("seriesAtMost", 1 << 60), f"{when}: {lines} series of {q}, told {root.get('series')} {root.get('seriesKind')}, at most {root.get('seriesAtMost')}")


def told(f, within, share, enforce=True):
    """The share of ratios within a factor, and where they lie."""
    r = sorted(x[0] for x in RATIOS[f])
    good = sum(1 / within <= x <= within for x in r) / len(r)
    at = " ".join(f"p{p}={r[min(len(r) - 1, len(r) * p // 100)]:.2f}" for p in (0, 1, 5, 25, 50, 75, 95, 99, 100))
    worst = sorted(RATIOS[f], key=lambda x: -abs(math.log(x[0])))[:4]
    for x in worst:
        if not 1 / within <= x[0] <= within:
            note(f"{f}: {x[0]:.2f} ({x[3]} for {x[4]}) {x[1]} {x[2]}")
    text = f"{f}, estimate / run, of {len(r)}: {at}; {good:.1%} within a factor {within}"
    if enforce:
        ok(good >= share, text)
    else:
        note(text)


START = NOW - 30 * HOUR
push("acme", data(START, NOW - 2 * HOUR) + crowd(NOW - 2 * HOUR))
ok(ask("owner", "POST", "/api/v1/admin/tsdb/delete_series", **{"match[]": 'deleted_some{half="1"}'})[0] in (200, 204), "some are deleted")
compare("acme", START, QUERIES // 4, "in memory")
ok(ask("admin", "POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "flushed")
compare("acme", START, QUERIES // 2, "in files")
push("acme", [r for r in data(NOW - 2 * HOUR, NOW) if r[0]["__name__"] != "wide" or int(r[0]["i"]) % 2])
compare("acme", START, QUERIES // 2, "in both")

# --- nothing of another tenant ---
SAME = [("query_range", {"query": q, "start": (NOW - 20 * HOUR) / 1000, "end": NOW / 1000, "step": 120}) for q in ("dense_total", "sum by (job) (rate(churn_total[5m]))", "{__name__=~'.+'}", "wide", "hidden_total")]


def explained():
    out = []
    for path, params in SAME:
        status, a = call("acme", path, explain=1, nocache=1, **params)
        for f in ("seconds", "workPerSecond"):  # of the machine
            a["data"].pop(f, None)
        out.append((status, a))
    return out


alone = explained()
push("zeta", [(dict(r[0], __name__="hidden_total" if r[0]["__name__"] == "wide" else r[0]["__name__"]), [(t + 7, v) for t, v in r[1]]) for r in data(NOW - 6 * HOUR, NOW)])
ok(explained() == alone, "another tenant's series change no byte, in memory")
ok(alone[-1][1]["data"]["samples"] == 0 and alone[-1][1]["data"]["seriesAtMost"] == 0 and alone[0][1]["data"]["samples"] > 10000, f"its metric is not seen: {alone[-1][1]['data']['series']}")
status, theirs = call("zeta", SAME[-1][0], explain=1, **SAME[-1][1])
ok(theirs["data"]["series"] > 2000, f"it sees its own: {theirs['data']['series']}")
ok(ask("admin", "POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "flushed, of both into the same files")
mixed = explained()
diffs = [(a[1]["data"]["samples"], b[1]["data"]["samples"]) for a, b in zip(alone, mixed)]
# Of all metrics at once some have 5 samples a series and some 2,000, so which are looked at counts: by the layout, which the flush changed.
ok(all(max(a, b) <= (3 if q[1]["query"].startswith("{") else 1.25) * min(a, b) for q, (a, b) in zip(SAME, diffs)) and mixed[-1][1]["data"]["files"] == 0, f"nor the totals of files that both are in: {diffs}")
compare("acme", START, QUERIES // 4, "beside another tenant")
# What is not made of labels before the query runs: of many of them, of long ones, by patterns that take their time.
push("acme", [({"__name__": "odd", "half": str(i % 2), "long": "x" * 3000 + f"z{i % 3}", **{f"l{n:03}": str(i) for n in range(140 if i < 12 else 5)}}, times(NOW - 5 * MIN, NOW, MIN)) for i in range(24)])
bounded("acme", ["sum by (half) (odd)", "odd", "sum by (x) (label_replace(odd, 'x', '$1$1', 'long', '(.*)'))", "sum by (x) (label_join(odd, 'x', '-', 'long', 'long'))", "label_replace(odd{half='1'}, 'half', '$1$1', 'long', '(.*)') or odd"], "labels as they are")
took = time.time()
status, slow = call("acme", "query", explain=1, query="label_replace(" * 12 + "odd" + ", 'x', '$1', 'long', '((x+x+)+)[ab]')" * 12)
ok(status == 200 and slow["data"]["plan"]["seriesKind"] != "exact" and time.time() - took < 20, f"slow patterns are given up: {status} {time.time() - took:.2f} s {slow['data']['plan']['seriesKind']}")
told("series", 1.5, 0.95)
told("samples", 2, 0.95)
told("bytes", 2, 0.9)
told("memory", 3, 0.8)
told("groups", 2, 0.97)
told("seconds", 3, 0.8, False)

# --- kept results, refusals, the time ---
path, params = "query_range", {"query": "sum by (job) (rate(dense_total[5m]))", "start": (NOW - 2 * HOUR) / 1000, "end": (NOW - HOUR) / 1000, "step": 60}
_, a = call("acme", path, explain=1, **params)
ok(a["data"]["cache"] == {"steps": 61, "kept": 0} and a["data"]["partToRead"] == 1, f"nothing is kept yet: {a['data']['cache']}")
call("acme", path, **params)
_, a = call("acme", path, explain=1, **params)
ok(a["data"]["cache"] == {"steps": 61, "kept": 61} and a["data"]["partToRead"] == 0, f"all of it is kept: {a['data']['cache']}")
_, b = call("acme", path, explain=1, **{**params, "end": (NOW - HOUR + 15 * MIN) / 1000})
ok(b["data"]["cache"] == {"steps": 76, "kept": 61} and 0.1 < b["data"]["partToRead"] < 0.4, f"a part of it is: {b['data']['cache']} {b['data']['partToRead']}")
_, b = call("acme", path, explain=1, nocache=1, **params)
ok(b["data"]["cache"]["steps"] == 0 and b["data"]["partToRead"] == 1, "nobody asked what is kept")
ok(0 < b["data"]["seconds"] < 60 and b["data"]["workPerSecond"] > 1000, f"it knows its pace: {b['data']['seconds']} s")
_, big = call("acme", "query_range", explain=1, nocache=1, query="wide", start=(NOW - 10 * HOUR) / 1000, end=NOW / 1000, step=4)
ok(big["data"]["heavy"] and not [r for r in big["data"]["refused"] if r["flag"] == "--query.max-samples"], f"heavy, and allowed: {big['data']['refused']}")
# The same with a limit: what is said to be refused is.
k.end()
k = Kymod(os.path.join(top, "data"), "--config", config, "--loops", "2", "--web.enable-admin-api", "--query.max-samples", "1000000", "--query.max-memory", "8MiB", "--no-self-metrics", "--out-of-order-window", "72h", port=k.port)
_, fresh = call("acme", "query", explain=1, query="1 + 1")
ok(fresh["data"]["seconds"] is None and fresh["data"]["selectors"] == [], f"a fresh server knows no pace, and a number no selector: {fresh['data']['seconds']}")
limited = {"query": "wide", "start": (NOW - 10 * HOUR) / 1000, "end": NOW / 1000, "step": 4}
_, a = call("acme", "query_range", explain=1, **limited)
status, ran = call("acme", "query_range", **limited)
flags = [r["flag"] for r in a["data"]["refused"]]
ok(status == 422 and flags and any(f in ran["error"] for f in flags), f"what would be refused is, by a flag that was named: {flags} {ran.get('error')}")
ok(all(r["sure"] for r in a["data"]["refused"]), f"it is sure of that: {a['data']['refused']}")
few = dict(limited, query="sum by (job) (wide)")  # five groups of 2,500 series
_, a = call("acme", "query_range", explain=1, nocache=1, **few)
status, ran = call("acme", "query_range", **few)
ok(a["data"]["plan"]["series"] == 5 and any(r["sure"] for r in a["data"]["refused"]) == (status == 422), f"groups are counted, so it is sure: {status} {a['data']['refused']}")
status, ran = call("acme", "query_range", explain=1, nocache=1, **dict(limited, query="max_over_time(wide[1y:1ms])"))
ok(status == 422 and "--query.max-samples" in ran["error"], f"what no plan holds is refused as the query is: {status} {ran.get('error')}")
status, ran = call("acme", "query_range", **dict(limited, query="sum(wide)"))
_, a = call("acme", "query_range", explain=1, nocache=1, **dict(limited, query="sum(wide)"))
ok(status == 200 and not a["data"]["refused"], f"what would not is not: {a['data']['refused']}")

# --- the trace's numbers ---
status, a = call("acme", "query_range", trace=1, nocache=1, query="sum by (job) (rate(dense_total[5m])) + on (job) count by (job) (sparse_gauge)", start=(NOW - 20 * HOUR) / 1000, end=NOW / 1000, step=60)
t = a["trace"]
steps = {c["kind"]: c for c in t["children"]}
ok(list(steps) == ["admission", "plan", "evaluation", "sort", "answer"], f"steps in their order: {list(steps)}")
rs = reads(t)
ok(len(rs) == 2 and all(sum(s[f] for s in r["children"]) == r[f] for r in rs for f in ("series", "samples", "samples_files", "samples_memory", "bytes_files", "bytes_memory")), "what shards read adds up")
ok(all(r["samples"] <= r["samples_files"] + r["samples_memory"] for r in rs) and sum(r["samples_files"] for r in rs) > 0, "by where it stood")
shards = [s for r in rs for s in r["children"]]
spent = [(s["busy_msec"] + s["wait_turn_msec"] + s["wait_files_msec"] + s["wait_home_msec"], s["duration_msec"]) for s in shards]
ok(all(took - 0.01 <= all_ for all_, took in spent) and {s["loop"] for s in shards} == {0, 1}, f"and where its time went: {spent[:3]}")
ok(all(0 <= s["start_msec"] <= t["duration_msec"] + 0.01 for s in shards) and steps["answer"]["busy_msec"] > 0, f"begins are since the request came: {steps['answer']}")
ok(all("message" in c and "duration_msec" in c for c in [t, *t["children"], *rs, *shards]), "messages are as they were")
done()
