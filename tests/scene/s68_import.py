#!/usr/bin/env python3
"""/api/v1/import: what one server exports another one takes, plain or in gzip, whole; bad lines and samples that are too old are
told and counted, and everything else is stored; large bodies go in pieces; roles and tenants as of any write."""
import gzip, shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("import")
a = Kymod(os.path.join(top, "a"))
now = int(time.time()) * 1000
SERIES, POINTS, LONG = 200, 200, 30000
body = b""
for i in range(SERIES):
    m = {"__name__": "m_total", "i": str(i), "text": 'é " \\ \n ' + chr(0x1F600)}
    body += series(m, [(now - POINTS * 5000 + n * 5000, n * 0.25 + i) for n in range(POINTS)])
body += series({"__name__": "long"}, [(now - LONG * 100 + n * 100, float(n)) for n in range(LONG)])
STALE, NAN = (struct.unpack("<d", struct.pack("<Q", n))[0] for n in (0x7FF0000000000002, 0x7FF8000000000001))
body += series({"__name__": "odd"}, [(now - 5000, STALE), (now - 4000, NAN), (now - 3000, float("inf")), (now - 2000, float("-inf")), (now - 1000, -0.0)])
ok(write(a.port, body)[0] == 204, "written")


def export(port, selector='{__name__=~".+",job!="kymo"}'):
    q = urllib.parse.urlencode({"match[]": selector})
    return request(port, "GET", f"/api/v1/export?{q}")[1]


def content(raw):
    out = {}
    for line in raw.splitlines():
        m = json.loads(line)
        out.setdefault(tuple(sorted(m["metric"].items())), []).extend(zip(m["timestamps"], (str(v) for v in m["values"])))
    return {k: sorted(v) for k, v in out.items()}


def imp(port, raw, path="/api/v1/import", **headers):
    return request(port, "POST", path, raw, headers)


raw = export(a.port)
want = content(raw)
ok(len(want) == SERIES + 2 and sum(map(len, want.values())) == SERIES * POINTS + LONG + 5, f"exported: {len(want)} series")
for how in ("plain", "gzip"):
    b = Kymod(os.path.join(top, how))
    status, text, _ = imp(b.port, raw) if how == "plain" else imp(b.port, gzip.compress(raw), **{"Content-Encoding": "gzip"})
    ok(status == 204 and text == b"", f"{how}: all is taken: {status} {text[:200]}")
    got = content(export(b.port))
    ok(got == want, f"{how}: and is the same: {len(got)} series")
    if how == "plain":
        b.end()

# Lines that cannot be read, times that are too old, and what is fine beside them.
old = now - 400 * 24 * 3600 * 1000
lines = [
    json.dumps({"metric": {"__name__": "fine"}, "values": [1, 2], "timestamps": [now - 2000, now - 1000]}),
    "{not json",
    "",
    json.dumps({"metric": {"__name__": "fine2"}, "values": [1, 2], "timestamps": [now]}),
    json.dumps({"timestamps": [now], "unknown": {"a": [1, {"b": "]"}]}, "values": ["Infinity"], "metric": {"b": "", "__name__": "fine3"}}),
    json.dumps({"metric": {"__name__": "old"}, "values": [7], "timestamps": [old]}),
    json.dumps({"metric": {"x": "no name"}, "values": [7], "timestamps": [now]}),
    json.dumps({"metric": {"__name__": "cut"}, "values": [1, 2, "x", 4], "timestamps": [now - 4000, now - 3000, now - 2000, now - 1000]}),
]
status, text, _ = imp(b.port, "\n".join(lines).encode())
text = text.decode()
ok(status == 400 and text.startswith("partial: stored 5 of 7 samples; 2 refused; first: "), f"what is refused is counted: {status} {text}")
ok("3 of 7 lines cannot be read; first: line 2: " in text, f"bad lines, too: {text}")
got = content(export(b.port, '{__name__=~"fine.*|old|cut"}'))
ok({k[0][1]: len(v) for k, v in got.items()} == {"fine": 2, "fine3": 1, "cut": 2}, f"the rest is stored: {got}")
status, text, _ = imp(b.port, gzip.compress(raw)[:-3000], **{"Content-Encoding": "gzip"})
ok(status == 400 and b"ends inside its gzip" in text, f"a body that is cut: {text[:200]}")
status, text, _ = imp(b.port, b"no gzip at all", **{"Content-Encoding": "gzip"})
ok(status == 400 and b"is no gzip" in text, f"a body that is none: {text[:200]}")
status, text, _ = imp(b.port, b"{}", **{"Content-Encoding": "br"})
ok(status == 415, f"another encoding: {status} {text[:100]}")
ok(imp(b.port, b"")[0] == 204 and imp(b.port, b"\n \r\n")[0] == 204, "nothing is nothing")
status, text, _ = request(b.port, "GET", "/api/v1/import")
ok(status == 405, "it is a POST")
# A late sample is taken where the store takes it: identical ones count as stored.
status, text, _ = imp(b.port, raw)
ok(status == 204, f"all of it again: {status} {text[:200]}")
# One long line, packed to next to nothing: bounded by the limit of a body.
long_line = b'{"metric":{"__name__":"z"},"values":[' + b"0," * 20_000_000 + b'0],"timestamps":[1]}'
status, text, _ = imp(b.port, gzip.compress(long_line, 1), **{"Content-Encoding": "gzip"})
ok(status == 400 and b"--limits.body-bytes" in text, f"a line over the limit: {status} {text[:200]}")
# Lines without samples fill a batch with their labels alone: what stands behind them is read, too.
empty = json.dumps({"metric": {"__name__": "empty", "text": "x" * 2000}, "values": [], "timestamps": []})
last = json.dumps({"metric": {"__name__": "behind"}, "values": [1], "timestamps": [now]})
for how in ("plain", "gzip"):
    lines = (empty + "\n") * 2000 + last.replace("behind", "behind_" + how)
    status, text, _ = imp(b.port, lines.encode()) if how == "plain" else imp(b.port, gzip.compress(lines.encode()), **{"Content-Encoding": "gzip"})
    ok(status == 204 and len(content(export(b.port, "behind_" + how))) == 1, f"{how}: a sample behind many lines without: {status} {text[:200]}")
