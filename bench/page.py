#!/usr/bin/env python3
"""How fast is the web page? Headless Chromium on this machine, each figure beside its bar. (Not part of CI.)

First paint of each view, PAINTS times (9): cold, with a browser that knows nothing, and warm, with one that was there.
A graph of 50 x 1,000 points and one of 1,000 x 1,000, RUNS times (20): from the last byte of the answer to painted
pixels, as the page's own clock has it. Suggestions over SERIES series (1 M) of METRICS metrics (10,000), WORDS words
(100), typed as people do, without and with labels: the server's answer, and from the last key to the list that has it
(which begins with a pause of the editor itself). Nothing else should run beside it: /proc/loadavg is told.

  KYMO_BUILD=build python3 bench/page.py
"""
import os, random, sys
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "tests", "scene")]
from uipage import *
from chrome import Chrome
from million import bodies, metric, taken

ENV = os.environ.get
SERIES, METRICS, PAINTS, RUNS, WORDS = (int(ENV(name, usual)) for name, usual in (("SERIES", "1000000"), ("METRICS", "10000"), ("PAINTS", "9"), ("RUNS", "20"), ("WORDS", "100")))
VIEWS = ["query", "cardinality", "live", "doctor", "status", "help/first-steps"]
need("chromium")
top = tmpdir("page", ENV("TOP"))
k = Kymod(os.path.join(top, "data"), "--loops", ENV("LOOPS", "2"), "--limits.new-series-per-s", "0", "--storage.min-free", "1MiB")
base, now, rnd = f"http://127.0.0.1:{k.port}/", int(time.time()), random.Random(14)


def line(what, values, bar="", at=0.5):
    v = sorted(x if x is not None else float("inf") for x in values)
    p = lambda q: v[min(len(v) - 1, int(len(v) * q))]
    print(f"{what:44}{len(v):6}{p(0.5):10.1f}{p(0.99):10.1f}{v[-1]:10.1f}   {bar and (bar + (': kept' if p(at) <= float(bar.split()[0]) else ': NOT kept'))}", flush=True)


def fill(n):
    for first in range(0, n, 10):
        taken(k.port, b"".join(series({"__name__": f"wave{n}", "line": f"l{i:03d}"}, [((now - 3600) * 1000 + j * 3600, i * 10 + j * 7 % 11) for j in range(1000)]) for i in range(first, first + 10)))


print(f"load of the machine: {open('/proc/loadavg').read().strip()}; {os.cpu_count()} CPUs")
print(f"{'milliseconds':44}{'n':>6}{'p50':>10}{'p99':>10}{'most':>10}   bar")
with Chrome() as c:
    for view in VIEWS:
        cold, warm = [], []
        for _ in range(PAINTS):
            p = c.page()
            for times in (cold, warm):
                p.open(base + view)
                times.append(p.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime", 10))
                settle(p)
            c.send("Target.closeTarget", {"targetId": p.target})
        line(f"first paint, {view}, cold", cold, "150 ms")
        line(f"first paint, {view}, warm", warm, "150 ms")
    for n in (50, 1000):
        fill(n)
        p = c.page()
        p.open(base + "query?" + urllib.parse.urlencode({"g0.expr": f"wave{n}", "g0.tab": "0", "g0.range_input": "1h", "g0.end_input": time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now)), "g0.step_input": "3.6"}))
        p.wait("document.querySelector('.k-panel canvas')?.width && document.querySelectorAll('.k-legend-name').length >= 50", 30)
        settle(p)
        p.js(WATCHED)
        line(f"a graph of {n:,} series x 1,000 points", [draw_ms(p) for _ in range(RUNS)], "100 ms" if n == 50 else "")
        ok(False, "it is painted") if (ink(p) or {"n": 0})["n"] < 3000 else None

    begin = time.time()
    for raw in bodies(SERIES, METRICS, int(time.time()) * 1000):
        taken(k.port, raw)
    print(f"{SERIES:,} series of {METRICS:,} metrics went in, in {time.time() - begin:.0f} s")
    p = c.page()
    p.open(base)
    p.wait("document.activeElement.tagName === 'TEXTAREA'")
    p.js("""(() => {
        performance.setResourceTimingBufferSize(100000);
        window.listed = [];
        addEventListener('keydown', () => { window.keyAt = performance.now(); }, true);
        new MutationObserver(() => { window.listed.push(performance.now()); }).observe(document.querySelector('.k-q-rows'), {childList: true});
    })()""")
    SEARCHED = "performance.getEntriesByType('resource').filter(e => e.name.includes('/search/'))"
    answers, lists = {}, {}
    for i in range(WORDS):
        m = metric(rnd.randrange(METRICS))
        for kind, text in (("a metric", m[:rnd.randrange(5, 20)]), ("a label of a metric", m + "{r"), ("a value of a label", m + '{uid="u-' + str(rnd.randrange(10)))):
            p.key("Escape"), p.key("a", "Control"), p.key("Delete")
            p.js("performance.clearResourceTimings()")
            p.type(text[:-1])
            p.rest(0.4)
            p.js("window.listed = []")
            p.type(text[-1])
            p.rest(0.05)
            ms = p.wait(f"(() => {{ const s = {SEARCHED}.filter(e => e.startTime >= keyAt), after = s.length ? Math.max(...s.map(e => e.responseEnd)) : keyAt, at = listed.find(t => t >= after); return at && at - keyAt; }})()", 2)
            answers.setdefault(kind, []).extend(p.js(f"{SEARCHED}.map(e => e.responseEnd - e.requestStart)"))
            if ms:
                lists.setdefault(kind, []).append(ms)
    for kind in answers:
        if answers[kind]:
            line(f"suggestions, {kind}: the answer", answers[kind], "50 ms", 0.99)
        if lists.get(kind):
            line(f"suggestions, {kind}: key to list", lists[kind])
print(f"load of the machine: {open('/proc/loadavg').read().strip()}")
k.end()
shutil.rmtree(top)
