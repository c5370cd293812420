#!/usr/bin/env python3
"""Paths: an external URL and a route prefix, what is told of the API, ETags; over HTTP/1.1 and, by curl, HTTP/2."""
import gzip, http.client, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
import h2raw

top = tmpdir("paths")


def get(port, path, method="GET", **headers):
    return request(port, method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})


def start(name, *flags):
    k = Kymod(os.path.join(top, name), *flags, wait=False)
    prefix = next((f.split("=", 1)[1] for f in flags if f.startswith("--web.route-prefix=")), None)
    if prefix is None:
        prefix = "/kymo" if flags else ""
    wait_for(k, prefix.rstrip("/") + "/-/ready")
    return k


def wait_for(k, path):
    end = time.time() + 90
    while time.time() < end:
        if not k.alive():
            raise RuntimeError("kymod ended at start:\n" + tail(k.log_path))
        try:
            if get(k.port, path)[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"{path} is never 200:\n" + tail(k.log_path))


# --- at the root: what the server tells of its API ---
k = start("plain")
for path, kind in (("/", "text/plain"), ("/graph", "text/plain"), ("/api", "text/html"), ("/api/v1/openapi.json", "application/json"), ("/api/v1/openapi.yaml", "application/yaml")):
    status, body, h = get(k.port, path)
    ok(status == 200 and body and h["Content-Type"].startswith(kind) and h["Vary"] == ("Accept, Accept-Encoding" if path in ("/", "/graph") else "Accept-Encoding") and h["Cache-Control"] == "no-cache", f"{path}: {status} {h}")
    again, nothing, h2 = get(k.port, path, If_None_Match=f'"other", W/{h["Etag"]}')
    ok(again == 304 and nothing == b"" and h2["Etag"] == h["Etag"] and "Content-Length" not in h2, f"its ETag is told 304: {again} {h2}")
    status, packed, h3 = get(k.port, path, Accept_Encoding="br, deflate, gzip")
    if path in ("/", "/graph"):  # too small, or nearly
        ok(status == 200, "and it comes to who takes gzip")
    else:
        ok(h3["Content-Encoding"] == "gzip" and gzip.decompress(packed) == body and h3["Etag"] != h["Etag"], f"compressed it is the same: {h3}")
    status, nothing, h4 = get(k.port, path, "HEAD")
    ok(status == 200 and nothing == b"" and h4["Content-Length"] == str(len(body)) and h4["Etag"] == h["Etag"], f"HEAD has the same head: {h4}")

# --- the web page: for browsers, at the paths of its views ---
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; "
       "require-trusted-types-for 'script'; trusted-types 'none'")
VIEWS = ("/", "/graph", "/query", "/graph?g0.expr=up&g0.tab=0", "/cardinality", "/live", "/doctor", "/status", "/help", "/help/first-steps")


def guarded(h):
    return h["Content-Security-Policy"] == CSP and h["X-Content-Type-Options"] == "nosniff" and h["X-Frame-Options"] == "DENY" and h["Referrer-Policy"] == "no-referrer" and h["Cross-Origin-Resource-Policy"] == "same-origin"


for path in VIEWS:
    status, page, h = get(k.port, path, **BROWSER)
    twofold = path.split("?")[0] in ("/", "/graph", "/query")
    ok(status == 200 and h["Content-Type"].startswith("text/html") and guarded(h) and h["Cache-Control"] == "no-cache" and h["Vary"] == ("Accept, Accept-Encoding" if twofold else "Accept-Encoding"), f"{path} is the page: {status} {h}")
    ok(get(k.port, path, If_None_Match=h["Etag"], **BROWSER)[0] == 304, "its ETag is told 304")
    status, nothing, h2 = get(k.port, path, "HEAD", **BROWSER)
    ok(path == "/query" and status == 405 or status == 200 and nothing == b"" and h2["Etag"] == h["Etag"] and guarded(h2), f"HEAD has its head: {status}")
    status, packed, h3 = get(k.port, path, Accept_Encoding="gzip", **BROWSER)
    ok(gzip.decompress(packed) == page and h3["Etag"] != h["Etag"], "compressed it is the same")
