"""A configuration file: printed, checked, read at start, read again under load; what is wrong changes nothing; a thousand tenants."""
import sys, threading
sys.path.insert(0, __import__("os").path.dirname(__file__))
from lib import *

top = tempfile.mkdtemp(prefix="kymo-config-")
conf = os.path.join(top, "kymod.yml")
HASH = "blake2b:" + "A" * 43


def put(text, name=conf):
    """As an editor or a Kubernetes mount does it: the whole file at once."""
    with open(name + ".new", "w") as f:
        f.write(text)
    os.replace(name + ".new", name)


def run(*flags):
    p = subprocess.run([KYMOD, *flags], capture_output=True, text=True, timeout=300)
    return p.returncode, p.stdout, p.stderr


def flag(name):
    return api(k.port, "status/flags")[1]["data"][name]


def metric(name):
    text = request(k.port, "GET", "/metrics")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.split("{")[0].split(" ")[0] == name)


def becomes(f, want):
    end = time.time() + 120
    while time.time() < end:
        if f() == want:
            return True
        time.sleep(0.02)
    return False


# --- printed, and taken back ---
code, printed, err = run("--print-config")
put(printed)
ok(code == 0 and len(printed.splitlines()) > 100, "--print-config prints a file")
code, out, err = run("--check-config", conf)
ok(code == 0 and out == f"{conf}: fine\n" and not err, f"which --check-config finds fine: {code} {out} {err}")
k = Kymod(os.path.join(top, "one"), "--config", conf)
ok(becomes(lambda: f" access=open config={conf}\n" in open(k.log_path).read(), True), "and with which it starts, open, and says so")
bare = Kymod(os.path.join(top, "bare"))
ignored = {"storage.tsdb.path", "data-dir", "listen", "web.listen-address", "config", "config.file", "storage.min-free"}
flags = [{n: v for n, v in api(x.port, "status/flags")[1]["data"].items() if n not in ignored} for x in (k, bare)]
ok(flags[0] == flags[1], f"with the same in force as without a file: {[n for n in flags[0] if flags[0][n] != flags[1].get(n)]}")
ok(becomes(lambda: " access=open config=none\n" in open(bare.log_path).read(), True), "without a file the ready line says config=none")
status, text, _ = request(bare.port, "POST", "/-/reload")
ok(status == 403 and text == b"Lifecycle API is not enabled.", f"/-/reload is off, in Prometheus' words: {status} {text}")
ok(request(bare.port, "GET", "/-/reload")[0] == 405, "a GET is told what is allowed")
bare.end()
k.end()

# --- mistakes, all of them ---
put("quary: {}\nquery:\n  max_samples: 5x\n  max_sampels: 1\nlisteners: [{}]\ntenants:\n  acme: {serise: 3}\n  acme: {}\nlog: {level: &x info}\n")
code, out, err = run("--check-config", conf)
ok(code == 1 and not out, f"a file with mistakes: exit 1 ({code})")
for want in (":1:1: quary: unknown key, did you mean query?\n  quary: {}\n  ^\n",
             ':3:16: query.max_samples: "5x" is not a whole number\n    max_samples: 5x\n                 ^\n',
             ":4:3: query.max_sampels: unknown key, did you mean max_samples?",
             ":5:13: listeners[0]: the key address is missing",
             ":7:10: tenants.acme.serise: unknown key, did you mean series?",
             ":8:3: tenants.acme: this key stands in line 7 already",
             ":9:14: anchors (&name) are not taken"):
    ok(conf + want in err, f"told is {want.splitlines()[0]!r}")
code, out, err2 = run("--config", conf, "--data-dir", os.path.join(top, "none"))
ok(code == 2 and err2 == err and not os.path.exists(os.path.join(top, "none")), "a start with it says the same, and has done nothing")

# --- read again ---
put(f"web: {{enable_lifecycle: true}}\nquery: {{max_samples: 1000}}\nidentities:\n  tokens: [{{name: t, token_hash: \"{HASH}\", roles: [read]}}]\n  anonymous: {{roles: [read, write, admin]}}\n")
k = Kymod(os.path.join(top, "two"), "--config", conf, "--query.max-chain=777")
ok(flag("query.max-samples") == "1000" and flag("query.max-chain") == "777", "file and command line are in force")
shown = api(k.port, "status/config")[1]["data"]["yaml"]
ok("max_samples: 1000" in shown and "max_chain: 777" in shown and "<secret>" in shown and HASH not in shown, "/api/v1/status/config shows them, without secrets")
ok(f'listeners:\n- address: "127.0.0.1:{k.port}"\n' in shown, f"and the address of --listen: {shown[:60]!r}")
good = open(conf).read()
hash_first = metric("kymo_config_hash")
put(good.replace("1000", "2000") + "storage: {retention: 5d}\n")
ok(request(k.port, "POST", "/-/reload")[:2] == (200, b"") and flag("query.max-samples") == "2000", "POST /-/reload")
ok(flag("retention") == "30d" and "event=config_needs_restart key=storage.retention" in open(k.log_path).read(), "what holds from start to end stays, and the log names it")
put(good.replace("1000", "3000"))
ok(request(k.port, "PUT", "/-/reload")[0] == 200 and flag("query.max-samples") == "3000", "PUT /-/reload")
put(good.replace("1000", "4000"))
k.p.send_signal(signal.SIGHUP)
ok(becomes(lambda: flag("query.max-samples"), "4000"), "SIGHUP")
put(good.replace("1000", "-1"))
status, text, _ = request(k.port, "POST", "/-/reload")
ok(status == 500 and text.startswith(b"failed to reload config: ") and b'query.max_samples: "-1" is not a whole number' in text, f"a mistake is answered: {status} {text}")
ok(flag("query.max-samples") == "4000" and metric("kymo_config_last_reload_successful") == 0 and metric("prometheus_config_last_reload_successful") == 0, "what was in force stays, and metrics tell")
told = api(k.port, "status/runtimeinfo")[1]["data"]
ok(told["reloadConfigSuccess"] is False and told["lastConfigTime"] <= told["serverTime"], f"so does status/runtimeinfo: {told}")
os.remove(conf)
ok(request(k.port, "POST", "/-/reload")[0] == 500, "so it is with a file that is gone")
put(good)
ok(hash_first > 0 and metric("kymo_config_hash") != hash_first, "kymo_config_hash tells files apart")
ok(request(k.port, "POST", "/-/reload")[0] == 200 and metric("kymo_config_hash") == hash_first and metric("kymo_config_last_reload_successful") == 1 and abs(metric("prometheus_config_last_reload_success_timestamp_seconds") - time.time()) < 600, "until one is fine")

