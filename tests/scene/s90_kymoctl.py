#!/usr/bin/env python3
"""kymoctl, the commands of every day: all forms of answers, mistakes and their exit codes, the live view in a terminal of 80 x 24,
completion typed in bash and zsh, the manual page; with servers of others where it says so."""
import http.server, math, pty, re, select, sys, termios, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

CTL = os.path.abspath(os.path.join(BUILD, "kymoctl"))
top = tmpdir("ctl")
path = lambda name: os.path.join(top, name)
clean = {k: v for k, v in os.environ.items() if k not in ("KYMO_SERVER", "COLUMNS", "LINES", "NO_COLOR", "LC_ALL", "LC_CTYPE")}
clean.update(LANG="C.UTF-8", TERM="xterm")


def ctl(*args, server=None, timeout=120, stdin="", **env):
    e = {**clean, **env}
    if server:
        e["KYMO_SERVER"] = server
    p = subprocess.run([CTL, *map(str, args)], capture_output=True, text=True, timeout=timeout, env=e, input=stdin, cwd=top)
    return p.returncode, p.stdout, p.stderr


def put(name, text):
    open(path(name), "w").write(text)
    return path(name)


k = Kymod(path("data"), "--loops", "2")
base = f"http://127.0.0.1:{k.port}"
now = int(time.time()) // 60 * 60
raw = b""
for n in range(3):
    raw += series({"__name__": "demo", "instance": f"host{n}", "job": "web"},
                  [((now - 3600 + 15 * i) * 1000, 100 * n + 50 * math.sin(i / 20)) for i in range(240) if not (n == 1 and 100 < i < 160)])
raw += series({"__name__": "odd", "text": 'a "quoted", \x1b[31mvalue\n', "job": "web"}, [((now - 30) * 1000, float("nan"))])
raw += series({"__name__": "a:b:demo"}, [(now * 1000, 1)])
ok(write(k.port, raw)[0] == 204, "samples are there")

# --- query ---
code, out, err = ctl("query", "sort(demo)", "--time", now - 60, server=base)
lines = out.splitlines()
ok(code == 0 and not err and re.fullmatch(r"series +value", lines[0]) and [l.split()[0] for l in lines[1:]] == [f'demo{{instance="host{n}",' for n in range(3)], f"a vector is a table: {out!r} {err!r}")
code, out, err = ctl("query", "odd", server=base)
ok(code == 0 and '\x1b' not in out and r'\\x1b' not in err and len(out.splitlines()) == 2 and r'\"quoted\"' in out, f"no value of a label steers the terminal: {out!r}")
code, out, err = ctl("query", "--format=csv", "--time", now, "odd or demo{instance='host0'}", server=base)
ok(code == 0 and out.startswith("__name__,instance,job,text,time,value\n") and '"a ""quoted""' in out, f"CSV: {out!r}")
code, out, err = ctl("query", "--format", "json", "--start", "30m", "--step", "10m", "count(demo)", server=base)
ok(code == 0 and json.loads(out)["resultType"] == "matrix" and len(json.loads(out)["result"][0]["values"]) == 4, f"JSON: {out!r} {err!r}")
code, out, err = ctl("query", "--start", now - 3600, "--end", now - 3000, "--step", "5m", "demo{instance='host2'}", server=base)
ok(code == 0 and out.splitlines()[0].startswith("demo{") and len(out.splitlines()) == 4 and re.match(r"  \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ  200$", out.splitlines()[1]), f"a range is a block: {out!r} {err!r}")
for expr, want in (("1 + 1", "2\n"), ('"text"', "text\n"), ("demo[2m]", None)):
    code, out, err = ctl("query", "--time", now - 60, expr, server=base)
    ok(code == 0 and (out == want if want else len(out.splitlines()) == 3 * 9 + 2 or len(out.splitlines()) > 20), f"{expr}: {out[:80]!r}")
