#!/usr/bin/env python3
"""Receivers over HTTP: each path with each packing, bodies in chunks and drop by drop, packings that are none, bombs, a receiver that is
off, a kill in the middle; what is acknowledged is there, and what came is counted by receiver."""
import gzip, shutil, sys, threading, zlib
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("receivers")
now = int(time.time()) * 1000


# --- bodies: n samples of one metric, one each second up to now, their values 0, 1, ...

def json_lines(name, n):
    out = []
    for i in range(n):
        out.append(json.dumps({"metric": {"__name__": name, "a": "b"}, "values": [i], "timestamps": [now - 1000 * (n - i)]}))
    return ("\n".join(out) + "\n").encode()


def influx(name, n):
    return "".join(f"{name},a=b value={i} {now - 1000 * (n - i)}\n" for i in range(n)).encode()


def text(name, n):
    return (f"# TYPE {name} gauge\n" + "".join(f'{name}{{a="b"}} {i} {now - 1000 * (n - i)}\n' for i in range(n))).encode()


def otlp(name, n):
    points = [{"timeUnixNano": str((now - 1000 * (n - i)) * 10**6), "asDouble": i, "attributes": [{"key": "a", "value": {"stringValue": "b"}}]} for i in range(n)]
    metric = {"name": name, "gauge": {"dataPoints": points}}
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def remote(name, n):
    return series({"__name__": name, "a": "b"}, [(now - 1000 * (n - i), float(i)) for i in range(n)])


# --- packings

