"""Blocks of Prometheus: what the library writes is read by promtool as it was written, byte for byte where promtool makes
blocks of the same samples; what a real Prometheus wrote - blocks, late samples, native histograms, deletions, a head that is
not in blocks yet - is read as promtool reads it."""
import json, os, random, re, shutil, struct, subprocess, time, urllib.parse

from lib import BUILD, Process, done, field, free_port, need, note, ok, request, snappy, tail, tmpdir, varint

CHECK = os.path.join(BUILD, "blockcheck")
PROMTOOLS = ["promtool"] + [p for p in [os.environ.get("KYMO_PROMTOOL")] if p]
need("promtool", "prometheus")
top = tmpdir("blocks")
HOUR = 3600_000
T0 = int(time.time() * 1000) // (2 * HOUR) * 2 * HOUR - 8 * HOUR  # eight hours back, at the beginning of a block


def run(*argv, text_in=None, fine=True):
    p = subprocess.run(argv, input=text_in, capture_output=True, text=True, timeout=300)
    if fine and p.returncode:
        note(f"{argv}: {p.stderr[-2000:]}")
    return p


def ours(command, *args):
    return run(CHECK, command, *args).stdout.splitlines()


def promtool_dump(tool, data):
    """Of a copy: promtool makes a head of the log, and wants a directory for it."""
    copy = os.path.join(top, "dumped")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(data, copy)
    os.makedirs(os.path.join(copy, "wal"), exist_ok=True)
    p = run(tool, "tsdb", "dump", copy)
    return p.stdout.splitlines()


def plain(line):
    """A histogram as blockcheck writes it: count, sum, and the counts of buckets that are not empty."""
    m = re.match(r"(.*\}) \{count:(\S+), sum:([^,}]+)(.*)\} (-?\d+)$", line)
    if not m:
        return line
    counts = re.findall(r"[\])]:([^,}]+)", m[4])
    return f"{m[1]} {{count:{m[2]}, sum:{m[3]}{''.join(' ' + c for c in counts if c != '0')}}} {m[5]}"


def split(lines):
    """Floats and histograms of a dump, stale markers apart: PromQL does not show those."""
    floats, hists, stale = set(), set(), set()
    for x in map(plain, lines):
        if "{count:" in x:
            (stale if "sum:NaN" in x else hists).add(x)
            continue
        labels, v, t = x.rsplit(" ", 2)
        (stale if v == "NaN" else floats).add((labels, v if v == "NaN" else float(v), int(t)))
    return floats, hists, stale


def equal(title, got, want):
    if not ok(got == want, f"{title}: {len(want)}"):
        note(f"only ours {sorted(got - want)[:3]}, only theirs {sorted(want - got)[:3]}")


def same(title, got, want):
    """Debian's promtool dumps no histograms."""
    gf, gh, gs = split(got)
    wf, wh, ws = split(want)
    equal(f"{title}, floats", gf | gs, wf | ws)
    if wh or not gh:
        equal(f"{title}, histograms", gh, wh)
    else:
        note(f"{title}: {len(gh)} histograms, of which promtool shows none")


# ---- what we write ----

rnd = random.Random(7)
series = {}
for i in range(300):
    labels = [("__name__", f"metric_{i % 20}_total"), ("host", f"h{i}"), ("job", "x"), ("zone", "é" if i % 3 else "b")]
    v, rows = 0.0, []
    for k in range(700 if i % 50 else 1500):
        # no chunk reaches 1 KiB, of which Debian's promtool knows nothing yet
        v = v + rnd.randint(0, 9) if i % 2 else rnd.choice([1, 1, 2.5, rnd.randint(0, 40) / 4, float("inf")])
        rows.append((T0 + k * 15000, v))
    series[tuple(labels)] = rows


def om(path):
    with open(path, "w") as f:
        names = sorted({dict(s)["__name__"] for s in series})
        for name in names:
            f.write(f"# TYPE {name[:-6]} counter\n")
            for s in sorted(x for x in series if dict(x)["__name__"] == name):
                text = ",".join(f'{n}="{v}"' for n, v in s if n != "__name__")
                for t, v in series[s]:
                    f.write(f"{name}{{{text}}} {'+Inf' if v == float('inf') else v} {t / 1000:.3f}\n")
        f.write("# EOF\n")


def rows():
    """The series in an order that is not theirs."""
    keys = list(series)
    rnd.shuffle(keys)
    return "".join("\t".join([str(t), repr(v), *[x for p in s for x in p]]) + "\n" for s in keys for t, v in series[s])


