#!/usr/bin/env python3
"""Samples as they are, out of the server: /federate is scraped by Debian's Prometheus, whose remote_read asks for both kinds of
answers; export gives every sample once, as JSON lines and CSV. Floats, histograms, many series, long series, in memory and in files."""
import gzip, shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from rread import *

need("prometheus")
top = tmpdir("samples")
kymod = Kymod(os.path.join(top, "data"), "--web.enable-admin-api")
now = int(time.time()) * 1000
SERIES, LONG = 300, 5000


def text_of(v):
    return "NaN" if v != v else str(int(v)) if v == int(v) and abs(v) < 1e6 else repr(v)


# Series of an hour, one of many samples, one that is stale, one that is old.
stored = {}
body = b""
for i in range(SERIES):
    m = {"__name__": "wide_total", "i": f"{i:03}", "job": "x" if i % 2 else "y"}
    stored[tuple(sorted(m.items()))] = [(now - 3600000 + n * 15000 + i, float(n * i) if i % 3 else n / (i + 7)) for n in range(240)]
for name, n, at in (("long_gauge", LONG, now - LONG * 1000), ("old_gauge", 3, now - 3000000)):
    stored[(("__name__", name),)] = [(at + k * 1000, (k * 7919 % 1000) / 8) for k in range(n)]
for k, v in stored.items():
    body += series(dict(k), v)
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
gone = (("__name__", "gone_gauge"), ("a", 'quote " back \\ line\n'))
stored[gone] = [(now - 30000, 5.0), (now - 15000, STALE)]
body += series(dict(gone), stored[gone])
status, told, _ = write(kymod.port, body)
ok(status == 204, f"written: {status} {told[:200]}")


def export(path="export", **params):
    q = urllib.parse.urlencode(params, doseq=True)
    return request(kymod.port, "GET", f"/api/v1/{path}?{q}")


def lines(raw):
    out = {}
    for line in raw.splitlines():
        a = json.loads(line)
        at = out.setdefault(tuple(sorted(a["metric"].items())), [])
        at += zip(a["timestamps"], a["values"])
    return {k: sorted(v) for k, v in out.items()}


EVERYTHING = '{__name__=~".+",job!="kymo"}'


def exported_is_stored(when):
    status, raw, h = export(**{"match[]": EVERYTHING})
    got = lines(raw)
    want = {k: [(t, None if struct.pack("<d", v) == struct.pack("<d", STALE) else v) for t, v in s] for k, s in stored.items()}
    ok(status == 200 and got == want, f"{when}: export gives every sample once: {status}, {len(got)} of {len(want)} series {raw[:200] if status != 200 else ''}")
    status, raw, _ = export(**{"match[]": ['long_gauge', '{__name__="long_gauge"}', 'wide_total{i="001"}'], "max_rows_per_line": 100})
    got = lines(raw)
    ok(len(got) == 2 and len(got[(("__name__", "long_gauge"),)]) == LONG and max(len(json.loads(x)["values"]) for x in raw.splitlines()) == 100,
       f"{when}: a series that several selectors name comes once, in lines of 100")
    status, raw, _ = export("export/csv", **{"match[]": "old_gauge", "format": "__name__,__value__,__timestamp__:unix_ms,nothing,__timestamp__:unix_s"})
    want = "__name__,__value__,__timestamp__:unix_ms,nothing,__timestamp__:unix_s\n" + "".join(f"old_gauge,{text_of(v)},{t},,{t // 1000}\n" for t, v in stored[(("__name__", "old_gauge"),)])
    ok(status == 200 and raw.decode() == want, f"{when}: CSV: {raw[:100]}")


exported_is_stored("in memory")
status, raw, h = request(kymod.port, "GET", "/api/v1/export?match[]=long_gauge", None, {"Accept-Encoding": "gzip"})
ok(h.get("Content-Encoding") == "gzip" and len(lines(gzip.decompress(raw))[(("__name__", "long_gauge"),)]) == LONG, "export, packed")
status, raw, _ = export()
ok(status == 400 and raw == b"no match[] parameter provided\n", f"a selector is needed: {raw}")
status, raw, _ = export(**{"match[]": "{"})
ok(status == 400 and b"parse error" in raw, f"a bad selector: {raw}")
status, raw, _ = export("export/csv", **{"match[]": "up", "format": "__timestamp__:custom:x"})
ok(status == 400 and b"__timestamp__" in raw, f"a format that is not known: {raw}")

# --- federate ---
status, raw, h = request(kymod.port, "GET", "/federate?match[]=wide_total{i=~%2200.%22}&match[]=gone_gauge&match[]=old_gauge&match[]=long_gauge&match[]=wide_total{i=%22001%22}")
want = ["# TYPE long_gauge untyped"]
t, v = stored[(("__name__", "long_gauge"),)][-1]
want.append(f'long_gauge{{instance=""}} {text_of(v)} {t}')
want.append("# TYPE wide_total untyped")
for i in range(10):
    t, v = stored[(("__name__", "wide_total"), ("i", f"{i:03}"), ("job", "x" if i % 2 else "y"))][-1]
    want.append(f'wide_total{{i="{i:03}",job="{"x" if i % 2 else "y"}",instance=""}} {text_of(v)} {t}')
