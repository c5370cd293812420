#!/usr/bin/env python3
"""The cardinality of the last day, played back: an explosion of one tenant has a moment and a name, another tenant sees nothing of it; kept over a kill, with a gap; names of deleted series are told nowhere any more, nor in a start or snapshot; begun anew after damage, and told; a day of moments by a clock that runs fast."""
import sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from testclock import Clock

top = tmpdir("cardhistory")
data = os.path.join(top, "data")
TOKENS = {n: n + "-secret-0123456789abcdef" for n in ("shop", "quiet")}
MIN = 60


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


path = os.path.join(top, "kymo.yml")
rows = "\n".join(f'  - {{name: {n}, token_hash: "{token_hash(t)}", roles: [write, read, admin], tenant: {n}}}' for n, t in TOKENS.items())
with open(path, "w") as f:
    f.write(f"identities:\n  tokens:\n{rows}\n")
os.chmod(path, 0o600)
clock = Clock(os.path.join(top, "clock"))


def start():
    return Kymod(data, "--config", path, "--loops", "2", "--shards", "4", "--no-self-metrics", "--web.enable-admin-api", env=clock.env())


def ask(who, method, path, body=None, headers=None):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKENS[who], **(headers or {})})


def push(who, name, first, count):
    t = clock.ms()
    many = [({"__name__": name, "instance": "a:1", "job": "x", "user_id": f"u{i}"}, [(t, i)]) for i in range(first, first + count)]
    return ask(who, "POST", "/api/v1/write", snappy(b"".join(series(*s) for s in many)), WRITE_HEADERS)[0]


def history(who, **params):
    status, body, _ = ask(who, "GET", "/api/v1/cardinality/history?" + urllib.parse.urlencode(params))
    return json.loads(body)["data"] if status == 200 else (status, json.loads(body)["error"])


def later(s, idle=False):
    """Time goes by, and the round that is due has been: its moment is there."""
    clock.pass_s(s)
    end, n = time.time() + 120, 0
    while time.time() < end:
        m = history("shop", start=1)["moments"]
        if m and m[-1]["time"] > clock.ms() / 1000 - MIN:
            return m
        if idle and not m[-1]["series"]:
            return m  # nothing to count any more
        time.sleep(0.05)
        n += 1
        clock.pass_s(n % 5 == 0)  # the file of the round before may have been on its way: then the next look finds it due
    return []


k = start()
ok(push("shop", "calm_total", 0, 20) == 204 and push("quiet", "calm_total", 0, 5) == 204, "two tenants write")
later(20)
for i in range(6):
    if i == 3:
        ok(push("shop", "explodes_total", 0, 3000) == 204, "a label explodes")
    later(5 * MIN)
h = history("shop")
m = h["moments"]
ok(len(m) >= 7 and all(a["time"] < b["time"] and b["since"] >= a["time"] for a, b in zip(m, m[1:])), f"moments stand in order: {len(m)}")
loud = [x for x in m if x["made"] >= 3000]
ok(len(loud) == 1 and h["names"][loud[0]["top"][0][0]] == "explodes_total" and loud[0]["top"][0][1] == 3000 and loud[0]["series"] == 3020, f"one of them has it: {loud}")
before = m[m.index(loud[0]) - 1]
ok(before["top"] == [[h["names"].index("calm_total"), 20]] and before["below"] == 0 and loud[0]["time"] - before["time"] < 6 * MIN, f"the one before does not: {before}")
got = {kind: history("shop", kind=kind, limit=1) for kind in ("labels", "pairs", "targets")}
last = {kind: (g["names"][g["moments"][-1]["top"][0][0]], g["moments"][-1]["top"][0][1], g["moments"][-1]["below"], g["unit"]) for kind, g in got.items()}
ok(last["labels"] == ("user_id", 3000, 2, "values") and last["targets"] == ("instance=a:1", 3020, 0, "series") and last["pairs"][1] == 3020, f"of labels, pairs and targets: {last}")
step = history("shop", step="15m", start=m[0]["time"], end=m[-1]["time"])["moments"]
ok(2 <= len(step) < len(m) and sum(x["made"] for x in step) == sum(x["made"] for x in m) and step[-1]["time"] == m[-1]["time"], f"in pieces of a quarter of an hour: {len(step)}")
ok("explodes_total" not in json.dumps(history("quiet")) and history("quiet")["moments"][-1]["series"] == 5, "another tenant sees its own alone")
for params, want in (({"kind": "x"}, "kind must be"), ({"limit": 65}, "limit must be a number from 1 to 64"), ({"start": 9, "end": 1}, "end timestamp"), ({"step": "0"}, "step"), ({"start": "x"}, "start")):
    got = history("shop", **params)
    ok(got[0] == 400 and want in got[1], f"{params}: {got}")

