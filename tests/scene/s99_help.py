#!/usr/bin/env python3
"""The pages for readers (net/ui/help) and README.md: every command, configuration and expression in them is run, as it stands
but for ports and places, page by page, each in a directory of its own; every link leads somewhere. What is not run of README.md
stands in LEFT_OUT with the reason; a section with blocks that is neither there nor in RUN fails."""
import glob, os, re, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

os.environ["PATH"] += ":/usr/sbin"  # nginx
need("prometheus", "promtool", "prometheus-node-exporter", "victoria-metrics", "curl", "openssl", "nginx")
top = tmpdir("help")
folder = os.path.join(SRC, "net", "ui", "help")
names = ("9470", "9471", "9480", "9090", "9100", "8428", "8080", "443")
ports = dict(zip(names, map(str, free_ports(len(names)))))
ports["10902"] = ports["9090"]  # what answers queries as Thanos does
OWN = ports["9470"]
programs = {"kymod": KYMOD, "kymoctl": os.path.join(BUILD, "kymoctl"), "kymobench": BENCH}
bin_dir = os.path.join(top, "bin")
os.mkdir(bin_dir)
for name, program in programs.items():
    os.symlink(os.path.abspath(program), os.path.join(bin_dir, name))
with open(os.path.join(bin_dir, "curl"), "w") as f:  # it ends with an error where the server answers with one
    f.write(f'#!/bin/sh\nexec {shutil.which("curl")} -fsS "$@"\n')
os.chmod(f.name, 0o755)
SERVER = re.compile(r"^kymod(?!.*--(hash|print|check))")
EMPTY = '"result":[]'

# Sections of README.md that are run, in their order, each in the directory of the one before ...
RUN = ("Two commands", "Senders", "Backup", "Deletion", "Logs of requests", "Configuration", "OpenTelemetry", "InfluxDB and Datadog", "Pushes of short jobs",
       "StatsD and DogStatsD", "Samples out and in", "Relabelling and HA pairs", "Cardinality", "Identities", "Tenants", "TLS", "Behind a load balancer")
# ... and what is left out: sections by name, commands by their beginning.
LEFT_OUT = {
    "Installing it": "s94 and s95 install it", "Doctor": "the page Operations has it", "Bringing history along": "wants data of elsewhere; the page Moving here, s92 and s93 bring some",
    "gRPC": "grpcurl is no package of Debian 12; s63 asks by gRPC", "Measuring it": "minutes long, not for a busy machine; s71 and s72 run kymobench", "Measured": "the same",
    "git clone": "bench/newcomer.sh does", "./bootstrap": "bench/newcomer.sh runs it, CI checks by it", "kymoctl inspect": "of /var/lib/kymo, which is restored; the page Sizing has it",
    "echo 'app.web": "is there after a flush, in 10 s; s79 sends packets", "sleep 11": "the same",
}


def here(text):
    """With the ports of this run."""
    text = text.replace("HOST", "localhost").replace("https://localhost/", "https://localhost:443/").replace("listen 443 ", "listen 127.0.0.1:443 ")
    text = re.sub(r"(localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)", lambda m: f"127.0.0.1:{ports.get(m.group(2), m.group(2))}", text)
    return text.replace("https://127.0.0.1", "https://localhost")


