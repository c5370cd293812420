#!/usr/bin/env python3
"""What an operator has: the doctor at a healthy server and at made troubles, by HTTP and kymoctl; the access log, line by line what
was sent, renamed and full; the log of slow queries; /metrics as promtool wants it, each family on the page of metrics."""
import shutil, subprocess, time, urllib.parse
sys_path = __file__.rsplit("/", 1)[0]
import sys
sys.path.insert(0, sys_path)
from lib import *

need("promtool")
CTL = os.path.join(BUILD, "kymoctl")
top = tmpdir("care")
MACHINE = {"sync_time", "loops", "disk", "inodes", "process_memory", "kernel", "cpu_quota", "disk_kind", "descriptors"}  # of where this runs, not of the server


def findings(port):
    status, body, _ = request(port, "GET", "/api/v1/status/doctor")
    ok(status == 200, "the doctor answers")
    return json.loads(body)["data"]


def seen(port, id, severity, *words, seconds=90, meanwhile=lambda: None):
    """The finding comes."""
    end = time.time() + seconds
    while True:
        rows = [f for f in json.loads(request(port, "GET", "/api/v1/status/doctor")[1])["data"]["findings"] if f["id"] == id and f["severity"] == severity]
        if any(all(w in f["text"] for w in words) for f in rows) or time.time() > end:
            break
        meanwhile()
        time.sleep(0.2)
    fine = any(all(w in f["text"] for w in words) and f["remedy"] and f.get("since", "2") > "2" for f in rows)
    ok(fine, f"{id} is seen: {severity} {words} {rows[:2]}")


