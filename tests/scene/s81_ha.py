#!/usr/bin/env python3
"""HA pairs: two senders of each cluster; one is elected and stored, the other is answered with success, also over several loops and in requests of several clusters; failover when the elected one is silent; clocks of senders and steps of the server's own do no harm; a kill and a restart find the elections again, and time while nobody listened is no silence; clusters are bounded for each tenant; what has no pair goes as it came."""
import sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from testclock import Clock
import rw2

top = tmpdir("ha")
TOKEN = "gate-secret-0123456789abcdef"
config = os.path.join(top, "kymod.yml")
hash_ = subprocess.run([KYMOD, "--hash-token"], input=TOKEN.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()
with open(config, "w") as f:
    f.write(f"""identities:
  tokens:
  - {{name: gate, token_hash: "{hash_}", roles: [write, read, admin], trusted: true, tenants: ["*"]}}
tenants:
  defaults: {{ha: {{enabled: true, failover_timeout: 30s, update_timeout: 15s}}}}
  few: {{ha: {{enabled: true, cluster_label: pair, replica_label: who, max_clusters: 2}}}}
  off: {{ha: {{enabled: false}}}}
  rules: {{relabel_configs: [{{source_labels: [__replica__], target_label: seen}}, {{source_labels: [cluster], target_label: site}}, {{source_labels: [__name__], regex: gone, action: drop}}]}}
""")
os.chmod(config, 0o600)
data = os.path.join(top, "data")
clock = Clock(data + ".clock")
clock.set_speed(0.2, 0.2)  # a slow machine is no silence


def start():
    return Kymod(data, "--config", config, "--loops", "2", "--no-self-metrics", env=clock.env())


def ask(method, path, body=None, org="a", headers=None):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKEN, "X-Scope-OrgID": org, **(headers or {})}, 120)


def push(org, rows):
    status, text, _ = ask("POST", "/api/v1/write", snappy(b"".join(series(*r) for r in rows)), org, WRITE_HEADERS)
    return status, text


count = 0


def send(replica, cluster="c1", org="a", name="m", late_ms=0, series_count=5):
    """A round of a sender: its number is the value of all. Returns the status and that number."""
    global count
    count += 1
    rows = [({"__name__": name, "i": str(i), "cluster": cluster, "__replica__": replica}, [(clock.ms() - late_ms, count)]) for i in range(series_count)]
    return push(org, rows)[0], count


def held(org="a", selector="m", range_="10m"):
    """All values of a selector, by labels."""
    q = urllib.parse.urlencode({"query": f"{selector}[{range_}]", "time": clock.ms() / 1000 + 60})
    status, text, _ = ask("GET", "/api/v1/query?" + q, org=org)
    assert status == 200, text
    return {tuple(sorted(s["metric"].items())): [int(float(v)) for _, v in s["values"]] for s in json.loads(text)["data"]["result"]}


def figure(name):
    text = ask("GET", "/metrics")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " "))


k = start()
# --- who comes first is elected; both are answered with success ---
stored, repeated = [], []
for turn in range(20):
    clock.pass_s(1)
    s, n = send("one")
    stored.append((s, n))
    repeated.append(send("two"))
ok({s for s, _ in stored} == {204}, f"the elected one: {set(s for s, _ in stored)}")
ok({s for s, _ in repeated} == {202}, f"the other: {set(s for s, _ in repeated)}")
got = held()
ok(len(got) == 5 and all(v == [n for _, n in stored] for v in got.values()), f"the samples of one are stored, each once: {got}")
ok(all(dict(m) == {"__name__": "m", "i": dict(m)["i"], "cluster": "c1"} for m in got), "without the label of the replica, with that of the cluster")
ok(figure("kymo_ha_deduplicated_samples_total") == 100, "what was left out is counted")

# --- clocks of senders: 40 s late or early, nobody is silent for that ---
s1, n1 = send("one", late_ms=40000, name="late")
s2, n2 = send("two", late_ms=-40000, name="late")
ok((s1, s2) == (204, 202) and set(sum(held(selector="late").values(), [])) == {n1}, f"a sender's clock decides nothing: {s1} {s2}")

# --- failover ---
clock.pass_s(20)
ok(send("two")[0] == 202, "20 s of silence are too few")
clock.pass_s(15)
s, n = send("two")
ok(s == 204 and all(v[-1] == n for v in held().values()), f"35 s: the other one is elected: {s}")
ok(send("one")[0] == 202, "and the first one is not when it comes back")
ok(figure("kymo_ha_failovers_total") == 1 and figure("kymo_ha_clusters") == 1, "counted")

# --- steps of the server's wall clock ---
for step in (-7200, 7200, 3600 * 24, -3600 * 24):
    clock.step_s(step)
    rows = [({"__name__": "step", "cluster": "c1", "__replica__": r}, [(clock.ms(), 1)]) for r in ("one", "two")]
    a, b = push("a", rows[:1])[0], push("a", rows[1:])[0]
    ok(a == 202 and b != 202, f"the wall clock steps by {step} s: two stays elected: {a} {b}")
    send("two")

