#!/usr/bin/env python3
"""Mixed load: writers, four clients that ask dashboards (some leave before the answer), flushes and metadata at the same time; nothing fails, answers agree with what was written, the server ends cleanly."""
import shutil, socket, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

SECONDS = float(os.environ.get("KYMO_MIXED_S", "12"))
top = tmpdir("mixed")
k = Kymod(os.path.join(top, "data"), "--web.enable-admin-api", "--loops", "2", "--wal.share", "4MiB", "--storage.round-every", "2s")
start = int(time.time()) - 3000
stop = time.time() + SECONDS
problems, asked, left = [], 0, 0
QUERIES = [
    'sum by (mode) (rate(node_cpu_seconds_total[5m]))',
    'node_filesystem_avail_bytes / on (instance, device, mountpoint, revision) node_filesystem_size_bytes',
    'max_over_time(node_cpu_seconds_total[5m])',
    'topk(5, rate(node_network_receive_bytes_total[5m]))',
    'count by (instance) ({__name__=~"node_.+"})',
    'histogram_quantile(0.9, rate(nothing_bucket[5m]))',
    'avg_over_time(sum(node_cpu_seconds_total)[10m:1m])',
]


def writer(no, rounds):
    first = 0
    while time.time() < stop and first < 180:
        p = subprocess.run([BENCH, "write", "--url", f"http://127.0.0.1:{k.port}/api/v1/write", "--series", "5000", "--rounds", str(rounds), "--first-round", str(first), "--start", str(start + no),
                            "--batch", "500", "--connections", "2", "--churn", "0.02"], capture_output=True, text=True)
        first += rounds
        if p.returncode:
            problems.append(f"writer: {p.stdout} {p.stderr}")
            return


def asker(no):
    global asked, left
    i = no
    while time.time() < stop or asked <= 10 and time.time() < stop + 90:
        q = QUERIES[i % len(QUERIES)]
        i += 1
        if i % 5 == 0:                                                # leaves before the answer
            s = socket.create_connection(("127.0.0.1", k.port))
            s.sendall(f"GET /api/v1/query_range?query={urllib.parse.quote(q)}&start={start}&end={start + 3600}&step=15 HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(random.random() * 0.01)
            s.close()
            left += 1
            continue
        status, a = api(k.port, "query_range", query=q, start=start, end=start + 3600, step="15")
        asked += 1
        if status not in (200, 503):
            problems.append(f"{status} {str(a)[:200]}: {q}")


def others():
    while time.time() < stop:
        for path in ("labels", "label/instance/values", "status/tsdb", "metadata", "series?match[]=node_load1"):
            status, a, _ = request(k.port, "GET", "/api/v1/" + path)
            if status != 200:
                problems.append(f"{status} {path} {a[:200]}")
        status, body, _ = request(k.port, "POST", "/api/v1/admin/tsdb/flush")
        if status not in (200, 204):
            problems.append(f"flush {status} {body[:200]}")
        request(k.port, "GET", "/metrics")
        time.sleep(0.3)


threads = [threading.Thread(target=writer, args=(n, 10)) for n in range(2)] + [threading.Thread(target=asker, args=(n,)) for n in range(4)] + [threading.Thread(target=others)]
for t in threads:
    t.start()
for t in threads:
    t.join()
for p in problems[:5]:
    note(p)
ok(not problems, f"nothing failed ({len(problems)} did)")
ok(asked > 10 and left > 0, f"{asked} answers, {left} clients that left early")
status, a = api(k.port, "query", query="max(count_over_time(node_cpu_seconds_total[2h]))", time=start + 3000)
ok(status == 200 and a["data"]["result"], "what was written is there")
metrics = request(k.port, "GET", "/metrics")[1].decode()
turns = [(float(m.group(1)), int(m.group(2))) for m in re.finditer(r'kymo_loop_turn_cpu_seconds_bucket\{le="([0-9.e+-]+)"\} (\d+)', metrics)]
longest = next((le for le, n in turns if n == max(x for _, x in turns)), None)
note(f"longest turn (CPU time) at most {longest} s over {turns[-1][1]} turns; " + " ".join(f"{le}:{n}" for le, n in turns))
ok(k.end() == 0, "SIGTERM ends with status 0")
note(tail(k.log_path, 3))
shutil.rmtree(top)
done()
