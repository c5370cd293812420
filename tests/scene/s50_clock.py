#!/usr/bin/env python3
"""A real kymod whose wall clock is wrong, steps, and is set right again: good samples are taken, nothing is deleted; and days with churn in seconds."""
import concurrent.futures, shutil, sys, threading, traceback
sys.path.insert(0, __file__.rsplit("/", 1)[0])
import lib
from lib import *
from testclock import Clock

MIN, HOUR, DAY = 60, 3600, 86400
ONLY = os.environ.get("KYMO_CLOCK_CASE")                              # a word of a case's title: by hand
DAYS = float(os.environ.get("KYMO_CLOCK_DAYS", "0.5"))                  # of the churn; 14 by hand
AT_ONCE = 3                                                           # cases: they mostly wait
top = tmpdir("clock")
cases = []
here = threading.local()                                              # what the case of this thread has said


def ok(cond, text):
    here.said.append((bool(cond), text))
    return bool(cond)


class Case:
    """A data directory, a clock, and a kymod on them."""

    def __init__(self, *flags):
        self.data = os.path.join(tempfile.mkdtemp(dir=top), "data")
        self.clock = Clock(self.data + ".clock")
        self.flags = ["--loops", "2", "--shards", "4", "--web.enable-admin-api", *flags]
        self.k = None

    def start(self, *more):
        self.k = Kymod(self.data, *self.flags, *more, env=self.clock.env())
        return self

    def stop(self, sig=signal.SIGTERM):
        return self.k.end(sig)

    def again(self, step_s=0, sig=signal.SIGTERM):
        """Ends; the clock is set meanwhile; starts."""
        self.stop(sig)
        self.clock.step_s(step_s)
        self.start()

    def put(self, name, times, **labels):
        """Status and text of one request."""
        status, text, head = write(self.k.port, series({"__name__": name, **labels}, [(t, float(t % 1000)) for t in times]))
        return status, text.decode()

    def count(self, name, end_ms, window):
        """Samples of all series of that name in (end - window, end]."""
        status, a = api(self.k.port, "query", query=f"sum(count_over_time({name}[{window}]))", time=end_ms / 1000)
        return int(float(a["data"]["result"][0]["value"][1])) if status == 200 and a["data"]["result"] else 0

    def metric(self, name):
        m = re.search(rf"^{re.escape(name)} (\S+)$", request(self.k.port, "GET", "/metrics")[1].decode(), re.M)
        return float(m.group(1)) if m else None

    def live(self, s, step_s=2 * MIN):
        """Test time goes by in steps, and background work has a moment of real time in each."""
        while s > 0:
            self.clock.pass_s(min(s, step_s))
            s -= step_s
            time.sleep(0.02)

    def confirm(self, text):
        """Samples of now go along with the clock for a minute: it is believed."""
        taken(self.put("hist", [self.clock.ms()]), text)
        for _ in range(3):
            self.live(35, 35)
            self.put("hist", [self.clock.ms()])
        ok(self.metric("kymo_clock_in_doubt") == 0, "no doubt is left")

    def settle(self):
        """What a wrong clock would do at once, it has done after this."""
        for _ in range(15):
            self.clock.pass_s(2)
            time.sleep(0.04)

    def gone(self, *asked):
        """Work behind the requests is given up to half an hour of test time to let go of these."""
        for _ in range(60):
            if all(self.count(*a) == 0 for a in asked):
                return True
            self.settle()
        return False

    def log(self):
        return open(self.k.log_path, errors="replace").read()


def case(title):
    def add(fn):
        if not ONLY or ONLY in title:
            cases.append((title, fn))
    return add


def run(fn):
    here.said = []
    try:
        fn()
    except Exception:
        ok(False, "the case breaks off: " + traceback.format_exc().replace("\n", " | "))
    return here.said


def taken(answer, text):
    """Taken, or told to come back: never 400."""
    ok(answer[0] == 204, f"{text}: {answer}")


def history(c, name="hist", days=2):
    """Samples of the last days, every half hour, in files; returns how many and the time of the last."""
    now = c.clock.ms()
    times = [now - days * DAY * 1000 + i * 1800 * 1000 for i in range(int(days * 48))] + [now]
    answer = c.put(name, times)
    ok(answer[0] == 204, f"history is written: {answer}")
    request(c.k.port, "POST", "/api/v1/admin/tsdb/flush")
    return len(times), now


