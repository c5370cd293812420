#!/usr/bin/env python3
"""What stands before the store: forms, redirects, readiness on every loop, signals, a log that nobody reads, wrong senders."""
import fcntl, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("front")
data = os.path.join(top, "data")
LOOPS = 4


def logged(word, wait=5):
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
        return subprocess.run(["curl", "-s", "-w", "\n%{http_code} %{redirect_url}", *args], capture_output=True, text=True, timeout=30).stdout
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

# --- signals ---
for sig in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
    k.p.send_signal(sig)
    ok(logged(f"signal={sig.name}"), f"{sig.name} leaves one line")
ok("no configuration file to reload" in logged("signal=SIGHUP")[0], "which says why nothing happens")
ok(k.alive() and request(k.port, "GET", "/-/ready")[0] == 200, "and the server runs")
k.p.send_signal(signal.SIGPIPE)
k.p.send_signal(signal.SIGXFSZ)
time.sleep(0.1)
ok(k.alive(), "nor does SIGPIPE or SIGXFSZ end it")
ok(k.end(signal.SIGQUIT) == 0 and logged("event=stopped"), "SIGQUIT is an orderly end")

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
        request(k.port, "POST", "/api/v1/admin/tsdb/flush", timeout=10)
    except OSError:
        slow += 1
        break
for _ in range(8):
    try:
        slow += request(k.port, "GET", "/-/healthy", timeout=5)[0] != 200
    except OSError:
        slow += 1
ok(not slow, "150 lines for a reader who does not read hold nobody up")
p.send_signal(signal.SIGTERM)
try:
    status = p.wait(20)
except subprocess.TimeoutExpired:
    status = "it hangs"
    p.kill()
ok(status == 0, f"nor do they hold up the end: {status}")
os.close(r)
shutil.rmtree(top)
done()