# --- under load ---
ROUNDS, SERIES = 400, 2000
writer = subprocess.Popen([BENCH, "write", "--url", f"http://127.0.0.1:{k.port}/api/v1/write", "--series", str(SERIES), "--rounds", str(ROUNDS), "--batch", "500"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
before, i = metric("kymo_config_reloads_total"), 0
while writer.poll() is None or i < 20:
    i += 1
    put(good.replace("1000", str(10000 + i)))
    k.p.send_signal(signal.SIGHUP)
    if not becomes(lambda: flag("query.max-samples"), str(10000 + i)):
        break
out, err = writer.communicate()
said = json.loads(out)
note(out)
ok(writer.returncode == 0 and said["samples"] == SERIES * ROUNDS and not said["failed"], f"{SERIES * ROUNDS} samples are written while the file is read again {i} times: {err}")
ok(metric("kymo_samples_stored_total") >= SERIES * ROUNDS and metric("kymo_config_reloads_total") - before >= 20, "none is lost")
ok(becomes(lambda: metric("kymo_config_snapshots") <= 2, True), "and what was replaced is freed")

# --- a thousand tenants ---
def thousand(series):
    return good + "tenants:\n" + "".join(f"  tenant-{n:04}: {{series: {series + n}, samples_per_s: 1000, retention: 10d, query_samples: 50000}}\n" for n in range(1000))


put(thousand(1000))
ok(request(k.port, "POST", "/-/reload")[0] == 200, "a thousand tenants come at once")
TIMES = 10


def loops_cpu(step):
    """CPU seconds of all loops for step, TIMES over."""
    begin = metric("kymo_loop_turn_cpu_seconds_sum")
    for n in range(TIMES):
        step(n)
    return metric("kymo_loop_turn_cpu_seconds_sum") - begin


def reload_it(n):
    put(thousand(2000 + n))
    if request(k.port, "POST", "/-/reload")[0] != 200:
        ok(False, "a reload of a thousand tenants")


idle = min(loops_cpu(lambda n: request(k.port, "GET", "/-/healthy")) for _ in range(3))
each_ms = (min(loops_cpu(reload_it) for _ in range(3)) - idle) / TIMES * 1000
note(f"loop time of a reload with 1,000 tenants: {each_ms:.3f} ms, all loops together")
ok(each_ms <= 20, f"a reload with a thousand tenants takes {each_ms:.3f} ms of loop time in all")
took = [line.split("took_ms=")[1].split()[0] for line in open(k.log_path) if "event=reloaded" in line][-TIMES:]
note(f"from asking to the end, ms: {took}")

# --- listeners come and go in the file: the ones of the start stay, the rest is taken ---
ports = [free_port(), free_port()]
put(good + "listeners: [{address: \"127.0.0.1:1\"}]\n")
ok(request(k.port, "POST", "/-/reload")[0] == 200, "other addresses than those of the command line")
three = os.path.join(top, "three.yml")
rows = [f"{{address: \"127.0.0.1:{p}\"}}" for p in ports]
put(f"web: {{enable_lifecycle: true}}\nlisteners: [{', '.join(rows)}]\n", three)
many = Process([KYMOD, "--config", three, "--data-dir", os.path.join(top, "three"), "--loops", "1"], os.path.join(top, "three.log"))
ok(becomes(lambda: "ready address=" in open(many.log_path).read(), True), "two addresses, of a file")
for text in (rows[1:], rows[:1], [], rows + [f"{{address: \"127.0.0.1:{n}\"}}" for n in (1, 2, 3)], rows):
    put(f"web: {{enable_lifecycle: true}}\nlisteners: [{', '.join(text)}]\n", three)
    said = [request(p, "POST", "/-/reload")[0] for p in ports]
    ok(said == [200, 200], f"a reload with {len(text)} of them: {said}")
ok(many.end() == 0, "and it ends well")

# --- the end by request ---
ok(request(k.port, "POST", "/-/quit")[:2] == (200, b"Requesting termination... Goodbye!") and k.p.wait(120) == 0, "POST /-/quit ends it well")
shutil.rmtree(top)
done()