ok(get(k.port, "/", "POST", **BROWSER)[0] == 405, "it takes nothing")
ok(get(k.port, "/query?q=SHOW+DATABASES")[2]["Content-Type"].startswith("application/json"), "clients of InfluxDB have their path")
ok(get(k.port, "/", Accept="text/plain, text/html;q=0.5")[2]["Content-Type"].startswith("text/plain"), "who likes text better gets it")
files = re.findall(r'(?:href|src)="\./(ui/[^"]*)"', page.replace(b"../ui", b"./ui").decode())
ok(len(files) >= 4, f"it asks for its files: {files}")
rev = files[0].split("/")[1]


def packed_as(name):
    """A file of net/ui as it is sent: without comments, and all modules in one."""
    folder = os.path.join(SRC, "net", "ui")
    if name == "help.md":
        pages = [l.split()[2] for l in open(os.path.join(SRC, "net", "net.am")) if l.startswith("UI_FILES += help/")]
        return b"".join(b"\f%s\n%s" % (p[5:-3].encode(), open(os.path.join(folder, p), "rb").read()) for p in pages)
    if name == "app.js":
        files = [l.split()[2] for l in open(os.path.join(SRC, "net", "net.am")) if l.startswith("UI_FILES +=")]
        return subprocess.check_output(["perl", os.path.join(folder, "script.pl"), folder] + files)
    return subprocess.check_output(["sh", os.path.join(folder, "pack.sh"), "plain", os.path.join(folder, name)])


for f in sorted(set(files) | {f"ui/{rev}/help.md"}):
    status, plain, h = get(k.port, "/" + f)
    ok(status == 200 and h["Cache-Control"] == "public, max-age=31536000, immutable" and guarded(h) and h["Content-Type"].split(";")[0] in ("text/javascript", "text/css", "text/markdown", "image/svg+xml"), f"{f}: {status} {h}")
    status, packed, h2 = get(k.port, "/" + f, Accept_Encoding="gzip, br")
    ok(h2["Content-Encoding"] == "gzip" and gzip.decompress(packed) == plain and h2["Etag"] != h["Etag"] and int(h["Content-Length"]) == len(plain), "plain and compressed are the same")
    ok(plain == packed_as(f.split("/", 2)[2]), "as it is packed")
    ok(get(k.port, "/" + f, If_None_Match=h["Etag"])[0] == 304 and get(k.port, "/" + f, If_None_Match=h2["Etag"], Accept_Encoding="gzip")[0] == 304, "its ETags are told 304")
    status, nothing, h3 = get(k.port, "/" + f, "HEAD")
    ok(status == 200 and nothing == b"" and h3["Content-Length"] == str(len(plain)), "HEAD has its length")
for bad in ("/ui/", f"/ui/{rev}", f"/ui/{rev}/", f"/ui/{rev}/none.js", f"/ui/{rev}/index.html", f"/ui/{rev}/lib", "/ui/0123456789abcdef/app.js", f"/ui/{rev}x/app.js", f"/ui/{rev}/lib%2Fdom.js%00"):
    status, body, h = get(k.port, bad)
    ok(status == 404 and h["Cache-Control"] == "no-store" and guarded(h) or "%00" in bad and status == 400, f"{bad} is no file: {status} {body}")
ok(b'"../ui/' in get(k.port, "/help/first-steps")[1] and b'"./ui/' in get(k.port, "/help")[1], "one folder down it asks one folder up")
ok(get(k.port, "/prometheus/graph", **BROWSER)[1] == get(k.port, "/graph", **BROWSER)[1] and get(k.port, f"/prometheus/ui/{rev}/app.js")[0] == 200, "below /prometheus all of it is there, too")
api_doc = json.loads(get(k.port, "/api/v1/openapi.json")[1])
ok(api_doc["openapi"] == "3.1.0" and "servers" not in api_doc, "OpenAPI 3.1")
html = get(k.port, "/api")[1].decode()
paths = list(api_doc["paths"])
ok(all(p.replace("{rest}", "*").replace("{", "&lt;").replace("}", ">") in html for p in paths), f"the page tells of all {len(paths)} paths")
wrong = []
for path, item in api_doc["paths"].items():
    for method in item:
        if method in ("get", "head"):
            url = path.replace("{name}", "job").replace("{page}", "x").replace("{rest}", "x") + ("?query=1&start=1&end=2&step=1&match[]=up" if method == "get" else "")
            status, _, h = get(k.port, url, method.upper())
            told = item[method]["responses"]
            if str(status) not in told and status != 204:
                wrong.append((method, url, status))
