#!/usr/bin/env python3
"""A fresh server: ready line, health, write, query, metadata, errors that teach, flush, restart, HTTP/2."""
import gzip, shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("basic")
data = os.path.join(top, "data")
k = Kymod(data, "--web.enable-admin-api", "--loops", "2")
said = time.time() + 90                                               # the server answers a moment before it says so
while "/api/v1/query" not in (log := open(k.log_path).read()) and time.time() < said:
    time.sleep(0.02)
ok(re.search(r"^ready address=127\.0\.0\.1:\d+ loops=2 shards=16 series=\d+ took_ms=\d+ access=open config=none$", log, re.M), "the ready line has its fields")
ok("remote_write" in log and "/api/v1/query" in log, "two lines to paste follow it")
ok(request(k.port, "GET", "/-/healthy")[0] == 200, "healthy")


def refuses(words, *argv):
    p = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    ok(p.returncode == 1 and p.stderr.count("\n") == 1 and words in p.stderr, f"no start, one line that says why: {p.stderr!r}")


here = f"127.0.0.1:{k.port}"
refuses("Address already in use", KYMOD, "--data-dir", os.path.join(top, "other"), "--listen", here)
refuses("is in use by process", KYMOD, "--data-dir", data, "--listen", "127.0.0.1:0")
refuses("not a directory (ENOTDIR)", KYMOD, "--data-dir", os.path.join(data + ".log"), "--listen", "127.0.0.1:0")
refuses("too many open files: 64 allowed", "sh", "-c", 'ulimit -n 64 && exec "$@"', "sh", KYMOD, "--data-dir", os.path.join(top, "other"))
ok(request(k.port, "HEAD", "/-/ready")[0] == 200, "HEAD of ready")
now = int(time.time() * 1000)
body = b"".join(series({"__name__": "basic_total", "i": str(i)}, [(now - 30000 + j * 1000, float(i * 100 + j)) for j in range(30)]) for i in range(20))
ok(write(k.port, body)[0] == 204, "a write is answered with 204")
ok(write(k.port, body)[0] == 204, "its identical retry too")
status, a = api(k.port, "query", query="sum(basic_total)", time=now / 1000)
ok(status == 200 and a["data"]["result"][0]["value"][1] == str(sum(i * 100 + 29 for i in range(20))), f"it is visible at once: {a}")
status, a = api(k.port, "query", query="count(count_over_time(basic_total[5m]) == 30)", time=now / 1000)
ok(a["data"]["result"] and a["data"]["result"][0]["value"][1] == "20", f"all samples, once each: {a}")
status, a = api(k.port, "query_range", query="basic_total{i=\"3\"}", start=now / 1000 - 10, end=now / 1000, step="1s")
ok(status == 200 and len(a["data"]["result"][0]["values"]) == 11, "a range query has its points")
status, a = api(k.port, "labels")
ok(status == 200 and {"__name__", "i"} <= set(a["data"]), "labels")
status, a = api(k.port, "label/i/values", **{"match[]": "basic_total"})
ok(status == 200 and a["data"] == sorted(str(i) for i in range(20)), "label values")
status, a = api(k.port, "series", **{"match[]": "basic_total{i=~\"1.\"}"})
ok(status == 200 and len(a["data"]) == 10, "series")
for path in ("rules", "alerts", "status/buildinfo", "status/runtimeinfo", "status/tsdb", "status/flags", "metadata"):
    status, a = api(k.port, path)
    ok(status == 200 and a["status"] == "success", path)