ok(status == 200 and raw.decode().splitlines() == want, f"federate gives the newest samples, sorted, without stale and old ones: {raw.decode()[:300]}")
ok(h["Content-Type"].startswith("text/plain; version=0.0.4; charset=utf-8"), f"its type: {h['Content-Type']}")
status, raw, _ = request(kymod.port, "GET", "/federate")
ok(status == 200 and raw == b"", "no selector, no samples")
status, raw, _ = request(kymod.port, "GET", "/federate?match[]=up{")
ok(status == 400 and b"parse error" in raw and not raw.startswith(b"{"), f"its errors are text: {raw}")

# --- remote read by hand ---


class Bits:
    def __init__(self, raw):
        self.v, self.left = int.from_bytes(raw, "big"), 8 * len(raw)

    def take(self, n):
        self.left -= n
        return self.v >> self.left & (1 << n) - 1

    def varint(self):
        v = shift = 0
        while True:
            b = self.take(8)
            v |= (b & 127) << shift
            shift += 7
            if b < 128:
                return v


def xor_chunk(raw):
    """Samples of an XOR chunk, by its description."""
    b, n = Bits(raw[2:]), int.from_bytes(raw[:2], "big")
    out, lead, trail = [], 0, 0
    for i in range(n):
        if i == 0:
            t = b.varint()
            t, bits = t >> 1 ^ -(t & 1), b.take(64)
        else:
            if i == 1:
                delta = b.varint()
            else:
                dod, ones = 0, 0
                while ones < 4 and b.take(1):
                    ones += 1
                if ones:
                    size = (0, 14, 17, 20, 64)[ones]
                    dod = b.take(size)
                    dod -= 1 << size if dod > 1 << size - 1 else 0
                delta += dod
            t += delta
            if b.take(1):
                if b.take(1):
                    lead, size = b.take(5), b.take(6)
                    trail = 64 - lead - (size or 64)
                bits ^= b.take(64 - lead - trail) << trail
        out.append((t, struct.unpack(">d", bits.to_bytes(8, "big"))[0]))
    return out


def read(*queries, accept=b""):
    return request(kymod.port, "POST", "/api/v1/read", snappy(b"".join(queries) + accept), READ)


def samples_answer(raw):
    out = []
    for no, result in fields(unsnappy(raw)):
        got = []
        for _, ts in fields(result):
            labels, points = [], []
            for f, v in fields(ts):
                if f == 1:
                    labels.append(label_of(v))
                elif f == 2:
                    p = dict(fields(v))
                    points.append((p.get(2, 0), struct.unpack("<d", p.get(1, bytes(8)))[0]))
            got.append((tuple(labels), points))
        out.append(got)
    return out


def crc32c(data, table=[]):
    if not table:
        for i in range(256):
            c = i
            for _ in range(8):
                c = c >> 1 ^ (0x82F63B78 if c & 1 else 0)
            table.append(c)
    c = 0xFFFFFFFF
    for byte in data:
        c = table[(c ^ byte) & 255] ^ c >> 8
    return c ^ 0xFFFFFFFF


def streamed_answer(raw):
    out, at = {}, 0
    while at < len(raw):
        size, at = read_varint(raw, at)
        crc, message = int.from_bytes(raw[at:at + 4], "big"), raw[at + 4:at + 4 + size]
        at += 4 + size
        assert crc == crc32c(message), "checksum of a frame"
        got, index = None, 0
        for no, v in fields(message):
            if no == 1:
                got = v
            else:
                index = v
        labels, points = [], []
        for no, v in fields(got):
            if no == 1:
                labels.append(label_of(v))
            else:
                c = dict(fields(v))
                assert c[3] == 1, "an XOR chunk"
                p = xor_chunk(c[4])
                assert p[0][0] == c[1] and p[-1][0] == c[2], "times of a chunk"
                points += p
        out.setdefault(index, []).append((tuple(labels), points))
    return [out.get(i, []) for i in range(max(out, default=-1) + 1)]


def same(got, want):
    return [(k, [(t, struct.pack("<d", v)) for t, v in p]) for k, p in got] == [(k, [(t, struct.pack("<d", v)) for t, v in p]) for k, p in want]