ok(not wrong, f"what is asked for answers as it is told: {wrong}")
status, a = api(k.port, "status/flags")
ok(a["data"]["web.route-prefix"] == "/" and a["data"]["web.external-url"] == "", "flags tell that there is no prefix")
status, a = api(k.port, "status/runtimeinfo")
ok(a["data"]["externalURL"] == f"http://{socket.gethostname()}:{k.port}" and a["data"]["routePrefix"] == "/", f"nor another URL: {a['data']}")
if shutil.which("curl"):
    def curl(path, *args):
        return subprocess.run(["curl", "-s", "-i", "--http2-prior-knowledge", *args, f"http://127.0.0.1:{k.port}{path}"], capture_output=True, text=True, timeout=60).stdout
    head = curl("/api").split("\r\n\r\n")[0]
    tag = re.search(r'etag: (\S+)', head)[1]
    ok(curl("/api", "-H", f"If-None-Match: {tag}").startswith("HTTP/2 304"), "over HTTP/2, too")
    ok("content-length" in curl("/api", "-I") and curl("/api", "-I").startswith("HTTP/2 200"), "HEAD, too")
    got = curl("/live", "--compressed", "-H", "Accept: text/html")
    ok(got.startswith("HTTP/2 200") and CSP in got and "content-encoding: gzip" in got and "<title>Kymo</title>" in got, "so does the page")
    ok(curl(f"/ui/{rev}/kymo.css").split("\n\n", 1)[1] == packed_as("kymo.css").decode(), "and a file, unpacked, without its comments")
k.end()

# --- below a prefix, as Prometheus has it ---
k = start("prefix", "--web.external-url=https://mon.example/kymo/")
for path in ("/-/healthy", "/-/ready", "/health", "/metrics", "/", "/graph", "/api", "/api/v1/query?query=1", "/api/v1/status/buildinfo"):
    ok(get(k.port, "/kymo" + path)[0] == 200, f"/kymo{path} answers")
    if path != "/":
        ok(get(k.port, path)[0] == 404, f"{path} does not")
for path, status, to in (("/", 302, "/kymo/"), ("/kymo", 301, "/kymo/"), ("/kymo/api/v1/query/?query=1", 301, "/kymo/api/v1/query?query=1"), ("/KYMO//metrics", 301, "/kymo/metrics"),
                         ("//evil.example/..", 404, None), ("/kymo/..//evil.example/../kymo/metrics", 301, "/kymo/metrics")):
    got, _, h = get(k.port, path)
    ok(got == status and h.get("Location") == to, f"{path}: {got} to {h.get('Location')}")
status, body, _ = get(k.port, "/kymo/")
ok(b"/kymo/api/v1/write" in body and b" /api" not in body, f"the page leads to paths below it: {body!r}")
ok(b"/kymo/api/v1/query" in get(k.port, "/kymo/graph")[1], "so does the other")
for path in ("/kymo/", "/kymo/query", "/kymo/live"):
    status, body, h = get(k.port, path, **BROWSER)
    ok(status == 200 and b'"./ui/' in body and b'"/kymo' not in body, f"the web page is at {path}, and knows nothing of it: {status}")
