#!/usr/bin/env python3
"""gRPC with Debian's grpcio: the QueryService answers as /api/v1 does, errors are statuses, deadlines, gzip, answers of 100 MB, health, reflection."""
import math, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
import h2raw
from lib import *

try:
    import grpc
    from grpc_tools import protoc
except ImportError:
    skip_all("python3-grpcio and python3-grpc-tools are not installed")

top = tmpdir("grpc")
gen = os.path.join(top, "gen")
os.mkdir(gen)
schemas = os.path.join(SRC, "proto", "schema")
names = ["query_service.proto", "health.proto", "reflection_v1.proto", "reflection_v1alpha.proto"]
status = protoc.main(["protoc", f"-I{schemas}", f"--python_out={gen}", f"--grpc_python_out={gen}", *names])
ok(status == 0, "a client is generated from our schemas by grpc_tools")
sys.path.insert(0, gen)
import health_pb2, query_service_pb2 as qs, query_service_pb2_grpc, health_pb2_grpc, reflection_v1_pb2, reflection_v1_pb2_grpc, reflection_v1alpha_pb2, reflection_v1alpha_pb2_grpc
from google.protobuf import descriptor_pb2

MS = int(time.time() * 1000) // 60000 * 60000


def channel(port, **options):
    return grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1), *options.items()])


def failing(call, *args, **kw):
    """Code and text of a call that must fail."""
    try:
        call(*args, **{"timeout": 60, **kw})
    except grpc.RpcError as e:
        return e.code().name, e.details()
    return "OK", ""


def number(text):
    return {"+Inf": math.inf, "-Inf": -math.inf, "NaN": math.nan}.get(text) if text[-1] in "fN" else float(text)


def same(answer, data):
    """Is this answer of gRPC that of /api/v1, series for series and bit for bit?"""
    if data["resultType"] in ("scalar", "string"):
        want = {(): [tuple(data["result"])]}
    else:
        want = {tuple(sorted(s["metric"].items())): [tuple(p) for p in (s["values"] if "values" in s else [s["value"]])] for s in data["result"]}
    got = {tuple(sorted((l.name, l.value) for l in s.labels)): [(p.timestamp_ms, p.value) for p in s.samples] for s in answer.result_series}
    if got.keys() != want.keys() or len(got) != len(answer.result_series):
        return False
    for labels, points in want.items():
        mine = got[labels]
        if len(mine) != len(points):
            return False
        for (t, v), (wt, wv) in zip(mine, points):
            w = number(wv)
            if t != round(float(wt) * 1000) or not (v == w and math.copysign(1, v) == math.copysign(1, w) or v != v and w != w):
                return False
    return True


# --- starting: not serving, unavailable ---
k = Kymod(os.path.join(top, "data"), "--query.max-samples", "20000000", "--query.max-result-points", "20000000", "--query.max-memory", "1GiB",
          "--query.max-memory-total", "2GiB", "--web.max-answer-bytes", "1GiB", wait=False)
ch = channel(k.port)
query, health = query_service_pb2_grpc.QueryServiceStub(ch), health_pb2_grpc.HealthStub(ch)
code, text = failing(query.EvaluateInstantQuery, qs.InstantQueryRequest(query="1"), wait_for_ready=True)
ok(code in ("OK", "UNAVAILABLE"), f"the first answer while it starts: {code} {text}")
k.wait_ready()

body = b"".join(series({"__name__": "m", "i": str(i), "job": "x\u00e4"}, [(MS - 600000 + j * 15000, math.nan if j == 7 else i * 1.25 + j if i % 5 else -0.0) for j in range(41)])
                for i in range(40))
body += series({"__name__": "odd"}, [(MS - 3000, math.inf), (MS - 2000, -math.inf), (MS - 1000, 5e-324)])
histogram = varint(1 << 3) + varint(1) + varint(2 << 3 | 1) + struct.pack("<d", 0.5) + varint(4 << 3) + varint(6) + varint(5 << 3 | 1) + struct.pack("<d", 1e-128)
histogram += varint(6 << 3) + varint(1) + varint(15 << 3) + varint(MS - 1000)
body += field(1, b"".join(field(1, field(1, n) + field(2, v)) for n, v in [(b"__name__", b"native")]) + field(4, histogram))
ok(write(k.port, body)[0] == 204, "samples are written")

