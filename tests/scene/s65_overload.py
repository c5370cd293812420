#!/usr/bin/env python3
"""More than may be written, and more than can be: a tenant over its rate is told when to come, before its body is sent, and repeats until all is there while another one is not refused; then kymod gets a fifth of its time while many write at once: what is answered 2xx is found, what is refused can be repeated, a stock Prometheus beside it loses nothing. Nothing is judged by how long it took."""
import sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("prometheus")
top = tmpdir("overload")
TOKENS = {name: name + "-secret-0123456789abcdef" for name in ("slow", "quick")}
SECONDS = float(os.environ.get("KYMO_OVERLOAD_S", "8"))
NOW = int(time.time() * 1000)


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


def config(name, more=""):
    path = os.path.join(top, name)
    rows = "\n".join(f'  - {{name: {n}, token_hash: "{token_hash(t)}", roles: [write, read], tenant: {n}}}' for n, t in TOKENS.items())
    with open(path, "w") as f:
        f.write(f"identities:\n  tokens:\n{rows}\ntenants:\n  slow: {{requests_per_s: 20, samples_burst: 500ms}}\n{more}")
    os.chmod(path, 0o600)
    return path


def ask(k, who, method, path, body=None, headers=None):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKENS[who], **(headers or {})})


def push(k, who, i, name="m"):
    return ask(k, who, "POST", "/api/v1/write", snappy(series({"__name__": name, "i": str(i)}, [(NOW, i)])), WRITE_HEADERS)


def retry_after(headers):
    value = headers.get("Retry-After", "")
    return int(value) if value.isdigit() else -1


def count(k, who, query):
    _, body, _ = ask(k, who, "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": query, "time": NOW / 1000 + 1}))
    rows = json.loads(body)["data"]["result"]
    return int(rows[0]["value"][1]) if rows else 0


# --- a tenant over its rate ---
k = Kymod(os.path.join(top, "rate"), "--config", config("rate.yml"), "--loops", "2", "--no-self-metrics")
answers, stored, others = [], set(), []


def flood(begin):
    for i in range(begin, 180, 60):
        answers.append(push(k, "slow", i))
        if answers[-1][0] == 204:
            stored.add(i)


threads = [threading.Thread(target=flood, args=(i,)) for i in range(60)]
for t in threads:
    t.start()
for i in range(100):
    others.append(push(k, "quick", i)[0])
for t in threads:
    t.join()
refused = [a for a in answers if a[0] != 204]
note(f"{len(answers)} writes of a tenant that may send 20 a second: {len(refused)} refused")
ok(all(a[0] == 429 and a[1].startswith(b"rate_limited: ") and b"tenants.slow.requests_per_s" in a[1] for a in refused), "who is over its rate is told so with 429, the limit and its key")
ok(all(1 <= retry_after(a[2]) <= 60 for a in refused), "with Retry-After")
ok(set(others) == {204}, "another tenant is not refused meanwhile")
missing = [i for i in range(180) if i not in stored][:60]
for i in missing:
    for _ in range(1000):
        status, _, headers = push(k, "slow", i)
        if status == 204:
            stored.add(i)
            break
        time.sleep(min(retry_after(headers), 1) / 4)
ok(count(k, "slow", "count(m)") == len(stored) and all(i in stored for i in missing), "who repeats gets everything in, and nothing twice")
ok(count(k, "quick", "count(m)") == 100, "the other one has its own")
held = []
for _ in range(200):
    s = socket.create_connection(("127.0.0.1", k.port))
    s.sendall(f"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKENS['slow']}\r\nContent-Length: 1000\r\nExpect: 100-continue\r\n\r\n".encode())
    held.append(s)
first = [s.recv(4096).split(b"\r\n")[0] for s in held]
ok(set(first) <= {b"HTTP/1.1 100 Continue", b"HTTP/1.1 429 Too Many Requests"} and first.count(b"HTTP/1.1 429 Too Many Requests") > 0, f"a body is not asked for before its turn ({first.count(b'HTTP/1.1 429 Too Many Requests')} of {len(first)} refused)")
for s in held:
    s.close()
ok(k.end() == 0, "kymod ends well")

k = Kymod(os.path.join(top, "rate503"), "--config", config("rate503.yml", "limits: {rate_status: 503}\n"), "--loops", "1", "--no-self-metrics")
statuses = []
threads = [threading.Thread(target=lambda: statuses.append(push(k, "slow", 1)[0])) for _ in range(100)]
for t in threads:
    t.start()
for t in threads:
    t.join()
ok(set(statuses) <= {204, 503} and len(statuses) == 100, f"503 where senders throw away what is answered with 429 ({statuses.count(503)} of 100)")
ok(k.end() == 0, "kymod ends well")