# --- several clusters in a request; each its own election; many connections over both loops ---
rows = lambda r, v: [({"__name__": "many", "cluster": f"k{c}", "i": str(i), "__replica__": r if c % 2 else "x" + r}, [(clock.ms(), v)]) for c in range(10) for i in range(3)]
status, _ = push("a", rows("one", 1))
ok(status == 204 and len(held(selector="many")) == 30, "ten clusters in one request")
mixed = [({"__name__": "many", "cluster": f"k{c}", "i": "0", "__replica__": ("one" if c % 2 else "xone") if c < 5 else "zzz"}, [(clock.ms() + 1, 2)]) for c in range(10)]
status, _ = push("a", mixed)
got = held(selector='many{i="0"}')
ok(status == 204 and sorted(dict(m)["cluster"] for m, v in got.items() if v[-1] == 2) == [f"k{c}" for c in range(5)], f"five of them of the elected ones: {status}")
answers = [push("a", rows("two", 3))[0] for _ in range(30)]
ok(set(answers) == {202} and not any(3 in v for v in held(selector="many").values()), f"over all loops: {set(answers)}")

# --- Remote Write 2.0: its sender must not think that nothing was taken ---
r = rw2.Request()
r.add({"__name__": "m", "i": "9", "cluster": "c1", "__replica__": "one"}, [(clock.ms(), 1.0)], exemplars=[(clock.ms(), 1.0, {"trace_id": "t"})])
status, text, fields = ask("POST", "/api/v1/write", snappy(r.raw()), "a", rw2.HEADERS)
answer = rw2.Answer(status, text, fields)
ok(status == 202 and answer.written == (1, 0, 1), f"2.0: {answer}")

# --- no pair: as it came ---
for labels in ({"__name__": "np", "cluster": "c1"}, {"__name__": "np", "__replica__": "z"}):
    status, _ = push("a", [(labels, [(clock.ms(), 7)])])
    ok(status == 204 and held(selector="np").get(tuple(sorted(labels.items()))) == [7], f"only one of the labels: {labels}")
status, _ = push("off", [({"__name__": "m", "cluster": "c", "__replica__": r}, [(clock.ms(), 1)]) for r in "pq"])
ok(status == 204 and len(held("off")) == 2, "a tenant that has it off: both, with their labels")
status, _ = push("rules", [({"__name__": n, "cluster": "c", "__replica__": "p"}, [(clock.ms(), 1)]) for n in ("m", "gone")])
ok(status == 204 and [dict(m) for m in held("rules", '{__name__!=""}')] == [{"__name__": "m", "cluster": "c", "site": "c"}], f"rules come behind it: {held('rules')}")

# --- clusters are bounded ---
pair = lambda c, w: ({"__name__": "m", "pair": c, "who": w}, [(clock.ms(), 1)])
ok(push("few", [pair("1", "a"), pair("2", "a")])[0] == 204, "two clusters")
status, text = push("few", [pair("1", "a"), pair("3", "a")])
ok(status == 400 and b"stored 1 of 2" in text and b"limit 2 (ha.max_clusters)" in text, f"a third one is refused: {text}")
refused = [l for l in ask("GET", "/metrics")[1].decode().splitlines() if l.startswith("kymo_samples_refused_total") and not l.endswith(" 0")]
ok(refused == ['kymo_samples_refused_total{reason="series_limit"} 1'], f"and counted by its reason: {refused}")
end = time.time() + 60
while not (lines := [l for l in open(k.log_path, errors="replace") if "event=samples_refused" in l]) and time.time() < end:
    time.sleep(0.05)
ok(len(lines) == 1 and "reason=series_limit samples=1 " in lines[0] and "(ha.max_clusters)" in lines[0], f"and told in the log: {lines}")
ok(push("few", [pair("1", "a"), pair("2", "b")])[0] == 204, "others go on")
status, text = push("few", [pair("1" * 2000, "a")])
ok(status == 400 and b"more than 1024 bytes" in text, f"a name without end: {text}")
clock.pass_s(3700)
ok(push("few", [pair("3", "a")])[0] == 204, "after an hour without them there is room")

# --- a kill, a restart: elections hold ---
ok(send("two", "kept")[0] == 204 and send("two", "kept2")[0] == 204, "two more clusters")
clock.pass_s(16)
end = time.time() + 60
while time.time() < end:  # what was elected within update_timeout of the last write comes with the next one
    send("two", "kept")
    raw = open(os.path.join(data, "ha-pairs"), "rb").read() if os.path.exists(os.path.join(data, "ha-pairs")) else b""
    if b"kept2" in raw:
        break
    time.sleep(0.05)
ok(b"kept2" in raw, "elections are on the disk")
k.end(signal.SIGKILL)
clock.pass_s(600)
k = start()
ok(send("one", "kept")[0] == 202 and send("two", "kept")[0] == 204, "killed, ten minutes away: who was elected is")
clock.pass_s(40)
ok(send("one", "kept2")[0] == 204, "who does not come back is replaced")
ok(send("two", "kept2")[0] == 202, "for good")
ok(k.end() == 0, "a good end")
k = start()
ok((send("two", "kept2")[0], send("one", "kept2")[0]) == (202, 204), "which the next start knows, too")
k.end()

# --- a file that is damaged ---
path = os.path.join(data, "ha-pairs")
raw = bytearray(open(path, "rb").read())
raw[len(raw) // 2] ^= 1
open(path, "wb").write(raw)
k = start()
ok("ha_not_read" in open(k.log_path).read(), "it is told")
ok((send("two", "kept2")[0], send("one", "kept2")[0]) == (204, 202), "and elections begin anew")
k.end()
done()
