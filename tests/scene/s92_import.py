#!/usr/bin/env python3
"""kymoctl import: a directory of Prometheus (blocks of promtool, a head with native histograms, late samples and a deletion) comes into a
kymod while the same series are written, interrupted once and killed once; then the same queries have the same answers on both sides.
Text, OpenMetrics, JSON lines and CSV; what is older than the retention is told before anything is sent."""
import gzip, shutil, subprocess, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("prometheus", "promtool")
CTL = os.path.join(BUILD, "kymoctl")
top = tmpdir("import")
pd = os.path.join(top, "prometheus")
LONG = os.environ.get("KYMO_IMPORT_HOURS")  # 336: two weeks
HOURS = int(LONG or 8)
STEP, SERIES = 30, 40
now = int(time.time())
end_old = now // 7200 * 7200 - 4 * 7200
begin_old = end_old - HOURS * 3600


def ctl(*args, timeout=300, **more):
    p = subprocess.run([CTL, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout, **more)
    return p.returncode, p.stdout


# Blocks: an old history, made by promtool. Times are no multiples of a step, so that 2.x and 3.x mean the same ranges.
om = os.path.join(top, "old.om")
with open(om, "w") as f:
    f.write("# TYPE m gauge\n")
    for s in range(SERIES):
        f.write("".join(f'm{{host="h{s % 8}",n="{s}"}} {(t * (s + 1) // 30) % 977}.25 {t + 7}\n' for t in range(begin_old, end_old, STEP)))
    f.write("# TYPE c counter\n")
    f.write("".join(f'c_total{{host="h{s}"}} {(t - begin_old) * (s + 1)} {t + 7}\n' for s in range(8) for t in range(begin_old, end_old, STEP)))
    f.write("# EOF\n")
made = subprocess.run(["promtool", "tsdb", "create-blocks-from", "openmetrics", om, pd, "-q"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
ok(made.returncode == 0, "promtool makes blocks")

# The head: a running Prometheus takes floats, native histograms and late samples, and deletes a series.
conf = os.path.join(top, "prometheus.yml")
open(conf, "w").write("global: {scrape_interval: 1h}\nstorage: {tsdb: {out_of_order_time_window: 1h}}\n")
pport = free_port()
prom = Process(["prometheus", f"--config.file={conf}", f"--storage.tsdb.path={pd}", f"--web.listen-address=127.0.0.1:{pport}", "--storage.tsdb.retention.time=100d",
                "--web.enable-remote-write-receiver", "--web.enable-admin-api", "--enable-feature=native-histograms"], os.path.join(top, "prometheus.log"))
end = time.time() + 90
while time.time() < end:
    try:
        if request(pport, "GET", "/-/ready")[0] == 200:
            break
    except OSError:
        pass
    time.sleep(0.1)


def hist(labels, rows):
    """rows: [(t_ms, counts of four buckets)]: a TimeSeries of integer histograms."""
    zig = lambda n: varint(n << 1 if n >= 0 else (-n << 1) - 1)
    out = b""
    for k in sorted(labels):
        out += field(1, field(1, k.encode()) + field(2, labels[k].encode()))
    for t, counts in rows:
        deltas = b"".join(zig(c - (counts[i - 1] if i else 0)) for i, c in enumerate(counts))
        h = b"\x08" + varint(sum(counts)) + b"\x19" + struct.pack("<d", float(sum(counts))) + b"\x20" + zig(2) + b"\x29" + struct.pack("<d", 1e-128)
        h += field(11, b"\x08" + zig(-1) + b"\x10" + varint(4)) + field(12, deltas) + b"\x78" + varint(t)
        out += field(4, h)
    return field(1, out)


# Head samples must be near: from 50 minutes ago on, in order, then the late ones between.
t0 = (now - 3000) // 60 * 60
times = [(t0 + i * 20 + 7) * 1000 for i in range(90)]
body = b"".join(series({"__name__": "m", "host": f"h{s % 8}", "n": str(s)}, [(t, float(t // 1000 % 97 + s)) for t in times]) for s in range(SERIES))
body += series({"__name__": "gone", "n": "1"}, [(t, 1.0) for t in times])
body += series({"__name__": "late", "n": "1"}, [(t, float(t // 1000 % 61)) for t in times[30:]])
body += hist({"__name__": "lat", "host": "a"}, [(t, (i, i + 2, 2 * i, 1)) for i, t in enumerate(times)])
ok(write(pport, body)[0] in (200, 204), "prometheus takes floats and histograms")
ok(write(pport, series({"__name__": "late", "n": "1"}, [(t, float(t // 1000 % 61)) for t in times[:30]]))[0] in (200, 204), "and late samples")
ok(request(pport, "POST", "/api/v1/admin/tsdb/delete_series?match[]=gone")[0] == 204, "and deletes a series")
ok(request(pport, "POST", "/api/v1/admin/tsdb/delete_series?" + urllib.parse.urlencode({"match[]": 'm{n="3"}', "start": begin_old, "end": begin_old + 7200}))[0] == 204, "and a part of one in blocks")

# A kymod in which the same series are written at the same time.
k = Kymod(os.path.join(top, "kymo"), "--retention", "60d")
stop = threading.Event()
wrote = [0, 0]


def live():
    while not stop.is_set():
        t = int(time.time() * 1000)
        b = b"".join(series({"__name__": "m", "host": f"h{s % 8}", "n": str(s)}, [(t, 1.0)]) for s in range(SERIES))
        wrote[0] += 1
        wrote[1] += write(k.port, b)[0] == 204
        time.sleep(0.02)


writer = threading.Thread(target=live)
writer.start()
server, state = f"http://127.0.0.1:{k.port}", os.path.join(top, "mark")
common = ["import", "--server", server, "--mark", state, "--quiet"]

samples = HOURS * 3600 // STEP * (SERIES + 8)


def mark():
    """What the mark says, if it is there."""
    try:
        return open(state).read()
    except OSError:
        return None


def begun(p, was=None):
    """A part of the work is done: the mark is another one."""
    end = time.time() + 90
    while mark() in (None, was) and p.poll() is None and time.time() < end:
        time.sleep(0.02)


slow = ["--rate", str(samples // 12)]  # a mark each second; the rest takes longer than it takes to see that
for how, sig in (("interrupted", signal.SIGINT), ("killed", signal.SIGKILL)):
    was = mark()
    p = subprocess.Popen([CTL, *common, *slow, pd], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    begun(p, was)
    p.send_signal(sig)
    status = p.wait(60)
    ok(status == (6 if sig == signal.SIGINT else -9), f"{how}: {status}")
    ok(os.path.exists(state), f"{how}: a mark is there")
status, text = ctl(*common, pd)
note(text)
ok(status == 0 and "goes on where it was" in text, "the same command goes on, and ends well while prometheus runs")
ok(not os.path.exists(state), "the mark is gone")
status, text = ctl(*common, "--verify", pd)
ok(status == 0 and " 0 differ" in text, "once more is harmless, and verified")
ok("0 refused" in text, "nothing is refused")
stop.set()
writer.join()
ok(wrote[0] == wrote[1] > 0, f"{wrote[1]} writes of the same series went on")

# The server is killed meanwhile, and comes back.
p = subprocess.Popen([CTL, *common, "--rate", str(samples // 4), pd], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
begun(p)
k.end(signal.SIGKILL)
k = Kymod(os.path.join(top, "kymo"), "--retention", "60d", port=k.port)
text = p.communicate(timeout=120)[0]
ok(p.returncode == 0 and " 0 refused" in text, "a server that is killed and started again costs nothing but time: " + text.strip()[-120:])


def answers(port, q, a, b, step):
    status, j = api(port, "query_range", query=q, start=a, end=b, step=step)
    if status != 200:
        return j
    return {tuple(sorted(s["metric"].items())): (s.get("values"), s.get("histograms")) for s in j["data"]["result"]}


last = times[-1] // 1000 + 60
for q, a, b, step in (
    ("m", begin_old, end_old, HOURS * 30),
    ('m{n="3"}', begin_old, begin_old + 8000, 60),
    ("sum by (host) (m)", begin_old, end_old, HOURS * 15),
    ("rate(c_total[5m])", begin_old + 600, end_old, HOURS * 15),
    ("count_over_time(m[1h])", begin_old + 3600, end_old, 3600),
    ("m", t0, last, 60),
    ("late", t0, last, 20),
    ("gone", t0, last, 60),
    ("lat", t0, last, 60),
    ("histogram_sum(lat)", t0, last, 60),
    ("histogram_count(lat)", t0, last, 60),
):
    want, got = answers(pport, q, a, b, step), answers(k.port, q, a, b, step)
    if not ok(want == got and (want or q == "gone"), f"the same answer: {q} ({len(want)} series)"):
        note(str(want)[:500] + "\n" + str(got)[:500])

# The head as a block. Then other blocks with one bucket changed are written over it, and the first ones differ, though count and sum are the same.
status, body, _ = request(pport, "POST", "/api/v1/admin/tsdb/snapshot")
snapshot, other = os.path.join(pd, "snapshots", json.loads(body)["data"]["name"]), os.path.join(top, "other")
status, text = ctl(*common, "--verify", "--match", "lat", snapshot)
ok(status == 0 and "verified: 1 range" in text and " 0 differ" in text, "histograms of a block are verified: " + text.strip()[-160:])
ok(write(k.port, hist({"__name__": "lat", "host": "a"}, [(times[40], (41, 41, 80, 1))]))[0] == 204, "one in a bucket more, in another less")
status, text = ctl("export", "--server", server, "--match", "lat", "--format", "blocks", other)
ok(status == 0, "blocks of that: " + text.strip()[-160:])
status, text = ctl(*common, "--verify", "--match", "lat", snapshot, other)
ok(status == 1 and "differs: lat" in text and " 1 differ" in text, "written over the first ones it is found: " + text.strip()[-200:])
status, text = ctl(*common, "--verify", "--match", "lat", snapshot)
ok(status == 0 and " 0 differ" in text, "and mended by them: " + text.strip()[-160:])

# A directory that is stopped; a kymod with a short retention says so before anything is sent.
prom.end()
short = Kymod(os.path.join(top, "short"), "--retention", "3h")
status, text = ctl("import", "--server", f"http://127.0.0.1:{short.port}", "--quiet", pd)
ok(status == 2 and "--retention" in text and "--skip-old" in text, f"what is too old is told before: {text.strip()[-160:]}")
status, text = ctl("import", "--server", f"http://127.0.0.1:{short.port}", "--quiet", "--skip-old", "--mark", os.path.join(top, "m2"), pd)
ok(status == 0 and "0 refused" in text, "and passed over when that is asked for")
got = answers(short.port, "late", t0, last, 20)
ok(got == answers(k.port, "late", t0, last, 20) and got, "the head of a stopped prometheus is the same")
short.end()

# Text of all kinds.
e = Kymod(os.path.join(top, "text"))
server = f"http://127.0.0.1:{e.port}"
base = now - 3600
kinds = {
    "a.txt": "# TYPE t gauge\n" + "".join(f't{{k="text",n="{i % 5}"}} {i} {(base + i) * 1000}\n' for i in range(1000)) + "t nonsense\n",
    "b.om": "# TYPE t gauge\n" + "".join(f't{{k="om",n="{i % 5}"}} {i} {base + i}.0\n' for i in range(1000)) + "# EOF\n",
    "c.jsonl": "".join(json.dumps({"metric": {"__name__": "t", "k": "json", "n": str(n)}, "values": list(range(n, 1000, 5)), "timestamps": [(base + i) * 1000 for i in range(n, 1000, 5)]}) + "\n" for n in range(5)),
    "d.csv": "time,name,k,n,value\n" + "".join(f"{base + i},t,csv,{i % 5},{i}\n" for i in range(1000)),
}
paths = []
for name, content in kinds.items():
    path = os.path.join(top, name)
    open(path, "w").write(content)
    paths.append(path)
with gzip.open(os.path.join(top, "e.txt.gz"), "wt") as f:
    f.write(kinds["a.txt"].replace('"text"', '"gzip"'))
status, text = ctl("import", "--server", server, "--quiet", "--label", "from=files", "--mark", os.path.join(top, "m3"), *paths, os.path.join(top, "e.txt.gz"))
ok(status == 1 and "given 5000 samples" in text and "line 1002" in text and "could not be read: 2 lines" in text, "files of all kinds: " + text.strip()[-200:])
ancient = os.path.join(top, "ancient.txt")
open(ancient, "w").write(f't{{k="old"}} 1 {(base - 20 * 366 * 86400) * 1000}\n')
status, text = ctl("import", "--server", server, "--quiet", ancient)
ok(status == 1 and "1 refused" in text and "too_old" in text, "what is refused is a no: " + text.strip()[-200:])
status, text = ctl("import", "--server", server, "--quiet", "--skip-old", ancient)
ok(status == 0 and "0 refused" in text and "not wanted: 1 samples" in text, "of text, too, what is too old is passed over: " + text.strip()[-200:])
p = subprocess.run([CTL, "import", "--server", server, "--quiet", "--format", "jsonl", "--label", "from=stdin", "-"], input=kinds["c.jsonl"], text=True, stdout=subprocess.PIPE)
ok(p.returncode == 0 and "given 1000 samples" in p.stdout, "and stdin")
got = answers(e.port, "t", base, base + 1000, 1)
want = [v[0] for key, v in sorted(got.items()) if ("k", "text") in key]
ok(len(got) == 30 and all([v[0] for key, v in sorted(got.items()) if ("k", kind) in key and ("from", "files") in key] == want for kind in ("om", "json", "csv", "gzip")) and want,
   "each kind has brought the same")
e.end()
k.end()
shutil.rmtree(top)
done()
