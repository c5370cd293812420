#!/usr/bin/env python3
"""How long does an answer to somebody who types take? (Not part of CI.)

SERIES series (1 M) of METRICS metrics (10,000) with 200 label names go in by Remote Write; `uid` has a value of
its own in each. Then ASKS searches of each kind (limit 100, each with another text), one after the other, on one
connection: p50, p99 and the most of the time from the request to the last byte, and the CPU time that the server
took for one, which other processes on the machine do not change. Then the same beside RATE samples a second
(50,000; 0: not). With PROMETHEUS (a program of version 3.14 or later) the same bodies go to it, too, and it is asked
the same with --enable-feature=search-api, and for /api/v1/label/__name__/values. With OTHER (the build directory of
another commit) its kymod, too, in turns with this one: `same` says of how many questions all answers were equal.

  KYMO_BUILD=build python3 bench/completion.py
  KYMO_BUILD=build OTHER=../before/build ASKS=40 python3 bench/completion.py
  KYMO_BUILD=build SERIES=100000 RATE=0 PROMETHEUS=/usr/bin/prometheus python3 bench/completion.py
"""
import os, random, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "scene"))
from lib import *
from million import bodies, metric, taken

ENV = os.environ.get
SERIES, METRICS, ASKS, RATE = int(ENV("SERIES", "1000000")), int(ENV("METRICS", "10000")), int(ENV("ASKS", "200")), int(ENV("RATE", "50000"))
PROMETHEUS, OTHER, LOOPS = ENV("PROMETHEUS", ""), ENV("OTHER", ""), ENV("LOOPS", "2")
top = tmpdir("completion", ENV("TOP"))


class Server:
    def __init__(self, name, port, pid):
        self.name, self.port, self.pid = name, port, pid
        self.c = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def cpu(self):
        """Seconds that its threads ran."""
        ran = 0
        for t in os.listdir(f"/proc/{self.pid}/task"):
            try:
                with open(f"/proc/{self.pid}/task/{t}/schedstat") as f:
                    ran += int(f.read().split()[0])
            except OSError:
                pass  # the thread is over
        return ran / 1e9

    def ask(self, path, params):
        begin = time.perf_counter()
        self.c.request("GET", "/api/v1/" + path + "?" + urllib.parse.urlencode(params, doseq=True))
        r = self.c.getresponse()
        body = r.read()
        return r.status, body, (time.perf_counter() - begin) * 1000


k = Kymod(os.path.join(top, "data"), "--loops", LOOPS, "--no-self-metrics", "--limits.new-series-per-s", "0")
servers, others = [Server("kymod", k.port, k.pid)], []
if OTHER:
    port = free_port()
    others.append(Process([os.path.join(OTHER, "kymod"), "--data-dir", os.path.join(top, "other"), "--listen", f"127.0.0.1:{port}", "--loops", LOOPS, "--no-self-metrics", "--limits.new-series-per-s", "0"], os.path.join(top, "other.log")))
    servers.append(Server("other", port, others[0].pid))
if PROMETHEUS:
    port = free_port()
    with open(os.path.join(top, "prometheus.yml"), "w") as f:
        f.write("global: {scrape_interval: 1h}\n")
    p = Process([PROMETHEUS, "--config.file", os.path.join(top, "prometheus.yml"), "--storage.tsdb.path", os.path.join(top, "prom"), "--web.listen-address", f"127.0.0.1:{port}", "--web.enable-remote-write-receiver",
                 "--enable-feature=search-api"], os.path.join(top, "prom.log"))
    others.append(p)
    servers.append(Server("prometheus", port, p.pid))
for s in servers:
    while True:
        try:
            if request(s.port, "GET", "/-/ready")[0] == 200:
                break
        except OSError:
            time.sleep(0.2)

now = int(time.time() * 1000)
begin = time.time()
for raw in bodies(SERIES, METRICS, now):
    for s in servers:
        taken(s.port, raw)
rss = int(re.search(r"VmRSS:.*?(\d+)", open(f"/proc/{k.pid}/status").read())[1]) // 1024
note(f"{SERIES} series of {METRICS} metrics in {time.time() - begin:.0f} s; memory of kymod {rss} MiB")

rnd = random.Random(14)
M, V, N = "search/metric_names", "search/label_values", "search/label_names"
PREFIX = {"fuzz_threshold": 100}


def some():
    return rnd.randrange(SERIES)


def of(i):
    return metric(i % METRICS)