# --- both calls say what /api/v1 says ---
for q in ["m", "sum by (i) (m)", "odd", "1+1", "-0", "m[5m]", "odd[1m]", "nothing_of_this", "rate(m[5m])", "count(m) == 40", "1/0", "0/0", 'label_replace(m, "new", "$1", "i", "(.*)")']:
    a = query.EvaluateInstantQuery(qs.InstantQueryRequest(query=q, evaluation_timestamp_ms=MS))
    status, b = api(k.port, "query", query=q, time=MS / 1000)
    ok(status == 200 and same(a, b["data"]), f"at one time: {q}: {len(a.result_series)} series")
for q in ["m", "sum(m)", "rate(m[1m])", "time()", "odd", "nothing_of_this", "1", "topk(3, m)"]:
    a = query.EvaluateRangeQuery(qs.RangeQueryRequest(query=q, start_timestamp_ms=MS - 600000, end_timestamp_ms=MS, step_ms=7500))
    status, b = api(k.port, "query_range", query=q, start=(MS - 600000) / 1000, end=MS / 1000, step=7.5)
    ok(status == 200 and same(a, b["data"]), f"over a range: {q}: {len(a.result_series)} series")
a = query.EvaluateInstantQuery(qs.InstantQueryRequest(query="time()"))
ok(abs(a.result_series[0].samples[0].value - time.time()) < 300 and not a.result_series[0].labels, "a time of 0 is now; a scalar has no labels")

# --- errors ---
Q, R = query.EvaluateInstantQuery, query.EvaluateRangeQuery
iq, rq = qs.InstantQueryRequest, qs.RangeQueryRequest
for what, got, want, words in [
        ("a parse error", failing(Q, iq(query="sum(")), "INVALID_ARGUMENT", "parse error"),
        ("a string", failing(Q, iq(query='"text"')), "INVALID_ARGUMENT", "string"),
        ("step 0", failing(R, rq(query="1", start_timestamp_ms=1, end_timestamp_ms=2)), "INVALID_ARGUMENT", "step_ms 0"),
        ("an end before the start", failing(R, rq(query="1", start_timestamp_ms=2, end_timestamp_ms=1, step_ms=1)), "INVALID_ARGUMENT", "before start"),
        ("too many steps", failing(R, rq(query="1", start_timestamp_ms=1, end_timestamp_ms=20000, step_ms=1)), "INVALID_ARGUMENT", "11,000 points"),
        ("a limit", failing(R, rq(query="sum_over_time(m[6000s:1ms])", start_timestamp_ms=MS - 9000, end_timestamp_ms=MS, step_ms=1000)), "RESOURCE_EXHAUSTED", "(--query.max-"),
        ("data that do not fit", failing(Q, iq(query='m + on() m', evaluation_timestamp_ms=MS)), "FAILED_PRECONDITION", "many-to-many"),
        ("a native histogram", failing(Q, iq(query="native", evaluation_timestamp_ms=MS)), "UNIMPLEMENTED", "native histograms"),
        ("an expression that is too long", failing(Q, iq(query="1" + "+1" * 600000)), "INVALID_ARGUMENT", "--query.max-text"),
        ("a message over the limit", failing(Q, iq(query="x" * (5 << 20))), "RESOURCE_EXHAUSTED", "--grpc.max-message-bytes"),
        ("an unknown method", failing(ch.unary_unary("/codesprintpro.monitoring.v1.QueryService/Other"), b""), "UNIMPLEMENTED", "unknown method"),
        ("an unknown service", failing(ch.unary_unary("/some.Other/Call"), b""), "UNIMPLEMENTED", "unknown method"),
        ("bytes that are no message", failing(ch.unary_unary("/codesprintpro.monitoring.v1.QueryService/EvaluateInstantQuery"), b"\xff\xff"), "INVALID_ARGUMENT", "protobuf")]:
    ok(got[0] == want and words in got[1], f"{what} is {want}: {got[0]} {got[1][:150]}")