om(os.path.join(top, "in.om"))
backfill, made = os.path.join(top, "backfill"), os.path.join(top, "made")
run("promtool", "tsdb", "create-blocks-from", "openmetrics", os.path.join(top, "in.om"), backfill)
p = run(CHECK, "make", made, str(2 * HOUR), str(4 * HOUR), str(4 << 20), text_in=rows())  # its head has twice a block's width
note(p.stderr)
ok(p.returncode == 0 and len(p.stdout.split()) == 4, "four blocks are made")
blocks = lambda d: sorted(x for x in os.listdir(d) if len(x) == 26)


def index_parts(path):
    """The sections of an index by its table of contents: symbols, series; and its lists by pair."""
    b = open(path, "rb").read()
    toc = struct.unpack(">6Q", b[-52:-4])
    def section(at):
        return b[at + 4 : at + 4 + struct.unpack(">I", b[at : at + 4])[0]]
    pairs, table, at = {}, section(toc[5]), 4
    def uvarint():
        nonlocal at
        v = s = 0
        while True:
            c = table[at]
            at += 1
            v |= (c & 127) << s
            s += 7
            if c < 128:
                return v
    while at < len(table):
        uvarint()
        words = []
        for _ in range(2):
            n = uvarint()
            words.append(table[at : at + n])
            at += n
        pairs[tuple(words)] = section(uvarint())
    return b[toc[0] : toc[1]], b[toc[1] : toc[2]].rstrip(b"\0"), pairs


for a, b in zip(blocks(backfill), blocks(made)):
    x, y = (index_parts(os.path.join(d, n, "index")) for d, n in ((backfill, a), (made, b)))
    ok(x[0] == y[0], f"{b}: symbols have the bytes of promtool")
    ok(list(x[2].items()) == list(y[2].items()), f"{b}: {len(y[2])} lists of postings, as promtool has them")
if PROMTOOLS[1:]:  # a newer one, whose floats have the same bits: golden blocks of t_bwrite are of such a one
    newer = os.path.join(top, "newer")
    run(PROMTOOLS[1], "tsdb", "create-blocks-from", "openmetrics", os.path.join(top, "in.om"), newer)
    for a, b in zip(blocks(newer), blocks(made)):
        for name in ("index", "chunks/000001"):
            x, y = (open(os.path.join(d, n, name), "rb").read() for d, n in ((newer, a), (made, b)))
            ok(x == y, f"{b}/{name}: all {len(y)} bytes of {PROMTOOLS[1]}")

for tool in PROMTOOLS:
    p = run(tool, "tsdb", "list", made)
    ok(p.returncode == 0 and p.stdout.count("\n") == 5, f"{tool} tsdb list")
    for name in blocks(made):
        p = run(tool, "tsdb", "analyze", "--extended", made, name)
        ok(p.returncode == 0 and "Series: " in p.stdout, f"{tool} tsdb analyze --extended {name}")
    dump = promtool_dump(tool, made)
    ok(len(dump) == sum(len(r) for r in series.values()), f"{tool} tsdb dump: {len(dump)} samples")
    same(f"{tool}: blocks of ours", ours("dump", made), dump)
    same(f"{tool}: blocks of promtool", ours("dump", backfill), promtool_dump(tool, backfill))

# ---- what a real Prometheus writes ----


def dbl(no, v):
    return varint(no << 3 | 1) + struct.pack("<d", v)


def zz(v):
    return (v << 1) ^ (v >> 63)


def label(n, v):
    return field(1, field(1, n.encode()) + field(2, v.encode()))


def packed(no, values):
    return field(no, b"".join(varint(zz(v) & (1 << 64) - 1) for v in values))


def spans(no, *pairs):
    return b"".join(field(no, varint(1 << 3) + varint(zz(o) & (1 << 64) - 1) + varint(2 << 3) + varint(n)) for o, n in pairs)


