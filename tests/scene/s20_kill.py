#!/usr/bin/env python3
"""Nothing lost: SIGKILL at random moments under load; after each restart every sample that got a 2xx is found, nothing that
was never sent is, and a second restart changes nothing. Queries asked the moment a server is ready, while senders repeat
what they got no answer for, are compared with a plain model. KYMO_KILL_TOP: the folder to work in (a tmpfs, say)."""
import random, shutil, signal, sys, threading, time
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

KILLS = int(os.environ.get("KYMO_KILLS", "30"))
SEED = int(os.environ.get("KYMO_SEED", str(int(time.time()))))
rnd = random.Random(SEED)
note(f"seed {SEED}, {KILLS} kills")
top = tmpdir("kill", os.environ.get("KYMO_KILL_TOP"))
data = os.path.join(top, "data")
BASE = int(time.time() * 1000) - 3 * 3600 * 1000
SERIES_PER_WRITER, WRITERS = 40, 4
PAUSE = 0.01  # where a sync costs nothing, the model would outgrow the test


class Writer(threading.Thread):
    """Sends rounds of its own series; every value is unique, so that a wrong one is seen. Some rounds are old rows, repeats or overwrites."""

    def __init__(self, no, state):
        super().__init__(daemon=True)
        self.no, self.state, self.stop = no, state, False
        self.rnd = random.Random(SEED * 1000 + no)

    def labels(self, i):
        return {"__name__": "kill_test", "writer": str(self.no), "series": str(i), "generation": str(self.state["generation"] if i % 10 == 0 else 0)}

    def run(self):
        st = self.state
        while not self.stop:
            st["round"] += 1
            if self.rnd.random() < 0.05:
                st["generation"] += 1                                     # new series
            if st["unanswered"]:
                self.send(*st["unanswered"])                              # a sender repeats what it got no answer for
                if st["unanswered"]:
                    return
            rows = []
            for i in range(SERIES_PER_WRITER):
                back = self.rnd.randrange(1, 60) if self.rnd.random() < 0.1 else 0  # late, maybe an overwrite
                t = BASE + (st["round"] - back) * 1000 if st["round"] > back else BASE
                st["value"] += 1
                rows.append((tuple(sorted(self.labels(i).items())), t, float(st["value"])))
            raw = b"".join(series(dict(k), [(t, v)]) for k, t, v in rows)
            if not self.send(raw, rows):
                return
            time.sleep(PAUSE)

    def send(self, raw, rows):
        """False: no answer."""
        st = self.state
        st["unanswered"] = (raw, rows)
        for k, t, v in rows:
            cell = st["sent"].setdefault((k, t), [])
            if cell[-1:] != [v]:
                cell.append(v)
        try:
            status = write(st["port"], raw, timeout=30)[0]
            if status == 204 and self.rnd.random() < 0.1:
                status = write(st["port"], raw, timeout=30)[0]            # an identical retry
        except Exception:
            return False
        st["unanswered"] = None
        if status == 204:
            for k, t, v in rows:
                st["acked"][(k, t)] = len(st["sent"][(k, t)]) - 1
        else:
            st["odd"].append(status)
        return True


def read_all(port):
    """Everything stored, through raw range selectors."""
    end = BASE + 4 * 3600 * 1000
    status, answer = api(port, "query", query='kill_test[5h]', time=end / 1000)
    if status != 200:
        raise RuntimeError(str(answer))
    out = {}
    for k, values in result_map(answer["data"]).items():
        for t, v in values:
            out[(k, round(float(t) * 1000))] = float(v)
    return out


STILL = 90  # rounds that no late row and no repeat reaches


def at_ready(port, found, states, begun):
    """Expressions over what no sender touches any more, against what was found before: the texts of wrong answers."""
    wrong = []
    end = BASE + (min(st["round"] for st in states) - STILL) * 1000
    cells = {}
    for (k, t), v in found.items():
        if end - 7200_000 < t <= end:
            cells.setdefault(k, []).append((t, v))
    counts = {k: len(c) for k, c in cells.items()}
    last = {k: max(c)[1] for k, c in cells.items()}
    want = {"sum(count_over_time(kill_test[2h]))": sum(counts.values()),
            "count(count_over_time(kill_test[2h]))": len(counts),
            "sum(sum_over_time(kill_test[2h]))": sum(v for c in cells.values() for _, v in c),
            "max(last_over_time(kill_test[2h]))": max(last.values(), default=None),
            "count(group by (writer, series) (last_over_time(kill_test[2h])))": len({tuple(x for x in k if x[0] in ("writer", "series")) for k in cells})}
    asked = random.Random(begun).sample(sorted(want), len(want))
    for expr in asked:
        status, answer = api(port, "query", query=expr, time=end / 1000)
        got = answer["data"]["result"] if status == 200 else answer
        value = float(got[0]["value"][1]) if status == 200 and got else None
        if status != 200 or value != (float(want[expr]) if want[expr] else None):
            wrong.append(f"{expr} at {end}: {got}, right: {want[expr]}")
    status, answer = api(port, "query", query='kill_test[2h]', time=end / 1000)
    rows = answer["data"]["result"] if status == 200 else []
    if status != 200 or len(rows) != len({tuple(sorted(r["metric"].items())) for r in rows}) or sum(len(r["values"]) for r in rows) != sum(counts.values()):
        wrong.append(f"kill_test[2h] at {end}: {len(rows)} rows, {sum(len(r['values']) for r in rows)} samples, right: {len(counts)}, {sum(counts.values())}")
    return wrong


