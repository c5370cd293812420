#!/usr/bin/env python3
"""Exemplars of Remote Write 1.0 through the server: /api/v1/query_exemplars gives the newest ten of each series that a selector
of the expression chooses, in Prometheus' JSON, sorted; a bad one never makes a request fail; after kill -9, a flush and a
restart they are the same."""
import shutil, struct, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *


def labels(m):
    return b"".join(field(1, field(1, k.encode()) + field(2, m[k].encode())) for k in sorted(m))


def exemplar(t, v, **own):
    out = labels(own) + varint(2 << 3 | 1) + struct.pack("<d", v)
    return field(3, out + varint(3 << 3) + varint(t))


def sample(t, v):
    return field(2, varint(1 << 3 | 1) + struct.pack("<d", v) + varint(2 << 3) + varint(t))


def counter(port, name):
    text = request(port, "GET", "/metrics")[1].decode()
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(name))


top = tmpdir("exemplars")
data = os.path.join(top, "data")
k = Kymod(data, "--web.enable-admin-api")
now = int(time.time() * 1000) // 1000 * 1000
N, EACH = 4, 14
names = [{"__name__": "latency_seconds_bucket" if i else "latency_seconds_count", "job": "x", "le": str(i)} for i in range(N)]
body, want = b"", []
for i, m in enumerate(names):
    ex = [(now - 60000 + n * 1000 + (25 if n % 2 else 0), n * 0.5 + i, {"trace_id": f"{i}-{n}", "user": "é"} if n % 3 else {}) for n in range(EACH)]
    body += field(1, labels(m) + sample(now, i) + b"".join(exemplar(t, v, **own) for t, v, own in ex))
    want.append({"seriesLabels": m, "exemplars": [
        {"labels": own, "value": format(v, "g"), "timestamp": t / 1000} for t, v, own in ex[-10:]]})
status, text, _ = write(k.port, body)
ok(status == 204, f"taken: {status} {text[:200]}")
ok(counter(k.port, "kymo_exemplars_stored_total") == N * EACH, "all are stored, and counted")


def asked(query, **more):
    status, a = api(k.port, "query_exemplars", query=query, **more)
    return a["data"] if status == 200 and a["status"] == "success" else (status, a)


def looks(when):
    window = dict(start=now / 1000 - 3600, end=now / 1000 + 60)
    got = asked("latency_seconds_bucket", **window)
    ok(got == want[1:], f"{when}: those of a selector, sorted: {str(got)[:300]}")
    got = asked("rate(latency_seconds_bucket{le=\"2\"}[5m]) / on() sum(latency_seconds_count) + rate(latency_seconds_bucket{le=~\"2|3\"}[1m])", **window)
    ok(got == want[2:] + want[:1], f"{when}: of every selector of the expression, each series once")
    ok(asked("latency_seconds_count") == want[:1], f"{when}: without times")
    some = want[1]["exemplars"][2:5]
    got = asked("latency_seconds_bucket{le=\"1\"}", start=some[0]["timestamp"], end=some[-1]["timestamp"])
    ok(got == [{"seriesLabels": names[1], "exemplars": some}], f"{when}: both ends count: {got}")
    ok(asked("latency_seconds_bucket", start=1, end=2) == [] and asked("nothing") == [], f"{when}: none there")


looks("in memory")
status, text, _ = request(k.port, "GET", "/api/v1/query_exemplars?query=1%2B1")
ok(status == 204 and text == b"", "an expression without a selector has no answer")
status, a = api(k.port, "query_exemplars", query="sum(")
ok(status == 400 and a["errorType"] == "bad_data", "a parse error")
status, a = api(k.port, "query_exemplars", query="up", start="2", end="1")
ok(status == 400 and "end timestamp must not be before start time" in a["error"], "end before start")
was = counter(k.port, "kymo_exemplars_dropped_total")
bad = field(1, labels(names[1]) + sample(now + 1000, 9) + exemplar(now, 1, trace_id="x" * 200) + exemplar(now - 100000, 1, a="b"))
bad += field(1, labels({"__name__": "unknown"}) + exemplar(now, 1, a="b"))
status, text, _ = write(k.port, bad)
ok(status == 204 and counter(k.port, "kymo_exemplars_dropped_total") - was == 3, f"bad ones are dropped and counted: {status} {text}")
k.end(signal.SIGKILL)
k = Kymod(data, "--web.enable-admin-api")
looks("after kill -9")
ok(request(k.port, "POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "flush")
looks("memory and files")
k.end(signal.SIGKILL)
k = Kymod(data, "--web.enable-admin-api", "--storage.exemplars-per-series=3")
for w in want:
    w["exemplars"] = w["exemplars"][-3:]
status, a = api(k.port, "query_exemplars", query="latency_seconds_bucket")
ok(status == 200 and a["data"] == want[1:], f"from files after kill -9, three of each: {str(a)[:300]}")
ok(k.end() == 0, "an orderly end")
shutil.rmtree(top, ignore_errors=True)
done()
