#!/usr/bin/env python3
"""kymobench: each command, small, against kymod; what it tells is what happened. Servers that lie are told."""
import http.server, pty, stat, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("bench")
need("openssl")


def bench(*args, timeout=300):
    p = subprocess.run([BENCH, *map(str, args)], capture_output=True, text=True, timeout=timeout, env={**os.environ, "TMPDIR": top})
    lines = [json.loads(x) for x in p.stdout.splitlines() if x.startswith("{")]
    return p.returncode, lines, p.stderr


def start(name, *flags):
    return Kymod(os.path.join(top, name), *flags)


hours = iter(range(2, 40))


def write(url, *args, back=True):
    """A run of its own hours, so that what is read back is its own."""
    begin = ["--start", str(int(time.time()) - 3600 * next(hours))] if back else []
    code, lines, err = bench("write", "--url", url, "--verify", "--connections", 2, *begin, *args)
    return code, lines[0] if lines else {}, err


# --- write, over each transport, of each workload ---
k = start("one", "--out-of-order-window", "72h")
base = f"http://127.0.0.1:{k.port}"
for args, series, rounds in (
        ((), 1500, 4),
        (("--shuffle", "--churn", "0.3"), 1500, 4),
        (("--transport", "h2c", "--batch", "200", "--in-flight", "5"), 1500, 4),
        (("--workload", "prometheus-benchmark", "--targets", "2", "--histograms", "0.1", "--exemplars", "0.1"), 2460, 3),
        (("--workload", "tsbs-devops", "--targets", "12"), 1212, 3),
        (("--workload", "tsbs-cpu", "--targets", "50", "--transport", "h2c"), 500, 3),
        (("--workload", "k6", "--series", "2500"), 2500, 3),
        (("--workload", "avalanche", "--gauge-metric-count", "4", "--histogram-metric-count", "2", "--native-histogram-metric-count", "2", "--series-count", "20", "--metric-interval", "30"), 20 * (4 + 20 + 2), 4)):
    sized = () if "--workload" in args else ("--series", series)
    code, told, err = write(base, *args, *sized, "--rounds", rounds)
    want = series * rounds
    ok(code == 0 and told.get("samples") == want and told["read_back"] == want and told["missing"] == 0 and told["failed"] == 0, f"write {' '.join(args)}: all is read back: {told} {err!r}")
    ok(told.get("series") == series and told["kind"] == "kymo" and "disk" in told["promise"] and told["written_wrong"] is None, "and it says what it did")
    ok(told.get("sum_equal") in (True, None) and (told["sum_equal"] or "--metric-interval" in args), f"the sum is the same: {told.get('sum_equal')}")
    if "--histograms" in args:
        ok(told["histograms"] > 0 and told["exemplars"] > 0, f"{told['histograms']} histograms, {told['exemplars']} exemplars")
for args in ((), ("--transport", "h2c", "--histograms", "0.1", "--exemplars", "0.1", "--start-times"), ("--workload", "avalanche", "--gauge-metric-count", "9", "--shuffle", "--no-metadata")):
    code, told, err = write(base, "--protocol", "2.0", *args, *(() if args and "avalanche" in args else ("--series", 1500)), "--rounds", 3)
    ok(code == 0 and told.get("written_wrong") == 0 and told["missing"] == 0 and told["read_back"] == told["samples"] == 3 * told["series"] and told["protocol"] == "2.0", f"2.0 {' '.join(args)}: the counts of each answer are right, all is read back: {told} {err!r}")