def own_metrics(port):
    """Samples the server has recorded of itself."""
    status, answer = api(port, "query", query='sum(count_over_time(up{job="kymo"}[1h]))')
    if status != 200:
        return f"{status} {answer}"
    return float(answer["data"]["result"][0]["value"][1]) if answer["data"]["result"] else 0.0


def check(found, states):
    """(lost, invented): a sample shows its newest acknowledged write or a later one that was sent."""
    lost, invented, known = [], [], set()
    for st in states:
        for cell, values in st["sent"].items():
            known.add(cell)
            got = found.get(cell)
            if cell in st["acked"]:
                if got not in values[st["acked"][cell]:]:
                    lost.append((cell, got, values, st["acked"][cell]))
            elif got is not None and got not in values:
                invented.append((cell, got))
    invented += [(cell, v) for cell, v in found.items() if cell not in known]
    return lost, invented


states = [{"sent": {}, "acked": {}, "odd": [], "round": 3600 * 0 + 100, "value": w * 10 ** 9, "generation": 0, "port": 0, "unanswered": None} for w in range(WRITERS)]
flags = ["--out-of-order-window", "2h", "--wal.share", "2MiB", "--storage.round-every", "700ms"]
lost_all, invented_all, changed, odd, wrong_all, own_wrong = 0, 0, 0, 0, 0, 0
found, own = {}, 0.0
slowest = 0
for kill in range(KILLS):
    server = Kymod(data, *flags, "--loops", str(rnd.choice([1, 2, 3])))
    for st in states:
        st["port"] = server.port
    writers = [Writer(w, states[w]) for w in range(WRITERS)]
    for w in writers:
        w.start()
    wrong = at_ready(server.port, found, states, kill) if found else []
    for x in wrong[:3]:
        note(f"kill {kill}: {x}")
    wrong_all += len(wrong)
    now_own = own_metrics(server.port)
    if isinstance(now_own, str) or now_own < own - 1:                       # the last one may not have been synced
        own_wrong += 1
        note(f"kill {kill}: own metrics: {now_own}, before {own}")
    else:
        own = now_own
    time.sleep(rnd.uniform(0.05, 1.5))
    server.end(signal.SIGKILL)
    for w in writers:
        w.stop = True
    for w in writers:
        w.join()
    begin = time.time()
    server = Kymod(data, *flags)
    slowest = max(slowest, time.time() - begin)
    first = read_all(server.port)
    server.end(signal.SIGKILL if rnd.random() < 0.7 else signal.SIGTERM)
    server = Kymod(data, *flags)
    second = read_all(server.port)
    lost, invented = check(first, states)
    for x in (lost + invented)[:3]:
        note(f"kill {kill}: {x}")
    lost_all += len(lost)
    invented_all += len(invented)
    if first != second:
        changed += 1
        diff = [(c, first.get(c), second.get(c)) for c in set(first) | set(second) if first.get(c) != second.get(c)]
        note(f"kill {kill}: second restart differs in {len(diff)} cells: {diff[:3]}")
    found = second
    # What was read counts from now on: a value that survived is the acknowledged one.
    for st in states:
        for cell, values in st["sent"].items():
            if cell in first and first[cell] in values:
                st["acked"][cell] = max(st["acked"].get(cell, 0), values.index(first[cell]))
            elif cell not in st["acked"]:
                st["sent"][cell] = []
        st["sent"] = {c: v for c, v in st["sent"].items() if v}
        odd += len(st["odd"])
        st["odd"] = []
    server.end(signal.SIGTERM)
samples = sum(len(st["acked"]) for st in states)
note(f"{samples} acknowledged samples, slowest start {slowest:.2f} s, {odd} answers other than 204")
ok(samples > KILLS * 100, "the load was real")
ok(lost_all == 0, f"every acknowledged sample is found after {KILLS} kills ({lost_all} lost)")
ok(invented_all == 0, f"nothing is found that was not sent ({invented_all} invented)")
ok(changed == 0, f"a second restart changes nothing ({changed} did)")
ok(wrong_all == 0, f"queries at readiness have right answers ({wrong_all} wrong)")
ok(own_wrong == 0, f"own metrics stay ({own_wrong} wrong)")
ok(odd == 0, f"no answer but 204 and broken connections ({odd})")
shutil.rmtree(top)
done()