# --- more than can be done ---
k = Kymod(os.path.join(top, "load"), "--loops", "2", "--no-self-metrics")
prom_port = free_port()
with open(os.path.join(top, "prometheus.yml"), "w") as f:
    f.write(f"""
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
- {{job_name: prometheus, static_configs: [{{targets: ["127.0.0.1:{prom_port}"]}}]}}
remote_write:
- url: http://127.0.0.1:{k.port}/api/v1/write
""")
prom = Process(["prometheus", f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={top}/tsdb", f"--web.listen-address=127.0.0.1:{prom_port}", "--log.level=error"], os.path.join(top, "prometheus.log"))
stop = threading.Event()


def fifth():
    """kymod runs a fifth of the time."""
    while not stop.is_set():
        os.kill(k.pid, signal.SIGSTOP)
        time.sleep(0.016)
        os.kill(k.pid, signal.SIGCONT)
        time.sleep(0.004)


taken, told, broken = [], [], []


def writer(n):
    end, i = time.time() + SECONDS, 0
    c = http.client.HTTPConnection("127.0.0.1", k.port, timeout=120)
    body = [b"".join(series({"__name__": "load", "w": str(n), "s": str(s)}, [(NOW + t, t)]) for s in range(200)) for t in range(50)]
    while time.time() < end:
        c.request("POST", "/api/v1/write", snappy(body[i % 50]), WRITE_HEADERS)
        r = c.getresponse()
        text, headers = r.read(), {k.title(): v for k, v in r.getheaders()}
        if r.status == 204:
            taken.append((n, i % 50))
        elif r.status == 503 and text.startswith(b"overloaded: ") and 1 <= retry_after(headers) <= 60:
            told.append(n)
        else:
            broken.append((r.status, text[:100]))
        i += 1


SERIES, ROUNDS = 32000, 100
bench = [BENCH, "write", "--url", f"http://127.0.0.1:{k.port}", "--series", str(SERIES), "--batch", "500", "--connections", "64", "--step", "16ms", "--retry", "600"]
subprocess.run([*bench, "--rounds", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=600, check=True)
throttle = threading.Thread(target=fifth)
throttle.start()
load = subprocess.Popen([*bench, "--rounds", str(ROUNDS), "--pace", "16ms"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
threads = [threading.Thread(target=writer, args=(n,)) for n in range(10)]
for t in threads:
    t.start()
for t in threads:
    t.join()
out = json.loads(load.communicate(timeout=1200)[0])
stop.set()
throttle.join()
note(f"10 writers for {SECONDS:.0f} s: {len(taken)} taken, {len(told)} told to come later; beside them {out['requests']} requests, {out['refused']} told to come later, in {out['refused_p50_ms']} ms (median), {out['refused_p99_ms']} ms (p99)")
ok(load.returncode == 0 and out["failed"] == 0 and out["samples"] == SERIES * ROUNDS, "a sender that repeats what was refused gets all of it in")
ok(not broken, f"every write is taken, or told to come later with Retry-After {broken[:2]}")
ok(len(taken) > 0, "some are taken all the time")
want = {}
for n, t in set(taken):
    want[n] = want.get(n, 0) + 200
status, got = api(k.port, "query", query='sum by (w) (count_over_time(load[1h]))', time=NOW / 1000 + 60)
found = {s["metric"]["w"]: int(s["value"][1]) for s in got["data"]["result"]}
ok(all(found.get(str(n), 0) >= c for n, c in want.items()) and sum(found.values()) >= sum(want.values()), "what was answered with 204 is found")
metric = [line for line in request(k.port, "GET", "/metrics")[1].decode().splitlines() if line.startswith('kymo_write_requests_refused_total{reason="overloaded"}')]
ok(len(metric) == 1 and int(float(metric[0].split()[-1])) >= len(told), "refusals are counted")
for _ in range(600):
    status = write(k.port, series({"__name__": "after"}, [(NOW, 1)]))[0]
    if status == 204:
        break
    time.sleep(0.1)
ok(status == 204, "when it is over writes are taken as before")

# --- a stock sender ---
cut = time.time()
same = False
for _ in range(300):
    time.sleep(1)
    q = {"query": "count_over_time(up[1h])", "time": cut}
    theirs, ours = api(prom_port, "query", **q)[1]["data"]["result"], api(k.port, "query", **q)[1]["data"]["result"]
    newest = api(k.port, "query", query="max(timestamp(up))", time=time.time())[1]["data"]["result"]
    if newest and float(newest[0]["value"][1]) > cut and theirs and ours and theirs[0]["value"][1] == ours[0]["value"][1]:
        same = True
        break
ok(same, f"a stock Prometheus has lost nothing: {theirs[0]['value'][1] if theirs else 0} samples, here {ours[0]['value'][1] if ours else 0}")
prom.end()
ok(k.end() == 0, "kymod ends well")
done()
