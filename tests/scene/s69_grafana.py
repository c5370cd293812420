#!/usr/bin/env python3
"""What Grafana and promtool send, replayed: the data source's test, ad hoc filters, variables, panels, heat maps of classic and
native histograms, exemplars, metrics drilldown; each with GET and as the form that Grafana posts, below /prometheus, too."""
import gzip, shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("promtool")
top = tmpdir("grafana")
k = Kymod(os.path.join(top, "data"), "--web.enable-admin-api", "--no-self-metrics")
now = int(time.time()) // 60 * 60
NODES, MODES, LE = ("a", "b", "c"), ("idle", "user"), ("0.1", "1", "+Inf")


def exemplar(t, v, trace):
    own = field(1, field(1, b"trace_id") + field(2, trace.encode()))
    return field(3, own + b"\x11" + struct.pack("<d", v) + b"\x18" + varint(t))


def native(t, n):
    """A native histogram of schema 0: counts n and 2n in the buckets (0.5, 1] and (1, 2]."""
    z = lambda v: varint(v << 1 ^ v >> 63 & (1 << 64) - 1)
    spans = field(11, b"\x08" + z(0) + b"\x10" + varint(2))
    body = b"\x08" + varint(3 * n) + b"\x19" + struct.pack("<d", 3.0 * n) + spans + field(12, z(n) + z(n)) + b"\x78" + varint(t)
    return field(4, body)


def labels(m):
    return b"".join(field(1, field(1, k.encode()) + field(2, m[k].encode())) for k in sorted(m))


