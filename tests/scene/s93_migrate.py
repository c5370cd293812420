#!/usr/bin/env python3
"""kymoctl migrate and export against real peers: from VictoriaMetrics, interrupted by SIGINT and by kill -9, with nothing lost and both sides compared; from Prometheus by remote read, with native histograms and stale markers; the way of Thanos (queries of range selectors) from the same Prometheus.
Then out again: OpenMetrics, text, JSON lines, CSV, packed or not, read back into an empty kymod; blocks that promtool lists, analyzes and dumps and that a Prometheus answers from.

KYMO_MIGRATE_SERIES: series of each of the names of VictoriaMetrics (30). KYMO_MIGRATE_PROM, KYMO_MIGRATE_PROMTOOL: a newer Prometheus that reads the blocks, too.
"""
import csv, gzip, io, shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from rread import *
from rw2 import histogram

need("victoria-metrics", "prometheus", "promtool")
SERIES = int(os.environ.get("KYMO_MIGRATE_SERIES", "30"))
top = tmpdir("migrate")
CTL = os.path.join(BUILD, "kymoctl")
env = {**os.environ, "XDG_STATE_HOME": os.path.join(top, "state")}
rng = random.Random(93)
DAY = 86400000
now = int(time.time()) * 1000
OPEN = ("--retention", "20y", "--no-self-metrics")
STALE, NAN = 0x7FF0000000000002, struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]


def ctl(*args, timeout=120):
    p = subprocess.run([CTL, *args], capture_output=True, text=True, env=env, timeout=timeout)
    return p.returncode, p.stdout, p.stderr


def url(port):
    return f"http://127.0.0.1:{port}"


def wait_for(port, path, seconds=60):
    end = time.time() + seconds
    while time.time() < end:
        try:
            if request(port, "GET", path)[0] == 200:
                return True
        except OSError:
            pass
        time.sleep(0.05)
    return False


def all_of(port, start=0, end=None, *matchers):
    return {k: v for k, v in everything(port, start, end or now + DAY, *(matchers or (matcher(1, "__name__", ""),))).items() if v}


def differ(got, want):
    """A word on the first difference."""
    if got == want:
        return ""
    for k in set(got) | set(want):
        a, b = got.get(k, {}), want.get(k, {})
        if a != b:
            t = min(t for t in set(a) | set(b) if a.get(t) != b.get(t))
            return f"{len(got)} and {len(want)} series; {k}: {len(a)} and {len(b)} samples, at {t} {a.get(t)} and {b.get(t)}"


# --- VictoriaMetrics ---
vm_port, NAMES = free_port(), 12
vm = Process(["victoria-metrics", f"-storageDataPath={top}/vm", f"-httpListenAddr=127.0.0.1:{vm_port}", "-retentionPeriod=10y"], os.path.join(top, "vm.log"))
ok(wait_for(vm_port, "/health"), "VictoriaMetrics runs")
want, lines, points = {}, [], 0
for n in range(NAMES):
    for s in range(SERIES):
        m = {"__name__": f"vm_{n:02}" + ("_total" if n % 2 else ""), "job": f'q"{n % 3}\\', "s": f"{n}-{s}"}
        start, c, ts, vs = now - 4 * DAY + rng.randrange(DAY), 0, [], []
        for t in range(start, now - 60000, 300000):
            c += rng.randrange(1000)
            ts.append(t)
            vs.append(c if n % 2 else round(rng.random() * 1000, 3))
        points += len(ts)
        want[tuple(sorted(m.items()))] = dict(zip(ts, map(bits, map(float, vs))))
        lines.append(json.dumps({"metric": m, "values": vs, "timestamps": ts}))
for i in range(0, len(lines), 40):
    request(vm_port, "POST", "/api/v1/import", "\n".join(lines[i:i + 40]))
request(vm_port, "GET", "/internal/force_flush")
target = Kymod(os.path.join(top, "a"), *OPEN)
command = ["migrate", "--start", "6d", "--seed", "5", "--server", url(target.port), url(vm_port)]


