#!/usr/bin/env python3
"""OTLP metrics as exporters send them, over HTTP and gRPC, by hand: every kind of metric is read back by queries, before and after kill -9; answers are those of the
protocol: partial success, google.rpc.Status, RetryInfo. Tenants by identity and X-Scope-OrgID; names, promoted attributes and the receiver itself by a reload."""
import base64, gzip, sys, zlib
sys.path.insert(0, __file__.rsplit("/", 1)[0])
import otlp
from lib import *

try:
    import grpc
except ImportError:
    skip_all("python3-grpcio is not installed")

top = tmpdir("otlp")
config = os.path.join(top, "kymod.yml")
EXPORT = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
PROTOBUF, JSON = {"Content-Type": "application/x-protobuf"}, {"Content-Type": "application/json"}
RESOURCE = {"service.namespace": "web", "service.name": "shop", "service.instance.id": "shop-1", "host.name": "node-7", "cpus": 4}
NOW = int(time.time()) * 10**9
START = NOW - 3600 * 10**9
TOKEN = "sender-secret-0123456789abcdef"


def configure(text):
    with open(config + ".new", "w") as f:
        f.write(text)
    os.chmod(config + ".new", 0o600)
    os.replace(config + ".new", config)


def metrics(*list_, attrs=None, **scope):
    return otlp.request([otlp.resource([otlp.scope(list_, **scope)], RESOURCE if attrs is None else attrs)])


def post(body, head=PROTOBUF, path="/v1/metrics"):
    status, text, fields = request(k.port, "POST", path, body, head)
    return status, text, fields


def message(text):
    """Of an ExportMetricsServiceResponse: rejected data points, error message."""
    if not text:
        return 0, ""
    partial = otlp.fields(otlp.fields(text)[1][0])
    return partial[1][0], partial[2][0].decode()


def query(text, head=None):
    q = urllib.parse.urlencode({"query": text, "time": NOW / 1e9 + 1})
    body = json.loads(request(k.port, "GET", "/api/v1/query?" + q, None, head or {})[1])
    return {tuple(sorted(s["metric"].items())): s["value"][1] if "value" in s else s["histogram"][1] for s in body["data"]["result"]}


def key(**labels):
    return tuple(sorted(labels.items()))


def series(name, **labels):
    return key(__name__=name, job="web/shop", instance="shop-1", **labels)


def export(body, channel=None, **meta):
    """A call: its status, the answer, when it may come again."""
    try:
        meta = [(n.replace("_", "-"), v) for n, v in meta.items()]
        return "OK", (channel or plain).unary_unary(EXPORT)(body, metadata=meta, timeout=60), None
    except grpc.RpcError as e:
        details = dict(e.trailing_metadata() or ()).get("grpc-status-details-bin")
        return e.code().name, e.details(), details


configure("receivers:\n  otlp: {}\n")
k = Kymod(os.path.join(top, "data"), "--config", config, "--loops", "2", "--no-self-metrics", "--limits.body-bytes=1MiB")
plain = grpc.insecure_channel(f"127.0.0.1:{k.port}")
zipped = grpc.insecure_channel(f"127.0.0.1:{k.port}", compression=grpc.Compression.Gzip)

# --- every kind, over HTTP ---
trace = otlp.exemplar(0.7, NOW - 10**9, bytes(range(16)), b"12345678", {"user": "u1"})
ALL = metrics(
    otlp.metric("queue.length", otlp.GAUGE, [otlp.point(7, NOW, 0, {"queue": "a"}), otlp.point(2.5, NOW, 0, {"queue": "b"})], "{message}", "how many wait"),
    otlp.metric("utilization", otlp.GAUGE, [otlp.point(0.25, NOW)], "1"),
    otlp.metric("http.requests", otlp.SUM, [otlp.point(100 + i, NOW, START, {"http.method": m, "code": 200 + i}) for i, m in enumerate(("GET", "POST"))], "1", "requests"),
    otlp.metric("open.connections", otlp.SUM, [otlp.point(-3, NOW, START)], monotonic=False),
    otlp.metric("http.duration", otlp.HISTOGRAM, [otlp.histogram_point([1, 2, 3], [0.5, 1.0], NOW, START, {"m": "GET"}, 4.5, exemplars=[trace])], "s"),
    otlp.metric("size", otlp.EXPONENTIAL, [otlp.exponential_point(1, (0, [1, 0, 0, 0, 3]), NOW, START, negative=(-1, [2]), zero=4, total=12.0)], "By"),
    otlp.metric("gc", otlp.SUMMARY, [otlp.summary_point([(0.5, 1.5), (0.99, 9.0)], 20.0, 11, NOW, START)], "ms"), name="lib", version="1.2")
