#!/usr/bin/env python3
"""Pushes of short jobs: prometheus_client and curl push as to a Pushgateway; groups are there after kill -9 and stay in queries
until they are deleted or nobody has pushed for the ttl; a Prometheus Pushgateway beside it says the same of the same pushes."""
import base64, gzip, shutil, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("push")
config = os.path.join(top, "kymo.yml")
with open(config, "w") as f:
    f.write("receivers:\n  pushgateway: {repeat: 1s, ttl: 1h, max_groups: 30, max_bytes: 1MiB}\n")
FLAGS = ("--config", config, "--loops", "2", "--no-self-metrics")
data = os.path.join(top, "data")
k = Kymod(data, *FLAGS)


def push(path, text, method="POST", port=None, **headers):
    status, body, _ = request(port or k.port, method, "/metrics/" + path, text.encode() if isinstance(text, str) else text, headers)
    return status, body.decode(errors="replace").strip()


def now(query):
    status, a = api(k.port, "query", query=query)
    return {tuple(sorted((n, v) for n, v in r["metric"].items() if n != "__name__")): r["value"][1] for r in a["data"]["result"]} if status == 200 else a


def until(query, want, seconds=60):
    """Times of pushes are those of the server: a query of the same moment may be asked too early."""
    end = time.time() + seconds
    while (got := now(query)) != want and time.time() < end:
        time.sleep(0.1)
    return got


def groups(port=None):
    return json.loads(request(port or k.port, "GET", "/api/v1/metrics")[1])["data"]


def key(**labels):
    return tuple(sorted(labels.items()))


# --- by hand ---
ok(push("job/a/zone/x", "# HELP m help\n# TYPE m gauge\nm{n=\"1\",zone=\"own\"} 1\nm{n=\"2\"} 2\nother 5\n") == (200, ""), "a push")
page = request(k.port, "GET", "/metrics")[1].decode()
ok(re.search(r'^kymo_receiver_samples_total{receiver="pushgateway"} 5$', page, re.M) and re.search(r'^kymo_tenant_samples_ingested_total{[^}]*} [1-9]', page, re.M), f"is counted: {[line for line in page.splitlines() if 'pushgateway' in line]}")
ok(until("m", {key(job="a", zone="x", n="1"): "1", key(job="a", zone="x", n="2"): "2"}) == {key(job="a", zone="x", n="1"): "1", key(job="a", zone="x", n="2"): "2"}, "labels of the path win")
ok(push("job/a/zone/x", "# TYPE m gauge\nm 3\n") == (200, ""), "POST")
ok(until("m", {key(job="a", zone="x"): "3"}) == {key(job="a", zone="x"): "3"}, "replaces families of the same name, and what went is stale")
ok(now("other") == {key(job="a", zone="x"): "5"}, "others stay")
ok(push("job/a/zone/x", "m2 1\n", "PUT") == (200, "") and until("m2", {key(job="a", zone="x"): "1"}) and until('{__name__=~"m|other"}', {}) == {}, "PUT replaces all")
coded = base64.urlsafe_b64encode("a/b é".encode()).decode().rstrip("=")
ok(push(f"job@base64/{coded}/zone/y", "m3 1\n")[0] == 200 and until("m3", {key(job="a/b é", zone="y"): "1"}) == {key(job="a/b é", zone="y"): "1"}, "values in base64")
ok(push("job/packed", gzip.compress(b"z 1\n"), **{"Content-Encoding": "gzip"})[0] == 200, "gzip")
ok(push("job/packed", b"\xff\x06\x00\x00sNaPpY" + b"\x01\x08\x00\x00" + struct.pack("<I", 0) + b"w 2\n", **{"Content-Encoding": "snappy"})[0] == 400, "a frame with a wrong sum is refused")
metric = field(4, field(1, field(1, b"n") + field(2, b"1")) + field(3, b"\x09" + struct.pack("<d", 4.0)))
family = field(1, b"pb_total") + field(2, b"of protobuf") + b"\x18\x00" + metric
ok(push("job/pb", varint(len(family)) + family, **{"Content-Type": "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"}) == (200, ""), "delimited protobuf")
ok(until("pb_total", {key(job="pb", n="1"): "4"}) == {key(job="pb", n="1"): "4"}, "is read")
REFUSED = [("job/a/zone/x", "m2 1 1000\n", "must not have timestamps"), ("job/b", "# TYPE m2 counter\nm2 1\n", "is not a UNTYPED"), ("job/c", "d 1\nd 2\n", "was collected before"),
           ("job/c", "d 1\nd x\n", "text format parsing error in line 2"), ("job/c/d", "d 1\n", "odd number of components"), ("job/c/__x/1", "d 1\n", 'improper label name "__x"'),
           ("job@base64/=", "d 1\n", "job name is required"), ("job/c/d@base64/!", "d 1\n", "invalid base64 encoding")]