slow = "count_over_time(%s[1h:5ms])" % "sum(m)"
code, text = failing(R, rq(query=slow, start_timestamp_ms=MS - 600000, end_timestamp_ms=MS, step_ms=1000), timeout=0.02)
ok(code == "DEADLINE_EXCEEDED", f"a deadline that is too short: {code} {text}")
call = R.future(rq(query=slow, start_timestamp_ms=MS - 600000, end_timestamp_ms=MS, step_ms=1000))
time.sleep(0.01)
call.cancel()
ok(call.cancelled() or call.done(), "a call is cancelled")
end = time.time() + 100  # less than the two minutes after which it ends by itself
while time.time() < end and b"kymo_queries_running 0" not in request(k.port, "GET", "/metrics")[1]:
    time.sleep(0.05)
ok(b"kymo_queries_running 0" in request(k.port, "GET", "/metrics")[1], "and its query ends")
status, text, _ = request(k.port, "POST", "/codesprintpro.monitoring.v1.QueryService/EvaluateInstantQuery", b"", {"Content-Type": "application/grpc"})
ok(status == 505 and b"HTTP/2" in text, f"over HTTP/1.1 it is refused: {status} {text}")

_, c = Q.with_call(iq(query="rate(odd[5m])", evaluation_timestamp_ms=MS))
notes = [v for n, v in c.trailing_metadata() if n == "kymo-info"]
ok(len(notes) == 1 and "might not be a counter" in notes[0], f"infos stand behind the answer: {notes}")

# --- gzip ---
plain = Q(iq(query="m", evaluation_timestamp_ms=MS))
packed, c = Q.with_call(iq(query="m", evaluation_timestamp_ms=MS), compression=grpc.Compression.Gzip)
ok(packed == plain and dict(c.initial_metadata()).get("grpc-encoding", "gzip") == "gzip", "gzip in both directions says the same")
large = " or ".join(f'm{{i="{i}"}}' for i in range(40))
ok(same(Q(iq(query=large, evaluation_timestamp_ms=MS), compression=grpc.Compression.Gzip), api(k.port, "query", query="m", time=MS / 1000)[1]["data"]),
   "a request that is worth it")

# --- an answer of 100 MB: 600 series with 10,001 points ---
rows = []
for i in range(600):
    rows.append(series({"__name__": "big", "i": str(i)}, [(MS - 500000, i + 0.5)]))
ok(write(k.port, b"".join(rows))[0] == 204, "600 series")
began = time.time()
a = R(rq(query="big * 1.1", start_timestamp_ms=MS - 500000, end_timestamp_ms=MS - 490000, step_ms=1), timeout=300)
took = time.time() - began
size = a.ByteSize()
points = sum(len(s.samples) for s in a.result_series)
ok(points == 600 * 10001 and size > 100e6, f"{points} points, {size} bytes, in {took:.1f} s, most of it Python's")
ok(all(s.samples[0].value == (int(dict((l.name, l.value) for l in s.labels)["i"]) + 0.5) * 1.1 for s in a.result_series), "with the right values")
small = query_service_pb2_grpc.QueryServiceStub(grpc.insecure_channel(f"127.0.0.1:{k.port}"))
code, text = failing(small.EvaluateRangeQuery, rq(query="big", start_timestamp_ms=MS - 500000, end_timestamp_ms=MS - 490000, step_ms=1))
ok(code == "RESOURCE_EXHAUSTED", f"a client that wants 4 MiB at most says so itself: {text}")
del a
end = time.time() + 90
while time.time() < end and b'kymo_memory_bytes{part="answers"} 0\n' not in request(k.port, "GET", "/metrics")[1]:
    time.sleep(0.1)
text = request(k.port, "GET", "/metrics")[1]
ok(b'kymo_memory_bytes{part="answers"} 0\n' in text or b'kymo_memory_bytes{part="answers"} ' in text and int(text.split(b'part="answers"} ')[1].split(b"\n")[0]) < 1 << 20,
   "nothing of it stays in memory")