code, told, err = write(base, "--series", 500, "--duration", "1s")
ok(code == 0 and told.get("samples", 0) > 0 and told["missing"] == 0 and told["failed"] == 0, f"--duration without a pace: {told} {err!r}")
code, told, err = write(base, "--series", 2000, "--batch", 500, "--duration", "1s", "--pace", "250ms", "--create", "--pid", k.pid)
ok(code == 0 and told.get("samples") == 5 * 2000 and told["read_back"] == 10000 and told["requests"] == 20, f"--duration with a pace is rounds: {told} {err!r}")
ok(told.get("seconds", 0) >= 0.7 and all(n in told for n in ("late_p99_ms", "due_p99_ms", "create_s", "cores", "loops")), "in their time")
code, told, err = write(base, "--series", 2000, "--batch", 500, "--rounds", 4, "--first-round", 100, "--lead", 2)
ok(code == 0 and told.get("samples") == 8000 and told["missing"] == 0, f"--first-round beyond --lead: {told} {err!r}")
code, told, err = write(base, "--series", 500, "--rounds", 2, "--human")
ok(code == 0 and "samples in" in err and "answers: p50" in err and "missing 0" in err and told["sync_p50_ms"] is None, f"--human tells people: {err!r}")
code, told, err = write(base, "--series", 500, "--rounds", 2, "--human", "--disk", top)
ok(code == 0 and 0 <= told.get("sync_p50_ms", -1) <= told["sync_p99_ms"] <= told["sync_max_ms"] + 0.1 and "the disk's own sync of 64 KiB" in err, f"--disk measures the disk's own sync: {told} {err!r}")
ok(not [n for n in os.listdir(top) if "sync" in n], "and leaves nothing there")
code, told, err = write(base, "--disk", os.path.join(top, "nowhere"))
ok(code == 2 and not told and "--disk" in err and "nowhere" in err and err.count("\n") == 1, f"what cannot be measured is said: {err!r}")

# --- over TLS, by ALPN ---
path = lambda name: os.path.join(top, name)
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
                "-keyout", path("tls.key"), "-out", path("tls.crt")], check=True, capture_output=True)
open(path("web.yml"), "w").write("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n")
s = Kymod(path("tls"), "--web.config.file", path("web.yml"), wait=False)
for transport in ("https", "h2"):
    code, told, err = write(f"https://127.0.0.1:{s.port}", "--ca", path("tls.crt"), "--transport", transport, "--series", 1000, "--rounds", 3)
    ok(code == 0 and told.get("transport") == transport and told["read_back"] == 3000, f"{transport}: {told} {err!r}")
s.end()


# --- servers that lie, or refuse ---
class Liar(http.server.BaseHTTPRequestHandler):
    """Takes everything and stores nothing; says of itself what it is told to say."""
    protocol_version = "HTTP/1.1"
    wbufsize = 65536  # head and body in one piece
    status, text, fields, metrics = 204, b"", {}, b""
    length, chunk, closes, seen, slow_s = None, None, None, 0, 0  # closes: at the request of this number

    def answer(self, status, body, fields=()):
        self.send_response(status)
        for name, value in dict(fields).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        Liar.paths.add((self.path, self.headers["Content-Type"], self.headers["X-Prometheus-Remote-Write-Version"]))
        Liar.seen += 1
        if Liar.seen == Liar.closes:
            self.close_connection = True
            return
        time.sleep(Liar.slow_s)
        if Liar.length or Liar.chunk:
            how = "Content-Length: %s" % Liar.length if Liar.length else "Transfer-Encoding: chunked"
            self.wfile.write(b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % how.encode() + (Liar.chunk or Liar.text))
            self.close_connection = True
            return
        self.answer(Liar.status, Liar.text, Liar.fields)

    def do_GET(self):
        if self.path == "/metrics":
            self.answer(200, Liar.metrics)
        else:
            Liar.paths.add(self.path.split("?")[0])
            self.answer(200, b'{"status":"success","data":{"resultType":"vector","result":[]}}')

    def log_message(self, *args):
        pass


