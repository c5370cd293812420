#!/usr/bin/env python3
"""Unit tests of the web page: each tests/ui/NAME_test.js in a headless Chromium, in a page of its own with the CSP that kymod sends. By hand some of them: s98_uiunits.py plot scale

A small server has net/ui below /ui/, tests/ui below /tests/ and, for tests of what asks the server, /echo and what is below it: what came (method, path, headers, body) as JSON, or the text of ?raw=,
with the status that ?status= names, after ?wait= ms."""
import glob, http.server, json, os, sys, threading, time, urllib.parse
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
import chrome

CSP = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'self'; form-action 'self'; frame-ancestors 'none'; "
       "require-trusted-types-for 'script'; trusted-types 'none'")
KINDS = {".js": "text/javascript", ".css": "text/css", ".html": "text/html", ".json": "application/json", ".md": "text/markdown", ".svg": "image/svg+xml", ".txt": "text/plain"}
PAGE = b'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>unit tests</title><link rel="icon" href="data:,"><link rel="stylesheet" href="/ui/kymo.css"></head><body></body></html>'
PLACES = {"/ui/": os.path.abspath(os.path.join(SRC, "net", "ui")), "/tests/": os.path.abspath(os.path.join(SRC, "tests", "ui"))}
FILE_S = 300  # what one file may take, on a busy machine


class Files(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, kind, body):
        try:
            self.send_response(status)
            self.send_header("Content-Type", kind + "; charset=utf-8")
            self.send_header("Content-Security-Policy", CSP)
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def echo(self, url):
        params = urllib.parse.parse_qs(url.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        time.sleep(float(params.get("wait", ["0"])[0]) / 1000)
        told = {"method": self.command, "path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}, "body": body}
        self.answer(int(params.get("status", ["200"])[0]), "application/json", params["raw"][0].encode() if "raw" in params else json.dumps(told).encode())

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        if url.path == "/echo" or url.path.startswith("/echo/"):
            return self.echo(url)
        if url.path == "/":
            return self.answer(200, "text/html", PAGE)
        for prefix, folder in PLACES.items():
            file = os.path.normpath(os.path.join(folder, url.path[len(prefix):])) if url.path.startswith(prefix) else ""
            if file.startswith(folder + os.sep) and os.path.isfile(file):
                with open(file, "rb") as f:
                    return self.answer(200, KINDS.get(os.path.splitext(file)[1], "application/octet-stream"), f.read())
        if url.path == "/ui/kymo.css":
            return self.answer(200, "text/css", b"")
        self.answer(404, "text/plain", b"no such file\n")

    do_POST = do_HEAD = do_PUT = do_DELETE = do_GET


def zones(name):
    """A file runs in Berlin's time, or once in each that a line of it names: // zones: Europe/Berlin, UTC"""
    with open(os.path.join(SRC, "tests", "ui", name + "_test.js")) as f:
        m = re.search(r"^// zones: (.*)$", f.read(), re.M)
    return [z.strip() for z in m[1].split(",")] if m else ["Europe/Berlin"]


def run(browser, origin, name, zone):
    page = browser.page(1000, 700)
    page.cdp("Emulation.setTimezoneOverride", {"timezoneId": zone})
    page.open(origin + "/")
    try:
        told = page.js(f'import("/tests/tap.js").then(t => t.run("/tests/{name}_test.js"))', FILE_S)
    except chrome.Broken as e:
        ok(False, f"{name}: runs to its end")
        note(e)
        told = {"cases": [], "allowed": []}
    cases = told["cases"]
    for c in cases:
        skipped = c["text"].startswith("# SKIP ")
        ok(c["ok"], c["text"].replace("# SKIP ", f"# SKIP {name}: ", 1) if skipped else f"{name}: {c['text']}")
        for line in c["notes"]:
            note("  " + line)
    page.rest(0.02)
    errors = [e for e in page.errors if not any(text in e for text in told["allowed"])]
    if errors:
        ok(False, f"{name}: says nothing to the console")
        for e in errors[:20]:
            note("  " + e)
    elif not cases:
        ok(False, f"{name}: has cases")
    page.chrome.send("Target.closeTarget", {"targetId": page.target})
    return len(cases)


if not chrome.there():
    skip_all("chromium is not installed")
wanted = sys.argv[1:]
names = sorted(os.path.basename(f)[:-len("_test.js")] for f in glob.glob(os.path.join(SRC, "tests", "ui", "*_test.js")))
names = [n for n in names if not wanted or n in wanted]
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
origin = f"http://127.0.0.1:{server.server_port}"
ok(names, f"there are unit tests: {len(names)} files")
with chrome.Chrome() as browser:
    for n in names:
        begin = time.time()
        count = sum(run(browser, origin, n, z) for z in zones(n))
        note(f"{n}: {count} cases, {time.time() - begin:.2f} s")
server.shutdown()
done()
