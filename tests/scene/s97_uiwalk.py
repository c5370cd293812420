#!/usr/bin/env python3
"""The web page, walked through as people do, with keys and the mouse, over samples of a real node_exporter: a query from its first letter to its graph, and what the graph tells the API tells, too; zoom, legend, panels, links, history; what a query costs, before and after; what explodes; the last day played back; live numbers; a refused sample found; all by keyboard; below a path of nginx. How long graphs and suggestions take is printed."""
import datetime, sys

sys.path.insert(0, __file__.rsplit("/", 1)[0])
from uipage import *
from chrome import Chrome
from testclock import Clock

need("chromium", "prometheus-node-exporter")
top = tmpdir("uiwalk")
HOUR, LINES, POINTS = 3600, 50, 1000

# --- what there is to see: a clock that came 40 minutes before this one and catches up, so that the last day has moments ---
clock = Clock(os.path.join(top, "clock"), int((time.time() - 40 * 60) * 1000))
k = Kymod(os.path.join(top, "data"), "--loops=2", "--storage.min-free=1MiB", "--retention=2d", env=clock.env())
base = f"http://127.0.0.1:{k.port}/"


def explode(first, n):
    t = clock.ms()
    return write(k.port, b"".join(series({"__name__": "cart_items_total", "instance": "shop:1", "job": "shop", "session_id": f"s{i:06d}"}, [(t, i)]) for i in range(first, first + n)))[0]


def moments():
    return json.loads(get(k.port, "/api/v1/cardinality/history?start=1")[1])["data"]["moments"]


ok(explode(0, 30) == 204, "a shop has a few sessions")
for i in range(7):
    clock.pass_s(300)
    end, before, n = time.time() + 90, len(moments()), 0
    while time.time() < end and len(moments()) == before:
        time.sleep(0.02)
        n += 1
        if n % 25 == 0 and clock.ms() / 1000 < time.time() - 60:
            clock.pass_s(1)  # the file of the moment before may have been on its way: then the next look finds it due
