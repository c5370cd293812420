#!/usr/bin/env python3
"""Datadog's agents and clients: series in JSON, protobuf and columns, sketches and distributions, with and without /datadog, packed in all
ways they pack; a bad series costs no others and is 400, which agents do not repeat; keys; what is acknowledged survives a kill."""
import gzip, shutil, sys, zlib
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("datadog")
now = int(time.time())
conf = os.path.join(top, "kymo.yml")
open(conf, "w").write("receivers: {datadog: {enabled: true}}\n")
k = Kymod(os.path.join(top, "a"), "--config", conf)
JSON, PROTO = {"Content-Type": "application/json"}, {"Content-Type": "application/x-protobuf"}


def values(selector, head=None):
    """{name and labels: [(ms, value)]} of all that is stored."""
    out = {}
    for line in request(k.port, "GET", "/api/v1/export?" + urllib.parse.urlencode({"match[]": selector}), headers=head)[1].splitlines():
        m = json.loads(line)
        name = m["metric"].pop("__name__")
        out.setdefault(name + "".join(f",{a}={b}" for a, b in sorted(m["metric"].items())), []).extend(zip(m["timestamps"], m["values"]))
    return {key: sorted(v) for key, v in out.items()}


def post(path, body, head):
    status, text, _ = request(k.port, "POST", path, body, head)
    return status, text.decode()


def zstd(raw):
    """A frame with one raw block (RFC 8878, 3.1.1)."""
    out = b"\x28\xb5\x2f\xfd\x20" + bytes([len(raw)]) if len(raw) < 256 else b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(raw))
    return out + struct.pack("<I", len(raw) << 3 | 1)[:3] + raw


def zig(n):
    return varint(n << 1 if n >= 0 else (-n << 1) - 1)


def double(no, v):
    return varint(no << 3 | 1) + struct.pack("<d", v)


def point(v, t):
    return field(4, double(1, v) + b"\x10" + varint(t))


def payload(*names, v=1.5):
    return b"".join(field(1, field(1, field(1, b"host") + field(2, b"h1")) + field(2, n.encode()) + field(3, b"env:prod") + point(v, now) + b"\x28\x03") for n in names)


# --- series ---
body = json.dumps({"series": [{"metric": "v1.load!!avg", "points": [[now - 10, 1], [now, 2.5]], "type": "gauge", "host": "web", "device": "sda", "tags": ["env:prod", "solo", "host:x", "role:b", "role:a"]}]}).encode()
status, text = post("/datadog/api/v1/series?api_key=x", body, JSON)
ok((status, text) == (202, '{"status":"ok"}'), f"1.0: {status} {text}")
ok(values("v1_load_avg") == {"v1_load_avg,device=sda,env=prod,exported_host=x,host=web,role=a,b,solo=no_label_value": [((now - 10) * 1000, 1), (now * 1000, 2.5)]}, f"its labels: {values('v1_load_avg')}")
for n, path in enumerate(("/api/v2/series", "/datadog/api/v2/series")):
    body = json.dumps({"series": [{"metric": f"v2.json.{n}", "type": 3, "points": [{"timestamp": now, "value": 0.5}], "resources": [{"type": "host", "name": "h"}], "tags": ["a:b:c"]}]}).encode()
    status, text = post(path, body, JSON)
    ok((status, text) == (202, '{"errors":[]}') and values(f"v2_json_{n}") == {f"v2_json_{n},a=b:c,host=h": [(now * 1000, 0.5)]}, f"{path} in JSON: {status} {text}")
PACKS = {"identity": lambda b: b, "": lambda b: b, "gzip": gzip.compress, "deflate": zlib.compress, "zstd": zstd, "zstd1": zstd}
for name, pack in PACKS.items():
    metric = f"packed.{name or 'none'}"
    status, text = post("/api/v2/series", pack(payload(metric)), {**PROTO, "Content-Encoding": name} if name else PROTO)
    ok((status, text) == (202, '{"errors":[]}') and values(metric.replace(".", "_")) == {f"{metric.replace('.', '_')},env=prod,host=h1": [(now * 1000, 1.5)]}, f"protobuf, {name or 'plain'}: {status} {text}")
