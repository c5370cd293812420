#!/usr/bin/env python3
"""Delta temporality in OTLP/JSON: what was added is what increases, also over a kill -9, a silence and a retry; each tenant has
its own streams and its own limit of them; with the option off such points are rejected and told."""
import random, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

PATH, STEP = "/api/v1/otlp/v1/metrics", 10
top = tmpdir("delta")
config = os.path.join(top, "kymod.yml")
base_s = int(time.time()) - 1200
rnd = random.Random(7)
TOKEN = "token-of-the-delta-scene-0123456789"
HASH = subprocess.run([KYMOD, "--hash-token"], input=TOKEN.encode() + b"\n", stdout=subprocess.PIPE, check=True).stdout.decode().strip()


def configure(**otlp):
    """One token that may name each tenant, and the options of OTLP."""
    who = {"name": "all", "token_hash": HASH, "trusted": True, "tenants": ["*"],
           "roles": ["write", "read", "admin"]}
    with open(config + ".new", "w") as f:
        json.dump({"identities": {"tokens": [who]}, "receivers": {"otlp": {"delta_max_stale": "1h", **otlp}}}, f)
    os.chmod(config + ".new", 0o600)
    os.replace(config + ".new", config)


def ask(method, path, body=None, tenant="usual", **more):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKEN, "X-Scope-OrgID": tenant, **more})


def body(points, **kind):
    sums = [{"name": name, "sum": {"aggregation_temporality" if i % 2 else "aggregationTemporality":
                                   "AGGREGATION_TEMPORALITY_DELTA" if i % 2 else 1, "isMonotonic": True, "dataPoints": p}}
            for i, (name, p) in enumerate(points.items())]
    return json.dumps({"resourceMetrics": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "s"}}]},
                                            "scopeMetrics": [{"scope": {}, "metrics": sums}], "unknown": [{}]}]})


def at(step, value, **more):
    t = base_s + step * STEP
    return {"startTimeUnixNano": f"{t - STEP}000000000", "timeUnixNano": t * 10**9, "asInt": str(value), **more}


def post(points, tenant="usual"):
    status, answer, _ = ask("POST", PATH, body(points), tenant, **{"Content-Type": "application/json"})
    return status, json.loads(answer)


def values(name, tenant="usual"):
    q = urllib.parse.urlencode({"query": name + "[1h]", "time": base_s + 1800})
    r = json.loads(ask("GET", "/api/v1/query?" + q, tenant=tenant)[1])["data"]["result"]
    return [(float(t), float(v)) for t, v in r[0]["values"]] if r else []


def grown(samples):
    """What a counter grew by, resets looked at, as rate() and increase() see it."""
    return sum(b - a if b >= a else b for (_, a), (_, b) in zip(samples, samples[1:]))


def metric(name):
    for line in ask("GET", "/metrics")[1].decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[-1])


configure()
k = Kymod(os.path.join(top, "data"), "--config", config, "--web.enable-lifecycle")
total = 0
good = True
for step in range(10):
    n = rnd.randint(0, 5)
    total += n
    good &= post({"small": [at(step, n)], "large": [at(step, 1000 * (step + 1))]}) == (200, {})
    if step == 4:
        good &= post({"small": [at(step, n)]}) == (200, {})
ok(good, "delta points in JSON are taken, one of them twice")
ok(values("small_total")[0] == (base_s - STEP + 0.001, 0), "a series begins with 0 where its first point does")
ok(grown(values("small_total")) == total, f"it grows by what was added: {total}")
status, answer = post({"small": [at(3, 5)]})
ok(status == 200 and answer["partialSuccess"]["rejectedDataPoints"] == "1" and
   "not later than the last delta point" in answer["partialSuccess"]["errorMessage"], f"an earlier point is rejected: {answer}")
ok(metric("kymo_delta_streams") == 2 and metric("kymo_delta_bytes") > 0, "two streams are kept")