status, text, fields = post(ALL)
ok((status, text, fields.get("Content-Type")) == (200, b"", "application/x-protobuf"), f"all kinds of metrics: {status} {text}")
WANT = {
    series("queue_length", queue="a"): "7", series("queue_length", queue="b"): "2.5", series("utilization_ratio"): "0.25",
    series("http_requests_total", http_method="GET", code="200"): "100", series("http_requests_total", http_method="POST", code="201"): "101",
    series("open_connections"): "-3",
    series("http_duration_seconds_bucket", m="GET", le="0.5"): "1", series("http_duration_seconds_bucket", m="GET", le="1"): "3",
    series("http_duration_seconds_bucket", m="GET", le="+Inf"): "6", series("http_duration_seconds_sum", m="GET"): "4.5",
    series("http_duration_seconds_count", m="GET"): "6",
    series("gc_milliseconds", quantile="0.5"): "1.5", series("gc_milliseconds", quantile="0.99"): "9",
    series("gc_milliseconds_sum"): "20", series("gc_milliseconds_count"): "11",
    series("target_info", host_name="node-7", cpus="4"): "1"}


def all_there(when):
    got = query('{job="web/shop"}')
    hist = got.pop(series("size_bytes"), None)
    ok(got == WANT, f"{when}: {len(WANT)} series of numbers; too much or another {sorted(set(got.items()) - set(WANT.items()))}, missing {sorted(set(WANT) - set(got))}")
    ok(hist and hist["count"] == "10" and hist["sum"] == "12" and len(hist["buckets"]) == 4, f"{when}: and a native histogram {hist}")


all_there("in memory")
meta = api(k.port, "metadata")[1]["data"]
ok(meta["queue_length"][0] == {"type": "gauge", "unit": "", "help": "how many wait"} and meta["http_requests_total"][0]["type"] == "counter" and
   meta["http_duration_seconds"][0] == {"type": "histogram", "unit": "seconds", "help": ""} and meta["size_bytes"][0]["type"] == "histogram" and
   meta["gc_milliseconds"][0]["type"] == "summary", "types, units and texts")
ex = api(k.port, "query_exemplars", query="http_duration_seconds_bucket", start=NOW / 1e9 - 60, end=NOW / 1e9 + 60)[1]["data"]
ok(len(ex) == 1 and ex[0]["seriesLabels"]["le"] == "1" and ex[0]["exemplars"] == [{"labels": {"trace_id": bytes(range(16)).hex(), "span_id": b"12345678".hex(), "user": "u1"},
   "value": "0.7", "timestamp": NOW / 1e9 - 1}], f"the exemplar is at its bucket: {ex}")
ok(post(ALL)[:2] == (200, b""), "the same again is fine")
k.end(signal.SIGKILL)
k = Kymod(k.data, "--config", config, "--loops", "2", "--no-self-metrics", "--limits.body-bytes=1MiB", port=k.port)
all_there("after kill -9")

# --- forms of a body ---
one = metrics(otlp.metric("packed", otlp.GAUGE, [otlp.point(1, NOW)]))
ok(post(gzip.compress(one), {**PROTOBUF, "Content-Encoding": "gzip"}, "/api/v1/otlp/v1/metrics")[0] == 200, "gzip")
ok(post(zlib.compress(one), {**PROTOBUF, "Content-Encoding": "deflate"}, "/opentelemetry/v1/metrics")[0] == 200, "deflate")
ok(query("packed") == {series("packed"): "1"}, "and it is there")
document = {"resourceMetrics": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "js"}}]}, "scopeMetrics": [{"metrics": [
    {"name": "js.heap", "unit": "By", "gauge": {"dataPoints": [{"asInt": "5", "timeUnixNano": str(NOW)}]}},
    {"name": "nothing", "sum": {"aggregationTemporality": 0, "dataPoints": [{"asInt": "1", "timeUnixNano": str(NOW)}]}}]}]}]}
