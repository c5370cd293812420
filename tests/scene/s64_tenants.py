#!/usr/bin/env python3
"""Two tenants with the same series: every route of the table is asked as the one, with the other empty and then full; no answer changes by a byte, and none names the other. Then queries over both, limits of each, /metrics, a restart."""
import sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
import otlp
from lib import *

try:
    import grpc
except ImportError:
    skip_all("python3-grpcio is not installed")

top = tmpdir("tenants")
TOKENS = {name: name + "-secret-0123456789abcdef" for name in ("acme", "zeta", "gate", "admin", "small", "acme-admin", "zeta-admin")}


def token_hash(token):
    return subprocess.run([KYMOD, "--hash-token"], input=token.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()


LIMIT = 60
SETS = ["ok", "high"]
config = os.path.join(top, "kymod.yml")


def configure(acme):
    rows = "\n".join(f'  - {{name: {n}, token_hash: "{token_hash(TOKENS[n])}", {more}}}' for n, more in (
        ("acme", "roles: [write, read], tenant: acme"), ("zeta", "roles: [write, read], tenant: zeta"), ("small", "roles: [write, read], tenant: small"),
        ("gate", 'roles: [write, read], trusted: true, tenants: ["*"]'), ("admin", "roles: [admin]"), ("acme-admin", "roles: [admin], tenant: acme"), ("zeta-admin", "roles: [admin], tenant: zeta")))
    with open(config + ".new", "w") as f:
        f.write(f"identities:\n  tokens:\n{rows}\ntenants:\n  acme: {acme}\n  small: {{series: 5, out_of_order_window: 1h}}\n")
    os.chmod(config + ".new", 0o600)
    os.replace(config + ".new", config)


configure(f"{{series: {LIMIT}}}")
k = Kymod(os.path.join(top, "data"), "--config", config, "--loops", "2", "--web.enable-admin-api", "--no-self-metrics")
NOW = int(time.time() * 1000) // 1000 * 1000


def ask(who, method, path, body=None, headers=None, org=None):
    head = {"Authorization": "Bearer " + TOKENS[who], **(headers or {})}
    if org:
        head["X-Scope-OrgID"] = org
    return request(k.port, method, path, body, head)


def push(who, rows, org=None):
    return ask(who, "POST", "/api/v1/write", snappy(b"".join(series(*r) for r in rows)), WRITE_HEADERS, org)


def meta(name, text):
    return field(3, b"\x08\x01" + field(2, name.encode()) + field(4, text.encode()))


def exemplar(labels, value):
    out = b"".join(field(1, field(1, n.encode()) + field(2, v.encode())) for n, v in labels.items())
    for t, v in ((NOW, value),):
        out += field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(t))
    return field(1, out + field(3, field(1, field(1, b"trace") + field(2, b"t" + str(value).encode())) + b"\x11" + struct.pack("<d", value) + b"\x18" + varint(NOW)))


def same(value):
    """What both tenants have, with values of their own."""
    return [({"__name__": "up", "job": f"j{i % 5}", "instance": f"i{i}"}, [(NOW - 60000, value), (NOW, value + i)]) for i in range(LIMIT)]


def secret(n):
    """What only the other one has."""
    return [({"__name__": f"hidden_{i % 50}", "hidden_label": f"hidden{i}", "job": "hidden"}, [(NOW - 30000 * (i % 9), i)]) for i in range(n)]