def stored():
    status, a = api(target.port, "query", query='sum(count_over_time({__name__=~"vm.*"}[10d]))', nocache=1)
    assert status == 200, (status, a)
    r = a["data"]["result"]
    return int(r[0]["value"][1]) if r else 0


def broken_off(sig, share):
    """The work at a limited rate, and a signal when so much of it is there."""
    p = subprocess.Popen([CTL, *command, "--rate", str(points // 16)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=env)
    end = time.time() + 60
    while stored() < share * points and p.poll() is None and time.time() < end:
        time.sleep(0.05)
    alive = p.poll() is None
    p.send_signal(sig)
    return alive, p.wait(60), p.stderr.read()


alive, rc, err = broken_off(signal.SIGINT, 0.1)
first = stored()
ok(alive and rc == 6 and 0 < first < points, f"SIGINT in the middle: status {rc} with {first} of {points} samples: {err[-200:]}")
alive, rc, err = broken_off(signal.SIGKILL, 0.25)
second = stored()
ok(alive and rc == -9 and first < second < points, f"kill -9 later on: {second} of {points}; it went on: {'goes on' in err}")
rc, out, err = ctl(*command)
ok(rc == 0 and "goes on where it was" in err and " 0 differ; 50 queries, 0 differ" in err, f"the same command ends it, and both sides are the same: {rc} {out[:300]} {err[-400:]}")
got = all_of(target.port)
ok(got == want, f"every sample is there with the same bits {differ(got, want)}")
rc, out, err = ctl(*command)
ok(rc == 0 and "goes on" not in err, f"once more from the start is harmless: {rc} {err[-200:]}")
rc, out, err = ctl("migrate", "--verify-only", "--from", "victoriametrics", *command[1:])
ok(rc == 0, f"verification alone: {rc} {out[:300]}{err[-300:]}")
k0 = sorted(want)[0]
t0 = sorted(want[k0])[5]
write(target.port, series(dict(k0), [(t0 + 1, 1e9)]))
rc, out, err = ctl("migrate", "--verify-only", "--queries", "0", *command[1:])
ok(rc == 1 and dict(k0)["__name__"] in out and len(out.splitlines()) == 1, f"one sample more is found: {rc} {out[:300]}")
rc, out, err = ctl("migrate", "--start", "6d", "--match", "{", url(vm_port))
ok(rc == 2 and "--match" in err, f"a selector that is none: {rc} {err[:200]}")
rc, out, err = ctl("migrate", url(free_port()))
ok(rc == 3, f"a source that is not there: {rc} {err[:200]}")
vm.end()
target.end()

# --- Prometheus, with native histograms ---
prom_port = free_port()
open(os.path.join(top, "prometheus.yml"), "w").write("global: {scrape_interval: 1h}\n")


def prometheus(name, directory, port, program="prometheus", *more):
    p = Process([program, f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={directory}", f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=10y", "--log.level=warn", *more], os.path.join(top, name + ".log"))
    ok(wait_for(port, "/-/ready"), f"{name} runs")
    return p


prom = prometheus("prom", os.path.join(top, "tsdb"), prom_port, "prometheus", "--web.enable-remote-write-receiver", "--enable-feature=native-histograms")
begin = now - 3000000
want, body = {}, b""
for n in range(25):
    m = {"__name__": "prom_float" if n < 20 else "prom_other_total", "i": f"{n:02}"}
    samples = [(begin + i * 15000 + n, i * n / 7.0) for i in range(180)]
    if n % 5 == 4:
        samples[-1] = (samples[-1][0], struct.unpack("<d", struct.pack("<Q", STALE))[0])
    body += series(m, samples)
    want[tuple(sorted(m.items()))] = {t: struct.unpack("<Q", struct.pack("<d", v))[0] for t, v in samples}
floats = dict(want)
for n in range(6):
    m = {"__name__": "prom_hist", "i": str(n)}
    labels = b"".join(field(1, field(1, k.encode()) + field(2, m[k].encode())) for k in sorted(m))
    hs = [histogram(begin + i * 15000, positive=[(0, [i + 1, 2 * i + n]), (3, [i])], negative=[(1, [n + i])], zero=i, sum=1.5 * i, schema=2, threshold=1e-3, is_float=n % 2 == 1) for i in range(120)]
    body += field(1, labels + b"".join(field(4, h) for h in hs))
    want[tuple(sorted(m.items()))] = {h.pop("t"): h for h in map(histogram_of, hs)}
status, told, _ = write(prom_port, body)
ok(status == 204, f"written to Prometheus: {status} {told[:200]}")
target = Kymod(os.path.join(top, "b"), *OPEN)
rc, out, err = ctl("migrate", "--start", "1d", "--from", "prometheus", "--to", url(target.port), "--match", '{__name__=~"prom_(float|other_total|hist)"}', "--seed", "7", "--queries", "20", url(prom_port))
got = all_of(target.port)


def plain(found):
    """Without the hints of histograms: chunks say that a counter went on."""
    return {k: {t: {x: y for x, y in v.items() if x != "hint"} if isinstance(v, dict) else v for t, v in s.items()} for k, s in found.items()}


ok(rc == 0 and plain(got) == plain(want), f"remote read: floats, stale markers and native histograms: {rc} {out[:300]} {err[-300:]} {differ(plain(got), plain(want))}")
rc, out, err = ctl("migrate", "--verify-only", "--start", "1d", "--to", url(target.port), "--match", "prom_float", "--match", "prom_other_total", url(prom_port))
ok(rc == 0, f"ranges closed at their left end are compared with open ones: {rc} {out[:300]} {err[-200:]}")

# Whole histograms of both sides: two buckets changed, count and sum as they were, in the middle of one series.
only = ["migrate", "--verify-only", "--start", "1d", "--to", url(target.port), "--match", "prom_hist", "--seed", "3", "--queries", "40", url(prom_port)]
rc, out, err = ctl(*only)
ok(rc == 0 and " 0 differ; 40 queries, 0 differ" in err, f"histograms are the same: {rc} {out[:300]} {err[-200:]}")
for n in range(6):
    m, i = {"__name__": "prom_hist", "i": str(n)}, 60
    labels = b"".join(field(1, field(1, k.encode()) + field(2, m[k].encode())) for k in sorted(m))
    changed = histogram(begin + i * 15000, positive=[(0, [i + 2, 2 * i + n - 1]), (3, [i])], negative=[(1, [n + i])], zero=i, sum=1.5 * i, schema=2, threshold=1e-3, is_float=n % 2 == 1)
    status, told, _ = write(target.port, field(1, labels + field(4, changed)))
    ok(status == 204, f"one in a bucket more, in another less: {status} {told[:200]}")
rc, out, err = ctl(*only)
ok(rc == 1 and "samples differ" in out and " 0 differ; 40 queries, 0 differ" not in err and "count" not in out, f"they are found: {rc} {out[:300]} {err[-200:]}")
write(target.port, body)

# --- the way of Thanos ---
third = Kymod(os.path.join(top, "c"), *OPEN)
rc, out, err = ctl("migrate", "--start", "1d", "--from", "thanos", "--to", url(third.port), "--match", "prom_float", "--match", "prom_other_total", "--step-days", "0.05", url(prom_port))
got, seen = all_of(third.port), {k: {t: b for t, b in v.items() if b != STALE} for k, v in floats.items()}
ok(rc == 0 and got == seen and "stale markers" in err, f"queries of range selectors: all but stale markers, which is said: {rc} {out[:300]} {err[-300:]} {differ(got, seen)}")
third.end()
prom.end()

# --- out again, in every form ---
want = all_of(target.port)
stale = sum(b == STALE for v in floats.values() for b in v.values())
odd = {"__name__": "odd", "a": 'x,"y"\\\nz'}
write(target.port, series(odd, [(begin + i, v) for i, v in enumerate([1e300, -0.0, float("inf"), float("-inf"), 1e-9, NAN, 123456789.125])]))
floats = {k: v for k, v in all_of(target.port).items() if dict(k)["__name__"] != "prom_hist"}
unmarked = {k: {t: b for t, b in v.items() if b != STALE} for k, v in floats.items()}


def imported(name, expected):
    """By kymoctl import into an empty kymod."""
    empty = Kymod(os.path.join(top, "d"), *OPEN)
    rc, out, err = ctl("import", "--server", url(empty.port), os.path.join(top, name))
    got = all_of(empty.port)
    ok(rc == 0 and plain(got) == plain(expected), f"{name} is imported again, all of it: {rc} {err[-300:]} {differ(plain(got), plain(expected))}")
    empty.end()
    shutil.rmtree(os.path.join(top, "d"))


for name, expected in (("out.om", unmarked), ("out.om.gz", unmarked), ("out.prom.zst", unmarked), ("out.jsonl", floats)):
    rc, out, err = ctl("export", "--server", url(target.port), os.path.join(top, name))
    raw = open(os.path.join(top, name), "rb").read() if rc == 0 else b""
    ok(rc == 0 and "720 samples of native histograms" in err and (f"{stale} stale markers" in err) == (expected is unmarked), f"{name}: {rc}, what has no form is told: {err[-400:]}")
    if name == "out.om":
        text = raw.decode()
        ok(text.endswith("# EOF\n") and f'odd{{a="x,\\"y\\"\\\\\\nz"}} +Inf {begin // 1000}.' in text, "OpenMetrics has its end, escapes and seconds")
        p = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", os.path.join(top, name), os.path.join(top, "backfill")], capture_output=True, text=True)
        ok(p.returncode == 0, f"promtool makes blocks of it: {p.stderr[-300:]}")
    imported(name, expected)
rc, out, err = ctl("export", "--server", url(target.port), "--match", "odd", "--match", '{a=~".+"}', "--format", "jsonl", "-")
ok(rc == 0 and len(out.splitlines()) == 1 and json.loads(out)["metric"] == odd, f"to stdout; what two selectors have comes once: {rc} {out[:200]}")
rc, out, err = ctl("export", "--server", url(target.port), os.path.join(top, "out.csv"))
rows = list(csv.DictReader(io.StringIO(open(os.path.join(top, "out.csv"), newline="").read())))
got = {}
for r in rows:
    t, v = int(r.pop("__timestamp__:unix_ms")), float(r.pop("__value__"))
    got.setdefault(tuple(sorted((k, v) for k, v in r.items() if v)), {})[t] = bits(v) if v == v else 0x7FF8000000000001
ok(rc == 0 and got == unmarked, f"CSV has every float: {rc} {differ(got, unmarked)}")
imported("out.csv", unmarked)
rc, out, err = ctl("export", "--server", url(target.port), os.path.join(top, "out.csv"))
ok(rc == 7 and "--overwrite" in err, f"what is there is not written over: {rc} {err[:200]}")

# Interrupted whenever, gone on with until it is whole: the same bytes.
statuses, delay, big = [], 0.01, os.path.join(top, "big.om.gz")
for n in range(60):
    p = subprocess.Popen([CTL, "export", "--server", url(target.port), "--quiet", big], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    try:
        statuses.append(p.wait(delay))
    except subprocess.TimeoutExpired:
        p.send_signal(signal.SIGKILL if n % 3 == 2 else signal.SIGINT)
        statuses.append(p.wait(60))
    if statuses[-1] == 0:
        break
    delay *= 1.15  # on a slow machine, too, one of them ends by itself
ok(statuses[-1] == 0 and gzip.open(big).read() == gzip.open(os.path.join(top, "out.om.gz")).read() and not os.path.exists(big + ".part"), f"an export that is interrupted goes on: {statuses}")

# --- blocks ---
blocks = os.path.join(top, "blocks")
rc, out, err = ctl("export", "--server", url(target.port), "--format", "blocks", blocks)
metas = [json.load(open(os.path.join(blocks, d, "meta.json"))) for d in sorted(os.listdir(blocks)) if os.path.exists(os.path.join(blocks, d, "meta.json"))]
whole = all_of(target.port)
total = sum(len(v) for v in whole.values())
ok(rc == 0 and metas and sum(m["stats"]["numSamples"] for m in metas) == total and all(m["maxTime"] - m["minTime"] <= 7200000 and m["minTime"] // 7200000 == (m["maxTime"] - 1) // 7200000 for m in metas),
   f"blocks of two hours at most with all samples: {rc} {len(metas)} {total} {[m['stats'] for m in metas]} {err[-200:]}")
imported("blocks", whole)
one = os.path.join(top, "oneblock")
rc, out, err = ctl("export", "--server", url(target.port), "--format", "blocks", "--block-range", "30d", "--start", "0", one)
made = [d for d in os.listdir(one) if len(d) == 26]
ok(rc == 0 and 1 <= len(made) <= 2, f"wider ones: {rc} {made} {err[-200:]}")
rc, out, err = ctl("export", "--server", url(target.port), "--format", "blocks", "--match", '{__name__!="prom_hist"}', os.path.join(top, "floatblocks"))
tools = [t for t in ("promtool", os.environ.get("KYMO_MIGRATE_PROMTOOL")) if t]
for tool in tools:
    version = subprocess.run([tool, "--version"], capture_output=True, text=True)
    version = (version.stdout + version.stderr).split()[2]
    p = subprocess.run([tool, "tsdb", "list", blocks], capture_output=True, text=True)
    ok(p.returncode == 0 and all(m["ulid"] in p.stdout for m in metas), f"promtool {version} lists them: {p.stderr[-200:]}")
    p = subprocess.run([tool, "tsdb", "analyze", one, made[0]], capture_output=True, text=True)
    ok(p.returncode == 0 and "Series:" in p.stdout, f"promtool {version} analyzes one: {p.stderr[-200:]}")
    p = subprocess.run([tool, "tsdb", "dump", os.path.join(top, "floatblocks")], capture_output=True, text=True)
    dumped = {}
    for line in p.stdout.splitlines():
        head, v, t = line.rsplit(" ", 2)
        dumped.setdefault(head, {})[int(t)] = float(v)
    counts = sorted(len(v) for v in dumped.values())
    ok(p.returncode == 0 and counts == sorted(len(v) for v in floats.values()) and dumped['{__name__="prom_float", i="03"}'] == {t: struct.unpack("<d", struct.pack("<Q", b))[0] for t, b in floats[(("__name__", "prom_float"), ("i", "03"))].items()},
       f"promtool {version} dumps what was stored: {p.stderr[-200:]}")
for program, name in [("prometheus", "debian")] + ([(os.environ["KYMO_MIGRATE_PROM"], "newer")] if "KYMO_MIGRATE_PROM" in os.environ else []):
    copy, port = os.path.join(top, "served-" + name), free_port()
    shutil.copytree(blocks, copy)
    more = ["--enable-feature=native-histograms"] if name == "debian" else []
    served = prometheus("served-" + name, copy, port, program, *more)
    back = Kymod(os.path.join(top, "back-" + name), *OPEN)
    rc, out, err = ctl("migrate", "--no-verify", "--start", "1d", "--match", '{__name__=~"prom_(float|other_total|hist)|odd"}', "--to", url(back.port), url(port))
    got = all_of(back.port)
    ok(rc == 0 and plain(got) == plain(whole), f"{name} Prometheus on the blocks has every sample: {rc} {err[-200:]} {differ(plain(got), plain(whole))}")
    back.end()
    t = (begin + 1800500) / 1000
    for q in ("sum(rate(prom_other_total[5m]))", "max by (i) (prom_float)", "avg_over_time(prom_float[10m])", 'count({__name__=~"prom.*"})', 'histogram_count(sum(rate(prom_hist{i="2"}[5m])))'):
        a, b = (result_map(api(p, "query", query=q, time=t)[1]["data"]) for p in (port, target.port))
        ok(set(a) == set(b) and all(close(a[k][0][1], b[k][0][1]) for k in a) and a, f"{name} Prometheus answers as kymod: {q} {list(a.items())[:2]} {list(b.items())[:2]}")
    served.end()
target.end()
shutil.rmtree(top)
done()