def ctl(*args):
    p = subprocess.run([CTL, "doctor", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


# --- a healthy server ---
access, slow = os.path.join(top, "access.log"), os.path.join(top, "slow.jsonl")
k = Kymod(os.path.join(top, "data"), "--log.access-file", access, "--log.access-format", "json", "--log.slow-queries", "1ms", "--log.slow-queries-file", slow, "--web.enable-admin-api")
d = findings(k.port)
troubles = [f for f in d["findings"] if f["severity"] in ("warn", "bad") and f["id"] not in MACHINE]
ok(not troubles, f"a healthy server has no finding but notes: {troubles}")
ok(d["server"] and len(d["findings"]) > 30 and all(f["text"] for f in d["findings"]), f"{len(d['findings'])} checks are told")
server = f"http://127.0.0.1:{k.port}"
if not [f for f in d["findings"] if f["severity"] in ("warn", "bad")]:
    status, text, err = ctl("--server", server)
    ok(status == 0 and "fine" in text, f"kymoctl says the same: {status} {text[-200:]!r} {err!r}")
else:
    skip("kymoctl says the same", "this machine itself has troubles")

# --- the access log: what was sent ---
WANT = []


def sent(method, path, want_status, query="", body=None, headers=None):
    status, answer, _ = request(k.port, method, path + ("?" + query if query else ""), body, headers)
    ok(status == want_status, f"{method} {path}: {status}")
    WANT.append({"method": method, "path": path, "status": status, "in": len(body or b""), "out": len(answer), "query": query})


sent("GET", "/api/v1/query", 200, "query=up")
sent("GET", "/api/v1/query", 200, "query=1&token=secret-1&p=secret-2")
sent("GET", "/api/v1/labels", 200, "x=" + "a" * 3000)
sent("POST", "/api/v1/import/prometheus", 204, "", b'demo{a="b"} 3\n')
sent("POST", "/api/v1/import/prometheus", 400, "", b"9 bad\n")
sent("GET", "/nowhere", 404)
sent("GET", "/-/ready", 200, "", None, {"User-Agent": 'odd "agent"', "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"})


def lines(path, what, seconds=90):
    end = time.time() + seconds
    while True:
        text = open(path, errors="replace").read() if os.path.exists(path) else ""
        if what in text and text.endswith("\n") or time.time() > end:
            return text.splitlines()
        time.sleep(0.05)


rows = [json.loads(l) for l in lines(access, "odd")]
rows = [r for r in rows if not (r["path"].startswith("/api/v1/status/") or r["path"] == "/-/healthy")]
mine = rows[-len(WANT):]
wrong = [(w, r) for w, r in zip(WANT, mine) if any(w[key] != r[key] for key in ("method", "path", "status", "in", "out"))]
ok(len(mine) == len(WANT) and not wrong, f"each request has its line: {wrong[:2]}")
ok(mine[0]["query"] == "query=up" and mine[1]["query"] == "query=1&token=***&p=***", f"queries without secrets: {mine[1]['query']}")
ok(mine[2]["query"].endswith("...") and len(mine[2]["query"]) == 1027, "long ones are cut")
ok(mine[6]["agent"] == 'odd "agent"' and mine[6]["trace"] == "4bf92f3577b34da6a3ce929d0e0e4736", "agent and trace are those of the request")
ok(all(r["tenant"] == "default" and r["peer"].startswith("127.0.0.1:") and r["ms"] >= 0 and r["ts"].endswith("Z") for r in mine), "tenant, peer, time and duration")
with socket.create_connection(("127.0.0.1", k.port)) as c:
    c.sendall(b"NO HEAD AT ALL\r\n\r\n")
    answer = c.recv(65536)
    bad = [json.loads(l) for l in lines(access, '"method":"OTHER"') if '"OTHER"' in l]
    ok(answer.startswith(b"HTTP/1.1 400") and bad and bad[0]["status"] == 400, f"what is no head has its line, and the status that it was told: {bad}")
os.rename(access, access + ".old")
k.p.send_signal(1)
end = time.time() + 90
while time.time() < end:
    request(k.port, "GET", "/version")
    if os.path.exists(access) and os.path.getsize(access):
        break
    time.sleep(0.05)
ok(os.path.exists(access) and os.path.getsize(access) > 0, "SIGHUP opens a renamed file again")

# --- slow queries ---
big = b"".join(b'care_big{i="%d"} %d\n' % (i, i) for i in range(5000))
request(k.port, "POST", "/api/v1/import/prometheus", big)
expr = 'sum(care_big * on (i) group_left() care_big) + sum(rate(care_big{i=~".*7.*"}[5m]))'
for _ in range(5):
    api(k.port, "query_range", query=expr, start=time.time() - 600, end=time.time(), step=1, nocache=1)
told = [json.loads(l) for l in lines(slow, "group_left")]
told = [t for t in told if t["params"]["query"] == expr]
ok(told and told[0]["stats"]["timings"]["evalTotalTime"] > 0 and told[0]["params"]["step"] == 1 and told[0]["httpRequest"]["clientIP"] == "127.0.0.1" and told[0]["seconds"] >= 0.001,
   f"a slow query is told in full: {str(told[:1])[:500]}")
seen(k.port, "slow_queries", "note", "care_big")

# --- troubles of senders ---
request(k.port, "POST", "/api/v1/import/prometheus", b'old{a="b"} 1 1000\n')
seen(k.port, "samples_refused", "warn", "too_old", 'old{a=', "127.0.0.1")
seen(k.port, "records_refused", "warn", "bad_records", "9 bad")
now = int(time.time() * 1000)
for v in (1, 2):
    request(k.port, "POST", "/api/v1/import/prometheus", "".join(f'pair{{i="{i}"}} {v} {now}\n' for i in range(50)).encode(), {"User-Agent": f"sender/{v}"})
seen(k.port, "changed_samples", "warn", "50 samples", "sender/2")
request(k.port, "GET", "/api/v1/query?" + urllib.parse.urlencode({"query": 'count({__name__=~".+"}[5m:1ms])'}))
rounds = iter(range(1000))


def explode():
    i = next(rounds)
    request(k.port, "POST", "/api/v1/import/prometheus", "".join(f'explode{{user="u{i}-{j}"}} 1\n' for j in range(2000)).encode())


seen(k.port, "cardinality", "warn", "user", "new values a second", meanwhile=explode)
status, text, _ = ctl("--server", server)
ok(status == 1 and "samples_refused" in text and "->" in text, f"kymoctl shows them, with status 1: {status} {text[:300]!r}")
status, text, _ = ctl("--server", server, "--format", "json", "--all")
rows = json.loads(text)
ok(status == 1 and {"severity", "id", "text", "remedy"} <= set(rows[0]) and rows[0]["severity"] in ("warn", "bad") and rows[-1]["severity"] == "ok", "and as JSON, the worst first")
ok([r for r in rows if r["id"] == "clocks" and r["severity"] == "ok"], "this machine's clock agrees with itself")

# --- /metrics ---
metrics = request(k.port, "GET", "/metrics")[1].decode()
checked = [("promtool", subprocess.run(["promtool", "check", "metrics"], input=metrics.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60))]
newer = os.environ.get("KYMO_PROMTOOL")
if newer:
    checked.append((newer, subprocess.run([newer, "check", "metrics"], input=metrics.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60)))
for name, p in checked:
    ok(p.returncode == 0 and not p.stdout.strip(), f"{name} check metrics has nothing to say: {p.stdout.decode()[:500]}")
page = open(os.path.join(SRC, "net/METRICS.md")).read()
families = re.findall(r"^# HELP (\S+) ", metrics, re.M)
missing = [f for f in families if f"| `{f}` |" not in page]
ok(len(families) > 180 and not missing, f"each of {len(families)} families is on the page of metrics: {missing}")
k.end()

# --- a directory that no server has open ---
status, text, err = ctl("--data-dir", os.path.join(top, "data"), "--all")
ok(status in (0, 1) and "files are there" in text and "version 1" in text, f"a stopped server's directory: {text!r} {err!r}")
os.rename(os.path.join(top, "data", "MANIFEST.a"), os.path.join(top, "data", "m"))
status, text, _ = ctl("--data-dir", os.path.join(top, "data"))
ok(status == 1 and "MANIFEST.a" in text, f"a copy of its manifest is gone: {text!r}")
os.rename(os.path.join(top, "data", "m"), os.path.join(top, "data", "MANIFEST.a"))
status, text, _ = ctl("--server", server)
ok(status == 3 and "reach" in text and "->" in text, f"a server that is not there: {status} {text!r}")

# --- flags that endanger data, no room, a log of requests on a full disk ---
full = "/dev/full" if os.path.exists("/dev/full") else os.path.join(top, "x.log")
k = Kymod(os.path.join(top, "other"), "--wal.sync", "off", "--storage.min-free", "1000000GiB", "--log.access-file", full, "--log.access-format", "combined", "--sandbox", "off")
seen(k.port, "durability", "warn", "--wal.sync=off")
seen(k.port, "disk", "bad", "are free", "writes are refused")
seen(k.port, "writes", "bad", "no write is taken")
status, text, err = ctl("--data-dir", os.path.join(top, "other"))
ok(status == 7 and not text and "has it open" in err and "--server" in err, f"a directory in use, which nobody has looked at, is not well: {status} {text!r} {err!r}")
if full == "/dev/full":
    seen(k.port, "log_lines", "note", "access log", meanwhile=lambda: request(k.port, "GET", "/version"))
    ok(request(k.port, "GET", "/-/ready")[0] == 200, "nobody waits for it")
k.end()
shutil.rmtree(top, ignore_errors=True)
done()
