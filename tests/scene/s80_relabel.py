#!/usr/bin/env python3
"""Relabelling on ingest: every case of t_relabel, by Debian's Prometheus (metric_relabel_configs) and by kymod (a tenant each), stores the same series; rules of all receivers, of one and of a tenant in their order; external labels; what rules drop is no error, be it in Remote Write 1.0, 2.0 or JSON lines, and takes exemplars and metadata with it; rules change by a reload while samples come; mistakes are told with their place.

Prometheus is 2.42 there: what only 3 does (names that are not classic, a dot that matches newlines, the order in which labelmap walks) is kymod's alone."""
import http.server, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
import rw2

top = tmpdir("relabel")
TOKEN = "gate-secret-0123456789abcdef"
config = os.path.join(top, "kymod.yml")
cases = json.load(open(os.path.join(SRC, "tests/unit/core/relabel.json")))["cases"]
now = int(time.time()) * 1000
hash_ = subprocess.run([KYMOD, "--hash-token"], input=TOKEN.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()
IDENTITIES = f'identities:\n  tokens:\n  - {{name: gate, token_hash: "{hash_}", roles: [write, read, admin], trusted: true, tenants: ["*"]}}\n'


def configure(text):
    with open(config, "w") as f:
        f.write(IDENTITIES + text)
    os.chmod(config, 0o600)


def ask(method, path, body=None, org="a", headers=None):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKEN, "X-Scope-OrgID": org, **(headers or {})}, 120)


def push(org, rows, headers=WRITE_HEADERS):
    return ask("POST", "/api/v1/write", snappy(b"".join(series(*r) for r in rows)), org, headers)


def held(org, selector='{__name__!="",job!="kymo"}'):
    q = urllib.parse.urlencode({"query": selector, "time": now / 1000 + 1})
    status, text, _ = ask("GET", "/api/v1/query?" + q, org=org)
    assert status == 200, text
    return {tuple(sorted(s["metric"].items())): float(s["value"][1]) for s in json.loads(text)["data"]["result"]}