for path, text, why in REFUSED:
    status, body = push(path, text)
    ok(status == 400 and why in body, f"{path}: {why}: {status} {body}")
for method in ("POST", "DELETE"):  # each label before all others: putting them in order would take minutes
    status, body = push("job/c" + "".join(f"/a{i:07}/b" for i in range(80000, 0, -1)), "d 1\n", method)
    ok(status == 400 and "limit 256 (--limits.labels-per-series)" in body, f"{method} of very many labels: {status} {body[:100]}")
ok(push("job/wide" + "".join(f"/a{i}/b" for i in range(254)), "d 1 5\n")[1].endswith("must not have timestamps"), "as many as a series may have")
ok(now("m2") == {key(job="a", zone="x"): "1"}, "what is refused changes nothing")
until('push_failure_time_seconds{job="c"} > bool 0', {key(job="c"): "1"})
ok(now('push_failure_time_seconds{job="c"} > bool 0') == {key(job="c"): "1"} and now('push_time_seconds{job="c"}') == {key(job="c"): "0"}, "but the time of the failure")
status, body = push("job/large", "".join(f"l{{i=\"{i}\"}} 1\n" for i in range(20000)))
ok(status == 413 and "limit 1048576 (receivers.pushgateway.max_bytes)" in body, f"too much is refused: {body}")
codes = [push(f"job/many{i}", "n 1\n") for i in range(30)]
ok({c for c, _ in codes} == {200, 413} and "limit 30 (receivers.pushgateway.max_groups)" in codes[-1][1], f"too many groups: {codes[-1]}")
for i in range(30):
    ok(push(f"job/many{i}", None, "DELETE")[0] == 202, "deleted, whether there or not")
c = http.client.HTTPConnection("127.0.0.1", k.port, timeout=60)
c.request("DELETE", "/metrics/job/many0")
ok((r := c.getresponse()).reason == "Accepted", f"202 in the words of HTTP: {r.reason}")
c.close()
ok(until("n", {}) == {}, "and gone")
page = request(k.port, "GET", "/pushgateway")[1].decode()
ok("a/b é" in page and page.count("<tr>") == len(groups()) + 1, "a page of groups")

# --- the client that people have ---
try:
    import prometheus_client as pc
except ImportError:
    note("python3-prometheus-client is not installed")
    pc = None
if pc:
    at = f"127.0.0.1:{k.port}"
    reg = pc.CollectorRegistry()
    pc.Gauge("last_success", "When", registry=reg).set(12.5)
    pc.Counter("did", "How many", ["what"], registry=reg).labels("x").inc(3)
    h = pc.Histogram("took", "How long", buckets=(1, 10), registry=reg)
    h.observe(0.5)
    h.observe(5)
    pc.push_to_gateway(at, job="batch", registry=reg, grouping_key={"host": "h/1"})
    ok(until("last_success", {key(job="batch", host="h/1"): "12.5"}) == {key(job="batch", host="h/1"): "12.5"}, "push_to_gateway")
    ok(now("did_total") == {key(job="batch", host="h/1", what="x"): "3"} and now("histogram_quantile(0.5, took_bucket)") == {key(job="batch", host="h/1"): "1"}, "counters and histograms")
    reg = pc.CollectorRegistry()
    pc.Gauge("last_success", "When", registry=reg).set(13)
    pc.pushadd_to_gateway(at, job="batch", registry=reg, grouping_key={"host": "h/1"})
    ok(until("last_success", {key(job="batch", host="h/1"): "13"}) == {key(job="batch", host="h/1"): "13"} and now("did_total"), "pushadd_to_gateway leaves the others")
    pc.delete_from_gateway(at, job="batch", grouping_key={"host": "h/1"})
    ok(until('{job="batch"}', {}) == {}, "delete_from_gateway")

# --- what was answered is there after kill -9, at any time ---
stop, answered = threading.Event(), {}


def pusher(n):
    while not stop.is_set():
        value = answered.get(n, 0) + 1
        try:
            if push(f"job/crash{n}", f"crash {value}\n", "PUT")[0] == 200:
                answered[n] = value
        except OSError:
            return


for round in range(3):
    stop.clear()
    answered.clear()
    threads = [threading.Thread(target=pusher, args=(n,)) for n in range(4)]
    for t in threads:
        t.start()
    end = time.time() + 120
    while time.time() < end and (len(answered) < 4 or sum(answered.values()) < 40):
        time.sleep(0.01)
    k.p.send_signal(signal.SIGKILL)
    k.p.wait()
    stop.set()
    for t in threads:
        t.join()
    k = Kymod(data, *FLAGS)
    have = {g["labels"]["job"]: float(g["crash"]["metrics"][0]["value"]) for g in groups() if "crash" in g}
    ok(all(v <= have.get(f"crash{n}", -1) <= v + 1 for n, v in answered.items()) and len(answered) == 4, f"round {round}: {answered} and {have}")
    time.sleep(0.1)