two = zstd(payload("two.first")) + zstd(payload("two.second"))
ok(post("/datadog/api/v2/series", two, {**PROTO, "Content-Encoding": "zstd"})[0] == 202 and len(values('{__name__=~"two_.*"}')) == 2, "two frames of zstd are one body")
many = gzip.compress(payload("multi.first")) + gzip.compress(payload("multi.second"))
ok(post("/api/v2/series", many, {**PROTO, "Content-Encoding": "gzip"})[0] == 202 and len(values('{__name__=~"multi_.*"}')) == 2, "so are two members of gzip")

# --- sketches and distributions ---
bins = field(7, zig(1338) + zig(1409)) + field(8, varint(1) + varint(3))
sketch = b"\x08" + varint(now) + b"\x10\x04" + double(3, 1) + double(4, 3) + double(6, 8) + bins
for n, path in enumerate(("/api/beta/sketches", "/datadog/api/beta/sketches")):
    status, text = post(path, field(1, field(1, b"lat.%d" % n) + field(2, b"h1") + field(4, b"a:b") + field(7, sketch)), PROTO)
    got = values(f'{{__name__=~"lat_{n}.*"}}')
    ok(status == 202 and text == "" and len(got) == 9 and got[f"lat_{n}_sum,a=b,host=h1"] == [(now * 1000, 8)] and 3.0 < got[f"lat_{n},a=b,host=h1,quantile=0.5"][0][1] < 3.1, f"{path}: {status} {text} {len(got)}")
body = json.dumps({"series": [{"metric": "dist", "points": [[now, [4, 1, 3, 2, 5]]], "host": "h"}]}).encode()
ok(post("/api/v1/distribution_points", body, JSON)[0] == 202 and values('{__name__=~"dist.*"}')["dist,host=h,quantile=0.5"] == [(now * 1000, 3)], "values of a distribution")

# --- columns ---


def dictionary(no, *words):
    return field(no, b"".join(varint(len(w)) + w for w in words))


def column(no, how, *numbers):
    return field(no, b"".join(how(n) for n in numbers))


def columns(*names):
    data = dictionary(1, *names, b"col.sketch") + dictionary(2, b"env:prod", b"x:1", b"y:2") + column(3, zig, 2, 1, 1, 2, 3, -4)
    data += dictionary(4, b"host", b"h1") + field(5, varint(1)) + column(6, zig, 1) + column(7, zig, 2)
    n = len(names)
    data += column(10, varint, *[0x11] * n, 0x14) + column(11, zig, *[1] * (n + 1)) + column(12, zig, 2, *[0] * n) + column(13, zig, 1, *[0] * n) + column(14, varint, *[10] * (n + 1)) + column(15, varint, *[1] * (n + 1))
    data += column(16, zig, now, *[0] * n) + column(17, zig, *range(n), 12, 1, 5, 4) + column(20, varint, 2) + column(21, zig, 1338, 71) + column(22, varint, 1, 3)
    return field(2, field(1, b"all:1")) + field(3, data)


for n, path in enumerate(("/api/intake/metrics/v3/series", "/datadog/api/intake/metrics/v3/series", "/api/intake/metrics/v3/sketches")):
    status, text = post(path, columns(b"col.%d.a" % n, b"col.%d.b" % n), PROTO)
    got = values(f'{{__name__=~"col_{n}.*"}}')
    ok(status == 202 and got == {f"col_{n}_a,all=1,env=prod,host=h1,x=1,y=2": [(now * 1000, 0)], f"col_{n}_b,all=1,env=prod,host=h1,x=1,y=2": [(now * 1000, 1)]}, f"{path}: {status} {text} {got}")
ok(values("col_sketch_sum") == {"col_sketch_sum,all=1,env=prod,host=h1,x=1,y=2": [(now * 1000, 12)]}, "a sketch in columns")