status, text, fields = post(json.dumps(document).encode(), JSON)
partial = json.loads(text).get("partialSuccess", {})
ok(status == 200 and fields["Content-Type"] == "application/json" and partial.get("rejectedDataPoints") == "1" and "nothing" in partial.get("errorMessage", ""), f"JSON is answered in JSON: {text}")
ok(query('{job="js"}') == {key(__name__="js_heap_bytes", job="js"): "5"}, "and its good metric is there")
ok(post(b'{"resourceMetrics":[]}', JSON)[:2] == (200, b"{}"), "an empty one in JSON")

# --- what is left out, and what cannot be read ---
status, text, _ = post(metrics(otlp.metric("wrong", otlp.EXPONENTIAL, [otlp.exponential_point(0, (0, [1, 2]), NOW, count=99)]), otlp.metric("right", otlp.GAUGE, [otlp.point(1, NOW)])))
rejected, why = message(text)
ok(status == 200 and rejected == 1 and "bad_histogram: wrong{" in why and query("right") == {series("right"): "1"}, f"a histogram that contradicts itself is left out: {why}")
status, text, _ = post(metrics(otlp.metric("scale", otlp.EXPONENTIAL, [otlp.exponential_point(-9, (0, [1]), NOW), otlp.exponential_point(0, (0, [1]), NOW, attrs={"a": "b"})])))
ok(status == 200 and message(text)[0] == 1 and "scale is -9" in message(text)[1], f"so is a scale that no histogram has: {message(text)}")
status, text, fields = post(b"\x0a\x05abc")
rpc = otlp.fields(text)
ok(status == 400 and fields["Content-Type"] == "application/x-protobuf" and rpc[1] == [3] and b"byte 0" in rpc[2][0], f"what is no request is a Status: {rpc}")
status, text, _ = post(b'{"resourceMetrics":7}', JSON)
ok(status == 400 and json.loads(text)["code"] == 3 and "resourceMetrics" in json.loads(text)["message"], f"in JSON, too: {text}")
ok(post(one, {"Content-Type": "text/plain"})[0] == 415 and post(one, {**PROTOBUF, "Content-Encoding": "br"})[0] == 415, "another type or encoding is 415")
ok(post(bytes(2 << 20))[0] == 413, "too large is 413")

# --- gRPC ---
ok(export(metrics(otlp.metric("by.grpc", otlp.SUM, [otlp.point(5, NOW, START)]))) == ("OK", b"", None), "a call")
ok(export(metrics(otlp.metric("by.grpc.zipped", otlp.SUM, [otlp.point(i, NOW, START, {"i": i}) for i in range(3000)])), zipped) == ("OK", b"", None), "a packed one")
ok(query("by_grpc_total") == {series("by_grpc_total"): "5"} and list(query("sum(by_grpc_zipped_total)").values()) == [str(sum(range(3000)))], "both are there")
status, text, _ = export(metrics(otlp.metric("not.told", otlp.SUM, [otlp.point(5, NOW)], temporality=0), otlp.metric("told", otlp.GAUGE, [otlp.point(6, NOW)])))
ok(status == "OK" and message(text)[0] == 1 and "not.told" in message(text)[1] and query("told") == {series("told"): "6"}, f"partial success: {message(text)}")
ok(export(b"\x0a\x05abc")[::2] == ("INVALID_ARGUMENT", None), "what cannot be read is INVALID_ARGUMENT, for good")
ok(export(bytes(5 << 20))[::2] == ("RESOURCE_EXHAUSTED", None), "too large is RESOURCE_EXHAUSTED without RetryInfo")

# --- names and attributes by a reload ---


def reload(text, what):
    configure(text)
    ok(reread(k), what)


RENAMED = metrics(otlp.metric("a.b", otlp.SUM, [otlp.point(1, NOW, START, {"x.y": "z", "_p": "q"})], "By"), name="lib", version="2", attrs={**RESOURCE, "k8s.pod": "p1"})
NAMES = [
    ("translation_strategy: NoTranslation", {"__name__": "a.b", "x.y": "z", "_p": "q"}),
    ("translation_strategy: NoUTF8EscapingWithSuffixes", {"__name__": "a.b_bytes_total", "x.y": "z", "_p": "q"}),
    ("translation_strategy: UnderscoreEscapingWithoutSuffixes, label_name_underscore_sanitization: false", {"__name__": "a_b", "x_y": "z", "_p": "q"}),
    ("promote_resource_attributes: [host.name], promote_scope_metadata: true",
     {"__name__": "a_b_bytes_total", "x_y": "z", "key_p": "q", "host_name": "node-7", "otel_scope_name": "lib", "otel_scope_version": "2"}),
    ("promote_all_resource_attributes: true, ignore_resource_attributes: [service.name, service.namespace, service.instance.id, cpus]",
     {"__name__": "a_b_bytes_total", "x_y": "z", "key_p": "q", "host_name": "node-7", "k8s_pod": "p1"})]