def histogram(t, k, gauge=False, is_float=False):
    """A counter of eight buckets that grows, and gets one more in the middle."""
    more = k > 60
    buckets = [k, 2 * k, k // 2, 3 * k] + ([k - 50] if more else [])
    total = sum(buckets) + k + 5
    out = dbl(3, 1.5 * k) + varint(4 << 3) + varint(zz(3)) + dbl(5, 0.001)
    if is_float:
        out += dbl(2, total) + dbl(7, 5)
        out += spans(11, (-2, 2), (3, 2 + more)) + field(13, b"".join(struct.pack("<d", b) for b in buckets))
        out += spans(8, (1, 1)) + field(10, struct.pack("<d", k))
    else:
        out += varint(1 << 3) + varint(total) + varint(6 << 3) + varint(5)
        deltas = [b - (buckets[i - 1] if i else 0) for i, b in enumerate(buckets)]
        out += spans(11, (-2, 2), (3, 2 + more)) + packed(12, deltas) + spans(8, (1, 1)) + packed(9, [k])
    if gauge:
        out += varint(14 << 3) + varint(3)
    return field(4, out + varint(15 << 3) + varint(t))


def timeseries(labels, *parts):
    return field(1, b"".join(label(n, v) for n, v in sorted(labels.items())) + b"".join(parts))


def sample(t, v):
    return field(2, dbl(1, v) + varint(2 << 3) + varint(t))


data = os.path.join(top, "prom")
shutil.copytree(backfill, data)  # blocks that deletions will meet
for name in blocks(data)[1:]:
    shutil.rmtree(os.path.join(data, name))
port = free_port()
open(os.path.join(top, "prometheus.yml"), "w").write("storage: {tsdb: {out_of_order_time_window: 6h}}\n")
prom = Process(["prometheus", f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={data}", f"--web.listen-address=127.0.0.1:{port}",
                "--web.enable-remote-write-receiver", "--web.enable-admin-api", "--enable-feature=native-histograms", "--log.level=warn"],
               os.path.join(top, "prometheus.log"))
end = time.time() + 90
while time.time() < end:
    try:
        if request(port, "GET", "/-/ready")[0] == 200:
            break
    except OSError:
        pass
    time.sleep(0.05)
stale = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
refused = 0


def push(*series_bytes):
    global refused
    status = request(port, "POST", "/api/v1/write", snappy(b"".join(series_bytes)),
                     {"Content-Encoding": "snappy", "Content-Type": "application/x-protobuf", "X-Prometheus-Remote-Write-Version": "0.1.0"})[0]
    refused += status // 100 != 2


B = T0 + 2 * HOUR  # behind the block that is there
for k in range(0, 6 * 60 - 5):
    t = B + k * 60_000
    push(*[timeseries({"__name__": "g", "i": str(i)}, sample(t + i, stale if k % 40 == 39 else k * 0.1 + i)) for i in range(20)],
         timeseries({"__name__": "h"}, histogram(t, k)), timeseries({"__name__": "hf"}, histogram(t, k, is_float=True)),
         timeseries({"__name__": "hg"}, histogram(t, 100 + k % 9, gauge=True)))
    if k % 90 == 60:  # late ones, between those that are there
        push(*[timeseries({"__name__": "g", "i": str(i)}, *[sample(t - 1_000_000 + 7_001 * n, -1.0 - n) for n in range(20)]) for i in range(5)])
ok(refused == 0, "a Prometheus takes floats, histograms and late samples")
def metas():
    """Of the blocks that are there; they may go meanwhile."""
    found = []
    for name in blocks(data):
        try:
            found.append(open(os.path.join(data, name, "meta.json")).read())
        except OSError:
            pass
    return found


late = False  # a block of late samples was there; the next compaction may take it into another one
end = time.time() + 150
while time.time() < end:  # compactions of what is older than the head: at once, or with the next minute
    found = metas()
    late = late or any("from-out-of-order" in m or '"parents"' in m for m in found)
    if len(found) >= 2 and late:
        break
    time.sleep(0.02)
time.sleep(1)
status = [request(port, "POST", "/api/v1/admin/tsdb/delete_series?" + q)[0] for q in (
    f"match[]=metric_3_total&start={T0 / 1000 + 600}&end={T0 / 1000 + 3000}", "match[]={host=\"h7\"}",
    f"match[]={{__name__=\"g\",i=\"14\"}}&start={(B + 5 * HOUR) / 1000}&end={(B + 5.4 * HOUR) / 1000}")]
ok(status == [204] * 3, "and deletes some")


def asked(selector, end, span):
    """What the running Prometheus has, as split() has it."""
    answer = json.loads(request(port, "GET", f"/api/v1/query?query={selector}[{span}]&time={end}")[1])
    floats, hists = set(), set()
    for r in answer["data"]["result"]:
        labels = "{" + ", ".join(f'{n}="{v}"' for n, v in sorted(r["metric"].items())) + "}"
        for t, v in r.get("values", []):
            floats.add((labels, float(v), round(t * 1000)))
        for t, h in r.get("histograms", []):
            counts = "".join(f" {float(b[3]):g}" for b in h.get("buckets", []) if b[3] != "0")
            hists.add(f"{labels} {{count:{float(h['count']):g}, sum:{float(h['sum']):g}{counts}}} {round(t * 1000)}")
    return floats, hists


def steps(expression):
    """A value each minute of what the running Prometheus has of hg: its ranges of gauge histograms repeat one (2.42)."""
    q = urllib.parse.urlencode({"query": expression, "start": B / 1000, "end": (B + (6 * 60 - 6) * 60_000) / 1000, "step": 60})
    return [float(v) for _, v in json.loads(request(port, "GET", "/api/v1/query_range?" + q)[1])["data"]["result"][0]["values"]]


gauge = list(zip(steps("histogram_count(hg)"), steps("histogram_sum(hg)")))
wf, wh = set(), set()
for selector in ('{__name__=~"g|h|hf|hg"}', '{__name__=~"metric_.*"}'):
    f, h = asked(urllib.parse.quote(selector), (T0 + 8 * HOUR) / 1000, "9h")
    wf |= f
    wh |= h
prom.end()
note(f"{len(metas())} blocks; tombstones of {[os.path.getsize(os.path.join(data, b, 'tombstones')) for b in blocks(data)]} bytes")
ok(len(metas()) >= 2 and late, "blocks, of late samples, too")
p = run(CHECK, "dump", data)
blocks_lines = p.stdout.splitlines()
note(p.stderr)
deleted = sum(int(x) for x in re.findall(r"deleted=(\d+)", p.stderr))
ok(deleted > 1000, f"{deleted} samples of blocks are deleted")
ok("damaged_chunks=0" in p.stderr and not re.search(r"damaged_\w+=[1-9]", p.stderr), "nothing is damaged")
p = run(CHECK, "head", data)
note(p.stderr)
head_lines = p.stdout.splitlines()
ok(p.returncode == 0 and " damaged=0" in p.stderr and re.search(r"deleted=[1-9]", p.stderr), "the head is read, deletions, too")
gf, gh, gs = split(blocks_lines + head_lines)
equal("a Prometheus' directory, floats", gf, wf)
hg = {x for x in gh if '"hg"' in x}
equal("a Prometheus' directory, histograms of counters", gh - hg, {x for x in wh if '"hg"' not in x})
got = [tuple(float(x) for x in re.search(r"count:(\S+), sum:(\S+) ", x).groups()) for x in sorted(hg, key=lambda x: int(x.split()[-1]))]
ok(got == gauge and len(gauge) == 355, f"a Prometheus' directory, {len(gauge)} histograms of a gauge")
ok(len(gs) == 20 * 8 - 1, f"{len(gs)} stale markers")
p = run(CHECK, "head", data, "mapped")
ok(re.search(r"mapped=[0-9]", p.stderr) and set(head_lines) <= set(p.stdout.splitlines()), "chunks of the head that are mapped repeat it")
copy = os.path.join(top, "copy")
p = run(CHECK, "copy", data, copy, str(24 * HOUR), "0", "head")
note(p.stderr)
same("copied to new blocks", ours("dump", copy), blocks_lines + head_lines)
for tool in PROMTOOLS:
    p = run(tool, "tsdb", "analyze", "--extended", copy)
    ok(p.returncode == 0, f"{tool} tsdb analyze --extended of the copy")
    same(f"{tool}: the copy", ours("dump", copy), promtool_dump(tool, copy))

# ---- a Prometheus on blocks of ours ----

port = free_port()
open(os.path.join(top, "empty.yml"), "w").write("")
prom = Process(["prometheus", f"--config.file={top}/empty.yml", f"--storage.tsdb.path={copy}", f"--web.listen-address=127.0.0.1:{port}",
                "--enable-feature=native-histograms", "--log.level=warn"], os.path.join(top, "prometheus2.log"))
answer = b""
end = time.time() + 90
while time.time() < end:
    try:
        if request(port, "GET", "/-/ready")[0] == 200:
            answer = request(port, "GET", f"/api/v1/query?query=histogram_count(h)&time={(B + HOUR) / 1000}")[1]
            break
    except OSError:
        pass
    time.sleep(0.05)
k = 60
ok(f'"{k + 2 * k + k // 2 + 3 * k + k + 5}"'.encode() in answer, f"a Prometheus on them answers: {answer[-80:]!r}")
prom.end()
note(tail(os.path.join(top, "prometheus2.log"), 5))
shutil.rmtree(top)
done()