def zstd(raw, frames=2):
    """Frames of raw blocks (RFC 8878, 3.1.1), each telling its length."""
    out = b""
    size = max(1, -(-len(raw) // frames))
    for i in range(0, max(len(raw), 1), size):
        piece = raw[i:i + size]
        out += b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", len(piece))
        blocks = [piece[k:k + 100000] for k in range(0, max(len(piece), 1), 100000)]
        for k, b in enumerate(blocks):
            out += struct.pack("<I", len(b) << 3 | (k == len(blocks) - 1))[:3] + b
    return out


def zstd_bomb(total):
    """RLE blocks of 128 KiB, four bytes each."""
    n = -(-total // (128 << 10))
    out = b"\x28\xb5\x2f\xfd\x00\x58"  # a window of 2 MiB
    for k in range(n):
        out += struct.pack("<I", (128 << 10) << 3 | 1 << 1 | (k == n - 1))[:3] + b"\n"
    return out


PACKS = {
    "": lambda b: b,
    "identity": lambda b: b,
    "gzip": gzip.compress,
    "x-gzip": lambda b: gzip.compress(b[:10]) + gzip.compress(b[10:]),
    "deflate": zlib.compress,
    "zstd": zstd,
    "snappy": snappy,
    "identity, GZIP": gzip.compress,
}
JSON = {"Content-Type": "application/json"}
# receiver, path, headers, body, status of success, packings that it has not
DOORS = [
    ("import", "/api/v1/import", {}, json_lines, 204, ()),
    ("exposition", "/api/v1/import/prometheus", {}, text, 204, ()),
    ("influx", "/write?db=x&precision=ms", {}, influx, 204, ()),
    ("otlp", "/v1/metrics", JSON, otlp, 200, ("snappy",)),
]


def send(port, door, body, encoding=None, timeout=120):
    headers = dict(door[2])
    if encoding is not None:
        headers["Content-Encoding"] = encoding
    return request(port, "POST", door[1], body, headers, timeout)


def stored(port, name):
    """Values of the metric, by /api/v1/export; a receiver may have added to its name."""
    q = urllib.parse.urlencode({"match[]": '{__name__=~"%s(_value)?"}' % name})
    out = []
    for line in request(port, "GET", f"/api/v1/export?{q}")[1].splitlines():
        m = json.loads(line)
        out += sorted(zip(m["timestamps"], m["values"]))
    return [v for _, v in out]


def metric(port, receiver, what):
    page = request(port, "GET", "/metrics")[1].decode()
    return int(float(re.search(rf'^kymo_receiver_{what}_total{{receiver="{receiver}"}} (\S+)$', page, re.M).group(1)))


conf = os.path.join(top, "kymo.yml")
with open(conf, "w") as f:
    f.write("receivers: {}\n")
k = Kymod(os.path.join(top, "a"), "--config", conf)
SMALL, LARGE = 10, 40000
for door in DOORS:
    receiver, good = door[0], door[4]
    requests, samples, size = 0, 0, 0
    for i, (encoding, pack) in enumerate(PACKS.items()):
        for n in (SMALL, LARGE):
            if n == LARGE and encoding not in ("", "gzip", "zstd", "snappy"):
                continue
            name = f"{receiver}_{i}_{n}"
            body = pack(door[3](name, n))
            status, out, _ = send(k.port, door, body, encoding)
            if encoding in door[5]:
                ok(status == 415, f"{receiver} has no {encoding}: {status} {out[:200]}")
                continue
            requests, samples, size = requests + 1, samples + n, size + len(body)
            ok(status == good and stored(k.port, name) == list(range(n)), f"{receiver}, {n} samples as '{encoding}' in {len(body)} bytes: {status} {out[:200]}")
    got = [metric(k.port, receiver, w) for w in ("requests", "samples", "bytes", "bad_records")]
    ok(got == [requests, samples, size, 0], f"{receiver}: what came is counted: {got}, {requests} requests with {samples} samples in {size} bytes")
    # What is not packed as it says, or in a way that nobody knows, is refused in words and costs nothing else.
    body = door[3]("never", SMALL)
    for encoding, raw, want in [("gzip", body, b"is no gzip"), ("zstd", body, b"is no zstd"), ("gzip", gzip.compress(body)[:-5], b"ends inside its gzip"),
                                ("zstd", zstd(body)[:-5], b"ends inside its zstd"), ("gzip", gzip.compress(body) + b"more", b"is no gzip")]:
        status, out, _ = send(k.port, door, raw, encoding)
        ok(status == 400 and want in out, f"{receiver}, not as '{encoding}' says: {status} {out[:200]}")
    for encoding in ("br", "gzip, zstd", "\xe9" * 300):
        status, out, _ = send(k.port, door, body, encoding)
        ok(status == 415 and b"Content-Encoding is" in out and len(out) < 700, f"{receiver}, Content-Encoding {encoding[:20]!r}: {status} {out[:200]}")
    # Bombs: bounded by their ratio, or by what all of it may be.
    for encoding, raw in [("zstd", zstd_bomb(600 << 20)), ("gzip", gzip.compress(b" " * (64 << 20), 1)), ("gzip", gzip.compress(b"x" * (64 << 20), 1))]:
        status, out, _ = send(k.port, door, raw, encoding)
        ok(status in (400, 413) or raw[:1] == b"\x1f" and status == good, f"{receiver}, {len(raw)} bytes that unpack to very much: {status} {out[:200]}")

# Labels of the URL stand over those of the body; what is told no time has that of the parameter, or is now.
def labels_of(name):
    q = urllib.parse.urlencode({"match[]": name})
    return [json.loads(line) for line in request(k.port, "GET", f"/api/v1/export?{q}")[1].splitlines()]


status, out, _ = request(k.port, "POST", "/api/v1/import?extra_label=a=x&extra_label=dc=%C3%A9", json_lines("with_extra", 3))
got = labels_of("with_extra")
ok(status == 204 and [m["metric"] for m in got] == [{"__name__": "with_extra", "a": "x", "dc": "\xe9"}], f"extra_label of JSON: {status} {out[:100]} {got}")
status, out, _ = request(k.port, "POST", f"/api/v1/import/prometheus?extra_label=a=&timestamp={now - 5000}", b'with_time{a="1",c="d"} 5\nwith_time{a="2",c="e"} 6 # no\nbad{\n')
got = labels_of("with_time")
ok(status == 400 and b"stored 2 of 2 samples; 1 of 3 lines cannot be read; first: line 3" in out, f"a bad line: {status} {out[:200]}")
ok(sorted((m["metric"]["c"], "a" in m["metric"], m["values"], m["timestamps"]) for m in got) == [("d", False, [5], [now - 5000]), ("e", False, [6], [now - 5000])], f"extra_label takes one away, timestamp is that of the URL: {got}")
status, out, _ = request(k.port, "PUT", "/api/v1/import/prometheus/metrics/job/batch/path@base64/L3Zhci90bXA/inst%2Fx", b'pushed{job="mine",c="d"} 7\n')
got = labels_of("pushed")
ok(status == 200 and [m["metric"] for m in got] == [{"__name__": "pushed", "c": "d", "job": "batch", "path": "/var/tmp", "inst": "x"}], f"labels of the path: {status} {out[:100]} {got}")
ok(len(got) == 1 and got[0]["values"] == [7] and abs(got[0]["timestamps"][0] - time.time() * 1000) < 600e3, "and its time is now")
for path, want in [("?extra_label=none", 400), ("?extra_label==x", 400), ("?extra_label=a=" + "x" * 3000, 400), ("?timestamp=soon", 400), ("/metrics/job/a/b", 400), ("/metrics/jobs/a", 404),
                   ("/metrics/job/a/b@base64/!", 400)]:
    status, out, _ = request(k.port, "POST", "/api/v1/import/prometheus" + path, b"never 1\n")
    ok(status == want, f"{path[:40]}: {status} {out[:200]}")

# Remote Write in zstd, as vmagent sends it; its older versions ask first; a queue may mix the two.
VM = {"Content-Type": "application/x-protobuf", "X-VictoriaMetrics-Remote-Write-Version": "1"}
for i, (name, n, frames, encoding) in enumerate([("rw_zstd", 100, 1, "zstd"), ("rw_frames", 50000, 3, "zstd"), ("rw_mixed", 100, 1, "snappy")]):
    status, out, _ = request(k.port, "POST", "/api/v1/write", zstd(remote(name, n), frames), {**VM, "Content-Encoding": encoding})
    ok(status == 204 and stored(k.port, name) == list(range(n)), f"{name}: {n} samples in {frames} frames of zstd, called {encoding}: {status} {out[:200]}")
status, out, _ = request(k.port, "POST", "/api/v1/write", snappy(remote("rw_snappy", 10)), {**VM, "Content-Encoding": "zstd"})
ok(status == 204 and stored(k.port, "rw_snappy") == list(range(10)), f"and snappy, called zstd: {status} {out[:200]}")
status, out, _ = request(k.port, "POST", "/api/v1/write?get_vm_proto_version=1", b"", VM)
ok((status, out) == (200, b"1"), f"the question of older ones: {status} {out[:100]}")
for encoding in ("gzip", "deflate"):
    status, out, _ = request(k.port, "POST", "/api/v1/write", gzip.compress(b"x"), {**VM, "Content-Encoding": encoding})
    ok(status == 415, f"{encoding} is not spoken: {status}")
V2 = {"Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request"}
status, out, _ = request(k.port, "POST", "/api/v1/write", zstd(b""), {**V2, "Content-Encoding": "zstd"})
ok(status == 415, f"Remote Write 2.0 is snappy alone: {status} {out[:200]}")
status, out, _ = request(k.port, "POST", "/api/v1/write", zstd_bomb(600 << 20), {**VM, "Content-Encoding": "zstd"})
ok(status == 400 and b"does not say how many" in out, f"a bomb that does not say so: {status} {out[:200]}")
for piece in (b"\x28\xb5\x2f\xfd\x20\0\1\0\0", struct.pack("<II", 0x184D2A50, 0)):
    status, out, _ = request(k.port, "POST", "/api/v1/write", zstd(b"") + piece * 100000, {**VM, "Content-Encoding": "zstd"})
    ok(status == 400 and b"very many frames" in out, f"frames that hold nothing: {status} {out[:200]}")
said = b"\x28\xb5\x2f\xfd\xa0" + struct.pack("<I", 30 << 20) + struct.pack("<I", (128 << 10) << 3 | 3)[:3] + b"x"
status, out, _ = request(k.port, "POST", "/api/v1/write", said, {**VM, "Content-Encoding": "zstd"})
ok(status == 400 and b"1100 times" in out, f"one that does: {status} {out[:200]}")


# --- bodies in pieces

def by_hand(port, door, pieces, encoding, pause):
    """In chunks of HTTP, one for each piece."""
    s = socket.create_connection(("127.0.0.1", port), timeout=120)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    head = f"POST {door[1]} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\nContent-Encoding: {encoding}\r\n"
    head += "".join(f"{n}: {v}\r\n" for n, v in door[2].items())
    s.sendall(head.encode() + b"\r\n")
    for p in pieces:
        s.sendall(b"%x\r\n" % len(p) + p + b"\r\n")
        time.sleep(pause)
    s.sendall(b"0\r\n\r\n")
    got = b""
    while piece := s.recv(65536):
        got += piece
    s.close()
    return int(got.split()[1]), got


for door in DOORS:
    for encoding, pack, size, pause, n in [("identity", bytes, 7, 0, 10), ("gzip", gzip.compress, 1000, 0, 20000), ("zstd", zstd, 50000, 0.05, 10000)]:
        name = f"{door[0]}_chunks_{encoding}"
        body = pack(door[3](name, n))
        status, out = by_hand(k.port, door, [body[i:i + size] for i in range(0, len(body), size)], encoding, pause)
        ok(status == door[4] and stored(k.port, name) == list(range(n)), f"{door[0]}, {encoding} in chunks of {size}: {status} {out[-200:]}")

# --- killed in the middle: nothing was acknowledged, and the same again is right
for door in DOORS:
    name, n = f"{door[0]}_killed", 60000
    body = door[3](name, n)
    answer = []

    def sender():
        try:
            answer.append(send(k.port, door, body)[0])
        except OSError:
            answer.append(None)

    before = metric(k.port, door[0], "requests")
    t = threading.Thread(target=sender)
    t.start()
    end = time.time() + 60
    while time.time() < end and not answer and metric(k.port, door[0], "requests") == before:
        time.sleep(0.001)
    k.end(signal.SIGKILL)
    t.join()
    k = Kymod(os.path.join(top, "a"), "--config", conf, port=k.port)
    there = stored(k.port, name)
    ok(answer[0] != door[4] or there == list(range(n)), f"{door[0]}, killed: answered {answer[0]}, {len(there)} of {n} samples are there")
    status, out, _ = send(k.port, door, body)
    ok(status == door[4] and stored(k.port, name) == list(range(n)), f"{door[0]}, once more: {status} {out[:200]}")
ok(k.end() == 0, "an orderly end")

# --- off: as if it was not there, and without zstd vmagent is told to go on in snappy
with open(conf, "w") as f:
    f.write("receivers:\n" + "".join(f"  {d}: {{enabled: false}}\n" for d in sorted({d[0] for d in DOORS})) + "  remote_write: {zstd: false}\n")
k = Kymod(os.path.join(top, "a"), "--config", conf)
for door in DOORS:
    status, out, _ = send(k.port, door, door[3]("never", 1))
    ok(status == 404 and f"receivers.{door[0]}.enabled is false".encode() in out, f"{door[0]} is off: {status} {out[:200]}")
status, out, _ = request(k.port, "POST", "/api/v1/write", zstd(remote("never", 1)), {**VM, "Content-Encoding": "zstd"})
ok(status == 415, f"zstd is a choice: {status} {out[:200]}")
status, out, _ = request(k.port, "POST", "/api/v1/write?get_vm_proto_version=1", b"", VM)
ok(status != 200, f"and told to who asks: {status} {out[:200]}")
ok(write(k.port, remote("rw_on", 1))[0] == 204, "Remote Write is on all the same")
with open(conf, "w") as f:
    f.write("receivers:\n  remote_write: {enabled: false}\n")
ok(reread(k), "a reload")
status, out, _ = write(k.port, remote("rw_off", 1))
ok(status == 404, f"until a reload says that it is off: {status} {out[:200]}")
ok(send(k.port, DOORS[0], DOORS[0][3]("again", 1))[0] == 204, "and the others are on again")
ok(stored(k.port, "never") == [], "nothing of what was refused is stored")
ok(k.end() == 0, "an orderly end")
shutil.rmtree(top, ignore_errors=True)
done()