# --- health ---
check = health_pb2.HealthCheckRequest
ok(health.Check(check()).status == 1 and health.Check(check(service="codesprintpro.monitoring.v1.QueryService")).status == 1, "health: serving")
code, text = failing(health.Check, check(service="some.Other"))
ok(code == "NOT_FOUND" and "some.Other" in text, f"an unknown service is {code}")
other = health.Watch(check(service="some.Other"))
ok(next(other).status == 3, "a watch of one says so, and goes on")
other.cancel()
watch = health.Watch(check())
ok(next(watch).status == 1, "a watch begins with what is")

# --- reflection, both versions ---
for pb, stub in [(reflection_v1_pb2, reflection_v1_pb2_grpc), (reflection_v1alpha_pb2, reflection_v1alpha_pb2_grpc)]:
    ask = pb.ServerReflectionRequest
    said = list(stub.ServerReflectionStub(ch).ServerReflectionInfo(iter([
        ask(host="h", list_services=""), ask(file_containing_symbol="codesprintpro.monitoring.v1.QueryService.EvaluateRangeQuery"),
        ask(file_by_filename="health.proto"), ask(file_containing_symbol="no.such.Thing"), ask(all_extension_numbers_of_type="grpc.health.v1.HealthCheckRequest")])))
    listed = sorted(s.name for s in said[0].list_services_response.service)
    ok(listed == ["codesprintpro.monitoring.v1.QueryService", "grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection",
                  "opentelemetry.proto.collector.metrics.v1.MetricsService"],
       f"{pb.DESCRIPTOR.package}: services are listed")
    ok(said[0].valid_host == "h" and said[0].original_request.host == "h", "the question stands in the answer")
    got = descriptor_pb2.FileDescriptorProto.FromString(said[1].file_descriptor_response.file_descriptor_proto[0])
    want = descriptor_pb2.FileDescriptorProto()
    qs.DESCRIPTOR.CopyToProto(want)
    want.ClearField("options")
    for f in (got, want):
        for m in f.message_type:
            for x in m.field:
                x.ClearField("json_name")
    ok(got == want, "a method leads to its file")
    ok(descriptor_pb2.FileDescriptorProto.FromString(said[2].file_descriptor_response.file_descriptor_proto[0]).package == "grpc.health.v1", "a file by its name")
    ok(said[3].error_response.error_code == 5, "what is not there is NOT_FOUND")
    ok(said[4].all_extension_numbers_response.base_type_name.endswith("HealthCheckRequest"), "no message has extensions")

# --- many at once, on one connection ---
good = 0
for turn in range(8):
    calls = [Q.future(iq(query=f"m{{i=\"{i % 40}\"}}", evaluation_timestamp_ms=MS)) for i in range(60)]
    good += sum(len(c.result(timeout=60).result_series) for c in calls)
ok(good == 480, f"60 calls at once, eight times: {good}")

# --- the end: a watch is told, and does not hold it up ---
seen = []


def listen():
    try:
        for a in watch:
            seen.append(a.status)
    except grpc.RpcError as e:
        seen.append(e.code().name)


# Another one's deadline has passed, but its client has not taken what it was told: its window is shut until the server stops.
late = h2raw.Connection(socket.create_connection(("127.0.0.1", k.port)))
late.handshake([(h2raw.INITIAL_WINDOW_SIZE, 0)])
ms, stream, begun = 50, -1, False
while not begun and ms < 50000:  # a deadline that has passed before the call begins is no test of it
    ms, stream, kind = ms * 2, stream + 2, None
    asked = h2raw.block([(":method", "POST"), (":scheme", "http"), (":path", "/grpc.health.v1.Health/Watch"), (":authority", "x"), ("te", "trailers"),
                         ("content-type", "application/grpc"), ("grpc-timeout", f"{ms}m")])
    late.send(h2raw.frame(h2raw.HEADERS, h2raw.END_HEADERS, stream, asked), h2raw.frame(h2raw.DATA, h2raw.END_STREAM, stream, bytes(5)))
    while kind != h2raw.HEADERS:
        kind, flags, _, _ = late.read()
    begun = not flags & h2raw.END_STREAM
ok(begun, "a watch begins whose client takes nothing")
time.sleep(ms / 1000 + 0.1)
late.ping()
late.ping()  # a turn later: the deadline has passed


def open_window():
    end = time.time() + 60
    while time.time() < end and "event=stopping" not in tail(k.log_path):
        time.sleep(0.01)
    late.send(h2raw.window_update(stream, 65535))


