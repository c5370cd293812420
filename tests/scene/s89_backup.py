#!/usr/bin/env python3
"""Snapshots and backups: writers go on while a snapshot is made, the server is killed, and a second one opens the copy: every
sample that was acknowledged before the call is there, none that was sent after the answer. A second backup copies only what is
new; interrupted backups and restores go on; what is restored answers the same; a flipped bit is found and named; a catalog is
made anew; retention and deletions of snapshots."""
import random, shutil, signal, socket, sys, threading, time
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

CTL = os.path.join(BUILD, "kymoctl")
SEED = int(os.environ.get("KYMO_SEED", str(int(time.time()))))
rnd = random.Random(SEED)
note(f"seed {SEED}")
top = tmpdir("backup")
data, repo = os.path.join(top, "data"), os.path.join(top, "repo")
NOW = int(time.time() * 1000)
BASE = NOW - 4 * 3600 * 1000
ADMIN = "/api/v1/admin/tsdb/"


def ctl(*args, timeout=120):
    p = subprocess.run([CTL, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def figures(line):
    return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line)}


class Writer(threading.Thread):
    def __init__(self, no, port):
        super().__init__(daemon=True)
        self.no, self.port, self.stop, self.acked, self.sent, self.n = no, port, False, {}, {}, 0

    def run(self):
        while not self.stop:
            self.n += 1
            rows = [({"__name__": "backup_test", "writer": str(self.no), "series": str(i), "new": str(self.n // 40)}, BASE + self.n * 1000 + self.no, float(self.n * 100 + i)) for i in range(25)]
            keys = [(tuple(sorted(k.items())), t, v) for k, t, v in rows]
            for k, t, v in keys:
                self.sent[k, t] = v
            try:
                status = write(self.port, b"".join(series(k, [(t, v)]) for k, t, v in rows))[0]
            except OSError:
                return
            if status == 204:
                for k, t, v in keys:
                    self.acked[k, t] = v
            time.sleep(0.004)


def everything(port):
    """{(labels, t): v} of all that was written, by raw samples."""
    out = {}
    for hour in range(6):
        status, body = api(port, "query", query="backup_test[1h]", time=(BASE + hour * 3600000) / 1000 + 3600)
        for r in body["data"]["result"]:
            k = tuple(sorted(r["metric"].items()))
            for t, v in r["values"]:
                out[k, round(t * 1000)] = float(v)
    return out


def missing(want, have):
    return [x for x in want if have.get(x) != want[x]]


k = Kymod(data, "--web.enable-admin-api", "--loops", "2", "--no-self-metrics")
writers = [Writer(i, k.port) for i in range(3)]
for w in writers:
    w.start()


def merged(what):
    return {x: v for w in writers for x, v in list(getattr(w, what).items())}


# --- a snapshot while they write ---
snaps = []
for n in range(4):
    end = time.time() + 90
    while sum(w.n for w in writers) < 100 * (n + 1) and time.time() < end:  # enough of it, however slow they are
        time.sleep(0.02)
    if n == 1:
        request(k.port, "POST", ADMIN + "flush")
    before = merged("acked")
    status, body, _ = request(k.port, "POST" if n % 2 else "PUT", ADMIN + "snapshot")
    name = json.loads(body)["data"]["name"]
    snaps.append((name, before, merged("sent")))
    ok(status == 200 and re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{16}", name), f"a snapshot: {name}, {len(before)} samples before it")
made = lambda: int(re.search(rb'kymo_snapshots_made_total\{result="ok"\} (\d+)', request(k.port, "GET", "/metrics")[1]).group(1))
count, there = made(), sorted(os.listdir(os.path.join(data, "snapshots")))
os.kill(k.pid, signal.SIGSTOP)  # so that it reads of the end before it can answer
with socket.create_connection(("127.0.0.1", k.port)) as s:
    s.sendall(b"POST " + ADMIN.encode() + b"snapshot HTTP/1.1\r\nHost: k\r\nContent-Length: 0\r\n\r\n")
os.kill(k.pid, signal.SIGCONT)
end = time.time() + 90
while (made() == count or sorted(os.listdir(os.path.join(data, "snapshots"))) != there) and time.time() < end:
    time.sleep(0.05)
ok(made() == count + 1 and sorted(os.listdir(os.path.join(data, "snapshots"))) == there, "one whose client did not wait for its name is deleted")
log_bytes = lambda: sum(os.path.getsize(os.path.join(data, "log", f)) for f in os.listdir(os.path.join(data, "log")))
log_was = log_bytes()
often = [json.loads(request(k.port, "POST", ADMIN + "snapshot")[1])["data"]["name"] for _ in range(8)]
ok(log_bytes() - log_was <= 3 * 64 << 20, f"eight snapshots leave no segments behind: {(log_bytes() - log_was) >> 20} MiB more")
ok(all(request(k.port, "DELETE", ADMIN + "snapshots/" + n)[0] == 204 for n in often), "and are deleted")
status, body, _ = request(k.port, "POST", ADMIN + "snapshot?skip_head=maybe")
ok(status == 400 and json.loads(body)["errorType"] == "bad_data", "skip_head that is no boolean is 400")
listed = json.loads(request(k.port, "GET", ADMIN + "snapshots")[1])["data"]
ok([s["name"] for s in listed] == sorted(s[0] for s in snaps) and all(os.path.isdir(s["path"]) and s["bytes"] > 0 for s in listed), "all are listed")
status = request(k.port, "DELETE", ADMIN + "snapshots/" + snaps[1][0])[0]
ok(status == 204 and not os.path.exists(os.path.join(data, "snapshots", snaps[1][0])), "one is deleted")
ok(request(k.port, "DELETE", ADMIN + "snapshots/" + snaps[1][0])[0] == 404 and request(k.port, "DELETE", ADMIN + "snapshots/..%2Flog")[0] == 404, "and is not there twice; nor is anything else")
del snaps[1]
status, out, err = ctl("verify", data)
ok(status == 7 and "snapshot" in err, "a running server's directory is refused, with the way to do it")

# --- a backup, interrupted, while they write ---
first_acked = merged("acked")
p = subprocess.Popen([CTL, "backup", f"http://127.0.0.1:{k.port}", repo, "--verify"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
time.sleep(rnd.random() * 0.25)
p.send_signal(signal.SIGINT)
p.communicate()
ok(p.returncode in (6, 0, -2), f"the first backup was interrupted: {p.returncode}")
status, out, err = ctl("backup", f"http://127.0.0.1:{k.port}", repo, "--verify")
one = figures(out)
ok(status == 0, f"the same command goes on: {out.strip()} {err.strip()[-200:]}")
first = out.split()[0]
left = [s["name"] for s in json.loads(request(k.port, "GET", ADMIN + "snapshots")[1])["data"]]
ok(len(left) <= 4, f"its snapshot is gone: {left}")

for w in writers:
    w.stop = True
for w in writers:
    w.join()
request(k.port, "POST", ADMIN + "flush")
status, out, err = ctl("backup", f"http://127.0.0.1:{k.port}", repo)
two = figures(out)
ok(status == 0, f"a second one: {out.strip()} {err.strip()[-200:]}")
# the next day: other ranges; files of before stay as they are
for i in range(20):
    write(k.port, b"".join(series({"__name__": "later", "series": str(n)}, [(NOW - 60000 + i * 1000, rnd.random())]) for n in range(50)))
status, out, err = ctl("backup", f"http://127.0.0.1:{k.port}", repo, "--verify", "--quiet")
three = figures(out)
ok(status == 0 and three["unread"] > 0 and three["new_bytes"] < three["bytes"] / 4, f"a third one copies what is new: {out.strip()}")
acked, answer = merged("acked"), everything(k.port)
ok(not missing(acked, answer), f"the server has all {len(acked)} samples")

# --- killed; each copy is opened by a second server ---
k.end(signal.SIGKILL)
for name, before, sent in snaps:
    copy = os.path.join(data, "snapshots", name)
    c = Kymod(copy, "--no-self-metrics")
    have = everything(c.port)
    lost, strange = missing(before, have), [x for x in have if sent.get(x) != have[x]]
    ok(not lost and not strange, f"{name}: {len(have)} samples, all {len(before)} that were acknowledged before it ({len(lost)} lost), none sent after it ({len(strange)})")
    write(c.port, series({"__name__": "other"}, [(NOW, 1)]))
    c.end()
    request_log = open(c.log_path, errors="replace").read()
    ok("damage" not in request_log, "it found no damage")

# --- a copy that was killed at the worst time: complete, and its snapshot there still ---
k = Kymod(data, "--web.enable-admin-api", "--loops", "2", "--no-self-metrics")
url = f"http://127.0.0.1:{k.port}"
gens = os.path.join(repo, "generations")
status, out, err = ctl("backup", url, repo, "--keep-snapshot", "--quiet")
left = out.split()[0]
shutil.copy(os.path.join(gens, left), os.path.join(gens, left + ".part"))
status, out, err = ctl("backup", url, repo, "--quiet")
listed = [s["name"] for s in json.loads(request(k.port, "GET", ADMIN + "snapshots")[1])["data"]]
ok(status == 0 and out.split()[0] != left and left not in listed and not [f for f in os.listdir(gens) if f.endswith(".part")], f"the next run makes one of its own, and deletes what was left: {out.strip()} {err.strip()}")
# another server's unfinished one is its own affair
other = "20260101T000000Z-0123456789abcdef"
open(os.path.join(gens, other + ".part"), "wb").write(open(os.path.join(gens, left), "rb").read())
with open(os.path.join(gens, other + ".part"), "r+b") as f:
    body = bytearray(f.read())
    at = body.index(b"identity ") + 9
    body[at:at + 4] = b"0000" if body[at:at + 4] != b"0000" else b"1111"
    end = body.rindex(b"crc ")
    table = [0] * 256
    for n in range(256):
        c = n
        for _ in range(8):
            c = c >> 1 ^ (0x82f63b78 if c & 1 else 0)
        table[n] = c
    crc = 0xffffffff
    for x in body[:end]:
        crc = crc >> 8 ^ table[(crc ^ x) & 255]
    body[end:] = b"crc %08x\n" % (crc ^ 0xffffffff)
    f.seek(0)
    f.write(body)
ok(ctl("backup", url, repo, "--quiet")[0] == 0 and os.path.exists(os.path.join(gens, other + ".part")), "what another server has begun stays")
# what the server itself has lost is no reason to have no backup
name = json.loads(request(k.port, "POST", ADMIN + "snapshot")[1])["data"]["name"]
before = sorted(os.listdir(gens))
snap = os.path.join(data, "snapshots", name)
victim = max((os.path.join(d, f) for d, _, fs in os.walk(os.path.join(snap, "shards")) for f in fs if f.endswith(".kcf")), key=os.path.getsize)
os.remove(victim)
status, out, err = ctl("backup", snap, repo, "--quiet")
ok(status == 1 and "not there" in err, "a file that is lost is told, and the backup is made")
for n in set(os.listdir(gens)) - set(before):
    os.remove(os.path.join(gens, n))
k.end(signal.SIGKILL)

# --- restored, interrupted ---
status, out, _ = ctl("backup", "list", repo, "--format", "json")
ok(status == 0 and len(json.loads(out)) == 6, "six backups are listed")
for left_there in ([], ["MANIFEST.a", "MANIFEST.b", "log", "shards"]):
    half = os.path.join(top, "half")
    os.makedirs(half)
    for n in left_there:
        (shutil.copytree if os.path.isdir(os.path.join(data, n)) else shutil.copy)(os.path.join(data, n), os.path.join(half, n))
    open(os.path.join(half, "RESTORING"), "w").write("20260101T000000Z-0123456789abcdef")
    k2 = Kymod(half, wait=False)
    ok(k2.p.wait(60) != 0 and "being restored" in open(k2.log_path, errors="replace").read(), f"no server opens a directory where a restore has not ended ({len(left_there)} names there)")
    for what in ("verify", "inspect"):
        status, out, err = ctl(what, half)
        ok(status not in (0, 1) and "being restored" in err, f"nor does {what}: {status} {err.strip()[:120]}")
    shutil.rmtree(half)
rest = os.path.join(top, "restored")
p = subprocess.Popen([CTL, "restore", repo, rest], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
time.sleep(rnd.random() * 0.1)
p.send_signal(signal.SIGINT)
p.communicate()
if p.returncode:
    k2 = Kymod(rest, wait=False) if os.path.isdir(os.path.join(rest, "shards")) else None
    ok(k2 is None or k2.p.wait(90) != 0, "no server opens what is half restored")
    status, out, err = ctl("restore", repo, rest)
    ok(status == 0, f"the restore was interrupted ({p.returncode}) and goes on: {out.strip()} {err.strip()[-100:]}")
ok(ctl("restore", repo, rest)[0] == 7, "a directory that is not empty is refused")
c = Kymod(rest, "--no-self-metrics")
ok(everything(c.port) == answer, "what is restored answers the same, sample by sample")
c.end()
old = os.path.join(top, "old")
ok(ctl("restore", repo, old, "--generation", first)[0] == 0, "an older one, too")
c = Kymod(old, "--no-self-metrics")
ok(not missing(first_acked, everything(c.port)), "with what was acknowledged before it")
c.end()

# --- verify: whole; a flipped bit; the catalog ---
status, out, err = ctl("verify", rest, "--quiet")
ok(status == 0 and figures(out)["damaged"] == 0 and figures(out)["samples"] > 0, f"verify finds nothing: {out.strip()} {err.strip()[-100:]}")
ok(ctl("verify", repo)[0] == 0, "nor in the repository")
files = [os.path.join(d, f) for d, _, fs in os.walk(os.path.join(rest, "shards")) for f in fs if f.endswith(".kcf")]


def flip(path, at=None):
    with open(path, "r+b") as f:
        size = f.seek(0, 2)
        at = size // 3 if at is None else at
        f.seek(at)
        b = f.read(1)[0]
        f.seek(at)
        f.write(bytes([b ^ 16]))


victim = max(files, key=os.path.getsize)
flip(victim)
status, out, err = ctl("verify", rest)
ok(status == 1 and os.path.basename(victim) in out, f"a flipped bit in a file is found and named: {out.splitlines()[0][:150]}")
flip(victim)
for name in ("MANIFEST.a", "shards/03/FILES"):
    path = os.path.join(rest, name)
    flip(path)
    status, out, err = ctl("verify", rest)
    ok(status == 1 and name.rsplit("/", 1)[0] in out, f"and in {name}: {out.splitlines()[0][:150]}")
    flip(path)
cat = os.path.join(rest, "catalog", "data.mdb")
for at in range(2 * 4096 + 40, os.path.getsize(cat), 4096):
    flip(cat, at)
status, out, err = ctl("verify", rest)
ok(status == 1 and "catalog" in out and "--rebuild" in out, f"a damaged catalog: {out.splitlines()[0][:150]}")
status, out, err = ctl("verify", "--rebuild", rest)
ok(status == 0 and "anew" in err, f"is made anew: {out.strip()} {err.strip()[-200:]}")
c = Kymod(rest, "--no-self-metrics")
ok(everything(c.port) == answer, "and the same is answered")
c.end()
newest = max(os.listdir(os.path.join(repo, "generations")))
lines = [line.split() for line in open(os.path.join(repo, "generations", newest)) if line.startswith("file ")]
digest = max(lines, key=lambda x: int(x[2]))[3]
obj = os.path.join(repo, "objects", digest[:2], digest)
flip(obj)
status, out, err = ctl("verify", repo)
ok(status == 1 and os.path.basename(obj) in out, "a flipped bit in the repository is found and named")
status, out, err = ctl("restore", repo, os.path.join(top, "bad"))
ok(status == 5 and os.path.basename(obj) in err, f"and not restored: {status} {err[-200:]}")
flip(obj)

# --- a stopped directory, and prune ---
status, out, err = ctl("backup", rest, repo)
ok(status == 0, f"a stopped directory: {out.strip()} {err.strip()[-200:]}")
status, out, err = ctl("backup", "prune", repo, "--keep", "2")
ok(status == 0 and figures(out)["backups"] == 5, f"prune: {out.strip()}")
ok(ctl("verify", repo)[0] == 0, "what is kept is whole")
status, out, err = ctl("backup", "prune", repo)
ok(status == 2 and "--keep N" in err, f"prune wants to be told: {err.strip()}")
empty = os.path.join(top, "empty")
os.mkdir(empty)
shutil.copy(os.path.join(repo, "KYMOBACKUPS"), empty)
status, out, err = ctl("verify", empty)
ok(status == 1 and "no complete backup" in err, f"a repository without a backup is no backup: {status} {out.strip()} {err.strip()}")

# --- inspect ---
status, out, err = ctl("inspect", rest, "--format", "json")
seen = json.loads(out) if status == 0 else {}
ok(status == 0 and any(t["metric"] == "backup_test" for t in seen.get("metrics", [])), f"inspect names the largest metrics: {err.strip()[-200:]}")
ok(seen.get("samples") == figures(ctl("verify", rest)[1])["samples"], "and counts the samples")
ok(ctl("inspect", rest)[0] == 0, "as a table, too")

# --- half a snapshot goes at the start ---
half = os.path.join(data, "snapshots", "20260101T000000Z-0123456789abcdef.part")
os.makedirs(os.path.join(half, "log"))
k = Kymod(data, "--web.enable-admin-api", "--no-self-metrics")
end = time.time() + 90
while os.path.exists(half) and time.time() < end:
    time.sleep(0.05)
ok(not os.path.exists(half), "half a snapshot goes at the next start")
ok(everything(k.port) == answer, "the original has what it had")

# --- what was deleted before a snapshot is not in it ---
ok(request(k.port, "POST", ADMIN + "delete_series?match[]=later&match[]={writer=%221%22}")[0] == 204, "series are deleted")
name = json.loads(request(k.port, "POST", ADMIN + "snapshot")[1])["data"]["name"]
ok(ctl("backup", f"http://127.0.0.1:{k.port}", repo, "--quiet")[0] == 0, "and a backup is made")
k.end(signal.SIGKILL)
want = {x: v for x, v in answer.items() if dict(x[0])["writer"] != "1"}
back = os.path.join(top, "deleted")
ok(ctl("restore", repo, back)[0] == 0, "which is restored")
for where in (os.path.join(data, "snapshots", name), back):
    c = Kymod(where, "--no-self-metrics")
    gone = api(c.port, "query", query="count_over_time(later[6h])", time=NOW / 1000 + 60)[1]["data"]["result"]
    ok(everything(c.port) == want and not gone, f"what was deleted is not in {os.path.basename(where)}, all else is")
    c.end()
    status, out, err = ctl("verify", where)
    ok(status == 0, f"which is whole: {out.strip()} {err.strip()[-100:]}")
seen = json.loads(ctl("inspect", back, "--format", "json")[1])
ok(seen["tombstones"] > 0 and seen["bytes"]["tombstones"] > 0, f"inspect counts {seen['tombstones']} tombstones")
shutil.rmtree(top)
done()
