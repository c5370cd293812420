#!/usr/bin/env python3
"""What is kept of range queries: asked again the answer comes from the cache, bit for bit what nocache=1 computes, after new and late samples, for one tenant and for several, with limit and stats, under many clients at once; bounded, and told of in /metrics."""
import sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("cache")
TOKEN = "gate-secret-0123456789abcdef"
SIZE = 4 << 20
rnd = random.Random(32)
config = os.path.join(top, "kymod.yml")
with open(config, "w") as f:
    hash_ = subprocess.run([KYMOD, "--hash-token"], input=TOKEN.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()
    f.write(f'identities:\n  tokens:\n  - {{name: gate, token_hash: "{hash_}", roles: [write, read, admin], trusted: true, tenants: ["*"]}}\n')
os.chmod(config, 0o600)
k = Kymod(os.path.join(top, "data"), "--config", config, "--loops", "2", "--no-self-metrics", "--query.cache-size", str(SIZE))
NOW = int(time.time()) // 60 * 60


def ask(method, path, body=None, org="a", headers=None):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKEN, "X-Scope-OrgID": org, **(headers or {})}, 120)


def push(org, rows):
    status, text, _ = ask("POST", "/api/v1/write", snappy(b"".join(series(*r) for r in rows)), org, WRITE_HEADERS)
    assert status == 204, (status, text)


def query(text, org="a", start=NOW - 7200, end=NOW, step=60, **more):
    status, body, _ = ask("GET", "/api/v1/query_range?" + urllib.parse.urlencode({"query": text, "start": start, "end": end, "step": step, **more}), org=org)
    assert status == 200, (status, body)
    return body


def metrics():
    out = {}
    for line in ask("GET", "/metrics")[1].decode().splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            out[name] = float(value)
    return out


def counts():
    m = metrics()
    return tuple(int(m[f'kymo_query_cache_queries_total{{kept="{x}"}}']) for x in ("all", "some", "none"))


def more(text, org="a", **params):
    """The answer, and by how much the counts of queries rose: from all, some, nothing kept."""
    before = counts()
    body = query(text, org, **params)
    return body, tuple(b - a for a, b in zip(before, counts()))


def labels(i):
    return {"__name__": "req_total", "job": f"j{i % 3}", "i": str(i)}


for org, factor in (("a", 1), ("b", 7)):
    push(org, [(labels(i), [((NOW - 15 * n) * 1000, (500 - n) * (i + 1) * factor) for n in range(490, -1, -1)]) for i in range(12)])

SUM = "sum by (job) (rate(req_total[5m]))"
anew = query(SUM, nocache=1)
first, rose = more(SUM)
ok(first == anew and rose == (0, 0, 1), f"the first time all is evaluated: {rose}")
again, rose = more(SUM)
ok(again == anew and rose == (1, 0, 0), f"the second time nothing is: {rose}")
part, rose = more(SUM, start=NOW - 3600)
ok(part == query(SUM, start=NOW - 3600, nocache=1) and rose == (1, 0, 0), f"a part of it is there, too: {rose}")
query(SUM)
moved, rose = more(SUM, start=NOW - 7140, end=NOW + 60)
ok(moved == query(SUM, start=NOW - 7140, end=NOW + 60, nocache=1) and rose == (0, 1, 0), f"a step later only that one is evaluated: {rose}")
_, rose = more(SUM, start=NOW - 7140, end=NOW + 60, nocache=1)
ok(rose == (0, 0, 0), "nocache=1 is not counted")
_, rose = more(SUM, start=NOW - 7140, end=NOW + 60, stats="true")
ok(rose == (0, 0, 0), "nor are statistics, which are those of a whole evaluation")
cut = json.loads(query(SUM, start=NOW - 7140, end=NOW + 60, limit=1))
ok(len(cut["data"]["result"]) == 1 and "results truncated due to limit" in cut["warnings"], "limit cuts what is kept")

# --- other tenants ---
other, rose = more(SUM, org="b", start=NOW - 7140, end=NOW + 60)
ok(rose == (0, 0, 1) and other != moved and other == query(SUM, "b", start=NOW - 7140, end=NOW + 60, nocache=1), f"another tenant has nothing of it: {rose}")
both = "sum by (__tenant_id__, job) (rate(req_total[5m]))"
query(both, "a|b")
answer, rose = more(both, "a|b")
ok(rose == (1, 0, 0) and answer == query(both, "a|b", nocache=1), f"several tenants together have their own: {rose}")
_, rose = more(both, "a")
ok(rose == (0, 0, 1), f"which is not that of one: {rose}")

# --- late samples ---
query(SUM)
push("a", [(labels(99), [((NOW - 3000 + n * 15) * 1000, n * 100) for n in range(20)])])
late, rose = more(SUM)
ok(late != anew and late == query(SUM, nocache=1) and rose == (0, 1, 0), f"late samples are seen, and only what they touch is evaluated: {rose}")
answer, rose = more(both, "a|b")
ok(answer == query(both, "a|b", nocache=1) and rose == (0, 1, 0), f"by several tenants, too: {rose}")
query(SUM, "b")
_, rose = more(SUM, "b")
ok(rose == (1, 0, 0), f"the other tenant's is as it was: {rose}")
m = metrics()
ok(m['kymo_tenant_query_steps_kept_total{tenant="a"}'] > 0 and m['kymo_tenant_query_steps_total{tenant="a"}'] > m['kymo_tenant_query_steps_kept_total{tenant="a"}'], "/metrics tells of each tenant")

# --- many at once ---
TEXTS = [SUM, "req_total", "rate(req_total[3m])", "max(req_total) by (job)", "avg_over_time(req_total[10m])", "req_total offset 10m", "topk(2, req_total)", "count(req_total > 1000) or vector(0)"]
failed = []


def client(no):
    r = random.Random(no)
    try:
        for _ in range(25):
            query(r.choice(TEXTS), r.choice(["a", "b", "a|b"]), start=NOW - r.choice([3600, 7200]), end=NOW + 60 * r.randrange(3))
            if r.random() < .5:
                push(r.choice("ab"), [(labels(r.randrange(14)), [((NOW - r.randrange(7000)) * 1000 + no, r.randrange(1000))])])
    except Exception as e:
        failed.append(repr(e))


clients = [threading.Thread(target=client, args=(n,)) for n in range(8)]
for c in clients:
    c.start()
for c in clients:
    c.join()
ok(not failed, f"many clients ask and write: {failed[:2]}")
wrong = [(t, o) for t in TEXTS for o in ("a", "b", "a|b") for e in range(3) if query(t, o, end=NOW + 60 * e) != query(t, o, end=NOW + 60 * e, nocache=1)]
ok(not wrong, f"and what is kept then is what is computed: {wrong[:3]}")

# --- bounds ---
most = 0
for i in range(1000):
    query(f"req_total + {i}")
    if i % 50 == 0:
        most = max(most, metrics()['kymo_memory_bytes{part="cache"}'])
m = metrics()
ok(0 < most <= SIZE and m["kymo_query_cache_gone_total"] > 0 and m['kymo_memory_limit_bytes{part="cache"}'] == SIZE, f"1,000 different queries keep at most {most:.0f} bytes of {SIZE}")
done()
