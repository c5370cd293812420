"""What the scenes of the web page share: its pages looked at as a whole, samples of a real node_exporter, keys and places in the page."""
import threading

from lib import *
import axe

SHOTS = os.environ.get("KYMO_SHOTS")  # a folder: screenshots are left there


def get(port, path, method="GET", body=None, **fields):
    """Status, fields and bytes of an answer."""
    return request(port, method, path, body, {name.replace("_", "-"): value for name, value in fields.items()}, 90)


class Scrapes:
    """A node_exporter, and what a Prometheus would send of it each second, until stop()."""

    def __init__(self, top, port):
        self.node = free_port()
        self.port, self.count, self.begun, self._stop = port, 0, time.time(), threading.Event()
        self.exporter = Process(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{self.node}"], os.path.join(top, "node.log"))
        self.job = f"extra_label=job=node&extra_label=instance=127.0.0.1:{self.node}"
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self._stop.wait(1):
            try:
                page = get(self.node, "/metrics")[1]
                self.count += get(self.port, f"/api/v1/import/prometheus?{self.job}", "POST", page)[0] // 100 == 2
            except OSError:
                pass

    def wait(self, seconds):
        """Until so many of it have been sent."""
        time.sleep(max(0, self.begun + seconds - time.time()))

    def stop(self):
        self._stop.set()
        self.thread.join()
        self.exporter.end()


def shot(p, name, full=True):
    if SHOTS:
        p.shot(os.path.join(SHOTS, f"{name}.png"), full=full)


def there(p, expression, what, timeout=90):
    """It becomes true, or what stands in the page is told."""
    got = p.wait(expression, timeout)
    return ok(got, what if got else f"{what}: {(p.js('document.querySelector(`dialog[open], main`)?.innerText') or '')[:600]!r} at {p.js('location.href')}")


def settle(p):
    """Requests of the view are over, and what they brought is painted."""
    p.wait("!document.querySelector('[aria-busy=true], .k-busy')")
    p.js("new Promise(d => requestAnimationFrame(() => setTimeout(d, 60)))")


WIDE = """(() => {
    const w = document.documentElement.clientWidth;
    const beyond = [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > w + 1 && !e.closest('.k-scroll, pre, [class*=scroll], .k-pages, .k-unseen, canvas'));
    return [document.documentElement.scrollWidth - w, beyond.slice(0, 3).map(e => e.className || e.tagName)];
})()"""


def clean(p, what, *expected, **rules):
    """Nothing was said in the console but what is expected, no rule was broken; axe-core is content; nothing stands beyond the edge."""
    settle(p)
    errors = [e for e in p.errors if not any(x in e for x in (*expected, "willReadFrequently"))]  # ink() does
    ok(not errors, f"{what}: the console is silent: {errors}")
    p.errors.clear()
    wide = p.js(WIDE)
    ok(wide[0] <= 0 and not wide[1], f"{what}: nothing stands beyond its edge: {wide}")
    if axe.have():
        found = axe.violations(p, **rules)
        ok(not found, f"{what}: axe-core finds nothing" + "".join(f"\n# {v}" for v in found))


# How many pixels of a graph are painted, and in how many colors.
INK = """(() => {
    const c = document.querySelector(%s);
    if (!c?.width) return null;
    const d = new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer), colors = new Set();
    let n = 0;
    for (const v of d) if (v) n++, colors.add(v);
    return {n, colors: colors.size, sum: d.reduce((a, v) => (Math.imul(a, 31) + v) | 0, 0)};
})()"""


def ink(p, selector=".k-panel canvas"):
    return p.js(INK % json.dumps(selector))


# In a page: window.painted is the moment at which what was drawn last is painted.
WATCHED = """(() => {
    const proto = CanvasRenderingContext2D.prototype, clear = proto.clearRect;
    window.painted = 0;
    proto.clearRect = function (...a) {
        const c = new MessageChannel();
        c.port1.onmessage = () => { window.painted = performance.now(); };
        c.port2.postMessage(0);
        return clear.apply(this, a);
    };
    performance.setResourceTimingBufferSize(10000);
})()"""


def draw_ms(p):
    """The question of the panel that has the focus is asked again: milliseconds from its answer to painted pixels, after WATCHED; None: never."""
    p.js("performance.clearResourceTimings(); window.painted = 0; document.querySelector('.k-panel textarea').focus()")
    p.key("Enter")
    return p.wait("(() => { const e = performance.getEntriesByType('resource').find(e => /query_range/.test(e.name)); return e?.responseEnd && window.painted > e.responseEnd ? window.painted - e.responseEnd : 0; })()")
