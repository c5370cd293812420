#!/usr/bin/env python3
"""kymoctl delete and kymoctl snapshot: what would go is told before, and is what goes; who is asked on a terminal may say no; a server that is no kymod loses nothing;
snapshots are made, listed, looked into and removed."""
import http.server, pty, select, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

CTL = os.path.abspath(os.path.join(BUILD, "kymoctl"))
top = tmpdir("ctldelete")
data = os.path.join(top, "data")
clean = {k: v for k, v in os.environ.items() if k not in ("KYMO_SERVER", "COLUMNS", "LINES", "NO_COLOR", "LC_ALL", "LC_CTYPE")}
k = Kymod(data, "--web.enable-admin-api", "--no-self-metrics")
clean.update(LANG="C.UTF-8", TERM="xterm", KYMO_SERVER=f"http://127.0.0.1:{k.port}")


def ctl(*args, stdin="", **env):
    p = subprocess.run([CTL, *map(str, args)], capture_output=True, text=True, timeout=60, env={**clean, **env}, input=stdin, cwd=top)
    return p.returncode, p.stdout, p.stderr


def typed(text, *args, interrupt=False):
    """The same on a terminal, where text is typed when it is asked for; what stood there, and how it ended."""
    pid, fd = pty.fork()
    if not pid:
        os.execve(CTL, [CTL, *args], clean)
    seen, end, status = "", time.time() + 60, None
    while time.time() < end:
        if text is not None and "[y/N] " in seen:
            os.write(fd, b"\x03" if interrupt else text.encode())
            text = None
        if select.select([fd], [], [], 0.05)[0]:
            try:
                some = os.read(fd, 65536)
            except OSError:
                break
            if not some:
                break
            seen += some.decode(errors="replace")
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(fd)
    return status, seen


T0 = int(time.time()) // 60 * 60 - 3600
ROWS = 200


def fill():
    raw = b"".join(series({"__name__": "thing", "n": str(n), "job": "old" if n < 4 else "new"}, [((T0 + 15 * r) * 1000, n + r) for r in range(ROWS)]) for n in range(10))
    return write(k.port, raw)[0]


def left(selector):
    r = api(k.port, "query", query=f"count_over_time({selector}[2h])", time=T0 + 3600, nocache=1)[1]["data"]["result"]
    return sorted(float(x["value"][1]) for x in r)


ok(fill() == 204, "samples are there")

# --- what would go ---
code, out, err = ctl("delete", "--dry-run", "--format", "json", 'thing{job="old"}', "nothing_there")
told = json.loads(out)
ok(code == 0 and [(t["selector"], t["series"], t["samples"], t["kind"]) for t in told] == [('thing{job="old"}', 4, 800, "exact"), ("nothing_there", 0, 0, "exact")], f"series and samples of each selector: {code} {out} {err}")
code, out, err = ctl("delete", "--dry-run", "--start", T0 + 150, "--end", T0 + 300, "--format", "csv", "thing # all of them")
line = out.splitlines()[1].split(",")
ok(code == 0 and line[:2] == ["thing # all of them", "10"] and 90 <= int(line[2]) <= 130 and line[3] == "about", f"of a range the server estimates: {out} {err}")
ok(left("thing") == [ROWS] * 10, "nothing has gone by that")

# --- who may say so ---
code, out, err = ctl("delete", 'thing{job="old"}', stdin="y\n")
ok(code == 2 and "--yes deletes, --dry-run shows" in err and not out and left("thing") == [ROWS] * 10, f"nobody is asked in a script: {code} {err}")
for answer in ("\n", "n\n", "yesterday\n"):
    code, seen = typed(answer, "delete", "--start", str(T0), 'thing{job="old"}')
    ok(code == 1 and "Delete 4 series, 800 samples from " in seen and "nothing is deleted" in seen and left("thing") == [ROWS] * 10, f"{answer!r} is no: {code} {seen!r}")
code, seen = typed("", "delete", "thing", interrupt=True)
ok(code == 6 and left("thing") == [ROWS] * 10, f"Ctrl-C is no: {code} {seen!r}")
code, seen = typed("y\n", "delete", "--start", str(T0 + 150), "--end", str(T0 + 300), 'thing{n="9"}')
ok(code == 0 and "deleted about 1 series, about " in seen and left('thing{n="9"}') == [ROWS - 11] and left("thing")[1:] == [ROWS] * 9, f"y is yes, and both ends of a range go: {code} {seen!r}")
code, out, err = ctl("delete", "--yes", 'thing{n="1"}', 'thing{n="2"}')
ok(code == 0 and out == "deleted at most 2 series, 400 samples of all times\n" and left("thing") == [ROWS - 11] + [ROWS] * 7, f"--yes asks nobody: {out!r} {err!r}")
code, out, err = ctl("delete", "--yes", 'thing{n="1"}')
ok(code == 0 and not out and "no series" in err, f"what is gone is told: {out!r} {err!r}")
code, out, err = ctl("delete", "--yes", "--clean", 'thing{n="3"}')
ok(code == 0 and out == "deleted 1 series, 200 samples of all times\nno file holds what was deleted\n" and len(left("thing")) == 7, f"--clean behind it: {out!r} {err!r}")
code, out, err = ctl("delete", "--clean")
ok(code == 0 and out == "no file holds what was deleted\n", f"... or alone: {out!r} {err!r}")

