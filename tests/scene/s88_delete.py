#!/usr/bin/env python3
"""Deletion of series: 1,000 out of many are gone from every answer when the call is answered, come back by no kill -9, and leave the disk by clean_tombstones, of which one is killed, too; what is written after a deletion, at the same times, lives. Debian's Prometheus is given the same samples and the same deletions: the same queries, the same answers, before and behind each.
"""
import signal, shutil, struct, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("prometheus")
N, GONE, STEP, ROWS = 2000, 1000, 15000, 50
top = tmpdir("delete")
data = os.path.join(top, "data")
FLAGS = ("--web.enable-admin-api", "--no-self-metrics")
k = Kymod(data, *FLAGS)
prom_port = free_port()
open(os.path.join(top, "prometheus.yml"), "w").write("global: {scrape_interval: 1h}\n")
prom = Process(["prometheus", f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={top}/tsdb", f"--web.listen-address=127.0.0.1:{prom_port}", "--web.enable-remote-write-receiver", "--web.enable-admin-api",
                "--log.level=error"], os.path.join(top, "prometheus.log"))
T1 = int(time.time() * 1000) // STEP * STEP - 60000
T0 = T1 - (ROWS - 1) * STEP


def name(i):
    return {"__name__": "thing_total", "n": str(i), "part": "gone" if i < GONE else "kept", "ten": str(i % 10)}


def put(port, ids, rows, v):
    for at in range(0, len(ids), 500):
        status, text, _ = write(port, b"".join(series(name(i), [(T0 + r * STEP, v(i, r)) for r in rows]) for i in ids[at:at + 500]))
        if status // 100 != 2:
            return f"{status} {text[:200]}"
    return ""


def value(i, r):
    return float(i * 7 + r * r % 50)


end = time.time() + 60
while time.time() < end:
    try:
        if request(prom_port, "GET", "/-/ready")[0] == 200:
            break
    except OSError:
        time.sleep(0.1)
for port in (k.port, prom_port):
    ok(put(port, range(N), range(ROWS), value) == "", f"{N * ROWS} samples are taken")


def admin(port, call, method="POST", **params):
    return request(port, method, f"/api/v1/admin/tsdb/{call}?" + urllib.parse.urlencode(params, doseq=True), timeout=120)


AT = T1 / 1000 + 0.5
BEGIN = T0 / 1000 + 0.5
QUERIES = ["count(thing_total)", 'count by (part) (thing_total)', 'sum(thing_total{ten="3"})', f'sum by (ten) (count_over_time(thing_total[{ROWS * STEP // 1000}s]))', 'thing_total{n="5"}', f'thing_total{{n="1500"}}[{ROWS * STEP // 1000}s]',
           # no rate(): beside a gap Prometheus 3 extrapolates otherwise than 2.42
           'sum by (part) (delta(thing_total[2m]))', 'max by (part) (thing_total)']


def answers(port):
    out = {}
    for q in QUERIES:
        for t in (AT, AT - 300):
            out[q, t] = result_map(api(port, "query", query=q, time=t, nocache=1)[1]["data"])
        if not q.endswith("]"):
            out[q, "range"] = result_map(api(port, "query_range", query=q, start=BEGIN, end=AT, step=20)[1]["data"])
    return out


def agree(what):
    a, b = answers(k.port), answers(prom_port)
    bad = []
    for key in a:
        x, y = a[key], b[key]
        same = x.keys() == y.keys() and all(len(x[s]) == len(y[s]) and all(p[0] == q[0] and close(p[1], q[1]) for p, q in zip(x[s], y[s])) for s in x)
        if not same:
            bad.append((key, str(x)[:150], str(y)[:150]))
    ok(not bad, f"{what}: {len(a)} answers are those of Prometheus {bad[:2]}")


def labels(port, **more):
    window = dict(start=BEGIN - 1, end=AT, **more)
    ns = sorted(api(port, "label/n/values", **window)[1]["data"], key=int)
    return ns, sorted(api(port, "label/part/values", **window)[1]["data"]), len(api(port, "series", **{"match[]": "thing_total", **window})[1]["data"])