Liar.paths = set()
fake = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Liar)
threading.Thread(target=fake.serve_forever, daemon=True).start()
url = f"http://127.0.0.1:{fake.server_address[1]}"
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 50, "--batch", 500, "--rounds", 2)
ok(code == 1 and told.get("samples") == 1000 and told["read_back"] == 0 and told["missing"] == 1000 and "are not found" in err, f"what was acknowledged and is not there is told: {told} {err!r}")
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 50, "--batch", 500, "--rounds", 2, "--protocol", "2.0")
ok(code == 1 and told.get("written_wrong") == 2 and "know 1.0 alone" in err, f"2xx to 2.0 without counts is told: {told} {err!r}")
Liar.fields = {f"X-Prometheus-Remote-Write-{n}-Written": v for n, v in (("Samples", "400"), ("Histograms", "100"), ("Exemplars", "0"))}
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 50, "--batch", 500, "--rounds", 2, "--histograms", "0.2", "--protocol", "2.0")
ok(told.get("written_wrong") == 0 and told["histograms"] == 200 and told["samples"] == 1000, f"the right counts are right: {told} {err!r}")
ok(any("proto=io.prometheus.write.v2.Request" in p[1] and p[2] == "2.0.0" for p in Liar.paths if isinstance(p, tuple)), "2.0 says what it is")
Liar.status, Liar.text, Liar.fields = 400, b"partial: stored 3 of 500 samples", {}
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 50, "--batch", 500, "--rounds", 2)
ok(code == 1 and told.get("failed") == 2 and told["rejected"] == 2 and told["partial"] == 2 and told["samples"] == 0 and "first refusal: 400 partial" in err, f"what is refused stands beside the figure: {told} {err!r}")
ok(told["p50_us"] == 0, f"and no answer of a refusal counts as a fast one: {told}")
Liar.status, Liar.text, Liar.length = 200, b"x", "99999999999999999999"
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 10, "--rounds", 1, "--retry", "0")
ok(code == 1 and told.get("samples") == 0 and told["failed"] == 1, f"an answer without end is none: {told} {err!r}")
Liar.length, Liar.chunk = None, b"fffffffffffffffe\r\n"
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 10, "--rounds", 1, "--retry", "0")
ok(code == 1 and told.get("samples") == 0 and told["failed"] == 1, f"nor is such a chunk: {told} {err!r}")
Liar.chunk, Liar.closes, Liar.seen = None, 2, 0
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 50, "--batch", 500, "--rounds", 3, "--connections", 1)
ok(told.get("samples") == 1500 and told["retries"] >= 1 and told["requests"] == Liar.seen, f"what is sent once more on a new connection is counted, {Liar.seen} requests: {told} {err!r}")
Liar.closes, Liar.slow_s = None, 0.5
code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 50, "--batch", 500, "--rounds", 5, "--connections", 1, "--pace", "100ms")
ok(told.get("samples") == 2500 and told["asked_per_s"] == 5000 and told["samples_per_s"] < 1250, f"a pace that was not reached is told: {told} {err!r}")
ok(told["due_p99_ms"] >= 2000 > 400 and told["due_p99_ms"] > told["p99_ms"], f"an answer counts from when its request was due: {told}")
Liar.slow_s = 0
Liar.status, Liar.text = 204, b""
for name, metrics, to, asked in (("victoriametrics", b'vm_app_version{version="victoria-metrics-1", short_version="v1"} 1\n', "/api/v1/write", "/api/v1/query"),
                                 ("mimir", b"mimir_build_info{} 1\n", "/api/v1/push", "/prometheus/api/v1/query"),
                                 ("thanos", b"prometheus_build_info{} 1\nthanos_build_info{} 1\n", "/api/v1/receive", "/api/v1/query"),
                                 ("vmcluster", b'vm_app_version{version="vminsert-1"} 1\n', "/insert/0/prometheus/api/v1/write", "/select/0/prometheus/api/v1/query"),
                                 ("prometheus", b"prometheus_build_info{} 1\n", "/api/v1/write", "/api/v1/query")):
    for how in ((), ("--kind", name)):
        Liar.metrics, Liar.paths = (b"" if how else metrics), set()
        code, told, err = write(url, "--workload", "tsbs-cpu", "--targets", 10, "--rounds", 1, "--settle", "0", *how)
        ok(told.get("kind") == name and asked in Liar.paths and any(p[0] == to for p in Liar.paths if isinstance(p, tuple)), f"{name} is written to and asked where it is ({'told' if how else 'found'}): {sorted(map(str, Liar.paths))} {err!r}")
fake.shutdown()

