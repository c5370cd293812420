#!/usr/bin/env python3
"""What stands before the store: forms, redirects, readiness on every loop, signals, a log that nobody reads, wrong senders."""
import fcntl, http.server, sys, threading
from urllib.parse import parse_qs, urlsplit
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("front")
data = os.path.join(top, "data")
LOOPS = 4


def logged(word, wait=90):
    end = time.time() + wait
    while time.time() < end:
        lines = [line for line in open(k.log_path, errors="replace") if word in line]
        if lines:
            return lines
        time.sleep(0.05)
    return []


# --- ready: as soon as one loop says so, each connection is answered ---
k = Kymod(data, "--loops", str(LOOPS), "--web.enable-admin-api", wait=False)
end = time.time() + 60
while time.time() < end:
    try:
        if request(k.port, "GET", "/-/ready")[0] == 200:
            break
    except OSError:
        time.sleep(0.001)
codes = [request(k.port, "GET", "/api/v1/query?query=1")[0] for _ in range(16 * LOOPS)]
ok(set(codes) == {200}, f"after ready all loops answer: {sorted(set(codes))}")

# --- forms and paths, with the clients people have ---
base = f"http://127.0.0.1:{k.port}"
if shutil.which("curl"):
    def curl(*args):
        return subprocess.run(["curl", "-s", "-w", "\n%{http_code} %{redirect_url}", *args], capture_output=True, text=True, timeout=90).stdout
    ok('"2"' in curl("-F", "query=1+1", f"{base}/api/v1/query"), "curl -F query=1+1 is 2")
    ok('"2"' in curl("--http2-prior-knowledge", "-F", "query=1+1", f"{base}/api/v1/query"), "over HTTP/2, too")
    ok('"success"' in curl("-F", "query=1+1", "-F", "start=1", "-F", "end=2", "-F", "step=1", f"{base}/api/v1/query_range"), "a range")
    ok('"success"' in curl("-F", "match[]=up", f"{base}/api/v1/series"), "series")
    ok('"success"' in curl("-F", "match[]=up", f"{base}/api/v1/labels"), "labels")
    ok(curl("-d", "query=3", "-X", "GET", f"{base}/api/v1/query?query=2").count('"2"') == 1, "the body of a GET is ignored")
    out = curl(f"{base}/api/v1/query/?query=1%2B1")
    ok(out.endswith(f"301 {base}/api/v1/query?query=1%2B1"), f"a slash too many is redirected: {out!r}")
    out = curl("--path-as-is", f"{base}//evil.example/..")
    ok(out.endswith(f"301 {base}/"), f"never to another host: {out!r}")
    ok('"2"' in curl("-L", "-d", "query=1%2B1", f"{base}//api//v1/query/"), "a POST arrives with its body")
    out = curl("--http2-prior-knowledge", f"{base}//api//v1/query?query=1%2B1")
    ok(out.endswith(f"301 {base}/api/v1/query?query=1%2B1"), f"HTTP/2 is redirected, too: {out!r}")
else:
    note("curl is not installed")
status, a = api(k.port, "query", query="1", time="1", x="%")
ok(status == 200, "a pair that is no pair harms nobody")

# --- what a sender is refused stands in the log, with what to do ---
status, text, _ = request(k.port, "POST", "/api/v1/write", b"x", {**WRITE_HEADERS, "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v9.Request"})
ok(status == 415 and b"io.prometheus.write.v2.Request (2.0)" in text, f"a sender of a version that is not there is told what is: {text}")
line = (logged("reason=unsupported") or [""])[0]
ok("level=warn" in line and "remedy=" in line and "v9" in line, f"so is who reads the log: {line.strip()}")
# Samples of now say that the clock is right: else many old ones would put it in doubt, and be taken.
write(k.port, series({"__name__": "now"}, [(int(time.time() * 1000), 1.0)]))
old, began = int(time.time() * 1000) - 40 * 86400 * 1000, time.time()
for i in range(60):
    write(k.port, b"".join(series({"__name__": "old", "i": str(j)}, [(old + i, 1.0)]) for j in range(100)))