many = json.dumps({"metric": {"__name__": "many", **{f"a{i}": "b" for i in range(60000)}}, "values": [1], "timestamps": [now]})
status, text, _ = imp(b.port, (many + "\n" + last).encode())
ok(status == 400 and text.startswith(b"partial: stored 1 of 1 samples; 1 of 2 lines cannot be read; first: line 1: labels are longer"), f"more labels than any series may have: {text[:200]}")
some = json.dumps({"metric": {"__name__": "some", **{f"a{i}": "b" for i in range(9000)}}, "values": [1], "timestamps": [now]})
status, text, _ = imp(b.port, (some + "\n" + last).encode())
ok(status == 400 and text.startswith(b"partial: stored 1 of 2 samples; 1 refused; first: label_limit"), f"than this one may have: {text[:100]}")
# A body that unpacks to next to nothing, but much of it.
c = Kymod(os.path.join(top, "bomb"), "--limits.body-bytes", "65536", "--no-self-metrics")
status, text, _ = imp(c.port, gzip.compress(b"\n" * (3 << 20) + last.encode()), **{"Content-Encoding": "gzip"})
ok(status == 204 and len(content(export(c.port, "behind"))) == 1, f"many empty lines, then one: {status} {text[:200]}")
status, text, _ = imp(c.port, gzip.compress(b"\n" * (5 << 20) + last.encode()), **{"Content-Encoding": "gzip"})
ok(status == 400 and b"unpacks to more than 64 times" in text, f"too many: {status} {text[:200]}")
ok(c.end() == 0, "an orderly end")
# A reader that does not read is listed, and can be cut off.
BIG, EACH = 40, 20000
for i in range(BIG):
    line = json.dumps({"metric": {"__name__": "big", "i": str(i)}, "values": [n + 0.125 for n in range(EACH)], "timestamps": [now - 100 * EACH + 100 * n for n in range(EACH)]})
    status, text, _ = imp(b.port, line.encode())
    if status != 204:
        note(text)

s = socket.create_connection(("127.0.0.1", b.port))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.sendall(b"GET /api/v1/export?match[]=big HTTP/1.1\r\nHost: x\r\n\r\n")
first = s.recv(1000)
active, end = [], time.time() + 60
while time.time() < end and [q["state"] for q in active] != ["answers"]:
    time.sleep(0.05)
    active = [q for q in api(b.port, "status/active_queries")[1]["data"] if q["query"] == "match[]=big"]

def held():
    """Bytes of answers and of queries, by one look."""
    lines = dict(line.rsplit(" ", 1) for line in request(b.port, "GET", "/metrics")[1].decode().splitlines() if line.startswith("kymo_memory_bytes"))
    return tuple(int(float(lines[f'kymo_memory_bytes{{part="{part}"}}'])) for part in ("answers", "queries"))


ok(first.startswith(b"HTTP/1.1 200") and len(active) == 1 and active[0]["state"] == "answers", f"an export that is not read is listed: {active}")
# What it holds counts as an answer: readers that are slow take no memory from queries that are asked.
end = time.time() + 60
answers, queries = held()
while time.time() < end and answers < queries + (256 << 10):
    time.sleep(0.05)
    answers, queries = held()
ok(queries > 0 and answers >= queries + (256 << 10), f"what is held for it: {answers} bytes of answers, {queries} of queries")
status, text, _ = request(b.port, "POST", f"/api/v1/status/active_queries/{active[0]['id']}/cancel")
ok(status == 204, f"it is ended: {status} {text}")
s.settimeout(60)
got = first
try:
    while True:
        piece = s.recv(1 << 20)
        if not piece:
            break
        got += piece
except OSError:
    pass
ok(not got.endswith(b"0\r\n\r\n"), f"its answer is cut, not short without a sign: {len(got)} bytes")
end = time.time() + 60
while time.time() < end and [q for q in api(b.port, "status/active_queries")[1]["data"] if q["query"] == "match[]=big"]:
    time.sleep(0.05)
ok(not [q for q in api(b.port, "status/active_queries")[1]["data"] if q["query"] == "match[]=big"], "and is listed no more")
ok(len(content(export(b.port, "big"))) == BIG, "who reads gets all of it")
ok(b.end() == 0 and a.end() == 0, "an orderly end")
shutil.rmtree(top, ignore_errors=True)
done()