# --- mistakes ---
for args, status, says in ((("delete",), 2, "a SELECTOR says what goes"), (("delete", "--clean", "--start", "1h"), 2, "a SELECTOR"), (("delete", "--start", "1h", "--end", "2h", "thing"), 2, "--start is behind --end"),
                           (("delete", "--yes", "thing", "thing{"), 2, "  thing{\n        ^"), (("delete", "--yes", "rate(thing[5m])"), 2, ""), (("delete", "--yes", "thing offset 5m"), 2, ""), (("delete", "--yes", '{n=~".*"}'), 2, "non-empty matcher"),
                           (("delete", "--yes", "thing", "--server", f"127.0.0.1:{free_port()}"), 3, "")):
    code, out, err = ctl(*args)
    ok(code == status and says in err and not out, f"{args}: {code} {err!r}")
ok(len(left("thing")) == 7, "they delete nothing")


class Other(http.server.BaseHTTPRequestHandler):
    """A server that would run whatever it is asked."""
    asked = []

    def do_POST(self):
        self.asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"] or 0))))
        body = b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"0"]}]}}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *a):
        pass


other = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
threading.Thread(target=other.serve_forever, daemon=True).start()
code, out, err = ctl("delete", "--yes", "--start", "1h", "up", KYMO_SERVER=f"http://127.0.0.1:{other.server_port}")
ok(code == 4 and "is it kymod?" in err and [p for p, _ in Other.asked] == ["/api/v1/query"] and b"vector" in Other.asked[0][1], f"a server of another kind is asked for a constant, and no more: {code} {err!r} {Other.asked}")
other.shutdown()

# --- snapshots ---
code, out, err = ctl("snapshot", "--list")
ok(code == 0 and not out and "none" in err, f"none yet: {err!r}")
code, path, err = ctl("snapshot")
path = path.strip()
ok(code == 0 and os.path.isdir(path) and os.path.dirname(path) == os.path.join(data, "snapshots"), f"a snapshot: {path!r} {err!r}")
code, out, err = ctl("snapshot", "--list", "--format", "json")
made = json.loads(out)
ok(code == 0 and [m["path"] for m in made] == [path] and made[0]["name"] == os.path.basename(path) and made[0]["files"] > 0 and made[0]["bytes"] > 0, f"it is listed: {out!r}")
ok(ctl("verify", path)[0] == 0, "it is whole")
code, out, err = ctl("snapshot", "--skip-head")
ok(code == 0 and os.path.isdir(out.strip()) and len(ctl("snapshot", "--list")[1].splitlines()) == 3, f"another one without what is in memory: {err!r}")
ok(ctl("snapshot", "--remove", made[0]["name"])[0] == 0 and not os.path.exists(path), "removed by its name")
words = lambda *typed: ctl("completion", "words", str(len(typed)), "--", *typed)[1]
ok(words("snapshot", "--remove", "") == os.path.basename(out.strip()) + "\n" and words("snapshot", "--remove", "nothing") == "", "a shell completes its name")
ok(ctl("snapshot", "--remove", out.strip() + "/")[0] == 0 and not os.path.exists(out.strip()), "... or its path, also with a slash behind it")
code, out, err = ctl("snapshot", "--remove", made[0]["name"])
ok(code == 4 and "no snapshot of this name" in err, f"once: {code} {err!r}")
for args, says in ((("--remove", "../data"), "is no name of a snapshot"), (("--list", "--skip-head"), "one of --list"), (("more",), "")):
    code, out, err = ctl("snapshot", *args)
    ok(code == 2 and says in err, f"snapshot {args}: {code} {err!r}")

# --- a server that has no calls for administration ---
k.end()
k = Kymod(data, "--no-self-metrics", port=k.port)
for args in (("delete", "--yes", "thing"), ("delete", "--clean"), ("snapshot",), ("snapshot", "--list")):
    code, out, err = ctl(*args)
    ok(code == 4 and "--web.enable-admin-api" in err and not out, f"{args}: {code} {err!r}")
ok(len(left("thing")) == 7, "nothing is deleted there")
ok(k.end() == 0, "an orderly end")
done()