@case("start with a clock far ahead")
def _():
    c = Case().start()
    n, end = history(c)
    c.live(10, 5)
    own = c.count('up{job="kymo"}', end + 60000, "1h")
    ok(own > 0, f"own metrics are there too ({own})")
    for round in range(2):
        c.again(60 * DAY if round == 0 else 0)
        c.settle()
        c.live(40 * MIN)
        ok(c.count("hist", end, "3d") == n, f"start {round + 1} with a clock 60 days ahead: {c.count('hist', end, '3d')} of {n} samples")
        ok(c.count('up{job="kymo"}', end + 60000, "1h") == own, "and what the server recorded before")
    c.again(-60 * DAY)
    c.settle()
    ok(c.count("hist", end, "3d") == n, "the right clock again: all there")
    taken(c.put("hist", [c.clock.ms()]), "a sample of now")
    c.stop()


@case("clock ahead, senders of the right time")
def _():
    c = Case().start()
    n, end = history(c)
    c.again(60 * DAY)
    t = end
    for i in range(30):
        t += MIN * 1000
        answer = c.put("hist", [t])
        if answer[0] != 204:
            break
        c.live(MIN)
    taken(answer, "samples of the right time while the clock is 60 days ahead")
    ok(c.metric("kymo_clock_in_doubt") == 1, "the clock is in doubt")
    ok("clock_in_doubt" in c.log(), "and the log says so")
    ok(c.count("hist", t, "3d") == n + 30, "nothing is deleted")
    c.clock.step_s(-60 * DAY)
    c.settle()
    c.confirm("the clock is set right while it runs: a sample of now")
    answer = c.put("bad", [c.clock.ms() + DAY * 1000])
    ok(answer[0] == 400 and "out_of_bounds" in answer[1], f"a sample of tomorrow is refused again: {answer}")
    c.stop()


@case("step of 45 days while running")
def _():
    c = Case().start()
    n, end = history(c)
    c.clock.step_s(45 * DAY)
    c.settle()
    c.live(25 * MIN)
    ok(c.count("hist", end, "3d") == n, f"nothing is deleted: {c.count('hist', end, '3d')} of {n}")
    ok(c.metric("kymo_clock_in_doubt") == 1, "the clock is in doubt")
    true_now = c.clock.ms() - 45 * DAY * 1000
    taken(c.put("hist", [true_now]), "a sample of the right time")
    c.live(25 * MIN)
    c.stop(signal.SIGKILL)
    c.start()
    c.settle()
    c.live(15 * MIN)
    ok(c.count("hist", end, "3d") == n, "nor after a kill and a start with it")
    c.clock.step_s(-45 * DAY)
    c.settle()
    taken(c.put("hist", [c.clock.ms()]), "set back: a sample of now")
    c.live(15 * MIN)
    ok(c.count("hist", end, "3d") == n, "all there")
    c.stop()


@case("one start a day ahead, then right")
def _():
    for senders in (False, True):
        c = Case().start()
        n, end = history(c)
        c.again(DAY)
        c.live(15, 5)
        if senders:
            taken(c.put("hist", [c.clock.ms()]), "a sender with the same wrong clock")
            c.live(12 * MIN)
        c.again(-DAY, signal.SIGKILL if senders else signal.SIGTERM)
        who = "own metrics and a sender were a day ahead" if senders else "own metrics were a day ahead"
        for back_s in (0, 30 * MIN, 45 * MIN):
            taken(c.put("hist", [c.clock.ms() - back_s * 1000]), f"{who}; a sample {back_s // 60} minutes old")
        c.confirm("and one of now")
        c.live(15 * MIN)
        taken(c.put("hist", [c.clock.ms()]), "later too")
        ok(c.count("hist", c.clock.ms() - 60 * MIN * 1000, "3d") >= n - 2, "nothing is deleted")
        answer = c.put("bad", [c.clock.ms() + DAY * 1000])
        ok(answer[0] == 400, f"a sample of tomorrow is refused: {answer[0]}")
        c.stop()


@case("clock behind")
def _():
    for empty in (False, True):
        for what, back in (("half an hour", 30 * MIN), ("2 hours", 2 * HOUR), ("2 days", 2 * DAY), ("56 years", None)):
            if not ONLY and empty == (what in ("2 hours", "56 years")):  # half of them, each once; all by hand
                continue
            c = Case()
            n, end = 0, c.clock.ms()
            if not empty:
                c.start()
                n, end = history(c)
                c.stop()
            behind = back if back else c.clock.ms() // 1000
            c.clock.step_s(-behind)
            c.start()
            c.settle()
            good = True
            for i in range(3):
                answer = c.put("hist", [c.clock.ms() + behind * 1000])
                good = good and answer[0] == 204
                c.live(20)
            where = "an empty directory" if empty else "old data"
            ok(good, f"{where}, clock {what} behind: samples of the right time: {answer}")
            c.clock.step_s(behind)
            c.settle()
            c.confirm("set right: a sample of now")
            answer = c.put("bad", [c.clock.ms() + DAY * 1000])
            ok(answer[0] == 400, f"a sample of tomorrow is refused: {answer[0]}")
            c.live(12 * MIN)
            end = c.clock.ms()
            ok(c.count("hist", end, "3d") == n + 7, f"all are there: {c.count('hist', end, '3d')} of {n + 7}")
            c.stop()


