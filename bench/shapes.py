#!/usr/bin/env python3
"""How long do shapes of queries take, beside a peer? (Not part of CI.)

TARGETS targets with the page of a node_exporter are written once, ROUNDS_OF_DATA samples a series, 15 s
apart, to kymod and to VictoriaMetrics (PEER, its program), and stay in DIR. Then the queries of
QUERIES run on both in turn with nocache=1: cold, each one the first after a restart with the page cache
dropped where this user may, and warm, the median of N. Printed are the lines of "kymobench query".

  PEER=victoria-metrics PAGE=node-page.prom VALUES=node.prom.xz DIR=/tmp/shapes KYMO_BUILD=build python3 bench/shapes.py

ONLY=TEXT takes the queries whose name holds it, COLD=0 leaves the cold ones out, PEER= the peer, too.
BASE=DIR is a folder of another build whose kymod is the peer then, over a copy of the data.
What VictoriaMetrics calls rate() takes the sample before its window and does not extrapolate: its values
differ there, and say nothing about which server is right. Everything else is equal within 1e-6.
"""
import glob, os, shutil, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "scene"))
from lib import *

ENV = os.environ.get
TARGETS, DATA_ROUNDS, N = int(ENV("TARGETS", "100")), int(ENV("ROUNDS_OF_DATA", "1760")), int(ENV("N", "7"))
DIR, PEER, BASE = ENV("DIR", "/tmp/shapes"), ENV("PEER", ""), ENV("BASE", "")
PAGE, VALUES = ENV("PAGE", ""), ENV("VALUES", "")
PORT, ONLY = int(ENV("PORT", "21610")), ENV("ONLY", "")
QUERIES = ENV("QUERIES", os.path.join(SRC, "bench", "load", "shapes.json"))
END = os.path.join(DIR, "end")
os.makedirs(DIR, exist_ok=True)


def kymod(program=KYMOD, name="kymod", port=PORT):
    args = [program, "--data-dir", os.path.join(DIR, name), "--listen", f"127.0.0.1:{port}", "--loops", "2", "--no-self-metrics", "--wal.sync=off", *ENV("KYMOD_FLAGS", "").split()]
    return ready(Process(args, os.path.join(DIR, name + ".log")), port, "/-/ready")


def peer():
    if BASE:
        return kymod(os.path.join(BASE, "kymod"), "base", PORT + 1)
    args = [PEER, "-storageDataPath", os.path.join(DIR, "vm"), "-httpListenAddr", f"127.0.0.1:{PORT + 1}", "-retentionPeriod", "10y", "-search.disableCache", "-search.latencyOffset", "0s"]
    return ready(Process(args, os.path.join(DIR, "vm.log")), PORT + 1, "/health")


def ready(process, port, path):
    end = time.time() + 300
    while time.time() < end and process.alive():
        try:
            if request(port, "GET", path)[0] == 200:
                return process
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError("not ready:\n" + tail(process.log_path))


def load(port, start):
    page = (["--page", PAGE] if PAGE else []) + (["--values", VALUES] if VALUES else [])
    count = sum(1 for line in open(PAGE) if line.strip() and line[0] != "#") if PAGE else 500
    subprocess.run([BENCH, "write", "--url", f"http://127.0.0.1:{port}", "--series", str(TARGETS * count), "--rounds", str(DATA_ROUNDS), "--step", "15s", "--start", str(start), "--memory", "256", "--connections", "2",
                    "--instance", "target-#####.example.net:9100", *page], check=True)


def query(only, rounds):
    pids = [a for s in servers for a in ("--pid", str(s.pid))]
    urls = ["--url", f"http://127.0.0.1:{PORT}"] + (["--peer", f"http://127.0.0.1:{PORT + 1}"] if PEER or BASE else [])
    out = subprocess.run([BENCH, "query", "--file", QUERIES, "--only", only, "--rounds", str(rounds), "--end", open(END).read(), "--extra", "nocache=1", "--tolerance", "1e-6", *urls, *pids], stdout=subprocess.PIPE, text=True).stdout
    return out.splitlines()


def drop_page_cache():
    os.sync()
    try:
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("1\n")
        return True
    except OSError:
        return False


if not os.path.exists(END):
    start = int(time.time()) // 60 * 60 - DATA_ROUNDS * 15
    servers = [kymod()] + ([peer()] if PEER else [])
    for k in range(len(servers)):
        load(PORT + k, start)
    for s in servers:
        s.end(timeout=600)
    with open(END, "w") as f:
        f.write(str(start + (DATA_ROUNDS - 1) * 15 // 60 * 60))
if BASE:
    shutil.rmtree(os.path.join(DIR, "base"), ignore_errors=True)
    shutil.copytree(os.path.join(DIR, "kymod"), os.path.join(DIR, "base"))

names = [q["name"] for q in json.load(open(QUERIES)) if ONLY in q["name"]]
if ENV("COLD", "1") != "0":
    print("cold", flush=True)
    ratios = []
    for name in names:
        drop = drop_page_cache()
        servers = [kymod()] + ([peer()] if PEER or BASE else [])
        lines = query(name, 1)
        print(lines[0], flush=True)
        end = json.loads(lines[-1])
        ratios.append(end.get("geometric_mean", 1))
        for s in servers:
            s.end(timeout=600)
    mean = 1
    for r in ratios:
        mean *= r ** (1 / len(ratios))
    print(f"cold: geometric mean {mean:.3f}, worst {max(ratios):.3f}, page cache {'dropped' if drop else 'not dropped: not permitted'}", flush=True)
print("warm", flush=True)
servers = [kymod()] + ([peer()] if PEER or BASE else [])
query(ONLY, 1)
print("\n".join(query(ONLY, N)), flush=True)
for s in servers:
    s.end(timeout=600)