KINDS = {
    "metrics, prefix": lambda: (M, {"search[]": of(some())[:rnd.randrange(4, 20)], **PREFIX}),
    "metrics, prefix, with help": lambda: (M, {"search[]": of(some())[:rnd.randrange(4, 20)], **PREFIX, "include_metadata": "true"}),
    "metrics, a part": lambda: (M, {"search[]": of(some())[5:rnd.randrange(8, 18)], "fuzz_alg": "jarowinkler"}),
    "metrics, characters, best first": lambda: (M, {"search[]": "".join(c for c in of(some())[4:] if rnd.random() < 0.5) or "a", "sort_by": "score"}),
    "metrics, alike, best first": lambda: (M, {"search[]": of(some()).replace("_", ""), "fuzz_alg": "jarowinkler", "fuzz_threshold": 80, "sort_by": "score"}),
    "metrics, any case, best first": lambda: (M, {"search[]": of(some())[4:12].upper(), "case_sensitive": "false", "sort_by": "score"}),
    "metrics of a job (50,000 series), prefix": lambda: (M, {"search[]": of(some())[:8], **PREFIX, "match[]": f'{{job="job-{some() % 20}"}}'}),
    "label names of a metric": lambda: (N, {"match[]": of(some())}),
    "label names of a job (50,000 series)": lambda: (N, {"match[]": f'{{job="job-{some() % 20}"}}'}),
    "label names of a region (200,000 series)": lambda: (N, {"match[]": f'{{region="r{some() % 5}"}}'}),
    "label names": lambda: (N, {"search[]": f"own_{some() % 195:03d}"[:rnd.randrange(2, 6)]}),
    "values of a label of a metric, prefix": lambda: (V, {"label": "uid", "match[]": of(some()), "search[]": f"u-{some():07d}"[:rnd.randrange(1, 4)], **PREFIX}),
    "values of a label of a metric and a job": lambda: (V, {"label": "uid", "match[]": f'{of(some())}{{job="job-{some() % 20}"}}'}),
    "1 M values, prefix": lambda: (V, {"label": "uid", "search[]": f"u-{some():07d}"[:rnd.randrange(1, 9)], **PREFIX}),
    "1 M values, prefix, best first": lambda: (V, {"label": "uid", "search[]": f"u-{some():07d}"[:rnd.randrange(1, 9)], "sort_by": "score"}),
    "1 M values, a part": lambda: (V, {"label": "uid", "search[]": f"{some():07d}"[2:], "fuzz_alg": "jarowinkler"}),
    "1 M values, a part that none has": lambda: (V, {"label": "uid", "search[]": f"{some():07d}x", "fuzz_alg": "jarowinkler"}),
    "1 M values, characters, best first": lambda: (V, {"label": "uid", "search[]": f"{some():07d}"[:5], "sort_by": "score"}),
    "1 M values, of a job (50,000 series), prefix": lambda: (V, {"label": "uid", "search[]": f"u-{some():07d}"[:4], **PREFIX, "match[]": f'{{job="job-{some() % 20}"}}'}),
    "1 M values, of a region (200,000 series), a part": lambda: (V, {"label": "uid", "search[]": f"{some():07d}"[3:], "fuzz_alg": "jarowinkler", "match[]": f'{{region="r{some() % 5}"}}'}),
    "metrics by an expression, best first": lambda: (M, {"search[]": of(some())[4:9], "sort_by": "score", "match[]": '{__name__=~"app_(net|disk|http|db|cache)_.+"}'}),
    "metrics by an expression for the engine": lambda: (M, {"match[]": '{__name__=~".+_%s_.*[13579]_total"}' % of(some()).split("_")[2]}),
    "1 M values, of half the metrics, prefix": lambda: (V, {"label": "uid", "search[]": f"u-{some():07d}"[:5], **PREFIX, "match[]": '{__name__=~"app_(net|disk|http|db|cache)_.+"}'}),
    "1 M values, of half the metrics by the engine, prefix": lambda: (V, {"label": "uid", "search[]": f"u-{some():07d}"[:5], **PREFIX, "match[]": '{__name__=~"app_(net|disk|http|db|cache)_.+_[0-9]+_total"}'}),
}


def measured(title):
    print(f"\n{title}\n{'':54}" + "".join(f"{s.name + ' p50':>16}{'p99':>9}{'max ms':>9}{'cpu ms':>9}" for s in servers) + f"{'found':>7}{'same':>6}")
    for kind, make in KINDS.items():
        asked, line, found, same = [make() for _ in range(ASKS)], f"{kind:54}", 0, 0
        times, cpus = [[] for _ in servers], [0.0 for _ in servers]
        for path, params in asked:
            bodies = []
            for i, s in enumerate(servers):
                before = s.cpu()
                status, body, ms = s.ask(path, params)
                cpus[i] += s.cpu() - before
                if status != 200:
                    print(body)
                times[i].append(ms)
                bodies.append(body)
            found += sum(len(json.loads(x).get("results", [])) for x in bodies[0].splitlines())
            same += len(set(bodies)) == 1
        for t, cpu in zip(times, cpus):
            t.sort()
            line += f"{t[len(t) // 2]:16.1f}{t[min(len(t) - 1, len(t) * 99 // 100)]:9.1f}{t[-1]:9.1f}{cpu * 1000 / ASKS:9.1f}"
        print(line + f"{found / ASKS:7.0f}{same:6}", flush=True)


measured("alone")
for s in servers:
    times = sorted(s.ask("label/__name__/values", {"limit": 100})[2] for _ in range(ASKS))
    print(f"{s.name}: /api/v1/label/__name__/values?limit=100: p50 {times[len(times) // 2]:.1f} ms, p99 {times[len(times) * 99 // 100]:.1f} ms")
if RATE:
    b = subprocess.Popen([BENCH, "write", "--url", f"http://127.0.0.1:{k.port}", "--kind", "kymo", "--series", str(RATE), "--step", "1s", "--pace", "1s", "--duration", "1h"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    time.sleep(3)
    servers = servers[:1]
    measured(f"beside {RATE} samples a second (cpu: with what the writes take)")
    b.terminate()
    print(b.communicate()[0][-1500:])
for s in servers:
    s.c.close()
k.end()
for p in others:
    p.end()