# --- crash ---
code, lines, err = bench("crash", "--server", KYMOD, "--kills", 3, "--uptime", "0.8", "--series", 1000, "--seed", 3, "--protocol", "2.0", "--dir", path("crash"), "--human", "--", "--loops", "2")
told = lines[0] if lines else {}
ok(code == 0 and told.get("kills") == 3 and told["acknowledged"] > 0 and told["lost"] == 0 and told["ghosts"] == 0 and told["wrong"] == 0 and "0 of them lost" in err, f"crash: nothing of kymod is lost: {lines} {err!r}")
ok(not os.path.exists(path("crash")), "and its directory is gone")
p = subprocess.Popen([BENCH, "crash", "--server", KYMOD, "--kills", "1000", "--series", "500", "--dir", path("stopped")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
while p.poll() is None and not os.path.exists(path("stopped") + "/data"):
    time.sleep(0.02)
p.send_signal(signal.SIGINT)
out, err = p.communicate(timeout=600)
ok(p.returncode == 130 and not out and "stopped" in err, f"Ctrl-C ends it with status 130 ({p.returncode}): {err!r}")
ok(not os.path.exists(path("stopped")), "and leaves nothing")
liar = path("liar")
open(liar, "w").write("#!%s\n" % sys.executable + """
import http.server, sys
class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(204)
        self.end_headers()
    def do_GET(self):
        body = b'{"status":"success","data":{"resultType":"matrix","result":[]}}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Liar).serve_forever()
""")
os.chmod(liar, os.stat(liar).st_mode | stat.S_IXUSR)
code, lines, err = bench("crash", "--server", liar, "--kind", "thanos", "--kills", 1, "--uptime", "1", "--series", 500, "--seed", 3, "--dir", path("lost"), "--", "{port}")
told = lines[0] if lines else {}
ok(code == 1 and told.get("lost", 0) > 0 and told["lost"] == told["acknowledged"] and "lost: {" in err and path("lost") in err, f"a server that stores nothing is told, and its directory left: {lines} {err!r}")
for args, word in ((("--server", KYMOD, "--", "--no-such-flag"), "no-such-flag"), (("--server", "/nowhere/kymod"), "No such file"), (("--server", "/bin/true"), "--kind"), ((), "--server")):
    code, lines, err = bench("crash", "--kills", 1, *args)
    ok(code in (1, 2) and not lines and word in err, f"crash {' '.join(args)}: {err!r}")

# --- soak ---
code, lines, err = bench("soak", "--url", base, "--duration", "4s", "--every", "300ms", "--pace", "200ms", "--series", 2000, "--warm-up", "1s", "--pid", k.pid, "--data-dir", k.data, "--human")
told = lines[-1] if lines else {}
ok(len(lines) >= 2 and told.get("summary") is True and told["failed"] == 0 and told["query_failures"] == 0 and told["intervals"] >= 1, f"soak ends with a summary of its intervals: {told} {err!r}")
ok(told.get("samples", 0) >= 2000 and told["rss_mb"]["mean"] > 1 and told["rss_mb"]["trend"] in ("grows", "steady", "too short") and "slope_per_h" in told["query_ms"], "with slopes")
ok(all(x["disk_bytes"] > 0 and x["rss_mb"] > 1 and (x["query_ms"] > 0 or not x["answers"]) for x in lines[:-1]) and sum(x["answers"] for x in lines[:-1]) > 0, f"each interval has its figures: {lines[:1]}")
ok(code == (1 if "grows" in (told["rss_mb"]["trend"], told["write_p50_ms"]["trend"], told["query_ms"]["trend"]) else 0), "and the status says whether anything grows")

# --- for people ---
for command in ("write", "query", "recorded", "crash", "soak"):
    p = subprocess.run([BENCH, command, "--help"], capture_output=True, text=True, timeout=60)
    ok(p.returncode == 0 and "examples:" in p.stdout and f"kymobench {command} --" in p.stdout, f"{command} --help ends with examples")
for args, word in ((("--workload", "tsbs-cpo"), "did you mean tsbs-cpu"), (("--protocol", "3.0"), "1.0 or 2.0"), (("--transport", "h2"), "https"), (("--kind", "x"), "thanos"), (("--in-flight", "4"), "h2c"), (("--pace", "0s"), "--pace")):
    p = subprocess.run([BENCH, "write", "--url", base, *args], capture_output=True, text=True, timeout=60)
    ok(p.returncode == 2 and word in p.stderr and len(p.stderr.splitlines()) == 1 and not p.stdout, f"write {' '.join(args)} is refused in one line: {p.stderr!r}")
master, slave = pty.openpty()
p = subprocess.Popen([BENCH, "write", "--url", base, "--series", "500", "--rounds", "8", "--pace", "300ms", "--start", str(int(time.time()) - 3600 * 50)], stdout=subprocess.PIPE, stderr=slave, text=True)
os.close(slave)
seen = b""
while True:
    try:
        some = os.read(master, 65536)
    except OSError:
        break
    if not some:
        break
    seen += some
out, _ = p.communicate(timeout=120)
ok(p.returncode == 0 and len(out.splitlines()) == 1 and json.loads(out)["samples"] == 4000, f"on a terminal stdout stays one line: {out!r}")
ok(b"\r" in seen and b"%" in seen and b"left" in seen and b"0 failed" in seen and b"samples in" in seen, f"while stderr tells how it goes: {seen!r}")
k.end()
shutil.rmtree(top)
done()