status, a = api(k.port, "query_exemplars", query="test")
ok(status == 200 and a["data"] == [], "query_exemplars is an empty success")
status, a = api(k.port, "format_query", query="foo/bar")
ok(status == 200 and a["data"] == "foo / bar", "format_query")
status, a = api(k.port, "query", query="sum(")
ok(status == 400 and a["errorType"] == "bad_data" and "parse error" in a["error"], f"a parse error teaches: {a}")
status, a = api(k.port, "query_range", query="up", start="1", end="0", step="1")
ok(status == 400 and "end timestamp must not be before start time" in a["error"], f"end before start: {a}")
status, a = api(k.port, "query_range", query="up", start="0", end="100000", step="1")
ok(status == 400 and "11,000 points" in a["error"], "eleven thousand points")
families = {f"family_{i * 7919 % 5000}": f"help of {i}" for i in range(5000)}
raw = b"".join(field(3, b"\x08\x01" + field(2, n.encode()) + field(4, t.encode()) + field(5, b"s")) for n, t in families.items())
ok(write(k.port, raw)[0] == 204, "metadata of 5,000 families")
status, a = api(k.port, "metadata")
ok(status == 200 and all(a["data"].get(n) == [{"type": "counter", "help": t, "unit": "s"}] for n, t in families.items()), "come back, all of them")
ok(list(a["data"]) == sorted(a["data"]), "sorted")
status, a = api(k.port, "metadata", limit=2, limit_per_metric=1)
ok(status == 200 and len(a["data"]) == 2, "or two of them")
ok(api(k.port, "metadata", limit=0)[1]["data"] == {}, "or none")
bad = series({"__name__": "old"}, [(now - 40 * 86400 * 1000, 1.0)]) + series({"__name__": "fresh"}, [(now, 1.0)]) + series({"a": "no name"}, [(now, 1.0)]) + series({"__name__": "future"}, [(now + 3600000, 1.0)])
status, text, _ = write(k.port, bad)
ok(status == 400 and text.startswith(b"partial: stored 1 of 4 samples; 3 refused; first: "), f"partial acceptance: {text}")
ok(api(k.port, "query", query="fresh")[1]["data"]["result"], "the good neighbour is stored")
ok(request(k.port, "POST", "/api/v1/write", b"\xff\xff\xff\xff\xff\xff", WRITE_HEADERS)[1].startswith(b"bad_snappy: "), "bad_snappy")
ok(request(k.port, "POST", "/api/v1/write", snappy(b"\x0a\xff"), WRITE_HEADERS)[1].startswith(b"bad_protobuf: "), "bad_protobuf")
ok(request(k.port, "POST", "/api/v1/write", varint(40 << 20) + b"x" * 100, WRITE_HEADERS)[1].startswith(b"decoded_too_large: "), "decoded_too_large")
ok(request(k.port, "POST", "/api/v1/write", b"x", {**WRITE_HEADERS, "Content-Encoding": "gzip"})[0] == 415, "415 for another encoding")
ok(request(k.port, "POST", "/api/v1/write", b"x", {**WRITE_HEADERS, "Content-Type": "text/plain"})[0] == 415, "415 for another type")
status, _, h = request(k.port, "GET", "/api/v1/write")
ok(status == 405 and "POST" in h.get("Allow", ""), "405 with Allow")
ok(request(k.port, "GET", "/nothing")[0] == 404, "404")
status, body, h = request(k.port, "GET", "/api/v1/labels", headers={"Accept-Encoding": "gzip"})
ok(status == 200, "an answer with gzip allowed")
status, body, h = request(k.port, "GET", "/metrics")
ok(status == 200 and b"kymo_samples_stored_total" in body and b"kymo_loop_turn_seconds_bucket" in body, "/metrics")
if shutil.which("curl"):
    out = subprocess.run(["curl", "-s", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}", f"http://127.0.0.1:{k.port}/api/v1/query?query=1%2B1"], capture_output=True, text=True, timeout=90).stdout
    ok(out.endswith("2 200") and '"resultType":"scalar"' in out, f"curl speaks HTTP/2 with prior knowledge: {out}")
if shutil.which("h2load"):
    out = subprocess.run(["h2load", "-n", "2000", "-c", "4", "-m", "8", f"http://127.0.0.1:{k.port}/api/v1/query?query=1%2B1"], capture_output=True, text=True, timeout=60).stdout
    ok("2000 succeeded, 0 failed" in out, "h2load: 2,000 requests over HTTP/2")
own = api(k.port, "status/runtimeinfo")[1]["data"]["selfMetrics"]
each, loops, end = {str(i) for i in range(api(k.port, "status/runtimeinfo")[1]["data"]["GOMAXPROCS"])}, [], time.time() + 90
while {r["metric"]["loop"] for r in loops} != each and time.time() < end:  # it does so every five seconds
    time.sleep(0.1)
    loops = api(k.port, "query", query=f'kymo_loop_busy_seconds_total{{job="kymo",instance="{own["instance"]}"}} > 0')[1]["data"]["result"]
status, a = api(k.port, "query", query='up{job="kymo"}')
ok(status == 200 and a["data"]["result"] and a["data"]["result"][0]["value"][1] == "1", "the server records itself")
ok(own["tenant"] == "default" and {r["metric"]["loop"] for r in loops} == each, f"each of its loops, too: {loops}")
status, body, _ = request(k.port, "POST", "/api/v1/admin/tsdb/flush")
ok(status in (200, 204), f"flush: {status} {body}")
before = result_map(api(k.port, "query", query="basic_total[1h]", time=now / 1000 + 1)[1]["data"])
ok(len(before) == 20 and all(len(v) == 30 for v in before.values()), "the same samples after a flush")
ok(k.end() == 0, "SIGTERM ends with status 0")
k = Kymod(data, "--loops", "3")
after = result_map(api(k.port, "query", query="basic_total[1h]", time=now / 1000 + 1)[1]["data"])
ok(before == after, "the same samples after a restart with another number of loops")
second = subprocess.run([KYMOD, "--data-dir", data, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=90)
ok(second.returncode != 0 and str(k.pid) in second.stderr, f"a second process is told who owns the directory: {second.stderr.strip()[-200:]}")
ok(k.end() == 0, "and ends with status 0 again")
out = subprocess.run([KYMOD, "--retenton", "1d"], capture_output=True, text=True, timeout=90)
ok(out.returncode == 2 and "did you mean --retention" in out.stderr, "a mistyped flag names the nearest")
shutil.rmtree(top)
done()