code, out, err = ctl("query", "-", server=base, stdin="1 +\n  2\n")
ok(code == 0 and out == "3\n", f"- reads the expression: {out!r} {err!r}")
code, out, err = ctl("query", "nothing_here", server=base)
ok(code == 0 and not out and "no series" in err, f"nothing is said: {err!r}")
code, out, err = ctl("query", "sum(demo", server=base)
ok(code == 2 and not out and err.splitlines()[1:] == ["  sum(demo", "          ^"] and "1:9: unclosed left parenthesis" in err, f"a mistake has its place: {err!r}")
code, out, err = ctl("query", "-", server=base, stdin="demo\n  + on(a) grup_left demo")
ok(code == 2 and err.startswith("kymoctl query: 2:21: ") and err.splitlines()[-1] == " " * 22 + "^", f"in its line: {err!r}")
code, out, err = ctl("query", "demo + on() demo", "--time", now - 60, server=base)
ok(code == 4 and "many-to-many" in err, f"what cannot be evaluated is refused: {code} {err!r}")
code, out, err = ctl("query", "rate(demo[10m])", "--time", now - 60, server=base)
ok(code == 0 and "kymoctl query: infos: PromQL info: metric might not be a counter" in err, f"infos are told: {err!r}")

# --- what users of other tools try first ---
ok(ctl("-h")[:2] == ctl("--help")[:2] == (0, ctl("help")[1]) and ctl("version")[:2] == ctl("--version")[:2], "help and version, however they are asked for")
ok(ctl("help", "restore")[:2] == ctl("restore", "--help")[:2] and "usage: kymoctl restore" in ctl("help", "restore")[1], "help of a command")
for args, says in ((("tsdb", "analyze"), "kymoctl inspect"), (("check", "config", "x"), "kymoctl check-config"), (("vm-native",), "kymoctl migrate"), (("delete-series", "up"), "kymoctl delete"),
                   (("--server", base, "query", "up"), "the command stands before its flags"), (("qurey",), "did you mean query?"), (("nothing",), "see --help"),
                   (("query", base, "up"), "--server names the server"), (("query", "--url", base, "up"), "did you mean --server?"), (("query", "--format", "yaml", "up"), "table, csv, json or graph"),
                   (("import", base), "kymoctl migrate"), (("verify", base), "directories are read"), (("inspect", base), "a directory is read"), (("migrate", base, "--server", base + "/"), "are the same")):
    code, out, err = ctl(*args)
    ok(code == 2 and not out and says in err and err.count("\n") == 1, f"{args[0]} is told what is meant: {code} {err!r}")
code, out, err = ctl("query", "--server", f"127.0.0.1:{k.port}", "--time", "now-1m", "count(demo)")
ok(code == 0 and out == "{}      3\n" or out.split()[-1:] == ["3"], f"an address will do: {out!r} {err!r}")
code, out, err = ctl("query", "--server", f"https://127.0.0.1:{k.port}", "up")
ok(code == 3 and "plain HTTP" in err, f"https where http is spoken: {err!r}")
code, out, err = ctl("query", "--server", base + "/api/v1", "up")
ok(code == 4 and "ends before /api/v1" in err, f"too long a URL: {err!r}")
code, out, err = ctl("migrate", base, "--server", f"127.0.0.1:{free_port()}")
ok(code == 3, f"a target that is not there is told, not waited for: {code} {err!r}")
code, out, err = ctl("backup", "repo", base)
ok(code == 2 and "SOURCE comes first" in err and not os.path.exists(path("http:")), f"a backup the wrong way round makes nothing: {err!r}")
code, out, err = ctl("backup", base, "repo")
ok(code == 4 and "--web.enable-admin-api" in err and not os.path.exists(path("repo")), f"nor without rights: {code} {err!r}")
code, out, err = ctl("backup", "nowhere", "repo")
ok(code == 7 and "http://HOST:PORT" in err and not os.path.exists(path("repo")), f"nor of nothing: {code} {err!r}")
code, out, err = ctl("export", "--match", "nothing_here", "empty.om", server=base)
ok(code == 0 and "no samples" in err, f"an empty export says so: {code} {err!r}")