lines = logged("event=samples_refused")
ok(1 <= len(lines) <= 1 + (time.time() - began) // 60 and 'example="' in lines[0] and "samples=100 " in lines[0] and "remedy=" in lines[0], f"6,000 refused samples are one warning: {lines}")

# --- own metrics say whose they are ---
status, a = api(k.port, "query", query='up{job="kymo"}')
ok([r["metric"]["instance"] for r in a["data"]["result"]] == [f"{socket.gethostname()}:{k.port}"], f"instance is the host's name: {a['data']['result']}")

# --- they tell how full it is, what it is and how long requests take, and are described ---
full = ['kymo_disk_free_bytes', 'kymo_disk_floor_bytes', 'kymo_storage_bytes{part="log"}', 'kymo_storage_retention_seconds', 'kymo_memory_budget_bytes',
        'kymo_storage_newest_sample_timestamp_seconds{of="senders"}', 'kymo_memory_bytes{part="series"}'] + [
        'kymo_memory_limit_bytes{part="%s"}' % p for p in ("series", "queries", "inflight", "answers")]
end = time.time() + 90
while True:  # some are gathered every five seconds
    status, text, _ = request(k.port, "GET", "/metrics")
    values = dict(line.rsplit(" ", 1) for line in text.decode().splitlines() if not line.startswith("#"))
    if all(float(values.get(name, 0)) > 0 for name in full) or time.time() > end:
        break
    time.sleep(0.2)
ok(all(float(values.get(name, 0)) > 0 for name in full), f"/metrics tells how full it is: {[n for n in full if not float(values.get(n, 0)) > 0]} are missing or 0")
ok(all(int(values['kymo_http_request_seconds_count{route="%s"}' % r]) > 0 for r in ("write", "query", "other")), "and how long requests of each kind took")
for query in ("kymo_build_info", 'kymo_storage_bytes{part="reserve"}', 'kymo_http_request_seconds_count{route="write"}'):
    status, a = api(k.port, "query", query=query)
    ok(len(a["data"]["result"]) == 1 and a["data"]["result"][0]["metric"]["job"] == "kymo", f"{query} is recorded: {a}")
status, a = api(k.port, "metadata", metric="kymo_samples_stored_total")
ok(a["data"].get("kymo_samples_stored_total", [{}])[0].get("type") == "counter", f"and has its metadata: {a}")
for path, want, word in (("/health", 200, b"OK"), ("/graph?g0.expr=up", 200, b"/api/v1/query"), ("/favicon.ico", 204, b""), ("/api/v1/qeury", 404, b"/api/v1/query"), ("/", 200, b"/api/v1/write")):
    status, text, _ = request(k.port, "GET", path)
    ok(status == want and word in text, f"{path} answers: {status} {text}")

# --- kymobench: a server is its base or a path of its API ---


def bench(*args):
    p = subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=120)
    return p.returncode, p.stdout, p.stderr


queries = os.path.join(top, "queries")
with open(queries, "w") as f:
    f.write("count(up)\n")
for url in (base, f"{base}/", f"{base}/api/v1/write"):
    code, out, err = bench("write", "--url", url, "--series", "500", "--rounds", "2", "--connections", "2")
    ok(code == 0 and '"failed":0' in out, f"kymobench write --url {url}: {out + err!r}")
code, out, err = bench("write", "--url", base, "--series", "3000", "--rounds", "3", "--batch", "1000", "--pace", "200ms", "--create", "--memory", "1", "--pid", str(os.getpid()))
told = json.loads(out) if code == 0 else {}
ok(told.get("samples") == 9000 and told["failed"] == 0 and told["requests"] == 9, f"--pace sends every round: {out + err!r}")
ok(told.get("seconds", 0) > 0.3 and told["waiting_peak_mb"] <= 1.05, "in its time, with bodies bounded")
for url in (base, f"{base}/api/v1/query", f"{base}/api/v1/write"):
    code, out, err = bench("query", "--url", url, "--file", queries, "--rounds", "1")
    ok(code == 0 and '"failed":0' in out, f"kymobench query --url {url}: {out + err!r}")


class Peer(http.server.BaseHTTPRequestHandler):
    """Another server, which answers count(up) with what it is told to."""

    value = "1"

    def do_GET(self):
        body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [{"metric": {}, "values": self.points()}]}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def points(self):
        asked = parse_qs(urlsplit(self.path).query)
        status, a = api(k.port, "query_range", **{n: asked[n][0] for n in ("query", "start", "end", "step")})
        return [[t, Peer.value] for t, _ in a["data"]["result"][0]["values"]]

    def log_message(self, *args):
        pass