ok(push("acme", same(1))[0] == 204, "the one has its series")
ok(ask("acme", "POST", "/api/v1/write", snappy(meta("up", "of acme") + exemplar({"__name__": "up", "job": "j1", "instance": "i1"}, 7)), WRITE_HEADERS)[0] == 204, "metadata and an exemplar")
ok(ask("admin", "POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "in a file")

# --- every route of the table, by hand ---
T = NOW / 1000
SPAN = f"start={T - 3600}&end={T + 60}"
Q = urllib.parse.quote
BAD_WRITES = [
    [({"__name__": "more", "n": str(i)}, [(NOW, 1)]) for i in range(3)],            # over the limit of series
    [({"__name__": "up", "job": "j0", "instance": "i0"}, [(NOW + 10 ** 8, 1)])],    # ahead of the clock
    [({"job": "nameless"}, [(NOW, 1)])],
    [({"__name__": "up", "job": "x" * 20000}, [(NOW, 1)])],
]
writes = [("POST", snappy(b"".join(series(*r) for r in rows)), WRITE_HEADERS) for rows in BAD_WRITES] + [("POST", b"no snappy", WRITE_HEADERS), ("POST", snappy(b"".join(series(*r) for r in same(1))), WRITE_HEADERS)]
SELECTS = ["up", "{job=~\".+\"}", "{__name__=~\"hidden.*\"}", "{hidden_label!=\"\"}", "up{instance=\"none\"}"]
EXPRS = SELECTS + ["count({__name__!=\"\"})", "sum by (job) (up)", "topk(3, up)", "rate(up[5m])", "absent(hidden_1)", "up{", "sum(up) by", "count by (__tenant_id__) (up)", "{__tenant_id__!=\"\"}", "{__tenant_id__=\"zeta\"}",
                   "label_replace(up, \"instance\", \"x\", \"\", \"\")", "histogram_quantile(0.9, up)"]
CASES = {
    "/api/v1/write": writes, "/api/v1/push": writes, "/api/v1/receive": writes, "/api/v1/prom/write": writes,
    "/api/v1/query": [("GET", f"query={Q(e)}&time={T}") for e in EXPRS] + [("GET", f"query={Q('up')}&time={T}&limit=2"), ("GET", "query=")],
    "/api/v1/query_range": [("GET", f"query={Q(e)}&start={T - 600}&end={T}&step=15") for e in EXPRS] + [("GET", f"query=up&start={T}&end={T - 1}&step=1"), ("GET", f"query=up&start=0&end={T}&step=1")],
    "/api/v1/query_exemplars": [("GET", f"query={Q(e)}&{SPAN}") for e in SELECTS],
    "/api/v1/format_query": [("GET", "query=" + Q(e)) for e in EXPRS],
    "/api/v1/parse_query": [("GET", "query=" + Q(e)) for e in EXPRS],
    "/api/v1/series": [("GET", f"match[]={Q(e)}&{SPAN}") for e in SELECTS] + [("GET", f"match[]=up&{SPAN}&limit=3"), ("GET", "")],
    "/api/v1/labels": [("GET", SPAN), ("GET", SPAN + "&match[]=" + Q(SELECTS[3])), ("GET", SPAN + "&limit=1")],
    "/api/v1/label/<name>/values": [(name, SPAN) for name in ("__name__", "job", "instance", "hidden_label", "__tenant_id__")] + [("job", SPAN + "&limit=1"), ("job", SPAN + "&match[]=" + Q("{job=~\"h.*\"}"))],
    "/api/v1/search/metric_names": [("GET", SPAN + more) for more in ("", "&limit=1", "&search[]=hid&include_metadata=true", "&search[]=up&include_metadata=1&include_score=1", "&match[]=" + Q(SELECTS[1]))],
    "/api/v1/search/label_names": [("GET", SPAN + more) for more in ("", "&search[]=hidden", "&match[]=" + Q(SELECTS[3]))],
    "/api/v1/search/label_values": [("GET", SPAN + more) for more in ("&label=job", "&label=instance&limit=3", "&label=hidden_label", "&label=__tenant_id__", "&label=job&search[]=hid&fuzz_alg=jarowinkler&fuzz_threshold=30")] + [("GET", SPAN)],
    "/api/v1/metadata": [("GET", ""), ("GET", "metric=up"), ("GET", "metric=hidden_1"), ("GET", "limit=1")],
    "/api/v1/status/tsdb": [("GET", ""), ("GET", "limit=100")],
    "/api/v1/cardinality": [("GET", ""), ("GET", "limit=100")],
    "/api/v1/cardinality/explosions": [("GET", "")],
    "/api/v1/cardinality/history": [("GET", f"kind={k}") for k in ("metrics", "labels", "pairs", "targets")] + [("GET", "start=1")],
    "/api/v1/cardinality/label_names": [("GET", SPAN), ("GET", SPAN + "&selector=" + Q(SELECTS[3])), ("GET", SPAN + "&limit=1")],
    "/api/v1/cardinality/label_values": [("GET", SPAN + "&label_names[]=job&label_names[]=hidden_label&label_names[]=__tenant_id__"), ("GET", "")],
    "/api/v1/cardinality/active_series": [("GET", f"selector={Q(e)}&{SPAN}") for e in SELECTS] + [("GET", "")],
    "/-/ready": [("GET", ""), ("GET", "for=write")],
}
def read_request(name, value, chunks):
    """Remote read of what one matcher selects, as samples or as chunks."""
    matcher = field(2, name.encode()) + field(3, value.encode())
    query = b"\x08" + varint(NOW - 3600000) + b"\x10" + varint(NOW) + field(3, matcher)
    return snappy(field(1, query) + b"\x10" + varint(1 if chunks else 0))


LINES = [b'{"metric":{"__name__":"up","job":"j0","instance":"i0"},"values":[1],"timestamps":[%d]}\n' % (NOW - 60000),
         b'{"metric":{"__name__":"more","n":"1"},"values":[1],"timestamps":[%d]}\n' % NOW, b'{"metric":{"__name__":"up"},"values":[1]}\n', b"no line\n"]
JSON = {"Content-Type": "application/json"}
CASES["/api/v1/import"] = [("POST", line, JSON) for line in LINES] + [("POST", b"".join(LINES), JSON)]
TEXTS = [f'up{{job="j0",instance="i0"}} 1 {NOW - 60000}\n'.encode(), f'more{{n="1"}} 1 {NOW}\nbad{{\n'.encode(), b"bad{\n"]
for path in ("/api/v1/import/prometheus", "/api/v1/import/prometheus/metrics/*"):
    CASES[path] = [("POST", t, {}) for t in TEXTS]
POINTS = [f"up,job=j0,instance=i0 x=1 {NOW}\n".encode(), f"more,n=1 x=1,y=2 {NOW}\nbad\n".encode(), b"bad\n"]
QUERIES = {}  # of writes
for path, query in (("/write", "?db=x&precision=ms"), ("/api/v2/write", "?bucket=x&precision=ms"), ("/api/v3/write_lp", "?db=x&precision=ms")):
    for folder in ("", "/influx"):
        QUERIES[folder + path] = query
        CASES[folder + path] = [("POST", point, {}) for point in POINTS]
for folder in ("", "/influx"):
    CASES[folder + "/ping"] = [("GET", ""), ("GET", "verbose=1")]
    CASES[folder + "/query"] = [("GET", "q=" + Q(q)) for q in ("SHOW DATABASES", "CREATE DATABASE x; SHOW MEASUREMENTS", "?")]
DATADOG = json.dumps({"series": [{"metric": "dd", "points": [[NOW // 1000, 1]], "tags": ["a:b"]}, {"points": []}]}).encode()
for folder in ("", "/datadog"):
    for path in ("/api/v2/series", "/api/beta/sketches", "/api/intake/metrics/v3/series", "/api/intake/metrics/v3/sketches", "/api/v1/distribution_points", "/api/v1/series"):
        if folder + path not in CASES:
            CASES[folder + path] = [("POST", DATADOG, JSON), ("POST", b"\x0a\x05\x12\x03abc", {"Content-Type": "application/x-protobuf"})]
    CASES[folder + "/api/v1/validate"] = [("GET", "")]
    for path in ("/api/v1/check_run", "/intake/"):
        CASES[folder + path] = [("POST", b"[]", JSON)]
for path in ("/api/v1/metadata", "/api/v1/collector", "/api/v1/events", "/api/v2/events"):
    CASES["/datadog" + path] = [("POST", b"{}", JSON)]
CASES["/influx/health"] = [("GET", "")]
CASES["/metrics/*"] = [("POST", b"pushed 1\n", {}), ("POST", b"bad{\n", {})]
CASES["/api/v1/admin/wipe"] = [("PUT", "")]  # before the list of groups, whose times are those of pushes
CASES["/api/v1/metrics"] = CASES["/api/v1/status"] = CASES["/pushgateway"] = [("GET", "")]
NS = (NOW - 60000) * 1000000
OTLP = [otlp.request([otlp.resource([otlp.scope([otlp.metric(name, otlp.GAUGE, [otlp.point(1, NS, attrs={"n": "1"})])])])]) for name in ("more", "other")] + [b"no message"]
for path in ("/api/v1/otlp/v1/metrics", "/v1/metrics", "/opentelemetry/v1/metrics"):
    CASES[path] = [("POST", b, {"Content-Type": "application/x-protobuf"}) for b in OTLP] + [("POST", b"{}", JSON), ("POST", b"{", JSON)]
CASES["/api/v1/read"] = CASES["/api/v1/prom/read"] = [("POST", read_request(*m, chunks), WRITE_HEADERS) for chunks in (False, True) for m in (("__name__", "up"), ("job", "hidden"), ("__name__", "hidden_1"))]
CASES["/api/v1/export"] = [("GET", f"match[]={Q(e)}&{SPAN}") for e in SELECTS] + [("GET", "")]
CASES["/api/v1/export/csv"] = [("GET", f"match[]={Q(e)}&{SPAN}&format=__name__,job,__value__,__timestamp__:unix_ms") for e in SELECTS]
CASES["/federate"] = [("GET", "match[]=" + Q(e)) for e in SELECTS] + [("GET", "")]
CASES["/api/v1/features"] = CASES["/api/v1/status/active_queries"] = [("GET", "")]
CASES["/api/v1/status/active_queries/<id>/cancel"] = [("POST", "")]
CASES["/api/v1/status/relabel_steps"] = [(m, 'labels=' + Q('{"__name__":"up","job":"x"}')) for m in ("GET", "POST")]
CASES["/api/v1/status/top_queries"] = [("GET", "topNum=1000")]
QS, HEALTH = "/codesprintpro.monitoring.v1.QueryService/", "/grpc.health.v1.Health/"
CASES[QS + "EvaluateInstantQuery"] = [("GRPC", field(1, e.encode()) + b"\x10" + varint(NOW)) for e in EXPRS]
CASES[QS + "EvaluateRangeQuery"] = [("GRPC", field(1, e.encode()) + b"\x10" + varint(NOW - 600000) + b"\x18" + varint(NOW) + b"\x20" + varint(15000)) for e in EXPRS]
METRICS = "/opentelemetry.proto.collector.metrics.v1.MetricsService/"
CASES[METRICS + "Export"] = [("GRPC", b) for b in OTLP]
CASES[HEALTH + "Check"] = [("GRPC", b"")]
CASES[HEALTH + "Watch"] = [("STREAM", b"")]
for version in ("v1", "v1alpha"):
    CASES[f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"] = [("STREAM", field(7, b"*"))]
for path in ("/api/v1/targets/metadata", "/api/v1/rules", "/api/v1/alerts", "/api/v1/targets", "/api/v1/scrape_pools", "/api/v1/alertmanagers", "/api/v1/notifications",
             "/api/v1/status/buildinfo", "/api/v1/status/config", "/api/v1/status/flags", "/api/v1/status/tenants", "/api/v1/status/runtimeinfo", "/api/v1/status/tsdb/blocks", "/api/v1/status/walreplay", "/api/v1/status/doctor",
             "/-/healthy", "/metrics", "/version", "/health", "/", "/graph", "/favicon.ico", "/cardinality", "/live", "/doctor", "/status", "/help", "/help/<page>", "/ui/*", "/api", "/api/v1/openapi.json", "/api/v1/openapi.yaml"):
    CASES[path] = [("GET", "")]
for path in ("/api/v1/admin/tsdb/flush", "/api/v1/admin/tsdb/delete_series", "/api/v1/admin/tsdb/clean_tombstones", "/api/v1/admin/tsdb/snapshot", "/-/reload", "/-/quit"):
    CASES[path] = [("POST", "")]
CASES["/api/v1/admin/tsdb/snapshots"] = [("GET", "")]
CASES["/api/v1/admin/tsdb/snapshots/<name>"] = [("DELETE", "")]
table = open(os.path.join(SRC, "net/api/routes.c")).read()
table = table.replace('QUERY_SERVICE "', f'"{QS}').replace('METRICS_SERVICE "', f'"{METRICS}')
table = re.sub(r'\bREFLECTION\("(v1\w*)"\)', r'"/grpc.reflection.\1.ServerReflection/ServerReflectionInfo"', table)
rows = re.findall(r'\{\s*[A-Z_|\s]+?,\s*"(/[^"]*)"', table)
channel = grpc.insecure_channel(f"127.0.0.1:{k.port}")


def call(who, path, kind, message):
    """The status of a call, and what it said or answered first."""
    meta = [("authorization", "Bearer " + TOKENS[who])]
    try:
        if kind == "GRPC":
            return "OK", None, channel.unary_unary(path)(message, metadata=meta, timeout=60)
        answers = channel.stream_stream(path)(iter([message]), metadata=meta, timeout=60)
        first = next(answers)
        answers.cancel()
        return "OK", None, first
    except grpc.RpcError as e:
        return e.code().name, None, (e.details() or "").encode()


ok(len(rows) >= 38, f"{len(rows)} routes")
missing = [p for p in rows if p not in CASES]
ok(not missing, f"each has a case: without one {missing}")
VOLATILE = re.compile(rb'"serverTime":"[^"]*"|newest accepted [-0-9]+ [:0-9]+|"samplesStored":[-.a-zA-Z0-9":,]*"querySeconds":[.0-9]+')  # the clock; what it has done itself


def settled(path, text):
    """Of the top queries their texts: counts and times grow with each walk. Nor is there an order of exported series."""
    if path.endswith("/top_queries"):
        return b" ".join(sorted(set(re.findall(rb'"query":"(?:[^"\\]|\\.)*"', text))))
    if path.endswith("/doctor"):  # which findings there are, not how often
        return b" ".join(sorted(set(re.findall(rb'"id":"((?:samples|writes|records)_refused)"', text))))
    if path.endswith("/cardinality/history") and text.startswith(b'{"status":"success"'):  # moments come when they come: what no moment of the one's may have
        data = json.loads(text)["data"]
        counts = [n for m in data["moments"] for n in (m["series"], *(c for _, c in m["top"]), m.get("below", 0))]
        return repr([n for n in data["names"] if "hidden" in n] + [n for n in counts if n > LIMIT]).encode()
    if path.startswith("/api/v1/export"):
        return b"".join(sorted(text.splitlines(True)))
    return VOLATILE.sub(b"", text)


def walk(who, writes=True):
    """{case: status, type, body}"""
    out = {}
    for path in rows:
        for n, case in enumerate(CASES.get(path, [])):
            if (len(case) == 3 or path.startswith(METRICS)) and not writes:
                continue
            if case[0] in ("GRPC", "STREAM"):
                out[f"{path} {n}"] = call(who, path, *case)
                continue
            if len(case) == 3:
                method, url, body, head = "POST", path.replace("*", "job/j0") + QUERIES.get(path, ""), case[1], case[2]
            else:
                method, url, body, head = "GET" if path.startswith("/api/v1/label/") else case[0], path, None, None
                url = url.replace("<name>", case[0]).replace("<id>", "1") + ("?" + case[1] if case[1] else "")
            status, text, fields = ask(who, method, url, body, head)
            out[f"{path} {n}"] = (status, fields.get("Content-Type"), settled(path, text))
    return out


def differ(a, b):
    return [(c, a[c], b[c]) for c in a if a[c] != b[c]]


first, again = walk("acme"), walk("acme")
ok(not differ(first, again), f"{len(first)} questions give the same answers twice: {str(differ(first, again))[:600]}")
nobody = walk("zeta", writes=False)
told = [c for c, (_, _, t) in nobody.items() if b"acme" in t or b"i59" in t or b"of acme" in t]
ok(not told, f"who has nothing is told nothing of the one: {told}")
ok(b'"data":[]' in nobody["/api/v1/series 0"][2] and b'"result":[]' in nobody["/api/v1/query 0"][2] and b'"numSeries":0' in nobody["/api/v1/status/tsdb 0"][2], "it has no series")

# --- who asks, and what it may read ---
def may_read(who, org=None):
    data = json.loads(ask(who, "GET", "/api/v1/status/tenants", org=org)[1])["data"]
    return data["identity"], data["roles"], data["anyTenant"], {t["name"]: t for t in data["tenants"]}


name, roles, anyone, rows_of = may_read("acme")
ok(name == "acme" and roles == ["write", "read"] and not anyone and list(rows_of) == ["acme"], f"an identity is told of itself and its tenant: {name} {roles} {rows_of}")
t = rows_of["acme"]
ok(t["series"] == LIMIT and t["samplesStored"] >= 2 * LIMIT and t["samplesRefused"] > 0 and t["queries"] > 10 and t["limits"]["series"] == LIMIT, f"with its figures and limits: {t}")
t = may_read("zeta")[3]["zeta"]
ok(t["series"] == 0 and t["samplesStored"] == 0 and "series" not in t["limits"], f"one that nobody has written to has zeros: {t}")
t = may_read("small")[3]["small"]
ok(t["limits"]["series"] == 5 and t["limits"]["out_of_order_window"] == "1h", f"limits are as the configuration has them: {t}")
_, _, anyone, rows_of = may_read("gate")
ok(anyone and list(rows_of)[0] == "default" and rows_of["acme"]["series"] == LIMIT, f"who may read all is told of all, its own first: {list(rows_of)}")
ok(list(may_read("gate", "acme")[3]) == list(rows_of), "also while it asks for another one")
ok(ask("admin", "GET", "/api/v1/status/tenants")[0] == 403, "who may not read is told nothing")
ok([ask("gate", "GET", f"/api/v1/status/tenants?limit={n}")[0] for n in ("0", "1", "x", "10001")] == [400, 200, 400, 400], "a limit is a number")
ok(len(json.loads(ask("gate", "GET", "/api/v1/status/tenants?limit=1")[1])["data"]["tenants"]) == 1, "which holds")

# --- the other one becomes large ---
ok(push("zeta", same(1000))[0] == 204, "the other has the same series, with other values")
for part in range(4):
    ok(push("zeta", secret(3000)[part::4])[0] == 204, "and many more")
ok(ask("zeta", "POST", "/api/v1/write", snappy(meta("up", "of zeta") + meta("hidden_1", "hidden") + exemplar({"__name__": "up", "job": "j1", "instance": "i1"}, 9)), WRITE_HEADERS)[0] == 204, "metadata and an exemplar of its own")
full = walk("acme")
ok(not differ(first, full), f"the one's answers are the same, byte by byte: {str(differ(first, full))[:900]}")
ok(ask("admin", "POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "all goes into files")
full = walk("acme")
ok(not differ(first, full), f"and still: {str(differ(first, full))[:900]}")
def asked(c, word):
    """The question itself has the word; the top queries are the asker's own questions."""
    path, n = c.rsplit(" ", 1)
    return path.endswith("/top_queries") or word in urllib.parse.unquote(str(CASES[path][int(n)]))


told = [c for c, (_, _, t) in full.items() for w in ("zeta", "hidden") if w.encode() in t.replace(b"aria-hidden", b"") and not asked(c, w)]
ok(not told, f"no answer names the other or what is its: {told}")

# --- deletion is of the asker's tenant ---
def gone_total(who):
    return len(json.loads(ask(who, "GET", f"/api/v1/series?match[]=gone_total&{SPAN}")[1])["data"])


TEMP = [({"__name__": "gone_total", "n": str(i)}, [(NOW, i)]) for i in range(3)]
ok(push("zeta", TEMP)[0] == 204 and push("acme", TEMP[:1])[0] in (204, 400), "series to be deleted")
ok(ask("acme", "POST", "/api/v1/admin/tsdb/delete_series?match[]=gone_total")[0] == 403, "it takes the role admin")
status, text, _ = ask("acme-admin", "POST", "/api/v1/admin/tsdb/delete_series?match[]=gone_total&match[]=" + Q('{job="hidden"}'))
ok(status == 204 and gone_total("acme") == 0 and gone_total("zeta") == 3, f"the one's are deleted, the other's are not: {status} {text[:200]}")
ok(len(json.loads(ask("zeta", "GET", "/api/v1/series?match[]=" + Q('{job="hidden"}') + "&" + SPAN)[1])["data"]) == 3000, "nor what only the other has")
ok(ask("acme-admin", "POST", "/api/v1/admin/tsdb/clean_tombstones")[0] == 204, "files are written anew")
after = walk("acme")
ok(not differ(first, after), f"the one's answers are as before: {str(differ(first, after))[:600]}")
ok(gone_total("zeta") == 3, "and the other's are there")
ok(ask("zeta-admin", "POST", "/api/v1/admin/tsdb/delete_series?match[]=gone_total")[0] == 204 and gone_total("zeta") == 0, "until it deletes them itself")  # they are counted no more below
other = walk("zeta", writes=False)
ok(b"i0" in other["/api/v1/series 0"][2] and b"hidden_49" in other["/api/v1/label/<name>/values 0"][2] and b"of zeta" in other["/api/v1/metadata 0"][2], "the other sees its own")
ok(b"1059" in other["/api/v1/query 0"][2] and b"1059" not in full["/api/v1/query 0"][2] and b"t9" in other["/api/v1/query_exemplars 0"][2], "with its own values and exemplars")
text = json.loads(first["/api/v1/status/tsdb 0"][2])["data"]["headStats"]
ok(text["numSeries"] == LIMIT, f"figures are of the one: {text}")
ok(f"limit {LIMIT} (tenants.acme.series)".encode() in full["/api/v1/write 0"][2], f"a refusal names its own limit: {full['/api/v1/write 0'][2]}")
ok(full["/metrics 0"][0] == 403 and full["/api/v1/status/config 0"][0] == 403, "figures and configuration of all are for administrators")

for who, others in (("acme", (b"zeta", b"hidden")), ("zeta", (b"acme",))):
    findings = ask(who, "GET", "/api/v1/status/doctor")[1]
    ok(b'"server":false' in findings and b'"scope":"server"' not in findings and not any(o in findings for o in others), f"the doctor tells {who} of itself alone: {findings[:300]}")

# --- several at once, for who may ---


def over(org, path, who="gate", **params):
    q = urllib.parse.urlencode(params, doseq=True)
    status, body, _ = ask(who, "GET", f"/api/v1/{path}?{q}", org=org)
    return json.loads(body)["data"] if status == 200 else (status, body)


def vector(org, query, who="gate"):
    data = over(org, "query", who, query=query, time=T)
    return {tuple(sorted(r["metric"].items())): r["value"][1] for r in data["result"]} if isinstance(data, dict) else data


BOTH = "acme|zeta"
ok(vector(BOTH, "count by (__tenant_id__) (up)") == {(("__tenant_id__", "acme"),): str(LIMIT), (("__tenant_id__", "zeta"),): str(LIMIT)}, "series of both, each with its tenant")
ok(vector(BOTH, 'up{instance="i3"}') == {tuple(sorted({"__name__": "up", "instance": "i3", "job": "j3", "__tenant_id__": t}.items())): v for t, v in (("acme", "4"), ("zeta", "1003"))}, "equal labels stay apart")
ok(vector(BOTH, 'sum(up{instance!="i1"})') == {(): str(sum(1 + i + 1000 + i for i in range(LIMIT) if i != 1))}, "sums over both")
ok(vector(BOTH, "sum by (job) (up)")[(("job", "j0"),)] == str(sum(1001 + 2 * i for i in range(0, LIMIT, 5))), "grouped by another label")
ok(vector(BOTH, 'count(up{__tenant_id__="zeta"})') == {(): str(LIMIT)} == vector(BOTH, 'count(up{__tenant_id__!~"a.*"})'), "a matcher chooses")
ok(vector(BOTH, 'count({__tenant_id__="gamma"})') == {}, "one that was not named has nothing")
ok(over(BOTH, "label/__tenant_id__/values") == ["acme", "zeta"] and over(BOTH, "label/__tenant_id__/values", **{"match[]": "hidden_1"}) == ["zeta"], "values of the label are tenants")
ok("__tenant_id__" in over(BOTH, "labels") and "__tenant_id__" not in over("acme", "labels"), "it is among the names, of several only")
ok(len(over(BOTH, "series", **{"match[]": 'up{instance="i3"}'})) == 2, "series of both")
ok(sorted(e["help"] for e in over(BOTH, "metadata", metric="up")["up"]) == ["of acme", "of zeta"], "metadata of both")
ok(sorted(s["seriesLabels"]["__tenant_id__"] for s in over(BOTH, "query_exemplars", query="up", start=T - 60, end=T + 60)) == ["acme", "zeta"], "exemplars of both")
ok(vector("acme|nobody-yet", 'up{instance="i3"}') == {tuple(sorted({"__name__": "up", "instance": "i3", "job": "j3", "__tenant_id__": "acme"}.items())): "4"}, "who does not exist has nothing")
ok(over(BOTH, "status/tsdb")[0] == 400, "figures are of one")
ok(ask("acme", "GET", "/api/v1/query?query=up", org=BOTH)[0] == 403, "who may not read of all is 403")

# --- limits of each ---
ok(push("small", [({"__name__": "s"}, [(NOW, 1)])])[0] == 204, "the first series of a third tenant")
status, text, _ = push("small", [({"__name__": "s", "i": str(i)}, [(NOW, i)]) for i in range(20)])
ok(status == 400 and b"stored 4 of 20" in text and b"limit 5 (tenants.small.series)" in text, f"as many series as the limit, over all loops: {text}")
status, text, _ = push("small", [({"__name__": "s"}, [(NOW - 7200 * 1000, 1)])])
ok(status == 400 and b"tenant's out_of_order_window 1h" in text, f"its own window: {text}")
configure(f"{{series: {LIMIT + 2}}}")
k.p.send_signal(signal.SIGHUP)
end = time.time() + 60
while time.time() < end and b"tenants.acme.series" in push("acme", [({"__name__": "after"}, [(NOW, 1)])])[1]:
    time.sleep(0.05)
status, text, _ = push("acme", [({"__name__": "after", "n": str(i)}, [(NOW, 1)]) for i in range(3)])
ok(status == 400 and f"limit {LIMIT + 2} (tenants.acme.series)".encode() in text and b"stored 1 of 3" in text, f"a higher limit holds after a reload: {text}")

# --- what the operator sees ---
text = ask("admin", "GET", "/metrics")[1].decode()
figures = {(n, t): float(v) for n, t, v in re.findall(r'(kymo_tenant_\w+)\{tenant="([^"]+)"\} (\S+)', text)}
ok(figures[("kymo_tenant_series", "acme")] == LIMIT + 2 and figures[("kymo_tenant_series", "zeta")] == LIMIT + 3000 and figures[("kymo_tenant_series", "small")] == 5, "series of each tenant")
ok(figures[("kymo_tenant_samples_refused_total", "small")] == 17 and figures[("kymo_tenant_samples_ingested_total", "zeta")] >= 3000 and figures[("kymo_tenant_queries_total", "acme")] > 100, "samples and queries of each")

# --- and after a kill ---
k.p.kill()
k.p.wait()
k = Kymod(os.path.join(top, "data"), "--config", config, "--loops", "1", "--no-self-metrics", "--web.enable-lifecycle", port=k.port)
ok(vector("acme", "count(up)") == {(): str(LIMIT)} and vector("zeta", "count({__name__!=\"\"})") == {(): str(LIMIT + 3000)}, "after a kill each has its own")
text = ask("admin", "GET", "/metrics")[1].decode()
ok('kymo_tenant_series{tenant="zeta"} 3060' in text and 'kymo_tenant_series{tenant="acme"} 62' in text, "counted again at the start")
# --- more rows than tenants may be: a higher limit may come with them; a start says what is wrong ---
def configure_most(most):
    with open(config, "a") as f:
        f.write("  fourth: {series: 5}\n  fifth: {series: 5}\n" + (f"limits: {{tenants: {most}}}\n" if most else ""))


def reload():
    return request(k.port, "POST", "/-/reload", None, {"Authorization": "Bearer " + TOKENS["admin"]})


configure(f"{{series: {LIMIT}}}")
with open(config, "a") as f:
    f.write("limits: {tenants: 4}\n")
ok(reload()[0] == 200, "as many tenants as there are")
configure(f"{{series: {LIMIT}}}")
configure_most(6)
status, text, _ = reload()
ok(status == 200, f"more rows, and a limit that lets them in: {text}")
status = k.end()
ok(status == 0, f"it ends well: {status}")
configure(f"{{series: {LIMIT}}}")
configure_most(2)
no = Kymod(os.path.join(top, "few"), "--config", config, "--loops", "2", "--no-self-metrics", wait=False)
status = no.p.wait(120)
text = tail(no.log_path)
ok(status == 1 and "no more tenants are taken: limit 2 (--limits.tenants)" in text and "check_failed" not in text, f"a start with too many ends with a sentence: {status} {text[-300:]}")
shutil.rmtree(top)
done()