def figure(name):
    text = ask("GET", "/metrics")[1].decode()
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ") or line.startswith(name + "{"))


# --- the cases: a tenant each, its rules its own ---
tenants = "".join(f"  c{i}: {{relabel_configs: {json.dumps(c['rules'], ensure_ascii=False)}}}\n" for i, c in enumerate(cases))
configure("tenants:\n" + tenants)
k = Kymod(os.path.join(top, "data"), "--config", config, "--loops", "2", "--no-self-metrics", "--web.enable-lifecycle")
marked = [{**c["labels"], "case": f"n{i}"} for i, c in enumerate(cases)]
ours, bad = {}, []
for i, c in enumerate(cases):
    for again in (0, 1):  # the second time the loop may know the series
        status, text, _ = push(f"c{i}", [(marked[i], [(now + again, 1000 + i)])])
        if status != 204:
            bad.append((c["name"], status, text))
    ours[i] = held(f"c{i}")
ok(not bad, f"all {len(cases)} are answered 204: {bad[:3]}")


def wanted(i):
    c = cases[i]
    if not c["want"]:
        return None
    keeps_case = not any(r.get("action") == "labelkeep" and r["regex"] != ".*" for r in c["rules"])
    return {**c["want"], **({"case": f"n{i}"} if keeps_case else {})}


wrong = [(c["name"], ours[i]) for i, c in enumerate(cases) if ours[i] != ({tuple(sorted(wanted(i).items())): 1000 + i} if wanted(i) else {})]
ok(not wrong, f"each stores what its case says: {wrong[:3]}")

# --- the same by Prometheus ---
need_prometheus = shutil.which("prometheus")
if need_prometheus:
    def exposed(labels):
        esc = lambda v: v.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
        return labels["__name__"] + "{" + ",".join(f'{n}="{esc(v)}"' for n, v in labels.items() if n != "__name__") + "} "

    class Target(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            i = int(self.path.rsplit("/", 1)[1])
            body = (exposed(marked[i]) + str(1000 + i) + "\n").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    both = [i for i, c in enumerate(cases) if "since" not in c]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Target)
    server.handle_error = lambda *args: None  # a scrape that took too long comes again
    threading.Thread(target=server.serve_forever, daemon=True).start()
    jobs = "".join(f"- {json.dumps({'job_name': f'case{i}', 'metrics_path': f'/case/{i}', 'honor_labels': True, 'static_configs': [{'targets': [f'127.0.0.1:{server.server_port}']}], 'metric_relabel_configs': cases[i]['rules']}, ensure_ascii=False)}\n" for i in both)
    open(os.path.join(top, "prometheus.yml"), "w").write("global: {scrape_interval: 2s, scrape_timeout: 2s}\nscrape_configs:\n" + jobs)
    port = free_port()
    p = Process(["prometheus", f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={top}/tsdb", f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"], os.path.join(top, "prometheus.log"))
    end, scraped = time.time() + 120, 0
    while time.time() < end and scraped < len(both):
        time.sleep(0.5)
        try:
            a = api(port, "query", query='count(count_over_time(up{job=~"case.+"}[5m]) > 0)')[1]["data"]["result"]
            scraped = int(a[0]["value"][1]) if a else 0
        except (OSError, TypeError, KeyError):
            pass
    ok(scraped == len(both), f"Prometheus has scraped {scraped} of {len(both)} targets")
    end = time.time() + 120
    while True:  # a target may be down for a moment on a slow machine: what is stored is compared while none is
        theirs = {}
        for s in api(port, "query", query='{__name__=~".+",__name__!~"up|scrape_.+"} or {case!=""} or up{job!~"case.+"}')[1]["data"]["result"]:
            theirs.setdefault(int(float(s["value"][1])) - 1000, []).append(s["metric"])
        down = [s["metric"]["job"] for s in api(port, "query", query='up{job=~"case.+"} == 0')[1]["data"]["result"]]
        unlike = [(cases[i]["name"], theirs.get(i), list(ours[i])) for i in both if [tuple(sorted(m.items())) for m in theirs.get(i, [])] != list(ours[i])]
        if (not unlike and not down) or time.time() > end:
            break
        time.sleep(0.5)
    ok(not unlike and not down, f"{len(both)} cases: Prometheus stores the same as kymod: {unlike[:3]} {down[:3]}")
    p.end()
    server.shutdown()
else:
    note("prometheus is not installed")

# --- all receivers, one, a tenant; external labels ---
configure("""
receivers:
  relabel_configs: [{target_label: way, replacement: global}, {source_labels: [way], target_label: seen, replacement: "g:$1"}]
  external_labels: {region: eu, zone: z0, who: all}
  remote_write:
    relabel_configs: [{source_labels: [way], target_label: way, replacement: "$1>rw"}]
    external_labels: {zone: z1}
  import: {relabel_configs: [{source_labels: [way], target_label: way, replacement: "$1>import"}]}
tenants:
  defaults: {relabel_configs: [{source_labels: [way], target_label: way, replacement: "$1>usual"}]}
  own:
    relabel_configs: [{source_labels: [way], target_label: way, replacement: "$1>own"}]
    external_labels: {zone: z2, tenant: own}
    external_labels_win: true
  none: {relabel_configs: [], external_labels: {}}
""")
status, text, _ = ask("POST", "/-/reload")
ok(status == 200, f"the rules change by a reload: {text}")
for org in ("own", "none", "else"):
    ok(push(org, [({"__name__": "m", "zone": "mine"}, [(now, 1)])])[0] == 204, f"written for {org}")
    ask("POST", "/api/v1/import", json.dumps({"metric": {"__name__": "i"}, "values": [2], "timestamps": [now]}).encode() + b"\n", org)


def only(org, name):
    got = [dict(m) for m in held(org, name)]
    return got[0] if len(got) == 1 else got


base = {"region": "eu", "who": "all", "seen": "g:global"}
ok(only("own", "m") == {**base, "__name__": "m", "zone": "z2", "tenant": "own", "way": "global>rw>own"}, f"own rules last, own labels win: {only('own', 'm')}")
ok(only("none", "m") == {**base, "__name__": "m", "zone": "mine", "way": "global>rw"}, f"an empty list of its own: {only('none', 'm')}")
ok(only("else", "m") == {**base, "__name__": "m", "zone": "mine", "way": "global>rw>usual"}, f"the usual rules; the label that came stays: {only('else', 'm')}")
ok(only("else", "i") == {**base, "__name__": "i", "zone": "z0", "way": "global>import>usual"}, f"JSON lines go their own way: {only('else', 'i')}")

# --- the same without storing: steps ---
def steps(org, labels, **more):
    status, text, _ = ask("GET", "/api/v1/status/relabel_steps?" + urllib.parse.urlencode({"labels": json.dumps(labels), **more}), org=org)
    return json.loads(text)["data"]["steps"] if status == 200 else (status, text)


got = steps("own", {"__name__": "m", "zone": "mine"})
ok([s["rule"]["of"] for s in got] == ["external_labels", "receivers", "receivers", "receivers.remote_write", "tenants"] and got[-1]["output"] == only("own", "m") and all(s["keep"] for s in got), f"steps end with what is stored: {got}")
ok(steps("else", {"__name__": "i"}, receiver="import")[-1]["output"] == only("else", "i"), "of another receiver")
for labels, more in (({"a": 1}, {}), ({"a": "b"}, {"receiver": "pigeon"}), (["a"], {}), ({"": "x"}, {})):
    ok(steps("own", labels, **more)[0] == 400, f"refused: {labels} {more}")

# --- what is dropped: no error, in all versions ---
configure("""
tenants:
  a: {relabel_configs: [{source_labels: [__name__], regex: "gone.*", action: drop}, {regex: secret, action: labeldrop}, {source_labels: [nameless], regex: "yes", target_label: __name__, replacement: ""}]}
""")
ask("POST", "/-/reload")
before = figure("kymo_relabel_dropped_samples_total")
status, text, _ = push("a", [({"__name__": "gone1", "i": str(i)}, [(now, 1), (now + 1, 2)]) for i in range(50)])
ok(status == 204 and not held("a", '{__name__=~"gone.*"}'), f"all dropped is 204: {status} {text}")
ok(figure("kymo_relabel_dropped_samples_total") - before == 100, "and counted")
status, text, _ = push("a", [({"__name__": "kept", "i": str(i), "secret": "s"}, [(now, i)]) for i in range(300)] + [({"__name__": "gone2", "i": str(i)}, [(now, 1)]) for i in range(300)])
got = held("a", "kept")
ok(status == 204 and len(got) == 300 and not any("secret" in dict(m) for m in got), f"half of them kept, without the label: {status} {len(got)}")
status, text, _ = push("a", [({"__name__": "fine"}, [(now, 1)]), ({"__name__": "x", "nameless": "yes"}, [(now, 1)])])
ok(status == 400 and b"stored 1 of 2" in text and b"metric name is missing" in text, f"a rule that takes the name away: refused as any series without: {text}")
status, text, _ = push("a", [({"__name__": "two", "secret": "1"}, [(now, 1)]), ({"__name__": "two", "secret": "2"}, [(now, 2)])])
ok(held("a", "two") and status in (204, 400), f"two that become one keep the rule of the store: {status} {text}")
r = rw2.Request()
r.add({"__name__": "gone_total", "i": "1"}, [(now, 1.0)], exemplars=[(now, 1.0, {"trace_id": "t1"})], meta=(rw2.COUNTER, "goes", ""))
r.add({"__name__": "gone_hist"}, histograms=[rw2.histogram(now, positive=[(0, [1, 2])])])
status, text, fields = ask("POST", "/api/v1/write", snappy(r.raw()), "a", rw2.HEADERS)
answer = rw2.Answer(status, text, fields)
ok(status == 204 and answer.written == (1, 1, 1), f"2.0: its sender goes on, since nothing is missing: {answer}")
r.add({"__name__": "kept_total", "secret": "s"}, [(now, 2.0)], exemplars=[(now, 2.0, {"trace_id": "t2"})], meta=(rw2.COUNTER, "stays", ""))
status, text, fields = ask("POST", "/api/v1/write", snappy(r.raw()), "a", rw2.HEADERS)
ok(status == 204 and rw2.Answer(status, text, fields).written == (2, 1, 2), f"2.0: some kept: {rw2.Answer(status, text, fields)}")
meta = json.loads(ask("GET", "/api/v1/metadata")[1])["data"]
ok("kept_total" in meta and "gone_total" not in meta, f"metadata of what is dropped is dropped: {sorted(meta)}")
q = urllib.parse.urlencode({"query": '{__name__=~".+_total"}', "start": now / 1000 - 60, "end": now / 1000 + 60})
got = json.loads(ask("GET", "/api/v1/query_exemplars?" + q)[1])["data"]
ok([(e["seriesLabels"], len(e["exemplars"])) for e in got] == [({"__name__": "kept_total"}, 1)], f"so are exemplars, others have the labels that rules made: {got}")

got = steps("a", {"__name__": "gone1"})
ok([(s["rule"]["action"], s["keep"], s["output"]) for s in got] == [("drop", False, {}), ("labeldrop", False, {}), ("replace", False, {})], f"steps of what is dropped: {got}")

# --- rules change while samples come ---
stop, seen, failed = threading.Event(), [], []


def sender(n):
    i = 0
    while not stop.is_set():
        i += 1
        status, text, _ = push("b", [({"__name__": "moving", "n": str(n), "j": str(j)}, [(now + i, i)]) for j in range(200)])
        if status != 204:
            failed.append((status, text))


threads = [threading.Thread(target=sender, args=(n,)) for n in range(3)]
for t in threads:
    t.start()
for turn in range(8):
    configure(f"tenants: {{b: {{relabel_configs: [{{target_label: turn, replacement: t{turn}}}]}}}}\n")
    status, text, _ = ask("POST", "/-/reload")
    ok(status == 200, f"reload {turn}") if status != 200 else None
    mark = now + 3600000 - turn
    push("b", [({"__name__": "after", "at": str(turn)}, [(now, 1)])])
    seen.append(only("b", f'after{{at="{turn}"}}'))
stop.set()
for t in threads:
    t.join()
ok(not failed, f"no request failed: {failed[:2]}")
ok([s.get("turn") for s in seen] == [f"t{i}" for i in range(8)], f"what comes after a reload goes by its rules: {seen}")
ok(figure('kymo_relabel_cache_lookups_total{result="hit"}') > 1000, "known series are found again")

# --- mistakes ---
for text, why in (
    ("receivers: {relabel_configs: [{action: hashmod, target_label: x}]}", "receivers.relabel_configs[0]: relabel configuration for hashmod requires non-zero modulus"),
    ("receivers: {import: {relabel_configs: [{}, {target_label: a, regex: '('}]}}", "error parsing regexp"),
    ("tenants: {acme: {relabel_configs: [{action: Rename}]}}", 'unknown relabel action "Rename"'),
    ("tenants: {acme: {external_labels: {'': x}}}", "is not a valid label name"),
    ("tenants: {acme: {external_labels: [x]}}", "a map of names and values is needed"),
    ("tenants: {acme: {ha: {failover_timeout: 10ms}}}", "failover_timeout"),
    ("tenants: {acme: {ha: {cluster_label: x, replica_label: x}}}", "cluster_label and replica_label are the same"),
):
    configure(text + "\n")
    told = subprocess.run([KYMOD, "--check-config", config], capture_output=True, text=True, timeout=60)
    ok(told.returncode == 1 and why in told.stderr, f"{text}: {why}: {told.stderr.splitlines()[:1]}")
configure("receivers: {relabel_configs: [{action: drop, regex: '('}]}\n")
status, text, _ = ask("POST", "/-/reload")
ok(status == 500 and push("b", [({"__name__": "after", "at": "end"}, [(now, 1)])])[0] == 204 and only("b", 'after{at="end"}').get("turn") == "t7", f"a reload with a mistake changes nothing: {text}")
k.end()
done()