# What a restart forgets is the sum, not what is added: the next delta may be larger than all before.
k.end(signal.SIGKILL)
k = Kymod(os.path.join(top, "data"), "--config", config, "--web.enable-lifecycle")
good = True
for step in range(10, 20):
    n = 50 if step == 10 else rnd.randint(0, 5)
    total += n
    good &= post({"small": [at(step, n)], "large": [at(step, 1)]}) == (200, {})
ok(good and grown(values("small_total")) == total, f"after kill -9 nothing that was added is missing: {total}")
ok(grown(values("large_total")) == sum(1000 * (i + 1) for i in range(10)) + 10, "a fall is a reset")

# Limits of a tenant; another one is as it was.
configure(delta_max_streams=3)
ok(ask("POST", "/-/reload")[0] == 200, "a smaller number of streams")
many = {f"m{i}": [at(20, 1)] for i in range(5)}
status, answer = post(many, "a")
ok(status == 200 and answer["partialSuccess"]["rejectedDataPoints"] == "2" and
   "as many delta streams as may be" in answer["partialSuccess"]["errorMessage"], f"no more than 3: {answer}")
ok(post({"m0": [at(20, 1)]}, "b") == (200, {}) and post({"m0": [at(21, 2)]}, "a") == (200, {}),
   "another tenant has its own, and who is in goes on")
ok([v for _, v in values("m0_total", "a")] == [0, 1, 3] and [v for _, v in values("m0_total", "b")] == [0, 1],
   "tenants do not share a stream")

configure(delta_zero_start=False, delta_max_stale="1s")
ok(ask("POST", "/-/reload")[0] == 200, "streams that may be silent for a second")
streams = metric("kymo_delta_streams")  # one that shares its lock with the next may go, too
good = post({"bare": [at(30, 7)]}, "b") == (200, {})
end = time.time() + 60
while metric("kymo_delta_streams") > streams and time.time() < end:
    time.sleep(0.1)
good &= metric("kymo_delta_streams") <= streams and post({"bare": [at(31, 2)]}, "b") == (200, {})
ok(good and [v for _, v in values("bare_total", "b")] == [7, 2], "what is silent is forgotten, and begins anew")

configure(delta_to_cumulative=False)
ok(ask("POST", "/-/reload")[0] == 200, "the option is off")
status, answer = post({"off": [at(30, 7)]})
ok(status == 200 and answer["partialSuccess"]["rejectedDataPoints"] == "1" and "delta" in answer["partialSuccess"]["errorMessage"],
   f"delta points are rejected: {answer}")

configure(delta_to_cumulative=False, native_delta_ingestion=True)
ok(ask("POST", "/-/reload")[0] == 200 and post({"raw": [at(30, 7)]}) == (200, {}) and post({"raw": [at(31, 2)]}) == (200, {}) and
   [v for _, v in values("raw_total")] == [7, 2], "or they are stored as they are")
configure(delta_zero_start=True)
ok(ask("POST", "/-/reload")[0] == 200 and post({"late": [at(30, 7)]}) == (200, {}) and
   [v for _, v in values("late_total")] == [0, 7], "a first point with its 0, long after both")
k.end()
k = Kymod(os.path.join(top, "data"), "--config", config, "--web.enable-lifecycle", "--out-of-order-window", f"{STEP - 5}s")
now = int(time.time()) + 60
point = {"startTimeUnixNano": f"{now - STEP}000000000", "timeUnixNano": now * 10**9, "asInt": "7"}
ok(post({"narrow": [point]}) == (200, {}), "no 0 is told as rejected where late samples are not taken")
configure(native_delta_ingestion=True)
status, answer, _ = ask("POST", "/-/reload")
ok(status == 500 and b"native_delta_ingestion needs delta_to_cumulative: false" in answer, "not both")
ok(k.end() == 0, "kymod ends cleanly")
shutil.rmtree(top, ignore_errors=True)
done()