peer = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
threading.Thread(target=peer.serve_forever, daemon=True).start()
peer_url = f"http://127.0.0.1:{peer.server_address[1]}"
code, out, err = bench("query", "--url", base, "--peer", peer_url, "--peer", base, "--file", queries, "--rounds", "2")
ok(code == 0 and " equal " in out and '"different":0' in out, f"peers with the same answer are equal: {out + err!r}")
Peer.value = "2"
code, out, err = bench("query", "--url", base, "--peer", peer_url, "--file", queries, "--rounds", "2")
ok(code == 1 and "DIFFERENT" in out and ": 1, the other 2 at " in out and '"different":1' in out, f"and another answer is told: {out + err!r}")
code, out, err = bench("query", "--url", "http://127.0.0.1:1", "--file", queries, "--rounds", "2")
ok(code == 1 and "no answer (Connection refused)" in err, f"no server is said in words: {out + err!r}")
peer.shutdown()
code, out, err = bench("write", "--url", base, "--series", "100000", "--rounds", "5", "--batch", "100", "--start", "1000000000")
ok(code == 1 and json.loads(out)["requests"] < 100 and "stopped" in err and "400 partial: stored 0" in err, f"it stops when nothing is taken: {out + err!r}")
code, out, err = bench("write", "--url", f"{base}/api/v1/nowhere", "--series", "100000", "--rounds", "5", "--batch", "100")
ok(code == 1 and json.loads(out)["requests"] < 100 and "/api/v1/nowhere answers: 404" in err, f"and says where it asked: {out + err!r}")

# --- signals ---
for sig in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    k.p.send_signal(sig)
    ok(logged(f"signal={sig.name}"), f"{sig.name} leaves one line")
ok("no configuration file to reload" in (logged("signal=SIGHUP") or [""])[0], "which says why nothing happens")
if not ok(k.alive() and request(k.port, "GET", "/-/ready")[0] == 200, "and the server runs"):
    k = Kymod(data, "--web.enable-admin-api")
k.p.send_signal(signal.SIGPIPE)
k.p.send_signal(signal.SIGXFSZ)
time.sleep(0.1)
if not ok(k.alive(), "nor does SIGPIPE or SIGXFSZ end it"):
    k = Kymod(data, "--web.enable-admin-api")
ok(k.end(signal.SIGQUIT) == 0 and logged("event=stopped"), "SIGQUIT is an orderly end")

# --- the directory of another database, and the floor of free space ---
foreign = os.path.join(top, "prometheus")
for name in ("wal", "chunks_head", "01JD0Z7W3T8Q9V6X5Y4N2M1K0A"):
    os.makedirs(os.path.join(foreign, name))
before = sorted(os.listdir(foreign))
p = subprocess.run([KYMOD, "--data-dir", foreign, "--listen", "127.0.0.1:0"], capture_output=True, text=True, timeout=90)
ok(p.returncode == 1 and "is the data directory of a Prometheus server" in p.stderr and foreign in p.stderr, f"the directory of a Prometheus is refused: {p.stderr.strip()}")
ok(sorted(os.listdir(foreign)) == before, "and left as it was")
k = Kymod(os.path.join(top, "floor"), "--storage.min-free", "8000TiB")
status, text, _ = write(k.port, series({"__name__": "a"}, [(int(time.time() * 1000), 1.0)]))
ok(status == 503 and text.startswith(b"disk_full: ") and b"below --storage.min-free " in text and k.data.encode() in text, f"below the floor the flag is named: {text}")
ok(k.end() == 0, "it ends in order")
k = Kymod(data, "--shards", "4")
ok("asked=4 shards=16" in (logged("event=shards_kept") or [""])[0], "another number of shards than the directory has is told")
ok(k.end() == 0, "its own directory is taken again")

# --- a log that nobody reads ---
r, w = os.pipe()
fcntl.fcntl(w, 1031, 4096)  # F_SETPIPE_SZ: full after some forty lines
p = subprocess.Popen([KYMOD, "--data-dir", data, "--listen", f"127.0.0.1:{k.port}", "--loops", "2", "--web.enable-admin-api"], stdout=subprocess.DEVNULL, stderr=w)
atexit.register(lambda: p.poll() is None and p.kill())
os.close(w)
end = time.time() + 60
while time.time() < end:
    try:
        if request(k.port, "GET", "/-/ready")[0] == 200:
            break
    except OSError:
        time.sleep(0.02)
slow = 0
for _ in range(150):
    try:
        request(k.port, "POST", "/api/v1/admin/tsdb/flush", timeout=60)
    except OSError:
        slow += 1
        break
for _ in range(8):
    try:
        slow += request(k.port, "GET", "/-/healthy", timeout=60)[0] != 200
    except OSError:
        slow += 1
ok(not slow, "150 lines for a reader who does not read hold nobody up")
p.send_signal(signal.SIGTERM)
try:
    status = p.wait(60)
except subprocess.TimeoutExpired:
    status = "it hangs"
    p.kill()
ok(status == 0, f"nor do they hold up the end: {status}")
os.close(r)
shutil.rmtree(top)
done()
