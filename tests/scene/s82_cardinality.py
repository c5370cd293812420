#!/usr/bin/env python3
"""A label without end: a tenant sends 200,000 distinct values of one label under a rule that replaces them, others under rules that drop, refuse and only report; the metric and the label are named, memory stays, what is stored is what the rules say, before and after a kill; another tenant's writes and answers are as they were, and it sees nothing of it. Nothing is judged by how long it took."""
import sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("cardinality")
NAMES = ("shop", "quiet", "drop", "strict", "dry")
TOKENS = {n: n + "-secret-0123456789abcdef" for n in NAMES}
DISTINCT, MOST, PIECE = int(os.environ.get("KYMO_CARD_SERIES", "200000")), 1000, 5000
NOW = int(time.time() * 1000)


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


path = os.path.join(top, "kymo.yml")
rows = "\n".join(f'  - {{name: {n}, token_hash: "{token_hash(t)}", roles: [write, read], tenant: {n}}}' for n, t in TOKENS.items())
with open(path, "w") as f:
    f.write(f"""identities:
  tokens:
{rows}
tenants:
  shop:
    cardinality:
    - {{label: user_id, max_values: {MOST}, action: replace}}
  drop:
    cardinality:
    - {{metric: "req.*", label: "*", per: metric, max_values: 50, action: drop_label}}
  strict:
    cardinality:
    - {{per: target, max_series: 100, action: refuse}}
  dry:
    cardinality:
    - {{label: user_id, max_values: 100, action: refuse, dry_run: true}}
""")
os.chmod(path, 0o600)


def ask(who, method, path, body=None, headers=None):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKENS[who], **(headers or {})})


def data(who, path, **params):
    status, body, _ = ask(who, "GET", f"/api/v1/{path}?" + urllib.parse.urlencode(params, doseq=True))
    got = json.loads(body)
    return got["data"] if status == 200 and "data" in got else got


def push(who, many):
    status, body, _ = ask(who, "POST", "/api/v1/write", snappy(b"".join(series(*s) for s in many)), WRITE_HEADERS)
    return status, body


def users(first, count, t, name="requests_total", instance="a:1"):
    return [({"__name__": name, "code": "200" if i % 2 else "500", "instance": instance, "job": "shop", "user_id": f"u{i}"}, [(t, i)]) for i in range(first, first + count)]


def value(who, query):
    rows = data(who, "query", query=query, time=NOW / 1000 + 60)["result"]
    return float(rows[0]["value"][1]) if rows else 0


def rss():
    with open(f"/proc/{k.p.pid}/status") as f:
        return int(re.search(r"VmRSS:\s+(\d+) kB", f.read()).group(1)) * 1024


