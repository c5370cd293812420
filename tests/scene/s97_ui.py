#!/usr/bin/env python3
"""The web page, as people and their browsers have it: Chromium drives every view in both themes and at a phone's width, over a
minute of a real node_exporter; axe-core finds nothing, the console is silent, the CSP is kept; sizes and first paint are printed."""
import sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from uipage import *
from chrome import Chrome
import rw2

need("chromium", "prometheus-node-exporter")
top = tmpdir("ui")
SECONDS = int(os.environ.get("KYMO_UI_S", "60"))
k = Kymod(os.path.join(top, "data"), "--loops=2", "--storage.min-free=1MiB")
base = f"http://127.0.0.1:{k.port}/"
scrapes = Scrapes(top, k.port)
rnd, now = random.Random(7), int(time.time()) * 1000
for i in range(60):  # a native histogram, of requests that grow slower
    n = [round(40 * (i + 1) * 2.71 ** (-(b - 8 - i / 10) ** 2 / 20)) for b in range(24)]
    rw2.send(k.port, rw2.Request().add({"__name__": "answer_seconds", "job": "native"}, histograms=[rw2.histogram(now - 300000 + 5000 * i, positive=[(-20, n)], sum=float(i))], meta=(rw2.HISTOGRAM, "How long answers took.", "seconds")))
write(k.port, b"".join(series({"__name__": "many_rows", "zone": f"z{i % 7}", "host": f"host-{i:04d}.example", "path": f"/api/v{i % 3}/things/{i}"}, [(now, rnd.random() * 10 ** rnd.randrange(-3, 9))]) for i in range(1500)))

AT = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now / 1000))  # of both, however slow the machine
LOOKS = {"light": {}, "dark": {"dark": True}, "phone": {"width": 390, "height": 844, "phone": True}}


def query(expr, tab, n=0, **more):
    return "query?" + urllib.parse.urlencode({f"g{n}.{name}": value for name, value in {"expr": expr, "tab": tab, **more}.items()})


# Where a view is, and how one sees that all of it is there.
VIEWS = {
    "help": ("help/first-steps", "document.querySelectorAll('.k-text h2').length > 3"),
    "status": ("status", "document.querySelectorAll('.k-table tbody tr').length > 50"),
    "doctor": ("doctor", "document.querySelectorAll('main h1, main h2').length > 1 && !/Loading/.test(main.textContent)"),
    "cardinality": ("cardinality", "document.querySelectorAll('main table tbody tr').length > 5"),
    "rows": (query("many_rows", "1", end_input=AT), "document.querySelectorAll('.k-panel table tbody tr').length >= 200"),
    "bad": (query("sum(rate(up[5m])) by job)", "1"), "document.querySelector('.k-failed mark')"),
    "empty": (query('node_cpu_second_total{mode="idle"}', "1"), "/Nearest/.test(main.textContent)"),
    "native": (query("rate(answer_seconds[1m])", "0", display_mode="heatmap", range_input="10m", end_input=AT), "document.querySelectorAll('.k-heat-key:not([hidden])').length"),
    "live": ("live", "document.querySelectorAll('main canvas').length > 5"),
    "query": (query("up", "table"), "document.querySelectorAll('.k-panel table tbody tr').length == 1"),
    "graph": (query("rate(node_cpu_seconds_total[20s])", "0", range_input="2m").replace("query", "graph", 1), "document.querySelectorAll('.k-panel canvas').length"),
    "stacked": (query("sum by (mode) (rate(node_cpu_seconds_total[20s]))", "graph", display_mode="stacked", range_input="2m"), "document.querySelectorAll('.k-panel canvas').length"),
    "explain": (query("sum by (mode) (rate(node_cpu_seconds_total[20s])) / on () group_left sum(rate(node_cpu_seconds_total[20s]))", "explain", range_input="2m"), "/Samples to read/.test(main.textContent) && document.querySelectorAll('.k-ex-tree li').length >= 3"),
    "trace": (query("sum by (mode) (rate(node_cpu_seconds_total[20s]))", "trace", range_input="2m"), "/all \\d+ shards/.test(main.textContent) && /Loop 1/.test(main.textContent)"),
    "heat": (query("sum by (le) (rate(kymo_http_request_seconds_bucket[30s]))", "0", display_mode="heatmap", range_input="2m"), "document.querySelectorAll('.k-heat-key:not([hidden])').length"),
    "panels": (query("up", "0", range_input="2m") + "&" + query("node_load1", "1", n=1).partition("?")[2] + "&" + query("node_memory_MemFree_bytes", "0", n=2, range_input="2m", fold="1").partition("?")[2], "document.querySelectorAll('.k-panel').length == 3 && document.querySelector('.k-panel canvas')"),
}
# What a phone has room for.
FIT = {
    "status": "document.querySelector('.k-flags td').getBoundingClientRect().right <= innerWidth",
    "heat": "document.querySelector('.k-chart-bar').offsetHeight < 60",
    "live": "[...document.querySelectorAll('.k-live-grid')].every(e => getComputedStyle(e).gridTemplateColumns.split(' ').length === 2)",
    "query": "[...document.querySelectorAll('.k-querybar > *')].every(e => e.offsetTop < 200) && document.querySelector('.k-querybar select').offsetWidth > 110",
}
ok(axe.have() is not None, "axe-core is here") if axe.have() else skip("axe-core", "it cannot be fetched")


