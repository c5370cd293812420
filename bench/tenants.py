#!/usr/bin/env python3
"""Does what one tenant has show in how long another one's calls take? (Not part of CI.)

Three servers with the same small tenant: in two of them the other tenant is empty (their difference
is the noise), in the third it has SERIES series. The same calls go to each in turn, N times; told
are the medians, and by how many percent the third differs from the first, and the second.

  KYMO_BUILD=build N=1000 SERIES=1000000 python3 bench/tenants.py

ONLY="labels,status/tsdb" measures these alone.
"""
import os, statistics, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "scene"))
from lib import *

N, SERIES, OWN = int(os.environ.get("N", "1000")), int(os.environ.get("SERIES", "1000000")), 500
ONLY = os.environ.get("ONLY")
top = tmpdir("tenant-timing", os.environ.get("TOP"))
TOKENS = {name: name + "-secret-0123456789abcdef" for name in ("acme", "beta", "admin")}
NOW = int(time.time() * 1000) // 1000 * 1000
T = NOW / 1000


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, check=True).stdout.decode().strip()


config = os.path.join(top, "kymod.yml")
with open(config, "w") as f:
    f.write("identities:\n  tokens:\n" + "".join(f'  - {{name: {n}, token_hash: "{token_hash(t)}", roles: [{"admin" if n == "admin" else "write, read"}], tenant: {n}}}\n' for n, t in TOKENS.items()))
os.chmod(config, 0o600)
servers = [Kymod(os.path.join(top, n), "--config", config, "--loops", "2", "--no-self-metrics", "--web.enable-admin-api", "--limits.series-total", "3000000") for n in ("empty", "again", "full")]


def push(k, who, rows):
    status, text, _ = request(k.port, "POST", "/api/v1/write", snappy(b"".join(rows)), {**WRITE_HEADERS, "Authorization": "Bearer " + TOKENS[who]}, 300)
    while status == 503:
        time.sleep(1)
        status, text, _ = request(k.port, "POST", "/api/v1/write", snappy(b"".join(rows)), {**WRITE_HEADERS, "Authorization": "Bearer " + TOKENS[who]}, 300)
    assert status == 204, (status, text)


def rows_of(first, count):
    return [series({"__name__": f"metric_{i % 100}", "job": f"job{i % 10}", "instance": f"host-{i}"}, [(NOW - 15000 * n, i + n) for n in range(3, -1, -1)]) for i in range(first, first + count)]


own = rows_of(0, OWN)
for k in servers:
    push(k, "acme", own)
for at in range(0, SERIES, 20000):
    push(servers[2], "beta", rows_of(at, min(20000, SERIES - at)))
note(f"{OWN} series of the one, {SERIES} of the other; {N} calls each")
Q = urllib.parse.quote
SPAN = f"start={T - 3600}&end={T + 60}"
ALL, REGEX, ONE, NONE, RATE = (Q(e) for e in ('sum by (job) ({__name__=~"metric_.*"})', 'count({instance=~"host-.*7"})', "metric_1", "nothing_here", "rate(metric_2[1m])"))
CALLS = {
    "write 500": ("POST", "/api/v1/write", snappy(b"".join(own))),
    "query one": ("GET", f"/api/v1/query?query={ONE}&time={T}", None),
    "query sum all": ("GET", f"/api/v1/query?query={ALL}&time={T}", None),
    "query regex": ("GET", f"/api/v1/query?query={REGEX}&time={T}", None),
    "query none": ("GET", f"/api/v1/query?query={NONE}&time={T}", None),
    "query_range": ("GET", f"/api/v1/query_range?query={RATE}&start={T - 300}&end={T}&step=15", None),
    "query_exemplars": ("GET", f"/api/v1/query_exemplars?query=metric_1&{SPAN}", None),
    "series": ("GET", f"/api/v1/series?match[]=metric_3&{SPAN}", None),
    "series none": ("GET", f"/api/v1/series?match[]=nothing&{SPAN}", None),
    "labels": ("GET", f"/api/v1/labels?{SPAN}", None),
    "label values": ("GET", f"/api/v1/label/instance/values?{SPAN}", None),
    "label values job": ("GET", f"/api/v1/label/job/values?{SPAN}", None),
    "metadata": ("GET", "/api/v1/metadata", None),
    "status/tsdb": ("GET", "/api/v1/status/tsdb", None),
    "runtimeinfo": ("GET", "/api/v1/status/runtimeinfo", None),
    "format_query": ("GET", "/api/v1/format_query?query=up", None),
    "flags": ("GET", "/api/v1/status/flags", None),
}


def once(c, method, path, body):
    head = {"Authorization": "Bearer " + TOKENS["acme"], **(WRITE_HEADERS if body else {})}
    begin = time.perf_counter()
    c.request(method, path, body, head)
    r = c.getresponse()
    r.read()
    took = time.perf_counter() - begin
    assert r.status < 300 or r.status == 204, (path, r.status)
    return took


def cpu_ticks(k):
    return sum(int(v) for v in open(f"/proc/{k.pid}/stat").read().rsplit(")", 1)[1].split()[11:13])


def settle():
    """Until no server works by itself: merges, the catalog."""
    for k in servers:
        end, quiet = time.time() + 300, 0
        while quiet < 3 and time.time() < end:
            before = cpu_ticks(k)
            time.sleep(1)
            quiet = quiet + 1 if cpu_ticks(k) - before <= 2 else 0


def measure(state):
    settle()
    # on both loops of each
    links = [[http.client.HTTPConnection("127.0.0.1", k.port, timeout=120) for _ in range(4)] for k in servers]
    for name, call in CALLS.items():
        if ONLY and name not in ONLY.split(","):
            continue
        took = [[], [], []]
        for i in range(N + 10):
            for n in ((0, 1, 2), (1, 2, 0), (2, 0, 1))[i % 3]:
                t = once(links[n][i // 3 % 4], *call)
                if i >= 10:
                    took[n].append(t)
        m = [1e6 * statistics.median(t) for t in took]
        print(f"{state:8} {name:18} empty {m[0]:8.1f} us, again {m[1]:8.1f} ({100 * (m[1] / m[0] - 1):+6.2f} %), full {m[2]:8.1f} ({100 * (m[2] / m[0] - 1):+6.2f} %)", flush=True)


measure("memory")
for k in servers:
    request(k.port, "POST", "/api/v1/admin/tsdb/flush", None, {"Authorization": "Bearer " + TOKENS["admin"]}, 600)
measure("files")
for k in servers:
    k.end()
shutil.rmtree(top)
