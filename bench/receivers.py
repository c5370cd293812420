#!/usr/bin/env python3
"""Samples per CPU-second of each receiver, beside VictoriaMetrics' same path. (Not part of CI.)

Each server gets the same bodies over one connection, one behind the other: SERIES series, ROUNDS samples
of each, EACH samples in a request. What counts is the CPU time of the server's process, all its threads,
from the first request until it has been idle for SETTLE seconds; then both are asked how many samples they
have. kymod answers when a request is on the disk (SYNC=commit; a sync of one small request is most of its
cost), VictoriaMetrics when it is in memory, which is like SYNC=interval.

  KYMO_BUILD=build VM=/usr/bin/victoria-metrics python3 bench/receivers.py [receiver...]
"""
import ctypes, os, sys, zlib
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "scene"))
from lib import *

ENV = os.environ.get
SERIES, ROUNDS, EACH, SETTLE = int(ENV("SERIES", "10000")), int(ENV("ROUNDS", "50")), int(ENV("EACH", "2000")), float(ENV("SETTLE", "1"))
VM, REPEAT = ENV("VM", "/usr/bin/victoria-metrics"), int(ENV("REPEAT", "1"))
STEP = 15000
T0 = int(time.time()) * 1000 - ROUNDS * STEP - 60000
top = tmpdir("receivers", ENV("TOP"))