for options, want in NAMES:
    reload(f"receivers:\n  otlp: {{{options}}}\n", f"reload: {options}")
    ok(post(RENAMED)[:2] == (200, b""), "the same request")
    got = query(f'{{job="web/shop", __name__="{want["__name__"]}"}}')
    ok(key(**want, job="web/shop", instance="shop-1") in got, f"is {want}: {list(got)}")
reload("receivers:\n  otlp: {convert_histograms_to_nhcb: true, keep_identifying_resource_attributes: true}\n", "reload: native histograms")
ok(post(metrics(otlp.metric("custom", otlp.HISTOGRAM, [otlp.histogram_point([1, 2, 3], [0.5, 1.0], NOW, START, total=4.5)])))[:2] == (200, b""), "a histogram")
got = query("custom").get(series("custom"))
ok(got and got["count"] == "6" and [b[1:] for b in got["buckets"]] == [["-Inf", "0.5", "1"], ["0.5", "1", "2"], ["1", "+Inf", "3"]], f"has custom buckets: {got}")
ok(series("target_info", host_name="node-7", cpus="4", service_name="shop", service_namespace="web", service_instance_id="shop-1") in query("target_info"), "target_info says who it is")
reload("receivers:\n  otlp: {enabled: false}\n", "reload: off")
ok(post(one)[0] == 404 and export(one)[0] == "UNIMPLEMENTED", "then it is not there, for either")

# --- tenants, rates ---
k.end()
hashed = subprocess.run([KYMOD, "--hash-token"], input=TOKEN.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()
configure(f"""identities:
  tokens:
  - {{name: sender, token_hash: "{hashed}", roles: [write, read], trusted: true, tenants: ["*"]}}
tenants:
  slow: {{samples_per_s: 1, samples_burst: 1s}}
""")
k = Kymod(k.data, "--config", config, "--loops", "2", "--no-self-metrics", port=k.port)
plain = grpc.insecure_channel(f"127.0.0.1:{k.port}")
BEARER = "Bearer " + TOKEN
ok(export(one)[0] == "UNAUTHENTICATED" and post(one)[0] == 401, "without an identity nothing is taken")
ok(export(one, authorization=BEARER, x_scope_orgid="acme")[0] == "OK", "gRPC for one tenant")
ok(post(metrics(otlp.metric("packed", otlp.GAUGE, [otlp.point(2, NOW)])), {**PROTOBUF, "Authorization": BEARER, "X-Scope-OrgID": "beta"})[0] == 200, "HTTP for another")
for org, value in (("acme", "1"), ("beta", "2"), ("slow", None)):
    got = query("packed", {"Authorization": BEARER, "X-Scope-OrgID": org})
    ok(got == ({series("packed"): value} if value else {}), f"{org} has its own: {got}")
many = metrics(otlp.metric("many", otlp.GAUGE, [otlp.point(i, NOW, 0, {"i": i}) for i in range(200)]))
answers = []
for _ in range(10):
    answers.append(export(many, authorization=BEARER, x_scope_orgid="slow"))
    if answers[-1][0] != "OK":
        break
ok(answers[0][0] == "OK" and answers[-1][0] == "RESOURCE_EXHAUSTED" and answers[-1][2], f"over its rate a tenant is told: {answers[-1][:2]}")
details = answers[-1][2] or b""
rpc = otlp.fields(details) if details else {}
info = otlp.fields(rpc[3][0]) if 3 in rpc else {}
delay = otlp.fields(otlp.fields(info[2][0])[1][0])[1][0] if 2 in info else 0
ok(info.get(1) == [b"type.googleapis.com/google.rpc.RetryInfo"] and delay >= 1 and rpc[1] == [8], f"with a RetryInfo of {delay} s")
status, _, fields = post(many, {**PROTOBUF, "Authorization": BEARER, "X-Scope-OrgID": "slow"})
ok(status == 429 and int(fields["Retry-After"]) >= 1, f"over HTTP it is 429, Retry-After {fields.get('Retry-After')}")
k.end()
done()