# --- what is wrong ---
bad = json.dumps({"series": [{"metric": "fine.a", "points": [[now, 1]]}, {"points": [[now, 1]]}, {"metric": "old", "points": [[5, 1]]}, {"metric": "fine.b", "points": [[now, 1]]}]}).encode()
status, text = post("/datadog/api/v1/series", bad, JSON)
told = json.loads(text)["errors"][0]
ok(status == 400 and told.startswith("stored 2 of 3 samples; 1 refused; first: too_old: old: ") and "1 of 4 metrics cannot be read; first: metric 2: it has no metric" in told, f"series that are wrong: {status} {text}")
ok(set(values('{__name__=~"fine_.*|old"}')) == {"fine_a", "fine_b"}, "the others are stored")
for path, body, head in (("/datadog/api/v1/series", b"{", JSON), ("/api/v2/series", b"\xff\xff", PROTO), ("/api/intake/metrics/v3/series", b"\x1a\x02\x52\x01", PROTO), ("/api/v2/series", b"x", {**PROTO, "Content-Encoding": "br"}),
                         ("/api/v2/series", b"no zstd", {**PROTO, "Content-Encoding": "zstd"})):
    status, text = post(path, body, head)
    ok(status == 400 and json.loads(text)["errors"][0], f"{path} {head.get('Content-Encoding', '')}: {status} {text}")

# --- the rest ---
ok(json.loads(request(k.port, "GET", "/datadog/api/v1/validate")[1]) == {"valid": True} and request(k.port, "GET", "/api/v1/validate?api_key=x")[0] == 200, "the key is fine where nobody asks for one")
for path, want in (("/datadog/api/v1/check_run", 202), ("/intake/", 200), ("/datadog/intake/?api_key=x", 200), ("/datadog/api/v1/metadata", 200), ("/datadog/api/v2/events", 200)):
    ok(post(path, b'{"x":1}', JSON)[0] == want, f"{path}: taken")
ok(post("/datadog/api/v9/series", b"{}", JSON)[0] == 404, "a path of metrics that nobody reads is none")
ok(post("/api/v2/series", payload(*(f"kill.n{i}" for i in range(3000))), PROTO)[0] == 202, "3,000 series")
k.end(signal.SIGKILL)
open(conf, "w").write("receivers: {datadog: {raw_names: true}}\nidentities:\n  tokens: [{name: tom, token_file: token, roles: [write, read]}]\n")
open(os.path.join(top, "token"), "w").write("0123456789abcdef0123456789abcdef")
os.chmod(os.path.join(top, "token"), 0o600)
k = Kymod(os.path.join(top, "a"), "--config", conf)
KEY, AUTH = "0123456789abcdef0123456789abcdef", {"Authorization": "Bearer 0123456789abcdef0123456789abcdef"}
ok(len(values('{__name__=~"kill_.*"}', AUTH)) == 3000, "all are there after a kill")
ok(post("/api/v2/series", payload("key.head"), {**PROTO, "DD-Api-Key": KEY})[0] == 202 and post(f"/datadog/api/v2/series?api_key={KEY}", payload("key.url"), PROTO)[0] == 202, "a token is the key")
ok(sorted(values('{__name__=~"key.*"}', AUTH)) == ["key.head,env=prod,host=h1", "key.url,env=prod,host=h1"], "names stay as they are")
for head in ({}, {"DD-Api-Key": "wrong"}):
    status, text = post("/api/v2/series", payload("x"), {**PROTO, **head})
    ok(status == 403 and request(k.port, "GET", "/api/v1/validate", headers=head)[0] == 403, f"without the key it is 403: {status} {text}")
ok(request(k.port, "GET", "/datadog/api/v1/validate", headers={"DD-Api-Key": KEY})[0] == 200, "with it the key is fine")
open(conf, "w").write("receivers: {datadog: {enabled: false}}\n")
post("/api/v2/series?api_key=not-the-key-of-anybody", payload("x"), PROTO)
k.end()
log = open(k.log_path, errors="replace").read()
ok("event=denied" in log and not any(t in log for t in (KEY, "not-the-key")), "no log has a key, right or wrong")
k = Kymod(os.path.join(top, "a"), "--config", conf)
ok(post("/api/v2/series", payload("x"), PROTO)[0] == 404 and request(k.port, "GET", "/api/v1/validate")[0] == 404 and post("/intake/", b"{}", JSON)[0] == 404, "it is off: 404")
k.end()
shutil.rmtree(top)
done()
