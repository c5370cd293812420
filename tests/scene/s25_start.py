#!/usr/bin/env python3
"""A start that is disturbed: SIGTERM while the log is read, the parent killed while the catalog is walked, a terminal that goes away."""
import shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("start")
data = os.path.join(top, "data")
SERIES, ROUNDS = int(os.environ.get("KYMO_START_SERIES", "40000")), int(os.environ.get("KYMO_START_ROUNDS", "120"))
flags = ("--no-self-metrics", "--storage.round-every", "10h", "--wal.share", "8GiB", "--wal.sync", "interval", "--limits.new-series-per-s", "1000000")


def load(port, rounds):
    p = subprocess.run([BENCH, "write", "--url", f"http://127.0.0.1:{port}/api/v1/write", "--series", str(SERIES), "--rounds", str(rounds)],
                       capture_output=True, text=True, timeout=600)
    if p.returncode:
        note(p.stderr)
    return p.returncode == 0


def count(port):
    status, a = api(port, "query", query="sum(count_over_time(node_cpu_seconds_total[30d]))", time=time.time() + 3600)
    if status != 200:
        note(a)
    return int(float(a["data"]["result"][0]["value"][1])) if status == 200 and a["data"]["result"] else 0


def durable(port):
    """--wal.sync interval: once nothing waits, all of it is in the file."""
    end = time.time() + 90
    while time.time() < end and not re.search(rb"^kymo_log_backlog_bytes 0$", request(port, "GET", "/metrics")[1], re.M):
        time.sleep(0.05)


def listening(k):
    end = time.time() + 90
    while time.time() < end and k.alive():
        try:
            socket.create_connection(("127.0.0.1", k.port), timeout=1).close()
            return True
        except OSError:
            time.sleep(0.002)
    return False


def child_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return next((int(c) for c in f.read().split()), None)
    except OSError:
        return None


def stop_walker(pid):
    """Stopped once it has let go of what it does not need, or had 20 ms for that. False: it was over before."""
    end = time.time() + 0.02
    try:
        while len(os.listdir(f"/proc/{pid}/fd")) > 6 and time.time() < end:
            pass
        os.kill(pid, signal.SIGSTOP)
        time.sleep(0.01)
        return state(pid) in ("T", "t")
    except OSError:
        return False


def state(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


k = Kymod(data, *flags)
os.kill(k.pid, signal.SIGHUP)
ok(load(k.port, ROUNDS), f"{SERIES * ROUNDS} samples are written, a SIGHUP before them")
want = count(k.port)
ok(want > 0, f"{want} of them are of one name")
durable(k.port)
k.end(signal.SIGKILL)

for i in range(2):
    k = Kymod(data, *flags, wait=False)
    up = listening(k)
    begun = time.time()
    code = k.end(signal.SIGTERM, 60)
    took = time.time() - begun
    said = open(k.log_path).read().rsplit("stopping", 1)[0].rsplit("stopped", 1)[-1]
    ok(up and code == 0, f"SIGTERM while the log is read: status {code}")
    ok("event=stopping" in open(k.log_path).read() and said.count("ready address") == (1 if i == 0 else 0),
       f"it is heard before the start is over: {took:.2f} s")

k = Kymod(data, *flags)
found = count(k.port)
ok(found == want, f"the next start finds all {found} of {want}")
status, _ = api(k.port, "status/tsdb")
ok(status == 200, "and serves")
k.end()

# Series in the catalog: enough for a walk that can be caught.
k = Kymod(data, "--web.enable-admin-api", *flags)
status = request(k.port, "POST", "/api/v1/admin/tsdb/flush")[0]
note(f"flush: {status}")
durable(k.port)
want = count(k.port)
k.end(signal.SIGKILL)
port, caught = k.port, None
for attempt in range(20):
    k = Kymod(data, *flags, port=port, wait=False)
    end = time.time() + 90
    while not caught and time.time() < end and k.alive():
        caught = child_of(k.pid)
    if caught and stop_walker(caught):                                # stands for a slow disk
        break
    caught = None
    k.end(signal.SIGKILL)
ok(caught, "a child that walks the catalog is caught")
holds = sorted(os.readlink(f"/proc/{caught}/fd/{n}") for n in os.listdir(f"/proc/{caught}/fd")) if caught else []
ok(not any("LOCK" in h or "socket" in h or "/log/" in h for h in holds), f"it holds neither lock nor listener: {holds}")
k.end(signal.SIGKILL)
end = time.time() + 90
while caught and state(caught) not in (None, "Z") and time.time() < end:
    time.sleep(0.01)
ok(caught and state(caught) in (None, "Z"), "it dies with its parent")
begun = time.time()
try:
    k = Kymod(data, *flags, port=port)
    ok(True, f"a second start comes up at once: {time.time() - begun:.1f} s")
except RuntimeError as e:
    ok(False, f"a second start comes up at once: {e}")
found = count(port)
ok(found == want, f"and finds all {found} of {want}")
ok(k.end() == 0, "it ends in order")
if caught and state(caught) not in (None, "Z"):
    os.kill(caught, signal.SIGKILL)
shutil.rmtree(top, ignore_errors=True)
done()