body = b""
STEPS = [now - 1800 + 15 * i for i in range(121)]
for n in NODES:
    for mode in MODES:
        body += series({"__name__": "cpu_seconds_total", "instance": n, "job": "node", "mode": mode}, [(1000 * t, float(t - STEPS[0])) for t in STEPS])
    for i, le in enumerate(LE):
        m = {"__name__": "latency_seconds_bucket", "instance": n, "job": "app", "le": le}
        points = b"".join(field(2, b"\x09" + struct.pack("<d", float((i + 1) * (t - STEPS[0]))) + b"\x10" + varint(1000 * t)) for t in STEPS)
        body += field(1, labels(m) + points + exemplar(1000 * (now - 60), 0.5, f"trace-{n}-{i}"))
    body += field(1, labels({"__name__": "latency_native_seconds", "instance": n, "job": "app"}) + b"".join(native(1000 * t, (t - STEPS[0]) // 15) for t in STEPS))
for family, kind, text in (("cpu_seconds_total", 1, "Seconds of CPU."), ("latency_seconds", 3, "How long.")):
    body += field(3, b"\x08" + bytes([kind]) + field(2, family.encode()) + field(4, text.encode()))
status, text, _ = write(k.port, body)
ok(status == 204, f"written: {status} {text[:200]}")


def get(path, post=False, prefix="", **params):
    q = urllib.parse.urlencode(params, doseq=True)
    headers = {"Accept-Encoding": "gzip", "X-Grafana-Org-Id": "1", "X-Dashboard-Uid": "d", "X-Panel-Id": "3"}
    if post:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        status, body, h = request(k.port, "POST", prefix + path, q, headers)
    else:
        status, body, h = request(k.port, "GET", f"{prefix}{path}?{q}", None, headers)
    if h.get("Content-Encoding") == "gzip":
        body = gzip.decompress(body)
    return status, json.loads(body) if body[:1] == b"{" else body


def data(path, **params):
    """The same answer whichever way it is asked for."""
    a = get(path, **params)
    ways = [get(path, prefix="/prometheus", **params)]
    if path.rsplit("/", 1)[1] in ("query", "query_range", "series", "labels", "query_exemplars"):
        ways.append(get(path, post=True, **params))
    if a[0] != 200 or any(w != a for w in ways):
        note(f"{path} {params}: {str(a)[:300]} {str(ways)[:300]}")
        return None
    return a[1].get("data")


window = {"start": now - 1800, "end": now}
# The test of a data source.
got = data("/api/v1/query", query="1+1", time=4)
ok(got and got["resultType"] == "scalar" and got["result"] == [4, "2"], f"health check: {got}")
got = data("/api/v1/status/buildinfo")
ok(got and got["version"].split(".")[0] == "3" and "features" not in got, f"what it takes the server for: {got}")
ok(data("/api/v1/rules") == {"groups": []}, "rules, looked for at the start")
ok(data("/api/v1/query_exemplars", query="test", start=now * 1000 - 1, end=now * 1000) == [], "the probe of exemplars, in milliseconds")
# Ad hoc filters.
got = data("/api/v1/labels", **window)
ok(got == ["__name__", "instance", "job", "le", "mode"], f"names of labels: {got}")
got = data("/api/v1/labels", **{"match[]": '{job="node"}'}, **window)
ok(got == ["__name__", "instance", "job", "mode"], f"of what is chosen: {got}")
got = data("/api/v1/label/instance/values", **{"match[]": 'cpu_seconds_total{mode="idle"}'}, **window)
ok(got == list(NODES), f"values of one: {got}")
# Variables.
got = data("/api/v1/label/le/values", **{"match[]": "latency_seconds_bucket"}, **window)
ok(got == sorted(LE), f"label_values(metric, label): {got}")
got = data("/api/v1/series", **{"match[]": 'cpu_seconds_total{job="node"}'}, **window)
ok(got and sorted((s["instance"], s["mode"]) for s in got) == [(n, m) for n in NODES for m in MODES], "label_values by series")
got = data("/api/v1/query", query="query_result", time=now)
ok(got == {"resultType": "vector", "result": []}, f"query_result of nothing: {got}")
got = data("/api/v1/query", query='count by (instance) (cpu_seconds_total)', time=now)
ok(got and sorted(s["metric"]["instance"] for s in got["result"]) == list(NODES), "query_result(query)")
# Panels.
steps = {"start": now - 900, "end": now, "step": 15}
got = data("/api/v1/query_range", query='sum by (mode) (rate(cpu_seconds_total{job="node"}[1m]))', **steps)
ok(got and [s["metric"]["mode"] for s in got["result"]] == list(MODES) and all(close(v, 3) for s in got["result"] for _, v in s["values"]), f"a panel: {str(got)[:200]}")
got = data("/api/v1/query_range", query="sum by (le) (increase(latency_seconds_bucket[1m]))", **steps)
ok(got and sorted(s["metric"]["le"] for s in got["result"]) == sorted(LE) and all(len(s["values"]) == 61 for s in got["result"]), "a heat map, classic")
got = data("/api/v1/query_range", query="sum(increase(latency_native_seconds[1m]))", **steps)
h = got["result"][0]["histograms"][0][1] if got and got["result"] else {}
ok(got and len(got["result"]) == 1 and len(got["result"][0]["histograms"]) == 61 and [b[1:3] for b in h["buckets"]] == [["0.5", "1"], ["1", "2"]] and all(close(b[3], n) for b, n in zip(h["buckets"], (12, 24))),
   f"a heat map, native: {h}")
got = data("/api/v1/query", query='histogram_quantile(0.5, rate(latency_native_seconds{instance="b"}[5m]))', time=now)
ok(got and len(got["result"]) == 1 and 1 < float(got["result"][0]["value"][1]) < 2, "a quantile of it")
got = data("/api/v1/query_exemplars", query="histogram_quantile(0.9, sum by (le) (rate(latency_seconds_bucket[1m])))", **window)
ok(got and len(got) == 9 and got[0]["exemplars"][0]["labels"]["trace_id"] == "trace-a-2", f"exemplars of a panel: {str(got)[:200]}")
# Metrics drilldown.
got = get("/api/v1/label/__name__/values", limit=2, **window)[1]
ok(got["data"] == ["cpu_seconds_total", "latency_native_seconds"] and got["warnings"] == ["results truncated due to limit"], f"names of metrics, with a limit: {got}")
got = get("/api/v1/series", **{"match[]": "cpu_seconds_total", "limit": 3})[1]
ok(len(got["data"]) == 3 and got["warnings"] == ["results truncated due to limit"], "series, too")
got = data("/api/v1/metadata", limit=40000)
ok(got == {"cpu_seconds_total": [{"type": "counter", "help": "Seconds of CPU.", "unit": ""}], "latency_seconds": [{"type": "histogram", "help": "How long.", "unit": ""}]}, f"metadata: {got}")
ok(data("/api/v1/metadata", metric="latency_seconds", limit_per_metric=1) == {"latency_seconds": [{"type": "histogram", "help": "How long.", "unit": ""}]}, "of one metric")
got = get("/api/v1/query", query="topk(1, cpu_seconds_total", time=now)
ok(got[0] == 400 and got[1]["errorType"] == "bad_data" and got[1]["error"].startswith('invalid parameter "query": 1:'), f"a mistake has its place: {got}")
got = get("/api/v1/query", query="cpu_seconds_total", time=now, limit=2)[1]
ok(len(got["data"]["result"]) == 2 and got["warnings"] == ["results truncated due to limit"], "an instant query with a limit")
ok(data("/api/v1/query", query="cpu_seconds_total", time=now + 120, lookback_delta="1m")["result"] == [], "lookback_delta")
got = data("/api/v1/format_query", query="sum(rate(x[5m]))by(y)")
ok(got == "sum by (y) (rate(x[5m]))", f"a query, formatted: {got}")
got = data("/api/v1/parse_query", query="up{a=~\"b\"} offset 5m")
ok(got and got["type"] == "vectorSelector" and got["offset"] == 300000, f"and parsed: {got}")
got = data("/api/v1/status/tsdb", limit=1)
ok(got and len(got["seriesCountByMetricName"]) == 1 and got["headStats"]["numSeries"] >= 18, "figures of storage")
got = data("/api/v1/features")
ok(got and got["promql"]["at_modifier"] is True and "query_warnings" in got["api"], "features")


# promtool.
def promtool(*args):
    p = subprocess.run(["promtool", *args], capture_output=True, text=True, timeout=120)
    return p.returncode, p.stdout, p.stderr


url = f"http://127.0.0.1:{k.port}"
code, out, err = promtool("query", "instant", f"--time={now}", url, 'cpu_seconds_total{instance="a",mode="idle"}')
ok(code == 0 and out.strip() == f'cpu_seconds_total{{instance="a", job="node", mode="idle"}} => 1800 @[{now}]', f"promtool query instant: {out} {err}")
code, out, err = promtool("query", "range", f"--start={now - 60}", f"--end={now}", "--step=30s", url, "sum(cpu_seconds_total)")
ok(code == 0 and [x.split()[0] for x in out.splitlines()[1:]] == ["10440", "10620", "10800"], f"promtool query range: {out} {err}")
code, out, err = promtool("query", "series", "--match=cpu_seconds_total{mode=\"user\"}", url)
ok(code == 0 and len(out.split("\n")) == 4 and 'mode="user"' in out, f"promtool query series: {out} {err}")
code, out, err = promtool("query", "labels", url, "instance")
ok(code == 0 and all(n in out.split() for n in NODES), f"promtool query labels: {out} {err}")
code, out, err = promtool("query", "labels", url, "__name__")
ok(code == 0 and "cpu_seconds_total" in out.split(), f"names, too: {out[:200]} {err}")
ok(k.end() == 0, "an orderly end")
shutil.rmtree(top, ignore_errors=True)
done()