# --- a name that holds a secret ---
SECRET = "hunter2"
CARD = os.path.join(data, "CARDINALITY")


def told(who):
    """What is told of a tenant's cardinality, all of it."""
    kinds = [{"kind": kind, "limit": 64, "start": 1} for kind in ("metrics", "labels", "pairs", "targets")]
    return json.dumps([history(who, **kind) for kind in kinds]) + "".join(ask(who, "GET", "/api/v1/cardinality" + path)[1].decode() for path in ("?limit=100", "/explosions"))


def on_disk(path):
    with open(path, "rb") as f:
        return SECRET.encode() in f.read()


def written(path):
    end = time.time() + 60
    while not os.path.exists(path) and time.time() < end:
        time.sleep(0.05)
    return os.path.exists(path)


for i in range(8):
    ok(push("shop", f"calm_{SECRET}_total", 4000 + 200 * i, 200) == push("quiet", f"calm_{SECRET}_total", 0, 5) == 204, "series are written whose name is a secret")
    clock.pass_s(1)
later(5 * MIN)
time.sleep(0.3)
ok(SECRET in told("shop") and SECRET in told("quiet") and on_disk(CARD), "it is told and written down")
before = history("shop", start=1)["moments"]
ok(ask("shop", "POST", f"/api/v1/admin/tsdb/delete_series?match[]=calm_{SECRET}_total")[0] == 204, "they are deleted")
ok(SECRET not in told("shop") and SECRET in told("quiet"), "and told no more, but of the tenant that still has them")
after = history("shop", start=1)["moments"]
ok([(x["time"], x["series"], x["made"]) for x in after][:len(before)] == [(x["time"], x["series"], x["made"]) for x in before], "moments and their sums stay")
ok(ask("quiet", "POST", f"/api/v1/admin/tsdb/delete_series?match[]=calm_{SECRET}_total")[0] == 204 and SECRET not in told("quiet"), "until it deletes them, too")
ok(written(CARD) and not on_disk(CARD), "they are not written down")
status, body, _ = ask("shop", "POST", "/api/v1/admin/tsdb/snapshot")
ok(status == 200, f"a snapshot: {status}")
copy = os.path.join(data, "snapshots", json.loads(body)["data"]["name"], "CARDINALITY") if status == 200 else CARD
ok(os.path.exists(copy) and not on_disk(copy), "nor in it")
later(5 * MIN)
ok(SECRET not in told("shop") + told("quiet") and not on_disk(CARD), "nor after the next round")

# --- a kill, and half an hour without a server ---
time.sleep(0.3)  # the file of the last round
m = history("shop", start=1)["moments"]
k.end(signal.SIGKILL)
clock.pass_s(30 * MIN)
k = start()
ok(SECRET not in told("shop") + told("quiet") and not on_disk(CARD), "nor after a start")
again = history("shop")["moments"]
ok(len(m) - 1 <= len(again) <= len(m) and again[:len(m) - 1] == m[:len(m) - 1], f"a kill loses a moment at most: {len(again)} of {len(m)}")
m = later(20)
ok(m[-1]["since"] - m[-2]["time"] > 25 * MIN and m[-1]["made"] < 10, f"the time without a server is in no moment: {m[-1]['since'] - m[-2]['time']:.0f} s")

# --- a day ---
for i in range(8):
    gone = later(2 * 60 * MIN, idle=True)[-1]
ok(gone["series"] == 0 and not gone["top"], "series that left memory leave the moments, too")
push("shop", "calm_total", 0, 20)
for i in range(6):
    back = later(2 * 60 * MIN, idle=True)
ok(any(m["series"] == 20 and m["time"] > gone["time"] for m in back), "and return")
m = history("shop", start=1)["moments"]
ok(all(a["time"] < b["time"] for a, b in zip(m, m[1:])) and m[0]["time"] > clock.ms() / 1000 - 27 * 60 * MIN and len(m) >= 4, f"what is older than a day goes: {len(m)} left")
ok(k.end() == 0, "an orderly end")
verify = [os.path.join(BUILD, "kymoctl"), "verify", data]
ok(subprocess.run(verify, capture_output=True).returncode == 0, "kymoctl verify finds nothing wrong with it")
with open(os.path.join(data, "CARDINALITY"), "r+b") as f:
    f.seek(30)
    f.write(b"????")
ok(b"CARDINALITY" in subprocess.run(verify, capture_output=True).stdout, "and what is damaged it does")
k = start()
log = open(k.log_path).read()
ok(history("shop", start=1)["moments"] == [] and 'event=cardinality_marks_lost file=CARDINALITY err="damaged" then="begun anew"' in log, "a damaged file is told, and begun anew")
push("shop", "calm_total", 0, 20)
ok(len(later(30)) == 1, "with the next round")
ok(k.end() == 0, "an orderly end")
done()
