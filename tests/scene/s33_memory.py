#!/usr/bin/env python3
"""A thousand random heavy queries in a row, four at a time: memory is afterwards where it was after the first quarter of them, and
what all queries hold never passes the part of the budget that is theirs, although it is too small for some.

KYMO_MEMORY_N: queries (1000). KYMO_SEED: of data and queries (1).
"""
import sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from randdata import Data
from randql import Gen

N, SEED = int(os.environ.get("KYMO_MEMORY_N", "1000")), int(os.environ.get("KYMO_SEED", "1"))
TOTAL = 48 << 20
FEATURES = ["promql-experimental-functions", "promql-extended-range-selectors", "promql-binop-fill-modifiers"]
top = tmpdir("memory")
END = 1780000000000  # always the same expressions at the same times
data = Data(SEED, END, days=1)
gen = Gen(SEED, data, 3, FEATURES)
k = Kymod(os.path.join(top, "data"), "--loops", "2", "--no-self-metrics", "--enable-feature", ",".join(FEATURES), "--query.cache-size", "1",
          "--query.max-memory-total", str(TOTAL), "--query.max-memory", str(TOTAL // 3), "--retention", "20y")


def metrics():
    out = {}
    for line in request(k.port, "GET", "/metrics")[1].decode().splitlines():
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            out[name] = float(value)
    return out


def resident():
    return int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{k.pid}/status").read()).group(1)) << 10


def settled():
    """What stays when nothing is asked: free memory goes back within some seconds."""
    best, since = resident(), time.time()
    while time.time() - since < 2:
        time.sleep(0.1)
        now = resident()
        if now < best - (256 << 10):
            best, since = now, time.time()
    return best


refused = [a for _, body in data.bodies() for status, a, _ in [write(k.port, body)] if status != 204]
ok(not refused, f"all is written {refused[:1]}")
rnd = random.Random(SEED)
todo, answers, lock, worst = [], {}, threading.Lock(), [0.0, 0]
for i in range(N):
    if i % 100 == 50:  # too much for one
        todo.append({"query": '{__name__=~".+"}', "start": data.end // 1000 - 75000, "end": data.end // 1000, "step": 7})
        continue
    step = rnd.choice((15, 15, 30, 60))
    steps = rnd.choice((500, 1000, 2000, 5000))
    end = data.end // 1000 - rnd.randrange(7200)
    todo.append({"query": gen.query()[0], "start": end - step * steps, "end": end, "step": step})
todo.reverse()


class Client(threading.Thread):
    def __init__(self, leave):
        super().__init__(daemon=True)
        self.leave = leave

    def run(self):
        while True:
            with lock:
                if len(todo) <= self.leave:
                    return
                q = todo.pop()
            status, body, _ = request(k.port, "GET", "/api/v1/query_range?" + urllib.parse.urlencode(q), headers={"Accept-Encoding": "gzip"}, timeout=600)
            with lock:
                answers.setdefault(status, []).append(q["query"] if status == 200 else body)
                worst[1] = max(worst[1], len(body))


def ask_until(leave):
    clients = [Client(leave) for _ in range(4)]
    for c in clients:
        c.start()
    while any(c.is_alive() for c in clients):
        worst[0] = max(worst[0], metrics()['kymo_memory_bytes{part="queries"}'])
        time.sleep(0.02)


begin = time.time()
before = settled()
ask_until(N - N // 4)
first = settled()
ask_until(0)
last = settled()
held = metrics()['kymo_memory_bytes{part="queries"}']
counts = {s: len(a) for s, a in answers.items()}
note(f"{N} queries in {time.time() - begin:.0f} s: {counts}; RSS {before >> 20} MiB before, {first >> 20} after a quarter, {last >> 20} at the end; queries held {worst[0] / (1 << 20):.1f} MiB at most, an answer {worst[1] >> 10} KiB")
ok(sum(counts.values()) == N and set(counts) <= {200, 400, 422, 503}, "all are answered")
ok(any(b"--query.max-memory" in a for a in answers.get(422, [])), "some need more than one query may have, and are told so")
ok(counts.get(200, 0) > N // 2, "more than half of them with a result")
ok(last <= first + (first >> 3) + (16 << 20), "memory is where it was after the first quarter")
ok(worst[0] > 1 << 20, "queries held something worth looking at")
ok(worst[0] <= TOTAL, f"and never more than that, {TOTAL >> 20} MiB")
ok(held < 1 << 20, "at the end they hold nothing")
ok(k.end() == 0, "the server ends")
done()