@case("a clock that stood still while the machine was off")
def _():
    c = Case().start()
    n, end = history(c)
    c.stop()
    c.clock.pass_s(30)
    for i in range(2):                                                # it says what it said when it went off; real time is three days on
        c.start()
        c.settle()
        t = c.clock.ms() + 3 * DAY * 1000
        taken(c.put("hist", [t]), "a sample of the right time")
        taken(c.put("hist", [t + 15000]), "and the next")
        c.stop()
    c.start()
    c.clock.step_s(3 * DAY)
    c.settle()
    c.confirm("the clock is set: a sample of now")
    ok(c.count("hist", end, "3d") == n, "nothing is deleted")
    c.stop()


@case("a backlog that passes by")
def _():
    c = Case().start()
    n, end = history(c)
    c.stop()
    c.start()                                                         # the clock says that no time went by; senders were cut off for two hours, and so was it
    codes = []
    for i in range(60):
        t = end + (i * 2 + 2) * MIN * 1000
        codes.append(c.put("hist", [t + j * 15000 for j in range(8)])[0])
        c.live(4, 4)
    ok(codes == [204] * 60, f"their backlog is taken, also where it is ahead of the clock: {codes.count(204)} of 60")
    taken(c.put("live", [end + 122 * MIN * 1000]), "and what is sent live")
    c.stop()


@case("an empty directory and a clock far ahead")
def _():
    c = Case()
    c.clock.step_s(60 * DAY)
    c.start()
    t = c.clock.ms() - 60 * DAY * 1000
    taken(c.put("hist", [t]), "a sample of the right time")
    taken(c.put("hist", [t + 15000]), "and the next")
    c.live(15 * MIN)
    ok(c.count("hist", t + 60000, "1h") == 2, "both are kept")
    c.stop()


@case("own metrics move nobody else's time")
def _():
    for sig in (signal.SIGTERM, signal.SIGKILL):
        for flush in (False, True):
            c = Case().start()
            now = c.clock.ms()
            taken(c.put("late", [now - 5 * HOUR * 1000]), "an empty directory: a sample 5 h old")
            c.live(10, 5)
            if flush:
                request(c.k.port, "POST", "/api/v1/admin/tsdb/flush")
                c.live(25 * MIN)
            c.again(0, sig)
            answer = c.put("late", [now - 5 * HOUR * 1000 + 60000])
            taken(answer, f"a start, one 4 h 59 min old ({sig.name}, {'from files' if flush else 'from the log'})")
            c.stop()


@case("a start in the middle of a history load")
def _():
    c = Case().start()
    begin = c.clock.ms() - 20 * DAY * 1000
    good = 0
    for i in range(60):
        good += c.put("load", [begin + (i * 30 + j) * MIN * 1000 for j in range(30)])[0] == 204
        if i % 20 == 7:
            c.again(0, signal.SIGKILL if i == 27 else signal.SIGTERM)
        c.live(MIN)
    ok(good == 60, f"{good} of 60 requests of 20 days ago are taken, over three starts")
    ok(c.count("load", begin + 1800 * MIN * 1000, "2d") == 1800, "all are there")
    ok(c.count('up{job="kymo"}', c.clock.ms(), "1h") > 0, "the server recorded itself meanwhile")
    c.stop()


@case("one bad sender, right clock")
def _():
    c = Case().start()
    taken(c.put("good", [c.clock.ms()]), "a good sample")
    codes = [c.put("bad", [c.clock.ms() + DAY * 1000])[0] for _ in range(20)]
    ok(codes == [400] * 20, f"a sender a day ahead is refused: {codes}")
    c.again()
    c.put("bad", [c.clock.ms() + DAY * 1000])                         # nothing is known yet of who is right
    for _ in range(6):
        taken(c.put("good", [c.clock.ms()]), "a start: a good sample")
        c.live(25, 25)
    codes = [c.put("bad", [c.clock.ms() + DAY * 1000])[0] for _ in range(5)]
    ok(codes == [400] * 5, f"after that it is refused again: {codes}")
    ok(c.metric("kymo_clock_in_doubt") == 0, "the clock is not in doubt")
    c.clock.step_s(2 * MIN)
    c.settle()
    codes = [c.put("bad", [c.clock.ms() + DAY * 1000])[0] for _ in range(5)]
    ok(codes == [400] * 5, f"after the clock was moved by two minutes: {codes}")
    c.stop()