agree("before")
for port in (k.port, prom_port):
    ok(admin(port, "delete_series")[0] == 400, "without match[] it is 400")
    ok(admin(port, "delete_series", **{"match[]": "{"})[0] == 400, "a selector that is none is 400")
ok(admin(k.port, "delete_series", **{"match[]": '{n=~".*"}'})[0] == 400, "one that takes everything is 400")
ok(request(k.port, "GET", "/api/v1/admin/tsdb/delete_series?match[]=up")[0] in (404, 405), "GET deletes nothing")
ok(admin(k.port, "delete_series", **{"match[]": "nothing_there"})[0] == admin(prom_port, "delete_series", **{"match[]": "nothing_there"})[0] == 204, "what is not there is 204")

# half of it is in files
ok(admin(k.port, "flush")[0] == 204, "all is in files")
for port in (k.port, prom_port):
    ok(put(port, range(N), range(ROWS, ROWS + 3), value) == "", "more is taken")
AT += 3 * STEP / 1000
agree("more")

# a range, of some
span = dict(start=(T0 + 10 * STEP) / 1000, end=(T0 + 20 * STEP) / 1000)
for port in (k.port, prom_port):
    status, text, _ = admin(port, "delete_series", **{"match[]": ['thing_total{ten="3",part="kept"}', 'thing_total{n="1500"}'], **span})
    ok(status == 204 and text == b"", f"a range of two selectors is deleted: {status} {text[:200]}")
agree("a range is gone")
k.end(signal.SIGKILL)
k = Kymod(data, *FLAGS, port=k.port)
agree("... after kill -9")

# all of some
began = time.time()
for port in (k.port, prom_port):
    ok(admin(port, "delete_series", "PUT", **{"match[]": 'thing_total{part="gone"}'})[0] == 204, "1,000 series are deleted")
note(f"both took {time.time() - began:.2f} s")
KEPT = ([str(i) for i in range(GONE, N)], ["kept"], N - GONE)
ok(labels(k.port) == KEPT, "no answer names them any more")
ok(api(k.port, "status/tsdb")[1]["data"]["headStats"]["numSeries"] == N - GONE, "nor are they counted")
agree("1,000 are gone")
for _ in range(2):
    k.end(signal.SIGKILL)
    k = Kymod(data, *FLAGS, port=k.port)
    ok(labels(k.port) == KEPT, "... after kill -9")
agree("... and the rest is there")

# what comes behind it lives: some of them, at times of before and newer ones
BACK = list(range(0, GONE, 10))
for port in (k.port,):
    ok(put(port, BACK, range(30, 40), lambda i, r: -1.0 - i) == "", "written again, at times of before")
mine = result_map(api(k.port, "query", query='thing_total{part="gone"}[1h]', time=AT)[1]["data"])
ok(len(mine) == len(BACK) and all([(float(t), float(v)) for t, v in rows] == [((T0 + r * STEP) / 1000, -1.0 - int(dict(key)["n"])) for r in range(30, 40)] for key, rows in mine.items()), "it is what was written, no more")
k.end(signal.SIGKILL)
k = Kymod(data, *FLAGS, port=k.port)
again = result_map(api(k.port, "query", query='thing_total{part="gone"}[1h]', time=AT)[1]["data"])
ok(again == mine, "... after kill -9")


def on_disk():
    """Samples that FILES of all shards tell of, and files of deletions."""
    n, tombs = 0, 0
    for shard in os.listdir(os.path.join(data, "shards")):
        for line in open(os.path.join(data, "shards", shard, "FILES")).read().splitlines():
            n += int(line.split()[7]) if line.startswith("file ") else 0
            tombs += line.startswith("tombstone series ")
    return n, tombs


ok(admin(k.port, "flush")[0] == 204, "flushed")
n, tombs = on_disk()
note(f"{n} samples in files, {tombs} files of deletions")
killer = threading.Timer(0.02, lambda: k.end(signal.SIGKILL))
killer.start()
try:
    admin(k.port, "clean_tombstones")
except OSError:
    pass
