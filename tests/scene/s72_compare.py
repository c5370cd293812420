#!/usr/bin/env python3
"""kymobench compare, mixed and report: kymod beside Debian's victoria-metrics, small; every figure is there, answers are compared, pages are well-formed, nothing is left behind, also after Ctrl-C."""
import sys
import xml.etree.ElementTree
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("victoria-metrics")
top = tmpdir("compare")
out = os.path.join(top, "results.json")
BASE = ["--server", f"kymod={KYMOD}", "--peer", "vm=victoria-metrics", "--dir", top, "--limit", "30m"]


def left():
    return [n for n in os.listdir(top) if n.startswith("kymobench-")]


def run(*args, timeout=1500):
    return subprocess.run([BENCH, *args], capture_output=True, text=True, timeout=timeout)


queries = os.path.join(top, "queries.txt")
open(queries, "w").write("sum(node_cpu_seconds_total)\nrate(node_cpu_seconds_total[5m])\n")
p = run("compare", *BASE, "--series", "1000", "--rounds", "6", "--pairs", "1", "--query-rounds", "1", "--restarts", "1", "--only", "write,disk,query,restart", "--queries", queries, "--out", out)
note(p.stdout)
note(p.stderr)
r = json.load(open(out))
figures = {f["id"]: {s["name"]: s for s in f["servers"]} for f in r["figures"]}
for name in ("new_series_1000", "rw1_grouped_1000", "rw1_shuffled_1000", "rw1_p99_1000", "rss_written_1000", "bytes_sample_1000", "query_ms_1000", "restart_s_1000"):
    rows = figures.get(name, {})
    values = [v for s in ("kymod", "vm") for v in rows.get(s, {}).get("values", [None])]
    # The kernel counts CPU time in ticks of 10 ms: of so few samples it may see none.
    ok(values and ("rw1_" in name and "p99" not in name or name.startswith("new_") or all(isinstance(v, (int, float)) and v > 0 for v in values)), f"{name} is told of both servers: {values}")
ok([s["name"] for s in r["servers"]] == ["kymod", "vm"] and all(s["version"] and s["promise"] and s["command"] for s in r["servers"]), "servers with version, command line, and what their answer promises")
ok(all(r["machine"].get(k) for k in ("cpu", "cores", "kernel", "server_cpus", "generator_cpus", "sync_p99_ms")), f"the machine: {r['machine']}")
equal = {q["query"]: q["equal"] for q in r["queries"]}
ok(equal.get("sum(node_cpu_seconds_total)") is True, "the sum is equal on both")
ok(equal.get("rate(node_cpu_seconds_total[5m])") is False and any(q["difference"].startswith("vm: ") for q in r["queries"]), "rate is not, and the difference is named")
# Releases before Remote Write 2.0 answer 204 to it and store nothing: that is told, and no figure is made of it.
speaks = figures["rw2_grouped_1000"]["vm"]["values"] != [None]
ok(p.returncode == (0 if speaks else 1) and len(r["problems"]) == (0 if speaks else 1) and (speaks or "vm: read back: 0 of 6,000 samples" in r["problems"][0]), f"what is not there is the only failure: {r['problems']}")
ok(not left(), "no directory is left")

# A server that takes all, stores nothing and is not at its pace: behind a script, in a directory with a space.
liar = os.path.join(top, "a liar.py")
open(liar, "w").write("""
import http.server, sys, time
class Liar(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def say(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(1)
        self.say(200, b"")
    def do_GET(self):
        self.say(200, b'{"status":"success","data":{"resultType":"vector","result":[]}}')
    def log_message(self, *args):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Liar).serve_forever()
""")
script = os.path.join(top, "script")
open(script, "w").write(f"#!/bin/sh\n{sys.executable} '{liar}' $1 &\nwait\n")
os.chmod(script, 0o755)
lies = os.path.join(top, "lies.json")
p = run("compare", "--server", f"kymod={KYMOD}", "--peer", f"liar={script} {{port}}", "--dir", top, "--limit", "30m", "--settle", "1", "--series", "1000", "--only", "paced,restart", "--restarts", "1", "--pace-rate", "5000", "--pace-s", "1", "--out", lies)
note(p.stdout)
note(p.stderr)
told = json.load(open(lies))
rows = {f["id"]: {s["name"]: s for s in f["servers"]} for f in told["figures"]}
ok(p.returncode == 1 and any("liar: read back: 0 of 1,000" in x for x in told["problems"]), f"a server that stores nothing is told: {told['problems']}")
ok(rows["new_series_1000"]["liar"]["values"] == [None] and set(rows["paced_cores_1000"]["liar"]["values"]) == {None}, "and gets no figure of writes")
ok(all(rows[i]["liar"].get("apart") and "ratio" not in rows[i]["liar"] for i in ("rss_written_1000", "restart_s_1000", "paced_p99_1000")), f"nor a ratio of what it holds or took too late: {rows['rss_written_1000']} {rows['paced_p99_1000']}")
ok(not left(), "and what its script started has ended")