@case("retention goes on, each class by its own time")
def _():
    c = Case("--retention", "1d").start()
    begin = c.clock.ms()
    for i in range(36):                                               # senders and own metrics, 36 hours
        c.put("both", [c.clock.ms()])
        c.live(HOUR, 20 * MIN)
    now = c.clock.ms()
    ok(c.gone(("both", now - 27 * HOUR * 1000, "2d"), ('up{job="kymo"}', now - 27 * HOUR * 1000, "2d")), "what is older than a day and two ranges is gone")
    kept = c.count("both", now, "22h")
    ok(kept == 21, f"what is younger is there: {kept}")
    for sig in (signal.SIGTERM, signal.SIGKILL):                      # silent senders: own metrics go on and expire
        for i in range(20):
            c.live(HOUR, 20 * MIN)
        c.again(0, sig)
        c.settle()
    c.live(3 * HOUR, 20 * MIN)
    end = c.clock.ms()
    ok(c.count("both", now, "22h") == kept, f"no new sample of senders: theirs stay ({c.count('both', now, '22h')} of {kept})")
    ok(c.gone(('up{job="kymo"}', now + 10 * HOUR * 1000, "8h")), "own metrics are gone by their own time")
    # how many were taken in these steps depends on the machine; without any of them expiry took too much
    own = c.count('up{job="kymo"}', end, "20h")
    ok(own > 3, f"the young ones are there ({own})")
    for i in range(4):                                                # senders are back: what is old goes
        taken(c.put("both", [c.clock.ms()]), "senders are back")
        c.live(30 * MIN, 10 * MIN)
    ok(c.gone(("both", now, "22h")) and c.count("both", c.clock.ms(), "4h") == 4, "and their old samples go")
    c.stop()


@case("days with churn")
def _():
    PODS, STEP = 200, 10 * MIN
    c = Case("--retention", "2d", "--no-self-metrics").start()
    begin = c.clock.ms()
    active, rss, steps, refused = [], [], int(DAYS * DAY / STEP), 0
    for i in range(steps):
        t = c.clock.ms()
        generation = i // 6                                           # every hour new pods
        body = b"".join(series({"__name__": "pod_cpu", "pod": f"p-{generation}-{j}"}, [(t - m * MIN * 1000, float(i * 10 - m)) for m in range(9, -1, -1)]) for j in range(PODS))
        refused += write(c.k.port, body)[0] != 204
        c.live(STEP, STEP)
        time.sleep(0.03)
        active.append(c.metric("kymo_series_active"))
        rss.append(int(re.search(r"VmRSS:\s+(\d+)", open(f"/proc/{c.k.pid}/status").read()).group(1)))
    ok(not refused, f"{steps} requests in {DAYS} days, {refused} refused")
    half = active[len(active) // 2:]
    ok(max(active) <= PODS * 8, f"the head holds the last hours only: at most {max(active)} series, {PODS * (steps // 6)} were made")
    ok(max(half) <= 1.5 * max(active[:len(active) // 2]), "and does not grow")
    ok(max(rss[steps // 2:]) <= 1.5 * max(rss[:steps // 2]) + 16384, f"nor does the process: {max(rss[:steps // 2])} KiB, then {max(rss[steps // 2:])}")
    evicted = c.metric("kymo_series_evicted_total")
    ok(evicted >= PODS * (steps // 6 - 8), f"series left memory: {evicted}")
    now = c.clock.ms()
    n = c.count("pod_cpu", now, f"{int(min(DAYS, 1.5) * 24)}h")
    want = int(min(DAYS, 1.5) * DAY / STEP) * 10 * PODS
    ok(abs(n - want) <= 10 * PODS, f"all samples of the last days: {n} of {want}")
    status, a = api(c.k.port, "query", query=f'count(count by (pod) (pod_cpu))', time=(now - 5 * HOUR * 1000) / 1000)
    ok(a["data"]["result"] and PODS <= int(a["data"]["result"][0]["value"][1]) <= 2 * PODS, "old pods answer for their hour")
    c.again(0, signal.SIGKILL)
    ok(c.count("pod_cpu", now, f"{int(min(DAYS, 1.5) * 24)}h") == n, "the same after a kill")
    c.stop()


with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
    for (title, _), said in zip(cases, pool.map(run, [fn for _, fn in cases])):
        note(title)
        for cond, text in said:
            lib.ok(cond, text)
shutil.rmtree(top)
done()