def reads(when):
    lo, hi = now - 1800000, now - 60000
    asked = [query(0, now + 1000, matcher(2, "__name__", ".*_gauge")), query(lo, hi, matcher(0, "__name__", "wide_total"), matcher(3, "i", "0.*"), matcher(1, "job", "x")),
             query(0, now, matcher(0, "__name__", "nothing"))]
    want = [sorted((k, v) for k, v in stored.items() if k[0][1].endswith("_gauge")),
            sorted((k, [(t, v) for t, v in s if lo <= t <= hi]) for k, s in stored.items() if k[0][1] == "wide_total" and not k[1][1].startswith("0") and k[2][1] == "y"), []]
    status, raw, h = read(*asked)
    got = samples_answer(raw) if status == 200 else raw
    ok(status == 200 and h["Content-Type"] == "application/x-protobuf" and h["Content-Encoding"] == "snappy", f"{when}: samples are asked for: {status} {h}")
    ok(status == 200 and len(got) == 3 and all(same(g, w) for g, w in zip(got, want)), f"{when}: all samples of each query, sorted")
    status, raw, h = read(*asked, accept=b"\x10\x01\x10\x00")
    got = streamed_answer(raw) if status == 200 else raw
    ok(status == 200 and h["Content-Type"] == "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse" and "Content-Encoding" not in h, f"{when}: chunks are asked for: {status} {h}")
    ok(status == 200 and len(got) == 2 and all(same(g, w) for g, w in zip(got, want)), f"{when}: the same in chunks")
    status, raw, h = read(query(0, now, matcher(0, "__name__", "wide_total"), func="series"))
    got = samples_answer(raw)[0]
    ok(len(got) == SERIES and not any(p for _, p in got), f"{when}: labels alone, when no samples are wanted")


reads("in memory")
status, raw, _ = read()
ok(status == 200 and unsnappy(raw) == b"", f"no query, no result: {status} {raw}")
status, raw, _ = read(query(0, now), accept=b"\x10\x07")
ok(status == 400 and b"response types" in raw, f"answers that are not known: {raw}")
status, raw, _ = request(kymod.port, "POST", "/api/v1/read", b"\xff\xff\xff", READ)
ok(status == 400 and raw == b"the body is no snappy block\n", f"no snappy: {raw}")
status, raw, _ = request(kymod.port, "POST", "/api/v1/read", snappy(b"\x0a\x05\x08"), READ)
ok(status == 400 and b"prometheus.ReadRequest" in raw, f"no request: {raw}")
status, raw, _ = read(query(0, now, matcher(2, "a", "(")))
ok(status == 400 and b"missing" in raw, f"a bad pattern: {raw}")
status, raw, _ = request(kymod.port, "POST", "/api/v1/admin/tsdb/flush")
ok(status == 204, "moved to files")
exported_is_stored("in files")
reads("in files")

# --- what a query would read, and did ---
status, a = api(kymod.port, "query", query="sum(rate(wide_total[5m]))", explain=1, time=now / 1000)
ok(status == 200 and a["data"]["seriesAtMost"] == SERIES and a["data"]["heavy"] is False, f"explained, not run: {str(a)[:300]}")
status, a = api(kymod.port, "query", query="sum(rate(wide_total[5m]))", trace=1, time=now / 1000)
read_ = [c for c in a["trace"]["children"] if c["message"].startswith("evaluation")][0]["children"][0]
ok(f"series={SERIES}, " in read_["message"] and sum(int(c["message"].split("series=")[1].split(",")[0]) for c in read_["children"]) == SERIES,
   f"traced, shard by shard: {read_['message']}")

# --- by Prometheus ---
prom_port = free_port()
open(os.path.join(top, "prometheus.yml"), "w").write(f"""
global: {{scrape_interval: 1s}}
scrape_configs:
- job_name: federate
  honor_labels: true
  metrics_path: /federate
  params: {{"match[]": ['long_gauge', 'wide_total{{i=~"00."}}']}}
  static_configs: [{{targets: ["127.0.0.1:{kymod.port}"]}}]
  metric_relabel_configs: [{{source_labels: [__name__], target_label: from, replacement: federate}}]
remote_read:
- {{url: "http://127.0.0.1:{kymod.port}/api/v1/read", read_recent: true}}
""")
prom = Process(["prometheus", f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={top}/tsdb", f"--web.listen-address=127.0.0.1:{prom_port}", "--log.level=warn"], os.path.join(top, "prometheus.log"))


def prom_has(n, query, **params):
    end = time.time() + 120
    while time.time() < end:
        try:
            status, a = api(prom_port, "query", query=query, **params)
            if status == 200 and len(a["data"]["result"]) >= n:
                return a["data"]["result"]
        except (OSError, ValueError):
            pass
        time.sleep(0.2)
    return []


got = prom_has(11, '{from="federate",instance!~"127.*"}')
ok(len(got) == 11, f"Prometheus scrapes what is federated: {len(got)} series")
ok(all(s["metric"].get("instance", "") == "" for s in got), "and leaves its own instance out")
at = now / 1000 - 1
raw = prom_has(SERIES, 'wide_total{from=""}[10m]', time=at)
want = {k: [(t, v) for t, v in s if at * 1000 - 600000 <= t <= at * 1000] for k, s in stored.items() if k[0][1] == "wide_total"}
got = {tuple(sorted(s["metric"].items())): [(round(t * 1000), float(v)) for t, v in s["values"]] for s in raw}
ok(got == want, f"Prometheus reads every sample remotely: {len(got)} of {len(want)} series")
raw = prom_has(1, 'long_gauge{from=""}[2h]', time=now / 1000)
ok(len(raw) == 1 and len(raw[0]["values"]) >= LONG, "a long series, whole")
ok(len(prom_has(1, "count(rate(wide_total[5m]))", time=at)) == 1, "and evaluates what it read")
prom.end()
ok(kymod.end() == 0, "an orderly end")
shutil.rmtree(top, ignore_errors=True)
done()