clock.pass_s(time.time() - clock.ms() / 1000)
ok(len(moments()) >= 5 and abs(clock.ms() / 1000 - time.time()) < 60, f"the last hour has moments: {len(moments())}")
scrapes = Scrapes(top, k.port)
end = int(time.time()) // 10 * 10
wave = lambda i, j: (end - HOUR + j * HOUR // POINTS) * 1000
for i in range(LINES):
    status = write(k.port, series({"__name__": "wave", "job": "walk", "line": f"l{i:02d}"}, [(wave(i, j), i * 10 + j * 7 % 11 + j // 100) for j in range(POINTS)]))
    ok(status[0] == 204, f"wave {i} is stored: {status}") if status[0] != 204 else None
exploded = 30


def bad_sample():
    """One from the last century, by somebody who says who he is."""
    return request(k.port, "POST", "/api/v1/write", snappy(series({"__name__": "old_total", "job": "relic"}, [(915148800000, 1)])), {**WRITE_HEADERS, "User-Agent": "Relic/1.0"})[0]


ok(bad_sample() == 400, "a sample of 1999 is refused")
end_of_wait = time.time() + 90
while not scrapes.count and time.time() < end_of_wait:
    time.sleep(0.05)
ok(scrapes.count, "the node's samples are there")


def text(p, selector):
    return p.js(f"document.querySelector({json.dumps(selector)})?.textContent ?? null")


def press(p, where, label):
    """A button by the beginning of its text or name, with the mouse, when nothing moves below it any more."""
    settle(p)
    found = p.js(f"""(() => {{
        document.querySelectorAll('[data-press]').forEach(e => e.removeAttribute('data-press'));
        const b = [...document.querySelectorAll({json.dumps(where)})].find(b => b.offsetParent && (b.getAttribute('aria-label') ?? b.textContent).trim().startsWith({json.dumps(label)}));
        b?.setAttribute('data-press', '');
        return !!b;
    }})()""")
    if found:
        p.click("[data-press]")
    else:
        ok(False, f"there is no {label!r} in {where}: {p.js('document.querySelector(`main`).innerText')[:400]!r}")


def expr(p, panel=1):
    return p.js(f"document.querySelectorAll('.k-panel')[{panel - 1}].querySelector('textarea').value")


def field(p, selector, value):
    """What stands in a field is replaced."""
    p.click(selector)
    p.key("a", "Control")
    p.type(value)


def fields(p):
    return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(p.js("location.href")).query))


def drawn(p, what, timeout=90):
    """A graph is there, and it is not empty."""
    there(p, "document.querySelector('.k-panel canvas')?.width && !document.querySelector('.k-busy')", f"{what}: a graph is there", timeout)
    settle(p)
    i = ink(p)
    ok(i and i["n"] > 3000 and i["colors"] > 20, f"{what}: it is painted: {i}")
    return i


def last_range(p):
    """start and end of the last question for a range."""
    asked = [u for u in p.requests if "query_range?" in u]
    q = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(asked[-1]).query)) if asked else {}
    return float(q.get("start", 0)), float(q.get("end", 0))


def query(expr, n=0, **more):
    return urllib.parse.urlencode({f"g{n}.{name}": value for name, value in {"expr": expr, **more}.items()})


# How long each question took, by a part of its path.
TIMES = "performance.getEntriesByType('resource').filter(e => e.name.includes(%s)).map(e => e.responseEnd - e.requestStart)"

with Chrome() as c:
    p = c.page()
    p.open(base)
    p.js("localStorage.setItem('kymo.zone', '\"utc\"')")
    p.open(base)
    p.js(WATCHED)

    # --- from the first letter to the graph ---
    there(p, "document.activeElement.tagName === 'TEXTAREA'", "who comes may type at once")
    rows = "[...document.querySelectorAll('.k-q-pop:not([hidden]) .k-q-row .k-q-name')].map(e => e.textContent)"
    p.type("node_cpu_sec")
    there(p, f"{rows}[0] === 'node_cpu_seconds_total'", "the beginning of a name brings the metric")
    there(p, "document.querySelector('.k-q-about').textContent.includes('Seconds the CPUs spent in each mode')", "with what it is")
    shot(p, "walk-metric", False)
    p.key("ArrowDown"), p.key("Enter")
    ok(expr(p) == "node_cpu_seconds_total", f"Enter takes what was chosen: {expr(p)}")
    p.type("{mo")
    there(p, f"{rows}[0] === 'mode'", "inside of braces labels come")
    p.key("Tab")
    there(p, f"{rows}.includes('user')", "and behind one its values")
    p.type("us")
    there(p, f"{rows}[0] === 'user'", "that begin so")
    p.key("ArrowDown"), p.key("Enter")
    ok(expr(p) == 'node_cpu_seconds_total{mode="user"}', f"a value is in its quotes: {expr(p)}")
    p.key("Home")
    p.type("irat")
    there(p, f"{rows}[0] === 'irate' && /rate/.test(document.querySelector('.k-q-about').textContent)", "a function comes with its words: " + str(text(p, ".k-q-about"))[:80])
    shot(p, "walk-function", False)
    p.key("Tab")
    ok(expr(p).startswith("irate("), f"and opens its bracket: {expr(p)}")
    field(p, ".k-panel textarea", 'rate(node_cpu_seconds_total{mode="user"}[10s])')
    p.key("Escape"), p.key("Enter")
    there(p, "location.search.includes('g0.expr=rate')", "Enter runs it, and the address says so")
    field(p, "[aria-label=Range]", "2m")
    p.key("Enter")
    scrapes.wait(6)
    p.click(".k-panel textarea"), p.key("Enter")
    drawn(p, "of the first query")
    clean(p, "the first query")
    shot(p, "walk-first")

    # --- the crosshair tells what the API tells ---
    field(p, ".k-panel textarea", "wave")
    p.key("Escape"), p.key("Enter")
    field(p, "[aria-label=Range]", "1h")
    p.key("Enter")
    there(p, f"document.querySelectorAll('.k-legend-name').length === {LINES}", "fifty lines")
    first = drawn(p, "of fifty lines")
    x, y, w, h = p.box(".k-chart-stage")
    p.mouse("mouseMoved", x + w * 0.6, y + h * 0.5)
    there(p, "!document.querySelector('.k-chart-tip').hidden && document.querySelector('.k-chart-near')", "the crosshair reads out")
    when, name, value = p.js("[document.querySelector('.k-chart-when').firstChild.textContent, document.querySelector('.k-chart-near span').textContent, document.querySelector('.k-chart-near b').textContent]")
    t = datetime.datetime.fromisoformat(when.strip()).replace(tzinfo=datetime.timezone.utc).timestamp()
    line = re.search(r"l\d\d", name).group()
    got = api(k.port, "query", query=f'wave{{line="{line}"}}', time=t)[1]["data"]["result"]
    ok(got and close(got[0]["value"][1], value), f"{name} at {when} is {value}, the API says {got}")
    p.js("document.querySelector('.k-chart-stage').focus()")
    p.key("ArrowLeft"), p.key("ArrowLeft"), p.key("Enter")
    there(p, "/wave|line|l\\d\\d/.test(document.querySelector('#say').textContent)", "so do keys, aloud")
    shot(p, "walk-crosshair", False)

    # --- zoom, back ---
    before, address = last_range(p), p.js("location.search")
    p.drag(x + w * 0.4, y + h / 2, x + w * 0.6, y + h / 2)
    there(p, f"location.search !== {json.dumps(address)}", "dragging changes the address")
    settle(p)
    after = last_range(p)
    ok(before[0] < after[0] < after[1] < before[1] and 500 < after[1] - after[0] < 1000 and "g0.end_input" in fields(p), f"and asks for a fifth of the hour: {before} {after} {fields(p)}")
    zoomed = drawn(p, "nearer")
    ok(zoomed["sum"] != first["sum"], "which looks otherwise")
    p.js("history.back()")
    there(p, f"location.search === {json.dumps(address)}", "back goes back")
    settle(p)
    ok(abs((last_range(p)[1] - last_range(p)[0]) - HOUR) < 1, f"to the whole hour: {last_range(p)}")
    p.js("history.forward()")
    there(p, f"location.search !== {json.dumps(address)}", "and forward")
    settle(p)

    # --- legend, stacked, colors ---
    field(p, ".k-legend-filter", "l07")
    there(p, "document.querySelectorAll('.k-legend-name').length === 1", "the legend filters")
    settle(p)
    one = ink(p)
    ok(0 < one["n"] < zoomed["n"], f"and so does the graph: {one}")
    field(p, ".k-legend-filter", " ")
    p.key("Backspace")
    there(p, f"document.querySelectorAll('.k-legend-name').length === {LINES}", "all are there again")
    p.click(".k-legend-name")
    there(p, f"document.querySelectorAll('.k-legend-off').length === {LINES - 1}", "a click shows one alone")
    p.click(".k-legend-name")
    there(p, "document.querySelectorAll('.k-legend-off').length === 0", "once more: all")
    settle(p)
    press(p, ".k-panel button", "Stacked")
    there(p, "location.search.includes('stacked')", "stacked is in the address")
    settle(p)
    stacked = ink(p)
    ok(stacked["n"] > zoomed["n"] * 1.5, f"and fills the graph: {stacked}")
    clean(p, "stacked")
    shot(p, "walk-stacked")
    press(p, ".k-tools button", "Colors"), press(p, ".k-tools button", "Colors")
    there(p, "document.documentElement.dataset.theme === 'dark'", "the switch is dark")
    settle(p)
    ok(ink(p)["sum"] != stacked["sum"], "and so is the graph")

    # --- a link shows the same to another ---
    link, names = p.js("location.href"), p.js("[...document.querySelectorAll('.k-legend-table tr')].map(e => e.textContent)")
    q = c.page()
    q.open(link)
    q.js("localStorage.setItem('kymo.zone', '\"utc\"'), localStorage.setItem('kymo.theme', '\"dark\"')")
    q.open(link)
    there(q, f"document.querySelectorAll('.k-legend-name').length === {LINES}", "who gets the link sees as many")
    settle(q)
    ok(q.js("[...document.querySelectorAll('.k-legend-table tr')].map(e => e.textContent)") == names and ink(q)["sum"] == ink(p)["sum"], "the same numbers, and the same pixels")
    clean(q, "a link in the dark")
    for link in ("graph?g0.expr=node_load1&g0.tab=1&g0.stacked=0&g0.show_exemplars=0&g0.range_input=1h", "query?g0.expr=node_load1&g0.show_tree=0&g0.tab=table&g0.range_input=1h&g0.res_type=auto&g0.res_density=medium&g0.display_mode=lines&g0.show_exemplars=0"):
        q.open(base + link)
        there(q, "document.querySelectorAll('.k-panel table tbody tr').length === 1", f"a link of Prometheus {3 if 'display_mode' in link else 2} shows its table")
    q.open(base + "graph?g0.expr=node_load1&g0.tab=0&g0.stacked=1&g0.range_input=2m&g1.expr=up&g1.tab=1")
    there(q, "document.querySelectorAll('.k-panel').length === 2 && document.querySelector('.k-panel canvas')?.width && document.querySelector('.k-toggle[aria-pressed=true]')?.textContent === 'Stacked'", "one with two panels has both, as they were")

    # --- panels ---
    p.open(base + "query?" + query("up", tab="1"))
    press(p, "main button", "Add panel")
    there(p, "document.querySelectorAll('.k-panel').length === 2 && document.activeElement.tagName === 'TEXTAREA'", "another panel, to type into")
    p.type("node_load1"), p.key("Escape"), p.key("Enter")
    there(p, "document.querySelectorAll('.k-panel')[1].querySelectorAll('tbody tr').length === 1", "has its own answer")
    press(p, ".k-panel button", "Panel"), press(p, "[role=menu] button", "Duplicate")
    there(p, "document.querySelectorAll('.k-panel').length === 3", "one is duplicated")
    ok(expr(p, 2) == "up" and fields(p).get("g2.expr") == "node_load1", f"behind itself: {fields(p)}")
    press(p, ".k-panel button", "Panel"), press(p, "[role=menu] button", "Remove")
    there(p, "document.querySelectorAll('.k-panel').length === 2", "and removed")
    p.js("history.back()")
    there(p, "document.querySelectorAll('.k-panel').length === 3", "which back undoes")
    clean(p, "panels")

    # --- history ---
    scrapes.wait(30)  # at whole quarters of a minute there are two samples of ten seconds then
    p.open(base)
    there(p, "document.activeElement.tagName === 'TEXTAREA'", "the page is there")
    p.key("ArrowUp")
    ok(expr(p) == "node_load1", f"up is what was asked before: {expr(p)}")
    press(p, "main button", "History")
    there(p, "document.querySelectorAll('dialog[open] .k-pick').length >= 3", "the history has all")
    p.type("cpu")
    there(p, "document.querySelectorAll('dialog[open] .k-pick').length === 1", "a part finds one")
    shot(p, "walk-history", False)
    clean(p, "history")
    p.key("ArrowDown"), p.key("Enter")
    there(p, "!document.querySelector('dialog') && document.querySelector('.k-panel textarea').value.startsWith('rate(node_cpu') && document.querySelector('.k-panel canvas')", "and runs it")

    # --- what it costs ---
    p.open(base + "query?" + query("sum by (line) (wave)", tab="0", range_input="1h"))
    drawn(p, "of sums")
    press(p, "[role=tab]", "Explain")
    there(p, "/Series.*50/s.test(document.querySelector('.k-ex-figures')?.textContent) && /Samples to read/.test(document.querySelector('.k-ex-figures').textContent) && /Bytes to read/.test(document.querySelector('.k-ex-figures').textContent)", "Explain tells series, samples and bytes")
    samples = p.js("[...document.querySelectorAll('.k-ex-figure')].find(e => e.textContent.startsWith('Samples')).querySelector('b').textContent")
    press(p, "[role=tab]", "Trace")
    there(p, "/Loop 0.*Loop 1/s.test(document.querySelector('.k-trace')?.textContent)", f"Trace tells of both loops ({samples} samples were expected)")
    press(p, ".k-trace button", "all")
    there(p, "/Shard \\d+, loop 0/.test(document.querySelector('.k-trace').textContent) && /Shard \\d+, loop 1/.test(document.querySelector('.k-trace').textContent)", "and of each shard")
    clean(p, "Trace")

    # --- what cannot be asked, what is not there ---
    p.open(base + "query?" + query("sum(rate(up[5m])", tab="1"))
    there(p, "document.querySelector('.k-failed')?.textContent.includes('unclosed')", "an error says what is wrong")
    p.errors.clear()
    p.open(base + "query?" + query("node_laod1", tab="1"))
    there(p, "[...document.querySelectorAll('.k-empty button')].some(b => b.textContent === 'node_load1')", "an empty answer names what is near")
    press(p, ".k-empty button", "node_load1")
    there(p, "document.querySelectorAll('.k-panel table tbody tr').length === 1", "which a click asks")
    ok(expr(p) == "node_load1", "and puts into the editor")
    clean(p, "an empty answer")

    # --- how long a graph takes ---
    p.open(base + "query?" + query("wave", tab="0", range_input="1h", step_input=3600 / POINTS))
    there(p, f"document.querySelectorAll('.k-legend-name').length === {LINES}", "a thousand points of each line")
    p.js(WATCHED)
    took = [draw_ms(p) or 99999 for _ in range(7)]
    took.sort()
    note(f"a graph of {LINES} series of {POINTS} points, from the answer to painted pixels: median {took[3]:.0f} ms, least {took[0]:.0f}, most {took[-1]:.0f} (100 are wanted)")
    ok(took[-1] < 99999, "each of them came")
    p.click(".k-panel textarea"), p.key("a", "Control"), p.key("Delete")
    p.js("performance.clearResourceTimings()")
    for word in ("node_netw", "kymo_loop", "node_filesys", "go_mem"):
        p.type(word)
        there(p, f"{rows}[0]?.startsWith({json.dumps(word)})", f"{word} is gone on with")
        p.key("Escape"), p.key("a", "Control"), p.key("Delete")
    asked = sorted(p.js(TIMES % "'/search/'"))
    note(f"suggestions, {len(asked)} questions: median {asked[len(asked) // 2]:.1f} ms, most {asked[-1]:.1f}")

    # --- cardinality ---
    for _ in range(3):
        explode(exploded, 600)
        exploded += 600
        p.rest(1)
    p.open(base + "cardinality")
    end = time.time() + 40
    while time.time() < end and not any(e["now"] and e["kind"] == "label_of_metric" for e in json.loads(get(k.port, "/api/v1/cardinality/explosions")[1])["data"]):
        explode(exploded, 600)
        exploded += 600
        p.rest(1)
    press(p, "main button", "Refresh")
    there(p, "/Now.*session_id.*cart_items_total|Now.*cart_items_total.*session_id/s.test(document.querySelector('.k-cardloud')?.textContent)", "what explodes is named")
    p.click(".k-cardloud .k-cardrule summary")
    there(p, "/cardinality:[^]*session_id/.test(document.querySelector('.k-cardloud details[open] pre').textContent)", "with the rule against it: " + (text(p, ".k-cardloud pre") or "")[:200])
    clean(p, "an explosion")
    shot(p, "walk-explosion")
    press(p, ".k-cardtable button", "cart_items_total")
    there(p, "[...document.querySelectorAll('.k-cardtable tbody th')].map(e => e.textContent).includes('session_id')", "the largest metric leads to its labels")
    press(p, ".k-cardtable button", "session_id")
    there(p, "document.querySelectorAll('.k-cardtable tbody tr').length > 50 && /^s0/.test(document.querySelector('.k-cardtable tbody th').textContent)", "and a label to its values")
    ok({"metric": "cart_items_total", "label": "session_id"}.items() <= fields(p).items(), f"the address says where one is: {fields(p)}")
    clean(p, "values of a label")
    p.js("history.back()"), p.js("history.back()")
    there(p, "document.querySelector('.k-cardplay') && !document.querySelector('.k-cardplay').hidden && document.querySelectorAll('.k-cardtable tbody tr').length > 5", "back leads back to all")
    time_of = "document.querySelector('.k-cardtime strong').textContent"
    ok(p.js(time_of) == "Now", "it begins now")
    # It may be over before anybody looks.
    p.js("window.played = []; new MutationObserver(() => window.played.push(document.querySelector('.k-cardtime strong').textContent)).observe(document.querySelector('.k-cardtime'), {childList: true, characterData: true, subtree: true})")
    press(p, ".k-cardplay button", "Play")
    there(p, "window.played.some(t => t !== 'Now')", "the last day is played")
    there(p, f"{time_of} === 'Now'", "until now")
    p.js("document.querySelector('.k-cardslider').focus()")
    p.key("Home")
    there(p, f"{time_of} !== 'Now' && location.search.includes('t=')", "its slider has keys, and the moment is in the address")
    ok(ink(p, ".k-cardchart")["n"] > 500, "its chart is painted")
    clean(p, "playback")

    # --- live ---
    p.open(base + "live")
    card = lambda title: f"[...document.querySelectorAll('.k-live-card')].find(e => e.querySelector('h3').textContent === {json.dumps(title)})"
    big = f"{card('Samples by receiver')}?.querySelector('output').textContent"
    there(p, f"/\\d/.test({big} ?? '')", "Live tells how much comes in")
    for title in ("Busy, by loop", "Turn time p99, by loop", "Longest turn, by loop"):
        there(p, f"{card(title)}?.querySelectorAll('.k-live-keys li').length === 2", f"{title}: both loops are there")
    was = p.js("[...document.querySelectorAll('.k-live-big')].map(e => e.textContent).join()")
    there(p, f"[...document.querySelectorAll('.k-live-big')].map(e => e.textContent).join() !== {json.dumps(was)}", "by itself it tells otherwise")
    clean(p, "Live")

    # --- doctor, status ---
    p.open(base + "doctor")
    finding = "[...document.querySelectorAll('.k-finding')].find(e => /refused/.test(e.querySelector('h2').textContent))"
    there(p, f"/old_total/.test({finding}?.textContent) && /Relic/.test({finding}.textContent)", "Doctor has found the refused sample, and who sent it")
    there(p, f"/What to do: .{{20}}/.test({finding}.textContent) && /clock/.test({finding}.textContent)", "and tells what to do")
    clean(p, "Doctor")
    shot(p, "walk-doctor")
    p.open(base + "status")
    there(p, "document.querySelectorAll('.k-flags tbody tr').length > 50", "Status has flags")
    p.key("/"), p.type("reten")
    there(p, "[...document.querySelectorAll('.k-flags tbody tr')].filter(e => !e.hidden).every(e => /reten/.test(e.textContent)) && document.querySelector('.k-flags tbody tr:not([hidden])').textContent.includes('changed')", "which filter, what was changed first")

    # --- by keyboard alone ---
    p.js("document.activeElement.blur()")
    p.key("g"), p.key("c")
    there(p, "location.pathname === '/cardinality' && document.activeElement.tagName === 'H1'", "g c leads to Cardinality")
    p.key("g"), p.key("q")
    there(p, "location.pathname === '/query'", "g q to Query")
    for path in ("query?" + query("wave", tab="0", range_input="1h"), "cardinality", "doctor", "status"):
        p.open(base + path)
        p.wait("document.querySelectorAll('main button, main tbody tr').length > 3 && !document.querySelector('.k-busy')")
        settle(p)
        # What is shown stays as it is: an answer of now would put new stops in the place of those that are counted.
        p.js("window.fetch = () => new Promise(() => {}); document.activeElement.blur(); window.scrollTo(0, 0)")
        want = p.js("""(() => {
            const all = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, [tabindex]')].filter(e => e.tabIndex >= 0 && !e.disabled && e.checkVisibility());
            all.forEach((e, i) => { e.dataset.stop = i; });
            return all.length;
        })()""")
        seen, unseen, ends = set(), [], 0
        for _ in range(want + 6):
            p.key("Tab")
            stop, name, visible = p.js("""(() => {
                const e = document.activeElement, s = getComputedStyle(e), r = e.getBoundingClientRect(), box = e.closest('.k-editor, .k-q') ?? e, b = getComputedStyle(box);
                const ring = [s, b].some(s => (s.outlineStyle !== 'none' && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== 'none') || box.matches(':focus-within') && b.borderColor !== '';
                return [e.dataset.stop ?? null, (e.getAttribute('aria-label') ?? e.textContent).trim().slice(0, 30) || e.tagName, ring && r.width > 0 && r.bottom > 0 && r.top < innerHeight && r.right > 0];
            })()""")
            if stop is None:  # the end of the page; once more: from its beginning
                ends += 1
                if ends == 2:
                    break
                continue
            seen.add(int(stop))
            if not visible:
                unseen.append(name)
        missing = p.js("(s => [...document.querySelectorAll('[data-stop]')].filter(e => !s.includes(Number(e.dataset.stop))).map(e => e.outerHTML.slice(0, 120)))(%s)" % json.dumps(sorted(seen)))
        ok(not missing, f"{path.partition('?')[0]}: Tab reaches all {want} stops: {missing[:3]}")
        ok(not unseen, f"{path.partition('?')[0]}: where it is is seen: {unseen[:5]}")
    p.errors.clear()

    # --- below a path of nginx ---
    if shutil.which("nginx"):
        port = free_port()
        with open(os.path.join(top, "nginx.conf"), "w") as f:
            f.write(f"""daemon off; pid {top}/nginx.pid; error_log {top}/nginx.err;
events {{ worker_connections 500; }}
http {{
  access_log off; client_body_temp_path {top}/b; proxy_temp_path {top}/p; fastcgi_temp_path {top}/f; uwsgi_temp_path {top}/u; scgi_temp_path {top}/s;
  server {{ listen 127.0.0.1:{port}; location /mon/kymo/ {{ proxy_pass http://127.0.0.1:{k.port}/; }} }}
}}
""")
        nginx = Process(["nginx", "-p", top, "-e", os.path.join(top, "nginx.err"), "-c", os.path.join(top, "nginx.conf")], os.path.join(top, "nginx.log"))
        end = time.time() + 90
        while time.time() < end:
            try:
                get(port, "/")
                break
            except OSError:
                time.sleep(0.05)
        under = f"http://127.0.0.1:{port}/mon/kymo/"
        p = c.page()
        p.open(under + "graph?" + query("wave", tab="0", range_input="1h"))
        drawn(p, "below a path of nginx")
        p.click(".k-nav [data-view=help]")
        there(p, "location.pathname.startsWith('/mon/kymo/help') && document.querySelectorAll('.k-text h2').length > 2", "a link leads on below it")
        p.open(under + "help/operations")
        there(p, "document.querySelectorAll('.k-text h2').length > 3", "a page that lies deeper finds its files")
        p.click(".k-nav [data-view=live]")
        there(p, "document.querySelectorAll('.k-live-card').length > 5", "and the server")
        ok(all(u.startswith(under) or u.startswith("data:") for u in p.requests), f"nothing is asked elsewhere: {[u for u in p.requests if not u.startswith(under)][:3]}")
        clean(p, "below a path")
        nginx.end()
    else:
        skip("below a path of nginx", "it is not installed")

scrapes.stop()
k.end()
shutil.rmtree(top)
done()