def of(i):
    """Labels of a series: a hundred instances have each metric."""
    return {"instance": f"10.0.{i % 100 // 10}.{i % 10}:9100", "job": "node", "cpu": str(i // 100 % 8), "mode": ("user", "system", "idle", "iowait")[i // 800 % 4], "device": f"dev{i // 3200}"}


LABELS = [of(i) for i in range(SERIES)]
NAMES = [f"bench_metric_{i // 100 % 50}" for i in range(SERIES)]


def value(i, n):
    return (i * 37 + n * 11) % 100000 / 8


def zstd(raw):
    lib = ctypes.CDLL("libzstd.so.1")
    lib.ZSTD_compressBound.restype = lib.ZSTD_compress.restype = ctypes.c_size_t
    lib.ZSTD_compressBound.argtypes = [ctypes.c_size_t]
    lib.ZSTD_compress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    out = ctypes.create_string_buffer(lib.ZSTD_compressBound(len(raw)))
    n = lib.ZSTD_compress(out, len(out), raw, len(raw), 1)
    return out.raw[:n]


def packed_snappy(raw):
    lib = ctypes.CDLL("libsnappy.so.1")
    n = ctypes.c_size_t(len(raw) + len(raw) // 6 + 64)
    out = ctypes.create_string_buffer(n.value)
    lib.snappy_compress(raw, ctypes.c_size_t(len(raw)), out, ctypes.byref(n))
    return out.raw[:n.value]


# --- bodies: of the series from..to in a round

def influx(part, n):
    t = T0 + n * STEP
    return "".join(f"{NAMES[i]},{','.join(f'{k}={v}' for k, v in sorted(LABELS[i].items()))} value={value(i, n)} {t}\n" for i in part).encode()


def text(part, n):
    t = T0 + n * STEP
    return "".join(f"{NAMES[i]}{{{','.join(f'{k}={chr(34)}{v}{chr(34)}' for k, v in LABELS[i].items())}}} {value(i, n)} {t}\n" for i in part).encode()


def json_lines(part, n):
    t = T0 + n * STEP
    return "".join(json.dumps({"metric": {"__name__": NAMES[i], **LABELS[i]}, "values": [value(i, n)], "timestamps": [t]}, separators=(",", ":")) + "\n" for i in part).encode()


def json_long(part, n):
    """Ten samples a line, as an export has them."""
    if n % 10:
        return b""
    ns = range(n, min(n + 10, ROUNDS))
    return "".join(json.dumps({"metric": {"__name__": NAMES[i], **LABELS[i]}, "values": [value(i, m) for m in ns], "timestamps": [T0 + m * STEP for m in ns]}, separators=(",", ":")) + "\n" for i in part).encode()


def otlp(part, n):
    t = (T0 + n * STEP) * 10**6
    by_name = {}
    for i in part:
        attrs = b"".join(field(7, field(1, k.encode()) + field(2, field(1, v.encode()))) for k, v in LABELS[i].items())
        point = attrs + b"\x19" + struct.pack("<Q", t) + b"\x21" + struct.pack("<d", value(i, n))
        by_name.setdefault(NAMES[i], []).append(field(1, point))
    metrics = b"".join(field(2, field(1, name.encode()) + field(5, b"".join(points))) for name, points in by_name.items())
    resource = field(1, field(1, field(1, b"service.name") + field(2, field(1, b"bench"))))
    return field(1, resource + field(2, metrics))


def datadog(part, n):
    t = (T0 + n * STEP) // 1000
    rows = [{"metric": NAMES[i], "type": 3, "points": [{"timestamp": t, "value": value(i, n)}], "tags": [f"{k}:{v}" for k, v in LABELS[i].items()]} for i in part]
    return json.dumps({"series": rows}, separators=(",", ":")).encode()


def remote(part, n):
    t = T0 + n * STEP
    return b"".join(series({"__name__": NAMES[i], **LABELS[i]}, [(t, value(i, n))]) for i in part)


RW = {"Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"}
PB = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json"}
# name: path of kymod, of VictoriaMetrics, headers, body, packing
RECEIVERS = {
    "remote write, snappy": ("/api/v1/write", "/api/v1/write", {**RW, "Content-Encoding": "snappy"}, remote, packed_snappy),
    "remote write, zstd": ("/api/v1/write", "/api/v1/write", {**RW, "Content-Encoding": "zstd"}, remote, zstd),
    "text": ("/api/v1/import/prometheus", "/api/v1/import/prometheus", {}, text, bytes),
    "text, gzip": ("/api/v1/import/prometheus", "/api/v1/import/prometheus", {"Content-Encoding": "gzip"}, text, lambda b: gz(b)),
    "influx": ("/write?db=x&precision=ms", "/write?precision=ms", {}, influx, bytes),
    "influx, gzip": ("/write?db=x&precision=ms", "/write?precision=ms", {"Content-Encoding": "gzip"}, influx, lambda b: gz(b)),
    "json lines": ("/api/v1/import", "/api/v1/import", {}, json_lines, bytes),
    "json lines, 10 each": ("/api/v1/import", "/api/v1/import", {}, json_long, bytes),
    "otlp": ("/opentelemetry/v1/metrics", "/opentelemetry/v1/metrics", PB, otlp, bytes),
    "otlp, gzip": ("/opentelemetry/v1/metrics", "/opentelemetry/v1/metrics", {**PB, "Content-Encoding": "gzip"}, otlp, lambda b: gz(b)),
    "datadog v2, json": ("/datadog/api/v2/series", "/datadog/api/v2/series", JSON, datadog, bytes),
}


def gz(raw):
    c = zlib.compressobj(6, zlib.DEFLATED, 31)
    return c.compress(raw) + c.flush()


class Victoria(Process):
    def __init__(self, data):
        self.port = free_port()
        super().__init__([VM, "-storageDataPath", data, "-httpListenAddr", f"127.0.0.1:{self.port}", "-retentionPeriod", "100y", "-search.latencyOffset", "0s"], data + ".log")
        end = time.time() + 60
        while time.time() < end:
            try:
                if request(self.port, "GET", "/health")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.05)
        raise RuntimeError("victoria-metrics is not ready: " + tail(self.log_path))


def cpu_s(pid):
    parts = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def settled(pid):
    """CPU seconds when no more than 1 % of a CPU was used for SETTLE seconds, or after a minute."""
    end, was = time.time() + 60, cpu_s(pid)
    while time.time() < end:
        time.sleep(SETTLE)
        now = cpu_s(pid)
        if now - was <= 0.01 * SETTLE + 0.02:
            return now
        was = now
    return was


def run(server, path, headers, bodies):
    c = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    begin, bad = settled(server.pid), {}
    for b in bodies:
        c.request("POST", path, b, headers)
        r = c.getresponse()
        said = r.read()
        if r.status >= 300:
            bad[r.status] = said[:200]
    took = settled(server.pid) - begin
    request(server.port, "GET", "/internal/force_flush")
    window = (ROUNDS * STEP + 3600000) // 1000
    q = f'sum(count_over_time({{__name__=~"bench_metric.*"}}[{window}s]))'
    found = api(server.port, "query", query=q, time=str((T0 + ROUNDS * STEP) // 1000 + 60))[1]["data"]["result"]
    return took, int(float(found[0]["value"][1])) if found else 0, bad


def bodies_of(make, pack):
    parts = [range(i, min(i + EACH, SERIES)) for i in range(0, SERIES, EACH)]
    return [pack(b) for n in range(ROUNDS) for p in parts if (b := make(p, n))]


def fresh(kind, n):
    if kind == "kymod":
        return Kymod(os.path.join(top, f"k{n}"), "--no-self-metrics", "--loops", "1", "--wal.sync", ENV("SYNC", "commit"))
    return Victoria(os.path.join(top, f"v{n}"))


wanted = [w for w in RECEIVERS if not sys.argv[1:] or any(a in w for a in sys.argv[1:])]
total = SERIES * ROUNDS
print(f"{total} samples of {SERIES} series, {EACH} in a request; samples per CPU-second, {VM}")
print(f"{'receiver':22} {'bytes/sample':>12} {'kymod':>12} {'VictoriaMetrics':>16} {'ratio':>6}")
n = 0
for name in wanted:
    path_k, path_v, headers, make, pack = RECEIVERS[name]
    bodies = bodies_of(make, pack)
    best = {}
    for _ in range(REPEAT):
        for kind, path in (("kymod", path_k), ("vm", path_v)):
            n += 1
            server = fresh(kind, n)
            took, found, bad = run(server, path, headers, bodies)
            server.end()
            if bad or found != total:
                print(f"# {kind}, {name}: {found} of {total} samples are there; {bad}")
            if found:
                best[kind] = max(best.get(kind, 0), found / max(took, 0.01))
            for folder in os.listdir(top):
                shutil.rmtree(os.path.join(top, folder), ignore_errors=True)
    k, v = best.get("kymod", 0), best.get("vm", 0)
    print(f"{name:22} {sum(map(len, bodies)) / total:12.1f} {k:12,.0f} {v:16,.0f} {k / v if v else 0:6.1f}", flush=True)
shutil.rmtree(top, ignore_errors=True)