class Page:
    """What runs while its commands do."""

    def __init__(self, name):
        self.name, self.dir, self.servers, self.prefix, self.count = name, os.path.join(top, name), {}, "", 0
        os.mkdir(self.dir)
        self.env = {**os.environ, "PATH": bin_dir + ":" + os.environ["PATH"], "KYMO_SERVER": f"http://127.0.0.1:{OWN}", "HOME": self.dir}

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as f:
            f.write(text)

    def warm(self):
        """A server that has recorded itself for a while, so that rates have something to look at."""
        while warm.alive() and time.time() < begun + 12:
            time.sleep(0.1)
        warm.end()
        shutil.copytree(f"{top}/warm", self.path("data"))

    def serve(self, line):
        port = re.search(r"127\.0\.0\.1:(\d+)", line)
        if not port and "--config" not in line:
            line += f" --listen 127.0.0.1:{OWN}"
        port = port.group(1) if port else OWN
        if port in self.servers:
            self.servers.pop(port).end()
        self.prefix = "".join(re.findall(r"--web.external-url https://[^/]*(/\w+)", line))
        if os.path.exists(self.path(f"{port}.log")):
            os.remove(self.path(f"{port}.log"))
        s = self.servers[port] = Process(["sh", "-c", f"cd {self.dir} && exec {line}"], self.path(f"{port}.log"), env=self.env)
        end = time.time() + 90
        while time.time() < end:
            config = line.startswith("kymod") and "--config" in line  # its address stands there
            if not s.alive() or (config and re.search(r"^ready ", open(self.path(f"{port}.log")).read(), re.M)):
                break
            try:
                if not config and request(int(port), "GET", self.prefix + "/-/ready")[0] == 200:
                    break
            except OSError:
                pass
            time.sleep(0.05)
        if not s.alive():
            note(tail(self.path(f"{port}.log")))
        return s.alive()

    def end_server(self, port=None):
        s = self.servers.pop(port or OWN, None)
        if s:
            s.end()

    def run(self, line, good=(0,), patience=0, wants=lambda out: True):
        for name, port in (("kymod", OWN), ("prometheus", ports["9090"])):
            if f"$(pidof -s {name})" in line:
                line = line.replace(f"$(pidof -s {name})", str(self.servers[port].p.pid))
        end = time.time() + patience
        while True:
            p = subprocess.run(["bash", "-euc", line], cwd=self.dir, env=self.env, capture_output=True, text=True, timeout=120)
            if (p.returncode in good and wants(p.stdout)) or time.time() >= end:
                break
            time.sleep(0.2)
        fine = p.returncode in good and wants(p.stdout)
        if not fine:
            note(f"{p.returncode}\n{p.stdout[-1500:]}\n{p.stderr[-1500:]}")
        return fine

    def command(self, line, good=(0,)):
        """One line as a reader gives it; what it says of its result behind "#" must be so."""
        self.count += 1
        line, said = here(line), re.search(r"#.*?\b(\w+)(\{[^}]*\})? (\d[\d.]*)\b", line)
        line = line.replace("/backup/kymo", "./backup").replace("/var/lib/kymo", "./restored")
        if SERVER.match(line):
            line = re.sub(r"\s+#.*", "", line)
            return ok(self.serve(line), f"{self.name}: {line}")
        if re.match("kymoctl top$", re.sub(r"\s+#.*", "", line)):
            line = "kymoctl top --count 1"
        if "inspect --quick" in line:  # of a stopped server
            self.end_server()
        asks = line.startswith("kymoctl query") or "/api/v1/query?query=" in line

        def wants(out):
            if not asks:
                return True
            if said and said.group(2):
                return f'"{said.group(3)}"]' in out and all(f'"{k}":"{v}"' in out.replace('": "', '":"') for k, v in [("__name__", said.group(1)), *re.findall(r'(\w+)="([^"]*)"', said.group(2))])
            return EMPTY not in out and len(out.splitlines()) > (0 if "curl" in line else 1)

        # What a source took while it was compared, once more: it is no fault of the copy.
        ok(self.run(line, good, 90 if asks or "kymoctl migrate" in line else 0, wants), f"{self.name}: {line}")
        if "inspect --quick" in line and self.name != "README":
            self.serve(here("kymod --data-dir ./data --listen 127.0.0.1:9470"))
        if "--print-config >" in line:
            text = open(self.path("kymod.yml")).read()
            self.write("kymod.yml", here(text))

    def prometheus(self, body, more):
        body = here(body)
        if " 3." not in promtool_version:
            body = re.sub(r"\n    (send_native_histograms|protobuf_message): .*", "", body)  # newer than Debian's promtool
        old = open(self.path("prometheus.yml")).read() if more else ""
        self.write("prometheus.yml", old + body)
        ok(self.run("promtool check config prometheus.yml"), f"{self.name}: promtool takes its configuration")

    def kymod(self, body, file):
        for form, ask in (('"blake2b:..."', "--hash-token"), ('"$argon2id$..."', "--hash-password")):
            if form in body:
                made = subprocess.run([KYMOD, ask], input="0123456789abcdef0123456789abcdef\n", capture_output=True, text=True).stdout.strip()
                body = body.replace(form, f'"{made}"')
        self.run("[ -e prometheus.token ] || (umask 077; openssl rand -hex 32 > prometheus.token)")
        for f in re.findall(r"(?:cert|key|ca)_file: ([\w.-]+)", body):
            if not os.path.exists(self.path(f)):
                shutil.copy(self.path("tls" + f[-4:]), self.path(f))
        self.write(file, here(body))
        ok(self.run(f"kymod --check-config {file}"), f"{self.name}: kymod takes its configuration: {body.splitlines()[0]}")

    def nginx(self, body):
        self.run("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout kymo.key -out kymo.crt")
        body = here(body).replace("/etc/ssl/", self.dir + "/")
        self.write("nginx.conf", f"daemon off; master_process off; pid {self.dir}/nginx.pid; error_log {self.dir}/nginx.err;\nevents {{}}\nhttp {{ access_log off;\n{body}}}\n")
        ok(self.run(f"nginx -t -p {self.dir} -c {self.dir}/nginx.conf"), f"{self.name}: nginx takes its configuration")
        self.servers["443"] = Process(["nginx", "-p", self.dir, "-c", self.path("nginx.conf")], self.path("nginx.log"))

    def cron(self, line):
        when = re.match(r"(\S+ ){5}\w+ ", line)
        ok(when and self.run(here(line[when.end():]).replace("/backup/kymo", "./hourly")), f"{self.name}: {line}")

    def block(self, kind, rest, body):
        lines = [l for l in body.splitlines() if l.strip() and not l.startswith("#")]
        if kind == "sh":
            for line in lines:
                self.command(line, (0, 1) if rest == "status 0 or 1" else (0,))
            return
        self.count += 1
        if kind == "yaml" and rest.startswith("prometheus"):
            self.prometheus(body, rest.endswith("more"))
        elif kind == "yaml":
            self.kymod(body, "kymod.yaml")
        elif kind == "nginx":
            self.nginx(body)
        elif kind == "cron":
            self.cron(lines[-1])
        elif kind == "promql":
            for line in lines:
                status, answer = api(int(OWN), "query", query=line)
                ok(status == 200 and answer["data"]["result"], f"{self.name}: {line} has a result: {str(answer)[:200]}")
        else:
            ok(False, f"{self.name}: a block of a kind that nobody runs: {kind} {rest}")

    def end(self):
        for s in self.servers.values():
            s.end()