# A server that is never ready: the time is bounded all the same.
p = run("compare", "--server", f"kymod={KYMOD}", "--peer", "mute=/bin/sleep 1000 {port}", "--dir", top, "--limit", "4s", "--series", "1000")
ok(p.returncode in (0, 1) and "the time is over" in p.stdout and not left(), f"--limit holds for what is under way: {p.returncode} {p.stdout!r} {p.stderr!r}")
p = run("compare", *BASE, "--out", "/nowhere/results.json")
ok(p.returncode == 2 and "/nowhere/results.json" in p.stderr and p.stderr.count("\n") == 1, f"where results cannot be written nothing is measured: {p.stderr!r}")

html, md = os.path.join(top, "r.html"), os.path.join(top, "page.markdown")
p = run("report", out, "--html", html, "--md", md)
ok(p.returncode == 0, f"report: {p.stderr}")
page = open(html).read()
tree = xml.etree.ElementTree.fromstring(page.split("\n", 1)[1])
ok(tree.tag == "html" and len(tree.findall(".//svg")) > 10, f"the page is well-formed, with {len(tree.findall('.//svg'))} pictures")
ok(not re.search(r"<script|\ssrc=|\shref=|https?://(?!127)", re.sub(r"<code>.*?</code>", "", page)), "it has no script and fetches nothing")
p = run("report", lies, "--html", os.path.join(top, "lies.html"), "--md", os.path.join(top, "lies.markdown"))
ok(p.returncode == 0 and all("read back: 0 of 1,000" in open(os.path.join(top, n)).read() for n in ("lies.html", "lies.markdown")), "what failed stands on both pages")
p = run("report", out, "--table", "-")
ok(p.returncode == 0 and p.stdout.startswith("| | kymod | vm |\n| --- | --- | --- |\n"), "the table alone")
open(out, "a").write("}")
p = run("report", out, "--html", html)
ok(p.returncode == 1 and "results.json: line" in p.stderr, f"a broken file is named: {p.stderr.strip()}")

# More than any machine does in a second: it is left out, and nobody has failed.
p = run("compare", "--server", f"kymod={KYMOD}", "--peer", f"two={KYMOD}", "--dir", top, "--limit", "1s", "--series", "1000000", "--rounds", "100", "--only", "write,paced", "--out", out)
r = json.load(open(out))
ok(p.returncode == 0 and r["problems"] and all("(--limit 1s)" in line for line in r["problems"]), f"what the limit cuts off is listed, and no failure: {p.returncode} {r['problems']}")
ok(not any(s.get("values") for f in r["figures"] if f["id"].startswith("rw1_") for s in f["servers"]), "and has no figure")
p = run("report", out, "--table", "-")
ok(p.returncode == 0 and "failed" not in p.stdout, f"the table does not say failed: {p.stdout}")

p = run("mixed", *BASE, "--series", "500", "--clients", "2", "--pace-rate", "500", "--seconds", "1", "--pairs", "1", "--queries", queries, "--out", out)
note(p.stdout)
r = json.load(open(out))
figures = {f["id"]: {s["name"]: s for s in f["servers"]} for f in r["figures"]}
ok(p.returncode == 0 and not r["problems"], f"mixed: nothing fails: {r['problems']} {p.stderr[-500:]}")
ok(all(figures[i][s]["values"][0] > 0 for i in ("write_p99_alone", "write_p99_together", "query_p99_alone", "query_p99_together") for s in ("kymod", "vm")), "answers to writes and to queries, alone and together, of both")

p = subprocess.Popen([BENCH, "compare", *BASE, "--series", "1000", "--only", "write"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
started = ""
while "new series" not in started:
    line = p.stderr.readline()
    if not line:
        break
    started += line
running = left()
p.send_signal(signal.SIGINT)
text, err = p.communicate(timeout=600)
ok(p.returncode == 130 and "stopped" in text, f"Ctrl-C ends it with status 130 ({p.returncode})")
ok(running and not left(), f"and leaves none of its directories: {running}")

for args, want in ((["--peer", "x=/nowhere/vm"], "no program that can be run"), (["--peer", "a=b=c"], "no program"), (["--server-cpus", "9999"], "CPU"), (["--series", "0"], "--series"), (["--only", "writes"], "--only"), (["--queries", "/nowhere"], "/nowhere")):
    p = run("compare", "--server", f"kymod={KYMOD}", "--dir", top, *args)
    ok(p.returncode == 2 and want in p.stderr and p.stderr.count("\n") == 1, f"{' '.join(args)}: {p.stderr.strip()}")
for command in ("compare", "mixed", "report"):
    p = run(command, "--help")
    ok(p.returncode == 0 and "examples:" in p.stdout, f"{command} --help has examples")
ok(not left(), "no directory is left")
shutil.rmtree(top)
done()