ok(any(g["labels"] == {"job": "a", "zone": "x"} for g in groups()), "groups of before are there, too")
first = api(k.port, "query", query="count_over_time(m2[1h])")[1]["data"]["result"][0]["value"][1]
end = time.time() + 60
while int(api(k.port, "query", query="count_over_time(m2[1h])")[1]["data"]["result"][0]["value"][1]) < int(first) + 2 and time.time() < end:
    time.sleep(0.2)
ok(int(api(k.port, "query", query="count_over_time(m2[1h])")[1]["data"]["result"][0]["value"][1]) >= int(first) + 2, "they are stored again and again")
ok(request(k.port, "PUT", "/api/v1/admin/wipe")[0] == 202 and groups() == [] and until('{job!=""}', {}) == {}, "a wipe leaves nothing")
ok(not os.listdir(os.path.join(data, "pushed")), "nor on the disk")

# --- nobody pushes any more ---
with open(config, "w") as f:
    f.write("receivers:\n  pushgateway: {repeat: 1s, ttl: 2s}\n")
k.p.send_signal(signal.SIGHUP)
ok(push("job/short", "s 1\n")[0] == 200, "a push that nobody repeats")
end = time.time() + 90
while groups() and time.time() < end:
    time.sleep(0.2)
ok(groups() == [] and until("s", {}) == {}, "goes after the ttl")

# --- a Pushgateway says the same ---
SCRIPT = [("POST", "job/j/foo/bar", "# TYPE a counter\n# HELP a hi\na{x=\"y\"} 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n# TYPE s summary\ns{quantile=\"0.5\"} 1\ns_sum 2\ns_count 3\nu 5\n"),
          ("POST", "job/j2", "a 1\n"), ("POST", "job/j3", "# TYPE b gauge\nb{n=\"1\"} 1e6\nb{n=\"2\"} NaN\nb{n=\"3\"} 1e-7\n"), ("PUT", "job/j3", "c 2\n"), ("POST", "job/j3", "d 0.1\nc{foo=\"2\"} +Inf\n"),
          ("POST", "job@base64/YS9i/q/r", "e{job=\"x\",q=\"y\"} 1\n"), ("POST", "job/j4", "f 1\n"), ("DELETE", "job/j4", None), ("DELETE", "job/none", None), ("POST", "job/j5", "g 1 5\n"), ("POST", "job/j6", ""), ("PUT", "job/j2", ""),
          ("POST", "jobs/x", "a 1\n"), ("POST", "job/x/y", "a 1\n"), ("POST", "job/x/9/y", "a 1\n"), ("POST", "job/esc", "i{l=\"a\\\\b\\\"c\\n\"} 1\n"), ("POST", "job/own", "push_time_seconds 5\nown 1\n")]
if shutil.which("prometheus-pushgateway"):
    def plain(groups):
        """Without the times."""
        out = {}
        for g in groups:
            for name, f in g.items():
                if isinstance(f, dict) and "time_stamp" in f:
                    f.pop("time_stamp")
                    f["metrics"].sort(key=str)
                    if name.endswith("_time_seconds"):
                        f["metrics"][0]["value"] = f["metrics"][0]["value"] != "0"
            out[tuple(sorted(g["labels"].items()))] = g
        return out

    port = free_port()
    gw = Process(["prometheus-pushgateway", f"--web.listen-address=127.0.0.1:{port}", "--persistence.file=" + os.path.join(top, "gw.data")], os.path.join(top, "gw.log"))
    end = time.time() + 60
    while time.time() < end:
        try:
            if request(port, "GET", "/-/ready")[0] == 200:
                break
        except OSError:
            time.sleep(0.1)
    with open(config, "w") as f:
        f.write("receivers:\n  pushgateway: {repeat: 1s}\n")
    k.end()
    k = Kymod(data, *FLAGS)
    for method, path, text in SCRIPT:
        ours, its = push(path, text, method), push(path, text, method, port)
        ok(ours[0] == its[0], f"{method} {path}: {ours} and {its}")
    ours, its = plain(groups()), plain(groups(port))
    differ = [(g, name, ours.get(g, {}).get(name), its.get(g, {}).get(name)) for g in {**ours, **its} for name in {**ours.get(g, {}), **its.get(g, {})} if ours.get(g, {}).get(name) != its.get(g, {}).get(name)]
    ok(not differ and ours.keys() == its.keys(), f"the same groups: {differ[:3]}")
    gw.end()
else:
    note("prometheus-pushgateway is not installed")
k.end()
shutil.rmtree(top, ignore_errors=True)
done()
