#!/usr/bin/env python3
"""The web page, as people and their browsers have it: Chromium drives every view in both themes and at a phone's width, over a
minute of a real node_exporter; axe-core finds nothing, the console is silent, the CSP is kept; sizes and first paint are printed."""
import os, re, sys, threading, time, urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *
import axe
from chrome import Broken, Chrome

need("chromium", "prometheus-node-exporter")
top = tmpdir("ui")
SHOTS = os.environ.get("KYMO_SHOTS")  # a folder: screenshots of all views are left there
SECONDS = int(os.environ.get("KYMO_UI_S", "60"))
node, = free_ports(1)
exporter = Process(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node}"], os.path.join(top, "node.log"))
k = Kymod(os.path.join(top, "data"), "--loops=2", "--storage.min-free=1MiB")
base = f"http://127.0.0.1:{k.port}/"
begun, stop, scrapes = time.time(), threading.Event(), [0]


def get(path, port=k.port, method="GET", body=None, **fields):
    """Status, fields and bytes of an answer."""
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        c.request(method, path, body, {name.replace("_", "-"): value for name, value in fields.items()})
        r = c.getresponse()
        return r.status, dict(r.getheaders()), r.read()
    finally:
        c.close()


def scrape():
    """What a Prometheus would send each second."""
    while not stop.wait(1):
        try:
            page = get("/metrics", node)[2]
            get(f"/api/v1/import/prometheus?extra_label=job=node&extra_label=instance=127.0.0.1:{node}", method="POST", body=page)
            scrapes[0] += 1
        except OSError:
            pass


threading.Thread(target=scrape, daemon=True).start()
LOOKS = {"light": {}, "dark": {"dark": True}, "phone": {"width": 390, "height": 844, "phone": True}}
# Where a view is, and how one sees that all of it is there.
VIEWS = {
    "help": ("help/first-steps", "document.querySelectorAll('.k-text h2').length > 3"),
    "status": ("status", "document.querySelectorAll('.k-table tbody tr').length > 50"),
    "doctor": ("doctor", "document.querySelectorAll('main h1, main h2').length > 1 && !/Loading/.test(main.textContent)"),
    "cardinality": ("cardinality", "document.querySelectorAll('main table tbody tr').length > 5"),
    "live": ("live", "document.querySelectorAll('main canvas').length > 5"),
    "query": ("query?" + urllib.parse.urlencode({"g0.expr": "up", "g0.tab": "table"}), "document.querySelectorAll('.k-panel table tbody tr').length == 1"),
    "graph": ("graph?" + urllib.parse.urlencode({"g0.expr": "rate(node_cpu_seconds_total[20s])", "g0.tab": "0", "g0.range_input": "2m"}), "document.querySelectorAll('.k-panel canvas').length"),
    "stacked": ("query?" + urllib.parse.urlencode({"g0.expr": "sum by (mode) (rate(node_cpu_seconds_total[20s]))", "g0.tab": "graph", "g0.display_mode": "stacked", "g0.range_input": "2m"}), "document.querySelectorAll('.k-panel canvas').length"),
}
ok(axe.have() is not None, "axe-core is here") if axe.have() else skip("axe-core", "it cannot be fetched")


def wait_text(p, text, where="main", timeout=15):
    return p.wait(f"document.querySelector({json.dumps(where)})?.textContent.includes({json.dumps(text)})", timeout)


def settle(p):
    """Requests of the view are over, and what they brought is painted."""
    p.wait("!document.querySelector('[aria-busy=true], .k-busy')", 10)
    p.js("new Promise(d => requestAnimationFrame(() => setTimeout(d, 60)))")


def clean(p, what):
    """Nothing was said in the console, no rule was broken; axe-core is content; nothing stands beyond the edge."""
    ok(not p.errors, f"{what}: the console is silent: {p.errors}")
    p.errors.clear()
    wide = p.js("(() => { const w = document.documentElement.clientWidth; return [document.documentElement.scrollWidth - w, [...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > w + 1 && !e.closest('.k-scroll, pre, [class*=scroll], .k-pages, .k-unseen, canvas')).slice(0, 3).map(e => e.className || e.tagName)]; })()")
    ok(wide[0] <= 0, f"{what}: no scroll bar sideways: {wide}")
    if axe.have():
        found = axe.violations(p)
        ok(not found, f"{what}: axe-core finds nothing" + "".join(f"\n# {v}" for v in found))


with Chrome() as c:
    # What it is made of.
    p = c.page()
    p.open(base + "status")
    settle(p)
    html = get("/", Accept="text/html")[2].decode()
    rev = re.search(r"ui/([0-9a-f]+)/", html).group(1)
    total, names = 0, [l.split("+=")[1].strip() for l in open(os.path.join(SRC, "net", "net.am")) if l.startswith("UI_FILES +=")]
    names = [n for n in names if not n.endswith((".js", ".md")) or n in ("app.js", "theme.js")] + ["help.md"]  # app.js has all modules in it, help.md all pages
    for name in names:
        status, _, body = get("/" if name == "index.html" else f"/ui/{rev}/{name}", Accept_Encoding="gzip", Accept="text/html")
        ok(status == 200, f"{name} is served: {len(body)} bytes")
        total += len(body)
    note(f"{len(names)} files, {total} bytes in gzip")
    ok(total < 100 << 10, "all of it is below 100 KB in gzip")
    paints = []
    for _ in range(7):
        q = c.page()
        q.open(base + "help")
        paints.append(q.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime", 5) or 0)
    paints.sort()
    note(f"first contentful paint, 7 cold pages: median {paints[3]:.0f} ms, least {paints[0]:.0f} ms")
    ok(paints[0] > 0, "it is painted")

    # Every view in every look.
    views = {n: v for n, v in VIEWS.items() if not os.environ.get("KYMO_UI_ONLY") or n in os.environ["KYMO_UI_ONLY"].split(",")}
    for name, (path, there) in views.items():
        if name in ("live", "graph", "stacked"):
            time.sleep(max(0, begun + SECONDS - time.time()) if name == "live" else 0)
        for look, how in LOOKS.items():
            p = c.page(**how)
            p.open(base + path)
            ok(p.wait("(() => { const main = document.querySelector('main'); return %s; })()" % there), f"{name}, {look}: all of it is there")
            settle(p)
            clean(p, f"{name}, {look}")
            ok(not [u for u in p.requests if not u.startswith((base, "data:", "about:"))], f"{name}, {look}: nobody else is asked")
            if SHOTS:
                p.shot(os.path.join(SHOTS, f"{name}-{look}.png"), full=True)

stop.set()
note(f"{scrapes[0]} scrapes")
k.end()
exporter.end()
done()