# graphs: with and without UTF-8 and colour, in the width that is there
wide = lambda text: max(map(len, re.sub("\x1b\\[[0-9;]*m", "", text).splitlines()))
code, out, err = ctl("query", "--format", "graph", "--start", now - 3600, "--end", now, "demo{instance='host0'}", server=base, COLUMNS="70", LINES="20")
ok(code == 0 and wide(out) == 70 and len(out.splitlines()) == 20 and any("\u2801" <= c <= "\u28ff" for c in out) and "\x1b" not in out and "50 \u2524" in out and "UTC" in out, f"a graph in braille:\n{out}")
code, out, err = ctl("query", "--format", "graph", "--start", now - 3600, "--end", now, "demo", server=base, COLUMNS="100", LANG="C")
ok(code == 0 and wide(out) <= 100 and out.isascii() and all(f'{c} {{instance="host{n}"}}' in out for n, c in enumerate("abc")) and out.startswith('demo{job="web"}\n'), f"several in letters, common labels told once:\n{out}")
rows = [l[5:] for l in out.splitlines()[1:] if l[5:6] in "|+"]
ok(len(rows) > 10 and not any("b" in l[1 + 94 * 32 // 60:1 + 94 * 39 // 60] for l in rows) and sum("b" in l for l in rows) > 3, "with their gaps")
code, out, err = ctl("query", "--format", "graph", "--time", now - 60, "demo + 100", server=base)
ok(code == 0 and out.count("\u2588") > 20 and wide(out) <= 80, f"bars of one time:\n{out}")


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *argv, columns=80, rows=24, **env):
        self.pid, self.fd = pty.fork()
        if not self.pid:
            termios.tcsetwinsize(0, (rows, columns)) if hasattr(termios, "tcsetwinsize") else None
            os.chdir(top)
            os.execvpe(argv[0], list(argv), {**clean, **env})
        self.seen = ""

    def until(self, what, timeout=90):
        """Everything that came up to where `what` matches; all of it when it never did."""
        end = time.time() + timeout
        while not re.search(what, self.seen) and time.time() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    some = os.read(self.fd, 65536)
                except OSError:
                    break
                if not some:
                    break
                self.seen += some.decode(errors="replace")
        found, self.seen = self.seen, ""
        return found

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, sig=signal.SIGKILL):
        try:
            os.kill(self.pid, sig)
        except ProcessLookupError:
            pass
        self.until(r"\Z[^\s\S]", timeout=90)  # what it still says, until it is gone
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


t = Terminal(CTL, "query", "--server", base, "--format", "graph", "--watch", "200ms", "--start", "1h", "demo")
seen = t.until(r"36m\S") + t.until("every 200ms") + t.until("UTC")
ok(seen.count("\x1b[H\x1b[2J") >= 2 and "\x1b[32m" in seen and "every 200ms: demo" in seen, f"--watch asks again, in colour: {seen[-300:]!r}")
ok(t.end(signal.SIGINT) == 0, "and Ctrl-C is its end, not a failure")

# --- series, labels, metadata, cardinality ---
code, out, err = ctl("series", "demo", "odd", "--start", "2h", server=base)
ok(code == 0 and sorted(l.split("{")[0] for l in out.splitlines()) == ["demo"] * 3 + ["odd"] and "\x1b" not in out, f"series: {out!r} {err!r}")
code, out, err = ctl("series", "--format", "csv", 'demo{instance=~"host[01]"}', server=base)
ok(code == 0 and out.splitlines()[0] == "__name__,instance,job" and sorted(out.splitlines()[1:]) == ["demo,host0,web", "demo,host1,web"], f"by label: {out!r}")
code, out, err = ctl("series", "--format", "json", "--limit", "2", "demo", server=base)
ok(code == 0 and len(json.loads(out)) == 2 and "truncated" in err, f"with a limit: {out!r} {err!r}")
code, out, err = ctl("series", "demo{", server=base)
ok(code == 2 and "1:6: unexpected end" in err and err.splitlines()[-1] == "       ^", f"a bad selector: {err!r}")
ok({"__name__", "instance", "job", "text"} <= set(ctl("labels", server=base)[1].split()), "labels")
code, out, err = ctl("labels", "instance", "--match", "demo", "--match", "odd", server=base)
ok(code == 0 and out.split() == ["host0", "host1", "host2"], f"values of one: {out!r}")
ok(json.loads(ctl("labels", "text", "--format", "json", server=base)[1]) == ['a "quoted", \x1b[31mvalue\n'], "any of them in JSON")
code, out, err = ctl("labels", "no such label", server=base)
ok(code == 0 and not out and "none" in err, f"none: {code} {out!r} {err!r}")
code, out, err = ctl("metadata", "kymo_connections", server=base)
ok(code == 0 and re.search(r"kymo_connections +gauge +Open client connections", out), f"metadata: {out!r}")
code, out, err = ctl("cardinality", "--limit", "3", server=base)
ok(code == 0 and "series in memory" in out and "metrics with most series" in out and "kymo_http_request_seconds_bucket" in out, f"cardinality: {out!r} {err!r}")
code, out, err = ctl("cardinality", "--format", "csv", "--limit", "2", server=base)
ok(code == 0 and out.startswith("of,name,count,hour_ago,day_ago,kind\nall,,") and "label,__name__," in out, f"as CSV: {out!r}")
deadline = time.time() + 60  # the first moment comes after a quarter of a minute
while True:
    code, out, err = ctl("cardinality", "--history", "--limit", "3", server=base)
    if out or time.time() > deadline:
        break
    time.sleep(0.5)
ok(code == 0 and re.search(r"(?m)^\d+ moments? from \d\d-\d\d \d\d:\d\d to", out) and re.search(r"(?m)^kymo_http_request_seconds_bucket +\d+ +\d+ +\d+ +\d\d:\d\d +", out) and "targets that rose most" in out, f"how it came about: {out!r} {err!r}")
code, out, err = ctl("cardinality", "--history", "--format", "json", "--limit", "2", "--start", "-1h", server=base)
rows = json.loads(out)
ok(code == 0 and {r["of"] for r in rows} == {"all", "new", "metric", "label", "pair", "target"} and len({r["name"] for r in rows if r["of"] == "metric"}) == 2, f"as JSON: {len(rows)} rows {err!r}")
code, out, err = ctl("cardinality", "--history", "--format", "csv", "--end", "2020-01-01", server=base)
ok(code == 0 and out == "of,name,time,count\n" and "no moments" in err, f"of a time without moments: {code} {out!r} {err!r}")
for args in (("--history", "instance"), ("--start", "-1h"), ("--history", "--start", "now", "--end", "-1h"), ("--history", "--limit", "0")):
    ok(ctl("cardinality", *args, server=base)[0] == 2, f"{args} makes no sense")
code, out, err = ctl("cardinality", "instance", "--match", "demo", server=base)
ok(code == 0 and "instance: 3 values, 3 series" in out, f"of a label: {out!r} {err!r}")
ok(ctl("cardinality", "--match", "demo", server=base)[0] == 2 and ctl("cardinality", "--limit", "1000", server=base)[0] == 2, "what makes no sense is usage")

# --- check-config ---
fine = subprocess.run([KYMOD, "--print-config"], capture_output=True, text=True, check=True).stdout
code, out, err = ctl("check-config", put("fine.yml", fine))
ok(code == 0 and out == path("fine.yml") + ": fine\n" and not err, f"kymod's own is fine: {out!r} {err!r}")
code, out, err = ctl("check-config", put("bad.yml", "query:\n  max_samples: 5x\nlog: {levle: info}\n"))
ok(code == 5 and not out and "bad.yml:2:16: query.max_samples:" in err and "                 ^" in err and "did you mean level?" in err, f"all that is wrong, with its place: {err!r}")
ok(ctl("check-config", path("nowhere.yml"))[0] == 7, "a file that is not there")
code, out, err = ctl("check-config", put("tokens.yml", "identities:\n  tokens:\n  - name: a\n    roles: [read]\n    token_file: nowhere.token\n"))
ok(code == 5 and "nowhere.token" in err, f"so is a secret that cannot be read: {code} {err!r}")
ok(ctl("check-config", put("web.yml", "http_server_config: {http2: true}\n"))[:2] == (0, path("web.yml") + ": fine (web configuration: no TLS, 0 users)\n"), "a web configuration")
ok(ctl("check-config", put("web2.yml", "tls_server_config: {cert_file: x}\n"))[0] == 5, "a bad one")
code, out, err = ctl("check-config", put("prometheus.yml", "scrape_configs: []\n"))
ok(code == 5 and "a configuration of Prometheus" in err, f"whose it is: {err!r}")
code, out, err = ctl("check-config", "--show", path("fine.yml"), "--", "--retention", "9d")
ok(code == 0 and "retention: 9d" in out, "below a command line")
for flags, want, words in ((("--retention", "9d"), 0, "fine"), (("--retntion", "9d"), 2, "did you mean --retention?"), (("--storage.tsdb.path", "x"), 2, "--data-dir"), (("--enable-feature", "x"), 0, "unknown features")):
    code, out, err = ctl("check-config", "--", *flags)
    ok(code == want and words in out + err, f"{' '.join(flags)}: {code} {out!r} {err!r}")

# --- exit codes ---
dead = f"http://127.0.0.1:{free_port()}"
for args in (("query", "up"), ("series", "up"), ("labels",), ("metadata",), ("cardinality",), ("top", "--once")):
    code, out, err = ctl(*args, server=dead)
    ok(code == 3 and "refused" in err and err.count("\n") == 1 and not out, f"{args[0]}: no server is 3: {code} {err!r}")
    code, out, err = ctl(*args, "--servr", "x")
    ok(code == 2 and "did you mean --server?" in err, f"{args[0]}: a bad flag is 2")
    code, out, err = ctl(args[0], "--help")
    ok(code == 0 and "examples:\n  kymoctl " + args[0] in out and "--server URL" in out, f"{args[0]} --help ends with examples")
    ok(ctl(*args, "--ca", "/nowhere", server=base)[0] == 7, f"{args[0]}: a file that is not there is 7")
os.chmod(put("closed.token", "s3cret-s3cret-s3cret-s3cret\n"), 0o600)
s = Kymod(path("closed"), "--config", put("closed.yml", "identities:\n  tokens:\n  - name: reader\n    roles: [read, admin]\n    token_file: closed.token\n"))
closed = f"http://127.0.0.1:{s.port}"
for args in (("query", "up"), ("series", "up"), ("labels",), ("metadata",), ("cardinality",), ("top", "--once")):
    code, out, err = ctl(*args, server=closed)
    ok(code == 4 and "401" in err and not out, f"{args[0]}: who may not is refused, 4: {code} {err!r}")
code, out, err = ctl("query", "vector(1)", "--token-file", path("closed.token"), server=closed)
ok(code == 0, f"with the token it is answered: {err!r}")
code, out, err = ctl("top", "--interval", "200ms", "--token-file", path("closed.token"), server=closed)
ok(code == 0 and "samples/s" in out, f"top as well: {err!r}")
s.end()
ok(ctl("qery")[0] == 2 and "did you mean query?" in ctl("qery")[2] and ctl()[0] == 2 and ctl("help")[0] == 0 and ctl("--version")[1].startswith("kymoctl "), "kymoctl itself")
slow = socket.create_server(("127.0.0.1", 0))
p = subprocess.Popen([CTL, "query", "up"], env={**clean, "KYMO_SERVER": f"http://127.0.0.1:{slow.getsockname()[1]}"}, stderr=subprocess.PIPE)
asked = slow.accept()[0]
asked.recv(1)  # it has asked, so it waits
p.send_signal(signal.SIGINT)
ok(p.wait(60) == 6 and b"interrupted" in p.stderr.read(), "interrupted is 6, long before the two minutes of an answer")
p.stderr.close()
asked.close()
ok(ctl("query", "up", "--timeout", "300ms", server=f"http://127.0.0.1:{slow.getsockname()[1]}")[0] == 3, "an answer that does not come is 3")
slow.close()
with open("/dev/full", "w") as full:
    p = subprocess.run([CTL, "query", "up"], env={**clean, "KYMO_SERVER": base}, stdout=full, stderr=subprocess.PIPE, text=True)
    ok(p.returncode == 7 and "could not be written" in p.stderr, f"an answer that cannot be written is 7: {p.stderr!r}")

# --- top ---
stop = threading.Event()


def work():
    n = 0
    while not stop.is_set():
        n += 1
        write(k.port, series({"__name__": "busy", "n": str(n % 50)}, [(int(time.time() * 1000), n)]))
        api(k.port, "query", query="sum(demo) + count(busy)")
        time.sleep(0.01)


worker = threading.Thread(target=work, daemon=True)
worker.start()
RATES = r"(?s)writes +[\d.]+/s   p50 +[\d.]+ [um]?s   p99 +[\d.]+ [um]?s.*queries +[\d.]+/s   p50 +[\d.]+ [um]?s.*sum\(demo\) \+ count\(busy\)"
end, out = time.time() + 90, ""
while time.time() < end and not re.search(RATES, out):  # in half a second of a busy machine there may be neither
    code, out, err = ctl("top", "--interval", "500ms", server=base)
ok(code == 0 and wide(out) <= 80 and "\x1b" not in out, f"without a terminal one frame comes:\n{out}")
ok(re.search(RATES, out), "with rates, latencies and queries")
code, out, err = ctl("top", "--count", "2", "--interval", "300ms", "--tenants", "--sort", "queries", server=base)
ok(code == 0 and out.count("kymod 0.") == 2 and re.search(r"by queries *\n.*  default", out), f"tenants, twice: {out!r}")
ok(ctl("top", "--sort", "color", server=base)[0] == 2 and ctl("top", "--interval", "0s", server=base)[0] == 2, "what it cannot do is usage")
if shutil.which("tmux"):
    tmux = lambda *args: subprocess.run(["tmux", "-L", f"kymo{os.getpid()}", "-f", "/dev/null", *args], capture_output=True, text=True, env=clean, timeout=60)

    def pane(wanted, also=lambda text: True, timeout=90):
        """The screen, once `wanted` matches it and it is as it should be: until then half of a frame may be seen, or the one before."""
        end, text = time.time() + timeout, ""
        while time.time() < end:
            text = tmux("capture-pane", "-p").stdout
            if re.search(wanted, text) and also(text):
                break
            time.sleep(0.1)
        return text

    def fits(columns, rows):
        def look(text):
            lines = text.rstrip("\n").split("\n")
            return lines[0].startswith(base) and len(lines) <= rows and max(map(len, lines)) <= columns and sum(l.startswith(("in  ", "writes", "queries", "turns", "loops", "syncs", "log  ", "rounds", "memory", "keys")) for l in lines) == (10 if rows > 12 else 9)
        return look

    def frame_fits(text, columns, rows, what):
        ok(fits(columns, rows)(text), f"{what}: nothing wraps:\n{text}")

    try:
        tmux("new-session", "-d", "-x", "80", "-y", "24", f"echo BEFORE; {CTL} top --server {base} --interval 300ms; echo AFTER $?; stty -a | grep -o '[-]*icanon'; sleep 1000")
        shown = pane(r"sum\(demo\)", fits(80, 24))
        frame_fits(shown, 80, 24, "80 x 24")
        ok("BEFORE" not in shown and "by time" in shown, "on a screen of its own")
        tmux("send-keys", "s")
        ok("by mean" in pane("by mean"), "s sorts")
        tmux("send-keys", "t")
        shown = pane(r"(?s)tenant, by.*default", fits(80, 24))
        ok("default" in shown, "t shows tenants")
        frame_fits(shown, 80, 24, "tenants")
        tmux("send-keys", "p")
        ok("paused" in pane("paused"), "p pauses")
        tmux("send-keys", "p", "t")
        pane(r"sum\(demo\)")
        tmux("resize-window", "-x", "60", "-y", "15")
        frame_fits(pane(r"sum\(demo\)", fits(60, 15)), 60, 15, "a smaller window")
        tmux("send-keys", "q")
        shown = pane(r"AFTER \d+\n-?icanon")
        ok("BEFORE" in shown and "AFTER 0" in shown and "\nicanon" in shown, f"q gives the terminal back: {shown!r}")
        tmux("respawn-pane", "-k", f"sh -c 'echo $$ > {path('pid')}; exec {CTL} top --server {base}'; echo AFTER $?; stty -a | grep -o '[-]*icanon'; sleep 1000")
        pane("samples/s")
        os.kill(int(open(path("pid")).read()), signal.SIGTERM)
        shown = pane(r"AFTER \d+\n-?icanon")
        ok("AFTER 0" in shown and "\nicanon" in shown and "samples/s" not in shown, f"so does SIGTERM: {shown!r}")
    finally:
        tmux("kill-server")
else:
    note("tmux is not installed")
stop.set()
worker.join()

# --- completion ---
shell_env = {"PATH": os.path.dirname(CTL) + ":" + clean["PATH"], "KYMO_SERVER": base, "TERM": "dumb", "HOME": top, "INPUTRC": "/dev/null", "HISTFILE": ""}
put("a_file.yml", "")
typed = (("kymoctl que\t", r"que.*ry "), ("kymoctl query --for\t", r"--for.*mat "), ("kymoctl query --format gr\t", r"gr.*aph "), ("kymoctl query dem\t", r"dem.*o "), ("kymoctl labels inst\t", r"inst.*ance "),
         ("kymoctl query 'sum(dem\t", r"dem.*o"), ("kymoctl check-config a_f\t", r"a_f.*ile.yml "), ("kymoctl completion b\t", r"b.*ash "), ("kymoctl query --format=gr\t", r"gr.*aph "), ("kymoctl query a:b:d\t", r"a:b:d.*emo "))
for shell, argv, setup in (("bash", ("bash", "--norc", "--noprofile", "-i"), f"PS1='%% '; bind 'set bell-style none'; . {SRC}/net/ctl/completion/kymoctl; echo READY$((1))\n"),
                           ("zsh", ("zsh", "-f", "-i"), f"PS1='%% '; unsetopt zle_bracketed_paste; setopt no_beep; fpath=({os.path.abspath(SRC)}/net/ctl/completion $fpath); autoload -Uz compinit; compinit -u -D; bindkey '^U' kill-whole-line; echo READY$((1))\n")):
    if not shutil.which(shell):
        note(f"{shell} is not installed")
        continue
    t = Terminal(*argv, **shell_env)
    t.type(setup)
    ok("READY1" in t.until("READY1"), f"{shell} begins")

    def completed(keys, want):
        """Tab again while nothing comes: what a busy server does not answer soon is not waited for."""
        t.type(keys)
        seen, end = t.until(want, 5), time.time() + 90
        while not re.search(want, seen) and time.time() < end:
            t.type("\t")
            seen += t.until(want, 5)
        return seen

    for keys, want in typed:
        seen = completed(keys, want)
        ok(re.search(want, seen), f"{shell}: {keys!r} is completed: {seen!r}")
        t.type("\x15")
    seen = completed("kymoctl c\t\t", r"(?s)cardinality.*check-config.*completion")
    ok(re.search(r"(?s)cardinality.*check-config.*completion", seen), f"{shell}: several are listed: {seen!r}")
    t.end()
for text, want in (('demo{inst', 'demo{instance\n'), ('demo{instance="dem', ""), ('{__name__="dem', '{__name__="demo\n'), ('demo{a="\\"", inst', 'demo{a="\\"", instance\n'), ('demo{} + dem', 'demo{} + demo\n')):
    code, out, err = ctl("completion", "words", "2", "--", "query", text, server=base)
    ok(code == 0 and out == want, f"names of labels stand between braces, in a value no metric but of __name__: {text!r} {out!r}")
ok(ctl("completion", "words", "2", "--", "query", "dem", server=dead)[:2] == (0, ""), "without a server there are none, and no noise")
ok(ctl("completion", "fish")[0] == 2, "another shell is usage")

# --- the manual page ---
page = f"{SRC}/net/kymoctl.1"
if shutil.which("mandoc"):
    p = subprocess.run(["mandoc", "-Tlint", "-Wwarning", page], capture_output=True, text=True)
    found = [l for l in p.stdout.splitlines() if "missing date" not in l]
    ok(not found and len(p.stdout.splitlines()) <= 1, f"mandoc finds nothing: {found}")
elif shutil.which("groff"):
    p = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-z", page], capture_output=True, text=True)
    ok(p.returncode == 0 and not p.stderr, f"groff warns of nothing: {p.stderr!r}")
text = open(page).read()
listed = re.findall(r"^  (\S+) +\S", ctl("help")[1], re.M)
ok(len(listed) >= 7 and all(f".SS {name}".replace("-", "\\-") in text for name in listed if name != "5"), f"all commands are on it: {listed}")

# --- servers of others ---
if shutil.which("prometheus"):
    port = free_port()
    put("p.yml", "global: {scrape_interval: 1s}\nscrape_configs: [{job_name: self, static_configs: [{targets: ['127.0.0.1:%d']}]}]\n" % port)
    p = Process(["prometheus", "--config.file", path("p.yml"), "--storage.tsdb.path", path("prom"), "--web.listen-address", f"127.0.0.1:{port}"], path("prom.log"))
    other, end = f"http://127.0.0.1:{port}", time.time() + 60
    while time.time() < end and not ctl("query", "up == 1", server=other)[1]:
        time.sleep(0.2)
    code, out, err = ctl("query", "up", server=other)
    ok(code == 0 and 'job="self"' in out, f"Prometheus: query: {out!r} {err!r}")
    code, out, err = ctl("query", "sum(up", server=other)
    ok(code == 2 and err.splitlines()[-1].endswith("^"), f"a mistake: {err!r}")
    ok(ctl("query", "--format", "graph", "--start", "5m", "up", server=other)[0] == 0, "a graph")
    ok(ctl("series", "up", server=other)[1].startswith("up{") and "job" in ctl("labels", server=other)[1].split() and ctl("labels", "job", "--limit", "1", server=other)[1] == "self\n", "series and labels")
    code, out, err = ctl("cardinality", "--limit", "2", server=other)
    ok(code == 0 and "metrics with most series" in out and not out.startswith("0 "), f"cardinality: {out!r} {err!r}")
    ok("gauge" in ctl("metadata", "go_goroutines", server=other)[1], "metadata")
    code, out, err = ctl("top", "--once", server=other)
    ok(code == 4 and "no kymod" in err, f"top says what it is not: {code} {err!r}")
    p.end()
if shutil.which("victoria-metrics"):
    port = free_port()
    p = Process(["victoria-metrics", "-storageDataPath", path("vm"), "-httpListenAddr", f"127.0.0.1:{port}", "-search.latencyOffset", "0s"], path("vm.log"))
    other, end = f"http://127.0.0.1:{port}", time.time() + 60
    while time.time() < end and ctl("query", "1", server=other)[0] != 0:
        time.sleep(0.2)
    request(port, "POST", "/api/v1/import/prometheus", 'demo{a="b"} 3\n')
    request(port, "GET", "/internal/force_flush")
    while time.time() < end and not ctl("query", "demo", server=other)[1]:
        time.sleep(0.2)
    ok(ctl("query", "demo", server=other)[1].splitlines()[1:] == ['demo{a="b"}      3'], f"VictoriaMetrics: query: {ctl('query', 'demo', server=other)}")
    code, out, err = ctl("query", "sum(demo", server=other)
    ok(code == 2 and err.splitlines()[1:] == ["  sum(demo", "          ^"], f"a mistake has its place: {code} {err!r}")
    ok('demo{a="b"}\n' == ctl("series", "demo", server=other)[1] and "a" in ctl("labels", server=other)[1].split(), "series and labels")
    code, out, err = ctl("cardinality", "--limit", "2", server=other)
    ok(code == 0 and "series in memory" in out, f"cardinality: {out!r} {err!r}")
    p.end()
k.end()
shutil.rmtree(top)
done()