killer.join()
k = Kymod(data, *FLAGS, port=k.port)
ok(result_map(api(k.port, "query", query='thing_total{part="gone"}[1h]', time=AT)[1]["data"]) == mine, "clean_tombstones is killed: nothing is lost, nothing comes back")
status, text, _ = admin(k.port, "clean_tombstones")
ok(status == 204, f"clean_tombstones: {status} {text[:200]}")
left = (N - GONE) * (ROWS + 3) + len(BACK) * 10 - 11 * (N - GONE) // 10 - 11
end = time.time() + 90
while on_disk()[1] and time.time() < end:  # the deletions go when the catalog has forgotten their series, too
    time.sleep(0.05)
ok(on_disk() == (left, 0), f"the disk has what is left, and no deletions: {on_disk()}, {left}")
ok(result_map(api(k.port, "query", query='thing_total{part="gone"}[1h]', time=AT)[1]["data"]) == mine, "and the answers are the same")
ok(admin(prom_port, "clean_tombstones")[0] == 204, "Prometheus answers the same")
for port in (k.port, prom_port):  # to compare: those that only kymod got again
    ok(admin(port, "delete_series", **{"match[]": 'thing_total{part="gone"}'})[0] == 204, "deleted once more")
agree("in the end")

# exemplars go with the samples of their range
def exemplars(*times):
    out = field(1, field(1, b"__name__") + field(2, b"traced_total"))
    for t in times:
        out += field(2, b"\x09" + struct.pack("<d", 1) + b"\x10" + varint(t))
    for t in times:
        out += field(3, field(1, field(1, b"trace") + field(2, b"t")) + b"\x11" + struct.pack("<d", 1) + b"\x18" + varint(t))
    return field(1, out)


def traced():
    got = api(k.port, "query_exemplars", query="traced_total", start=T0 / 1000 - 60, end=T1 / 1000 + 60)[1]["data"]
    return [round(e["timestamp"] * 1000) for s in got for e in s["exemplars"]]


ok(write(k.port, exemplars(T0, T1 - 2000))[0] == 204 and admin(k.port, "flush")[0] == 204 and write(k.port, exemplars(T1 - 1000, T1))[0] == 204 and traced() == [T0, T1 - 2000, T1 - 1000, T1], "exemplars in files and in memory")
ok(admin(k.port, "delete_series", **{"match[]": "traced_total"}, start=(T1 - 2000) / 1000, end=(T1 - 1000) / 1000)[0] == 204 and traced() == [T0, T1], f"two are deleted: {traced()}")
k.end(signal.SIGKILL)
k = Kymod(data, *FLAGS, port=k.port)
ok(traced() == [T0, T1], f"... after kill -9: {traced()}")
ok(admin(k.port, "flush")[0] == 204 and admin(k.port, "clean_tombstones")[0] == 204 and traced() == [T0, T1], "... and when files are written anew")
ok(admin(k.port, "delete_series", **{"match[]": "traced_total"})[0] == 204 and traced() == [], "the series is deleted")

# many small ones
began = time.time()
for i in range(GONE, GONE + 60):
    if admin(k.port, "delete_series", **{"match[]": f'thing_total{{n="{i}"}}'})[0] != 204:
        ok(False, f"deletion {i}")
note(f"60 small deletions in {time.time() - began:.2f} s, {on_disk()[1]} files of them")
ok(labels(k.port) == ([str(i) for i in range(GONE + 60, N)], ["kept"], N - GONE - 60), "60 small ones")
ok(on_disk()[1] <= 16 * 8, "they make few files")
k.end(signal.SIGKILL)
k = Kymod(data, *FLAGS, port=k.port)
ok(labels(k.port)[2] == N - GONE - 60, "... after kill -9")
ok(k.end() == 0, "ends in order")
k = Kymod(data, "--no-self-metrics")
ok(admin(k.port, "delete_series", **{"match[]": "thing_total"})[0] == 500 and labels(k.port)[2] == N - GONE - 60, "without --web.enable-admin-api nothing is deleted")
k.end()
prom.end()
shutil.rmtree(top, ignore_errors=True)
done()
