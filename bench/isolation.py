#!/usr/bin/env python3
"""Do writes wait while clients ask heavy queries without a pause? (Not part of CI.)

SERIES series are written every PACE for SECONDS to a kymod with two loops, alone, then beside each
number of CLIENTS that run bench/load/dashboard.txt over the last hour without a pause. Told are the
latency of write requests (p50, p99), by how much p99 rose, and how many queries were answered
meanwhile, with --wal.sync=off and then with commit.

  KYMO_BUILD=build SERIES=50000 PACE=500ms SECONDS=20 CLIENTS=8,32 python3 bench/isolation.py
"""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "scene"))
from lib import *

ENV = os.environ.get
SERIES, SECONDS = int(ENV("SERIES", "50000")), float(ENV("SECONDS", "20"))
PACE, CLIENTS = ENV("PACE", "500ms"), [int(n) for n in ENV("CLIENTS", "8,32").split(",")]
PACE_S = float(PACE[:-2]) / 1000 if PACE.endswith("ms") else float(PACE[:-1])
QUERIES = [q.strip() for q in open(os.path.join(SRC, "bench", "load", "dashboard.txt")) if q.strip() and q[0] != "#"]
top = tmpdir("isolation", ENV("TOP"))


class Client(threading.Thread):
    """Asks one query of the dashboard after another until it is told to stop."""

    def __init__(self, port, number):
        super().__init__(daemon=True)
        self.port, self.at, self.answered, self.refused, self.stop = port, number, 0, 0, False

    def run(self):
        while not self.stop:
            expr = QUERIES[self.at % len(QUERIES)]
            self.at += 1
            now = time.time()
            if expr.startswith("instant:"):
                status, _ = api(self.port, "query", query=expr[8:].strip(), time=now, nocache=1)
            else:
                status, _ = api(self.port, "query_range", query=expr, start=now - 3600, end=now, step=15, nocache=1)
            self.answered += status == 200
            self.refused += status != 200


def write(port, rounds, pace=True):
    pacing = ["--pace", PACE, "--step", "500ms"] if pace else ["--step", "15s"]
    out = subprocess.run([BENCH, "write", "--url", f"http://127.0.0.1:{port}", "--series", str(SERIES), "--rounds", str(rounds), "--connections", "4", *pacing], stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])


for sync in ("off", "commit"):
    k = Kymod(os.path.join(top, sync), "--loops", "2", "--no-self-metrics", f"--wal.sync={sync}")
    write(k.port, 240, pace=False)
    alone = None
    for clients in [0, *CLIENTS]:
        asking = [Client(k.port, n) for n in range(clients)]
        for c in asking:
            c.start()
        got = write(k.port, int(SECONDS / PACE_S))
        for c in asking:
            c.stop = True
        for c in asking:
            c.join(300)
        p99 = got["p99_ms"]
        alone = p99 if alone is None else alone
        note(f"wal.sync={sync} clients={clients}: writes p50 {got['p50_ms']:.1f} ms, p99 {p99:.1f} ms ({p99 - alone:+.1f}), {got['samples'] / SECONDS:.0f} samples/s, {sum(c.answered for c in asking)} queries answered, {sum(c.refused for c in asking)} refused")
    k.end()