threads = [threading.Thread(target=listen), threading.Thread(target=open_window)]
for t in threads:
    t.start()
began = time.time()
code = k.end()
for t in threads:
    t.join(60)
ok(code == 0 and seen == [2, "UNAVAILABLE"], f"stopping: the watch hears {seen}, kymod ends with {code} after {time.time() - began:.1f} s")

# --- over TLS, with identities and tenants: the same door as HTTP ---
need("openssl")
key, cert = os.path.join(top, "tls.key"), os.path.join(top, "tls.crt")
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", cert, "-days", "2",
                "-subj", "/CN=kymo", "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
os.chmod(key, 0o600)
for name, text in [("web.yml", f"tls_server_config:\n  cert_file: {cert}\n  key_file: {key}\n"), ("reader.token", "r" * 32), ("writer.token", "w" * 32),
                   ("kymod.yml", """identities:
  tokens:
  - {name: reader, token_file: reader.token, roles: [read], tenant: one, tenants: [two]}
  - {name: writer, token_file: writer.token, roles: [write], tenant: one}
""")]:
    with open(os.path.join(top, name), "w") as f:
        f.write(text)
    os.chmod(os.path.join(top, name), 0o600)
k = Kymod(os.path.join(top, "tls-data"), "--config", os.path.join(top, "kymod.yml"), "--web.config.file", os.path.join(top, "web.yml"),
          "--web.route-prefix", "/p", wait=False)
ch = grpc.secure_channel(f"127.0.0.1:{k.port}", grpc.ssl_channel_credentials(open(cert, "rb").read()))
query, health = query_service_pb2_grpc.QueryServiceStub(ch), health_pb2_grpc.HealthStub(ch)
end, status = time.time() + 90, 0
while time.time() < end and status != 1:
    try:
        status = health.Check(check(), wait_for_ready=True, timeout=60).status
    except grpc.RpcError:
        time.sleep(0.05)
ok(status == 1, "over TLS, by ALPN, whatever the prefix of paths: health needs no identity")
as_reader, as_writer = ("authorization", "Bearer " + "r" * 32), ("authorization", "Bearer " + "w" * 32)
Q = query.EvaluateInstantQuery
for what, metadata, want, words in [("nobody", [], "UNAUTHENTICATED", ""), ("a wrong token", [("authorization", "Bearer nonsense-of-some-length")], "UNAUTHENTICATED", ""),
                                    ("who may only write", [as_writer], "PERMISSION_DENIED", "read"), ("who may read", [as_reader], "OK", ""),
                                    ("in another of its tenants", [as_reader, ("x-scope-orgid", "two")], "OK", ""),
                                    ("in a tenant of others", [as_reader, ("x-scope-orgid", "three")], "PERMISSION_DENIED", "three")]:
    code, text = failing(Q, iq(query="1"), metadata=metadata)
    ok(code == want and words in text, f"{what}: {code} {text}")
curl = ["curl", "-s", "--cacert", cert, "-w", "%{http_code}", "-H", "Authorization: Bearer " + "w" * 32, *[x for h, v in WRITE_HEADERS.items() for x in ("-H", f"{h}: {v}")]]
said = subprocess.run([*curl, "--data-binary", "@-", f"https://127.0.0.1:{k.port}/p/api/v1/write"], input=snappy(series({"__name__": "mine"}, [(int(time.time() * 1000), 7.0)])),
                      capture_output=True, timeout=60).stdout
ok(said == b"204", f"a sample of tenant one: {said}")
ok(len(Q(iq(query="mine"), metadata=[as_reader]).result_series) == 1, "is seen there")
ok(len(Q(iq(query="mine"), metadata=[as_reader, ("x-scope-orgid", "two")]).result_series) == 0, "and not in tenant two")
both = Q(iq(query="mine"), metadata=[as_reader, ("x-scope-orgid", "one|two")]).result_series
ok([[l.value for l in s.labels if l.name == "__tenant_id__"] for s in both] == [["one"]], "over both it has a label")
code = k.end()
ok(code == 0, f"kymod ends with {code}")
shutil.rmtree(top, ignore_errors=True)
done()