ok(get(k.port, f"/kymo/ui/{rev}/app.js")[0] == 200 and get(k.port, f"/ui/{rev}/app.js")[0] == 404, "its files are beside it")
status, body, h = get(k.port, "/", **BROWSER)
ok(status == 302 and h["Location"] == "/kymo/", "who comes without the prefix is led to it")
status, body, _ = get(k.port, "/kymo/api/v1/qeury")
ok(status == 404 and b"/kymo/api/v1/query" in body and b"(what is here: /kymo/)" in body, f"so does who mistyped: {body}")
ok(json.loads(get(k.port, "/kymo/api/v1/openapi.json")[1])["servers"] == [{"url": "/kymo"}], "so does OpenAPI")
status, body, _ = get(k.port, "/kymo/api/v1/status/flags")
flags = json.loads(body)["data"]
ok(flags["web.route-prefix"] == "/kymo" and flags["web.external-url"] == "https://mon.example/kymo/", "flags tell")
status, body, _ = get(k.port, "/kymo/api/v1/status/runtimeinfo")
ok(json.loads(body)["data"]["externalURL"] == "https://mon.example/kymo", "and the runtime")
log = open(k.log_path).read()
ok("/kymo/api/v1/write" in log and "/kymo/api/v1/query" in log, "and the lines at the start")
now = int(time.time() * 1000)
status, body, _ = request(k.port, "POST", "/kymo/api/v1/write", snappy(series({"__name__": "below"}, [(now, 7.0)])), WRITE_HEADERS)
ok(status == 204, f"a write is taken below it: {status} {body}")
status, body, _ = get(k.port, "/kymo/api/v1/query?query=below")
ok(b'"7"' in body, f"and read: {body}")
c = h2raw.Connection(socket.create_connection(("127.0.0.1", k.port)))
c.handshake()
for stream, path in ((1, "/grpc.health.v1.Health/Check"), (3, "/kymo/grpc.health.v1.Health/Check")):
    c.headers(stream, [(2, "POST"), (6, "http"), (4, path), (1, "a"), ("content-type", "application/grpc"), ("te", "trailers")], h2raw.END_HEADERS)
    c.data(stream, b"\0\0\0\0\0")
    fields, body = c.answer(stream)
    ok((body == b"\0\0\0\0\2\x08\1") == (stream == 1), f"gRPC's calls know of no prefix, {path}: {fields} {body}")
c.close()
p = subprocess.run([BENCH, "write", "--url", f"http://127.0.0.1:{k.port}/kymo/api/v1/write", "--series", "500", "--rounds", "2"], capture_output=True, text=True, timeout=120)
ok(p.returncode == 0 and '"failed":0' in p.stdout, f"kymobench finds it there: {p.stdout + p.stderr!r}")
k.end()

# --- a proxy takes the path away: links have it, routes do not ---
k = start("stripped", "--web.external-url=/kymo", "--web.route-prefix=/")
ok(get(k.port, "/metrics")[0] == 200 and get(k.port, "/kymo/metrics")[0] == 404, "paths are at the root")
ok(get(k.port, "/api/v1/query/?query=1")[2].get("Location") == "/kymo/api/v1/query?query=1", "redirects say what clients see")
ok(b"/kymo/api/v1/query" in get(k.port, "/")[1], "so does the page")
k.end()

# --- fields that the operator sets win over the page's own ---
web = os.path.join(top, "web.yml")
with open(web, "w") as f:
    f.write("http_server_config:\n  headers:\n    X-Frame-Options: SAMEORIGIN\n    Content-Security-Policy: \"frame-ancestors 'self'\"\n")
os.chmod(web, 0o600)
k = start("fields", "--web.config.file=" + web, "--web.route-prefix=/")
c = http.client.HTTPConnection("127.0.0.1", k.port, timeout=60)
c.request("GET", "/query", headers=BROWSER)
h = c.getresponse().headers
c.close()
ok(h.get_all("X-Frame-Options") == ["SAMEORIGIN"] and h.get_all("Content-Security-Policy") == ["frame-ancestors 'self'"] and h["Referrer-Policy"] == "no-referrer", f"a page to be shown in another one: {h}")
k.end()

# --- what is no URL, and no path ---
for flag in ("--web.external-url=ftp://x/", "--web.external-url=http://x/a?b", "--web.route-prefix=/a/../b", "--web.route-prefix=/a b"):
    p = subprocess.run([KYMOD, "--data-dir", os.path.join(top, "none"), "--listen", "127.0.0.1:0", flag], capture_output=True, text=True, timeout=60)
    name, value = flag.split("=", 1)
    ok(p.returncode == 2 and name in p.stderr and value in p.stderr and len(p.stderr.splitlines()) == 1, f"{flag} is refused in one line: {p.stderr!r}")
shutil.rmtree(top)
done()