BLOCK = re.compile(r"^```(\w*)(.*)\n((?:.*\n)*?)```$", re.M)
promtool_version = subprocess.run(["promtool", "--version"], capture_output=True, text=True)
promtool_version = (promtool_version.stdout + promtool_version.stderr).split("(")[0]
exporter = Process(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{ports['9100']}"], os.path.join(top, "node.log"))
victoria = Process(["victoria-metrics", f"-httpListenAddr=127.0.0.1:{ports['8428']}", f"-storageDataPath={top}/victoria"], os.path.join(top, "victoria.log"))
begun = time.time()
warm = Process([KYMOD, "--data-dir", f"{top}/warm", "--listen", f"127.0.0.1:{free_port()}"], os.path.join(top, "warm.log"))
SCRAPE = "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: node\n  static_configs: [{targets: [\"localhost:9100\"]}]\n"

for file in sorted(glob.glob(os.path.join(folder, "*.md"))):
    name, text = os.path.basename(file)[:-3], open(file).read()
    page = Page(name)
    # Where a page speaks of what is there already, it is.
    if name in ("first-steps", "move"):
        page.write("prometheus.yml", here(SCRAPE))
        page.serve(here("prometheus --config.file=prometheus.yml --storage.tsdb.path=./prometheus --web.listen-address=127.0.0.1:9090"))
        end = time.time() + 90
        while time.time() < end and not api(int(ports["9090"]), "query", query="count_over_time(up[1m]) > 4")[1]["data"]["result"]:
            time.sleep(0.1)
    if name == "move":
        page.serve(here("kymod --data-dir ./mimir --listen 127.0.0.1:8080 --no-self-metrics"))  # it has remote read below /prometheus, as Mimir
        now = int(time.time())
        for port in (ports["8428"], ports["8080"]):
            lines = "\n".join(f"old{{n=\"{n}\"}} {n + i} {(now - 600 + 15 * i) * 1000}" for n in range(9) for i in range(40))
            request(int(port), "POST", "/api/v1/import/prometheus", lines.encode())
        request(int(ports["8428"]), "GET", "/internal/force_flush")
    if name in ("operations", "page", "sizing"):
        page.warm()
        page.serve(here("kymod --data-dir ./data --listen 127.0.0.1:9470"))
    for kind, rest, body in BLOCK.findall(text):
        page.block(kind, rest.strip(), body)
    for link in re.findall(r"\]\(([^)]*)\)", text):
        if link.startswith("http://localhost:9470/"):
            fine = request(int(OWN), "GET", page.prefix + link[21:], headers={"Accept": "text/html"})[0] == 200
        else:
            to, _, part = link.partition("#")
            fine = os.path.exists(os.path.join(folder, to)) and part in ["", *(re.sub("[^a-z0-9]+", "-", h.lower()).strip("-") for h in re.findall("^##* (.*)", open(os.path.join(folder, to)).read(), re.M))]
        ok(fine, f"{name}: {link} leads somewhere")
    ok(page.count > 0, f"{name}: {page.count} commands and configurations")
    page.end()

# README.md, and what it leads to
sections = [s for name in ("README.md", "net/SENDERS.md", "net/OPERATING.md") for s in re.split(r"^## ", open(os.path.join(SRC, name)).read(), flags=re.M)[1:]]
page, left = Page("README"), []
page.warm()
page.write("ops.token", "")
page.serve(here("kymod --data-dir ./data --listen 127.0.0.1:9470"))
COMMAND = re.compile(BLOCK.pattern + r"|`(curl [^`\n]+)`", re.M)


def is_left_out(line):
    return any(line.startswith(k) for k in LEFT_OUT)


for section in sections:
    title, text = section.split("\n", 1)
    found = [m for m in COMMAND.finditer(text) if m.group(4) or m.group(1)]
    name = next((n for n in (*RUN, *LEFT_OUT) if title.startswith(n)), None)
    if found:
        ok(name, f"README: the blocks of \"{title}\" are run, or left out for a reason")
    if name not in RUN:
        left += [name for _ in found]
        continue
    if name == "TLS":
        page.command(next(l for l in text.splitlines() if l.startswith("openssl")))
        page.write("tls.yml", here("listeners: [{address: 127.0.0.1:9470, tls: {cert_file: tls.crt, key_file: tls.key}}]\n"))
        ok(page.serve("kymod --config tls.yml"), "README: a server with that certificate")
    for m in found:
        kind, rest, body, inline = m.groups()
        if kind == "yaml" and body.startswith("remote_write"):
            rest = "prometheus"
        if kind != "sh" and not inline:
            page.block(kind, rest, body)
            continue
        for line in [inline] if inline else [l for l in body.splitlines() if l and not l.startswith("#")]:
            if is_left_out(line):
                left.append(line)
            elif not (name == "TLS" and line.startswith("openssl")):
                page.command(line, (0, 1) if line.startswith("kymoctl doctor") else (0,))
    if name == "Configuration":
        page.serve(here("kymod --data-dir ./data --listen 127.0.0.1:9470"))
ok(page.count > 40, f"README: {page.count} commands and configurations")
note(f"left out of README.md: {len(left)}")
for what in dict.fromkeys(left):
    note(f"  {what[:60]}: {next(v for k, v in LEFT_OUT.items() if what.startswith(k))}")
page.end()
exporter.end()
victoria.end()
done()