k = Kymod(os.path.join(top, "data"), "--config", path, "--loops", "2")
CALM = [({"__name__": "calm_total", "i": str(i), "job": "quiet"}, [(NOW, i)]) for i in range(100)]
ok(push("quiet", CALM)[0] == 204, "the quiet one's series")
before = ask("quiet", "GET", f"/api/v1/query?query=calm_total&time={NOW / 1000}")[:2]
refused, rss_first = [], 0
for i in range(0, DISTINCT, PIECE):
    for _ in range(60):
        status, text = push("shop", users(i, PIECE, NOW + i // PIECE))
        if status != 503:
            break
        time.sleep(0.5)
    if status != 204:
        refused.append((status, text))
    status, text = push("quiet", [(m, [(NOW + 1 + i // PIECE, i)]) for m, _ in CALM])
    if status != 204:
        refused.append((status, text))
    if i == DISTINCT // 4:
        rss_first = rss()
ok(not refused, f"every row of both is taken: {refused[:2]}")
grown = rss() - rss_first
ok(grown < 96 << 20, f"memory stays: {grown >> 20} MiB more for {DISTINCT * 3 // 4} more distinct values")
ok(value("shop", "count(requests_total)") == MOST + 2, f"stored: {MOST} values, and two series for all others: {value('shop', 'count(requests_total)')}")
ok(value("shop", 'count(requests_total{user_id="reassigned_high_cardinality"})') == 2, "they bear the value that says so")
ok(ask("quiet", "GET", f"/api/v1/query?query=calm_total&time={NOW / 1000}")[:2] == before, "an answer to the other one is what it was")
ok(len(json.loads(before[1])["data"]["result"]) == 100, "of 100 series")


# --- it is named, without an end to the waiting but patience: more values come until it is ---
def explosions(who):
    return [e for e in data(who, "cardinality/explosions") if e["now"]]


at, end = DISTINCT, time.time() + 300
while time.time() < end:
    push("shop", users(at, 2000, NOW + 1000))
    at += 2000
    kinds = {e["kind"] for e in explosions("shop")}
    if "label_of_metric" in kinds and "rule" in kinds:
        break
    time.sleep(0.2)
found = {e["kind"]: e for e in explosions("shop")}
e = found.get("label_of_metric", {})
ok(e.get("metric") == "requests_total" and e.get("label") == "user_id" and e["examples"][0].startswith("u") and e["valuesPerSecond"] > 0, f"the metric and the label that explode are named: {e}")
e = found.get("rule", {})
ok(e.get("rule") == 1 and e.get("action") == "replace" and e.get("label") == "user_id", f"and what a rule does about it: {e}")
log = open(k.log_path).read()
ok('event=cardinality_explodes tenant=shop metric="requests_total" label="user_id"' in log, "so is it in the log")
end, history = time.time() + 300, []
while time.time() < end and not history:
    push("shop", users(at, 2000, NOW + 1000))
    at += 2000
    history = data("shop", "query", query='max_over_time(kymo_cardinality_values_per_second{kind="label_of_metric", metric="requests_total", label="user_id"}[1h])')["result"]
    time.sleep(0.2)
ok(history and float(history[0]["value"][1]) > 0, f"its course is a series of the tenant's own, to be played back: {history}")
ok(data("quiet", "query", query="count(kymo_cardinality_values_per_second)")["result"] == [], "which the other one has not")
ok(explosions("quiet") == [] and data("quiet", "cardinality")["series"] == 100, "the other one sees nothing of it")

# --- other rules ---
ok(push("drop", users(0, 300, NOW) + users(0, 300, NOW, "other_total"))[0] == 204, "a rule that drops")
ok(value("drop", "count(requests_total)") == 50 + 2 and value("drop", 'count(requests_total{user_id=""})') == 2 and value("drop", "count(other_total)") == 300, "the label is dropped where the metric is the rule's")
status, text = push("strict", users(0, 300, NOW))
ok(status == 400 and b"limit 100 a target (tenants.strict.cardinality, rule 1)" in text and b"stored 100 of 300" in text, f"a rule that refuses, in words: {status} {text}")
ok(push("strict", users(0, 100, NOW, instance="b:1"))[0] == 204 and value("strict", "count(requests_total)") == 200, "another target has its own limit")
ok(push("dry", users(0, 300, NOW))[0] == 204 and value("dry", "count(requests_total)") == 300, "a dry run stores all")
end = time.time() + 120
while time.time() < end and not any(e["kind"] == "rule" for e in data("dry", "cardinality/explosions")):
    time.sleep(0.2)
ok([e["action"] for e in data("dry", "cardinality/explosions") if e["kind"] == "rule"] == ["refuse, dry run"], "and tells what it would do")

# --- the API ---
got = data("shop", "cardinality", limit=5)
ok(got["series"] >= MOST + 2 and got["metrics"][0] == {"name": "requests_total", "series": MOST + 2, "hourAgo": None, "dayAgo": None}, f"figures: {got['metrics']}")
ok(got["labels"][0]["name"] == "user_id" and got["labels"][0]["values"] == MOST + 1 and got["targets"][0]["name"] == "instance=a:1", f"of labels and targets: {got['labels']} {got['targets']}")
got = data("shop", "cardinality/label_names", limit=2, selector="requests_total")
ok(got["label_names_count"] == 5 and got["cardinality"][0] == {"label_name": "user_id", "label_values_count": MOST + 1} and len(got["cardinality"]) == 2 and got["label_values_count_total"] == MOST + 1 + 2 + 3, f"label_names: {got}")
got = data("shop", "cardinality/label_values", **{"label_names[]": ["code", "user_id"], "limit": 1, "selector": '{code="500"}'})
ok(got["labels"][0] == {"label_name": "code", "label_values_count": 1, "series_count": got["series_count_total"], "cardinality": [{"label_value": "500", "series_count": got["series_count_total"]}]} and got["labels"][1]["label_name"] == "user_id" and len(got["labels"][1]["cardinality"]) == 1, f"label_values: {str(got)[:300]}")
got = data("drop", "cardinality/active_series", selector='{user_id="", __name__=~"requests.*"}')
ok(sorted(m["code"] for m in got) == ["200", "500"] and all(m["__name__"] == "requests_total" for m in got), f"active_series: {got}")
for p, q, want in (("label_values", "", b"no label_names[] parameter provided"), ("active_series", "", b"no selector parameter provided"), ("label_names", "selector=%7B", b'invalid parameter \\"selector\\"'),
                   ("label_names", "limit=501", b"limit must be a number from 1 to 500"), ("active_series", "selector=up&start=x", b"start")):
    status, body, _ = ask("shop", "GET", f"/api/v1/cardinality/{p}?{q}")
    ok(status == 400 and want in body, f"{p}?{q}: {status} {body[:120]}")
# how it came about, from what is stored: series alive at each step
got = data("shop", "query_range", query="count(requests_total)", start=NOW / 1000 - 600, end=NOW / 1000 + 60, step=60)["result"][0]["values"]
ok(float(got[-1][1]) == MOST + 2 and len(got) < 11, f"it can be played back: {got}")

# --- a kill: what was acknowledged is there under the labels that rules gave it ---
k.end(signal.SIGKILL)
k = Kymod(os.path.join(top, "data"), "--config", path, "--loops", "2")
ok(value("shop", "count(requests_total)") == MOST + 2 and value("drop", "count(requests_total)") == 52 and value("strict", "count(requests_total)") == 200 and value("dry", "count(requests_total)") == 300, "after a kill all is as it was")
end, i = time.time() + 120, 0
while time.time() < end and value("shop", 'count(late_total{user_id="reassigned_high_cardinality"})') != 1:
    push("shop", [({"__name__": "late_total", "job": "shop", "user_id": f"v{i}"}, [(NOW, 1)])])
    i += 1
    time.sleep(0.2)  # what is in memory is counted again soon after a start
ok(value("shop", 'count(late_total{user_id="reassigned_high_cardinality"})') == 1, "and values that were taken are still counted")
ok(k.end() == 0, "an orderly end")
done()