with Chrome() as c:
    # What it is made of.
    p = c.page()
    p.open(base + "status")
    settle(p)
    html = get(k.port, "/", Accept="text/html")[1].decode()
    rev = re.search(r"ui/([0-9a-f]+)/", html).group(1)
    total, names = 0, [l.split("+=")[1].strip() for l in open(os.path.join(SRC, "net", "net.am")) if l.startswith("UI_FILES +=")]
    names = [n for n in names if not n.endswith((".js", ".md")) or n in ("app.js", "theme.js")] + ["help.md"]  # app.js has all modules in it, help.md all pages
    for name in names:
        status, body, _ = get(k.port, "/" if name == "index.html" else f"/ui/{rev}/{name}", Accept_Encoding="gzip", Accept="text/html")
        ok(status == 200, f"{name} is served: {len(body)} bytes")
        total += len(body)
    note(f"{len(names)} files, {total} bytes in gzip")
    ok(total < 100 << 10, "all of it is below 100 KB")  # t_ui is strict
    paints = []
    for _ in range(7):
        q = c.page()
        q.open(base + "help")
        paints.append(q.wait("performance.getEntriesByName('first-contentful-paint')[0]?.startTime") or 0)
    paints.sort()
    note(f"first contentful paint, 7 cold pages: median {paints[3]:.0f} ms, least {paints[0]:.0f} ms")
    ok(paints[0] > 0, "it is painted")

    # Every view in every look.
    pages = {look: c.page(**how) for look, how in LOOKS.items()}
    views = {n: v for n, v in VIEWS.items() if not os.environ.get("KYMO_UI_ONLY") or n in os.environ["KYMO_UI_ONLY"].split(",")}
    for name, (path, whole) in views.items():
        if name == "live":  # the views before it need no minute
            scrapes.wait(SECONDS)
        for look, p in pages.items():
            p.requests.clear()
            p.open(base + path)
            there(p, "(() => { const main = document.querySelector('main'); return %s; })()" % whole, f"{name}, {look}: all of it is there")
            # Colors are those of a theme, names and roles those of all: each is looked at where it may differ.
            clean(p, f"{name}, {look}", *(["400 (Bad Request)"] if name == "bad" else []), contrast=look != "phone", others=look != "dark")
            ok(not [u for u in p.requests if not u.startswith((base, "data:", "about:"))], f"{name}, {look}: nobody else is asked")
            if look == "phone" and name in FIT:
                ok(p.js(FIT[name]), f"{name}, phone: nothing is cut, nothing is broken over")
            shot(p, f"{name}-{look}")

    # A window of 1280 at 400 %: WCAG 1.4.10 wants all of it without a scroll bar sideways.
    small, forced = c.page(320, 256), c.page()
    forced.cdp("Emulation.setEmulatedMedia", {"features": [{"name": "forced-colors", "value": "active"}, {"name": "prefers-color-scheme", "value": "dark"}, {"name": "prefers-reduced-motion", "value": "reduce"}]})
    for name in views:
        path, whole = VIEWS[name]
        if name not in ("graph", "live", "status", "cardinality", "explain", "trace"):
            continue
        for p, what in ((small, "at 400 %"), (forced, "forced colors")):
            p.open(base + path)
            there(p, "(() => { const main = document.querySelector('main'); return %s; })()" % whole, f"{name}, {what}: all of it is there")
            ok(p.js("document.documentElement.scrollWidth <= innerWidth && !document.getAnimations().length"), f"{name}, {what}: nothing is cut, nothing moves")
            shot(p, f"{name}-{what.split()[-1]}")
        # Black is the ground there, whatever this page's theme says.
        ok(forced.js("""(() => {
            const light = t => t.match(/[\\d.]+/g).slice(0, 3).reduce((a, b) => a + Number(b), 0), seen = e => light(getComputedStyle(e).color);
            const marks = [...document.querySelectorAll('.k-legend-name i, .k-live-keys i, .k-ex-key i, .k-tr-key i')].map(e => getComputedStyle(e).backgroundColor);
            return seen(document.querySelector('h1, main')) > 600 && getComputedStyle(document.querySelector('[aria-current]')).outlineStyle === 'solid' && (marks.length < 2 || new Set(marks).size > 1);
        })()"""), f"{name}, forced colors: text is light, what is chosen is marked, colors of series stay")

scrapes.stop()
note(f"{scrapes.count} scrapes")
k.end()
shutil.rmtree(top)
done()
