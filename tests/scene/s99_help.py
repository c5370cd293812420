#!/usr/bin/env python3
"""The pages for readers (net/ui/help): every command, configuration and expression in them is run, as it stands but for ports,
page by page, each in a directory of its own; every link leads somewhere."""
import glob, os, re, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

need("prometheus", "promtool", "prometheus-node-exporter", "victoria-metrics", "curl", "openssl")
top = tmpdir("help")
folder = os.path.join(SRC, "net", "ui", "help")
pages = sorted(glob.glob(os.path.join(folder, "*.md")))
names = ("9470", "9471", "9090", "9100", "8428", "8080")
ports = dict(zip(names, map(str, free_ports(len(names)))))
ports["10902"] = ports["9090"]  # what answers queries as Thanos does
programs = {"kymod": KYMOD, "kymoctl": os.path.join(BUILD, "kymoctl"), "kymobench": BENCH}
bin_dir = os.path.join(top, "bin")
os.mkdir(bin_dir)
for name, program in programs.items():
    os.symlink(os.path.abspath(program), os.path.join(bin_dir, name))
SERVERS = re.compile(r"^(kymod(?!.*--hash)|prometheus )")


def here(text):
    return re.sub(r"(localhost|127\.0\.0\.1):(\d+)", lambda m: f"127.0.0.1:{ports.get(m.group(2), m.group(2))}", text)


class Page:
    """What runs while its commands do."""

    def __init__(self, name):
        self.name, self.dir, self.servers = name, os.path.join(top, name), {}
        os.mkdir(self.dir)
        self.env = {**os.environ, "PATH": bin_dir + ":" + os.environ["PATH"], "KYMO_SERVER": f"http://127.0.0.1:{ports['9470']}", "HOME": self.dir}

    def serve(self, line):
        port = re.search(r"127\.0\.0\.1:(\d+)", line).group(1)
        if port in self.servers:
            self.servers.pop(port).end()
        self.servers[port] = Process(["sh", "-c", f"cd {self.dir} && exec {line}"], os.path.join(self.dir, f"{port}.log"), env=self.env)
        for _ in range(300):
            try:
                if request(int(port), "GET", "/-/ready")[0] == 200:
                    return True
            except OSError:
                pass
            time.sleep(0.1)
        note(tail(os.path.join(self.dir, f"{port}.log")))
        return False

    def run(self, line, good=(0,), patience=0):
        kymod = self.servers.get(ports["9470"])
        if "$(pidof -s kymod)" in line:
            line = line.replace("$(pidof -s kymod)", str(kymod.p.pid))
        end = time.time() + patience
        while True:
            p = subprocess.run(["bash", "-euc", line], cwd=self.dir, env=self.env, capture_output=True, text=True, timeout=120)
            if (p.returncode in good and (p.stdout or not patience)) or time.time() >= end:
                break
            time.sleep(0.3)
        if p.returncode not in good:
            note(f"{p.returncode}\n{p.stdout[-1500:]}\n{p.stderr[-1500:]}")
        return p

    def end(self):
        for s in self.servers.values():
            s.end()


def blocks(text):
    """(kind, rest of its first line, lines) of each code block."""
    return [(m.group(1), m.group(2).strip(), m.group(3)) for m in re.finditer(r"^```(\w*)(.*)\n((?:.*\n)*?)```$", text, re.M)]


exporter = Process(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{ports['9100']}"], os.path.join(top, "node.log"))
victoria = Process(["victoria-metrics", f"-httpListenAddr=127.0.0.1:{ports['8428']}", f"-storageDataPath={top}/victoria"], os.path.join(top, "victoria.log"))
begun = time.time()
warm = Process([KYMOD, "--data-dir", f"{top}/warm", "--listen", f"127.0.0.1:{free_port()}"], os.path.join(top, "warm.log"))
SCRAPE = "global: {scrape_interval: 1s}\nscrape_configs:\n- job_name: node\n  static_configs: [{targets: [\"localhost:9100\"]}]\n"

for file in pages:
    name, text = os.path.basename(file)[:-3], open(file).read()
    page, count = Page(name), 0
    # Where a page speaks of what is there already, it is.
    if name == "move":
        open(os.path.join(page.dir, "prometheus.yml"), "w").write(here(SCRAPE))
        page.serve(here("prometheus --config.file=prometheus.yml --storage.tsdb.path=./prometheus --web.listen-address=127.0.0.1:9090"))
        page.serve(here("kymod --data-dir ./mimir --listen 127.0.0.1:8080 --no-self-metrics"))  # it has remote read below /prometheus, as Mimir
        now = int(time.time())
        for port in (ports["8428"], ports["8080"]):
            lines = "\n".join(f"old{{n=\"{n}\"}} {n + i} {(now - 600 + 15 * i) * 1000}" for n in range(9) for i in range(40))
            request(int(port), "POST", "/api/v1/import/prometheus", lines.encode())
        request(int(ports["8428"]), "GET", "/internal/force_flush")
    if name in ("operations", "page", "sizing"):
        # A server that has recorded itself for a while, so that rates have something to look at.
        while warm.alive() and time.time() < begun + 12:
            time.sleep(0.1)
        warm.end()
        shutil.copytree(f"{top}/warm", os.path.join(page.dir, "data"))
        page.serve(here("kymod --data-dir ./data --listen 127.0.0.1:9470"))
    for kind, rest, body in blocks(text):
        lines = [l for l in body.splitlines() if l.strip() and not l.startswith("#")]
        if kind == "sh":
            for line in map(here, lines):
                count += 1
                if SERVERS.match(line) and "--check" not in line:
                    ok(page.serve(line), f"{name}: {line}")
                    continue
                if "inspect --quick" in line:
                    page.servers.pop(ports["9470"]).end()
                good = (0, 1) if rest == "status 0 or 1" else (0,)
                patience = 20 if line.startswith("kymoctl query") else 0
                p = page.run(line, good, patience)
                ok(p.returncode in good and (not patience or len(p.stdout.splitlines()) > 1), f"{name}: {line}")
                if "inspect --quick" in line:
                    page.serve(here("kymod --data-dir ./data --listen 127.0.0.1:9470"))
        elif kind == "yaml":
            count += 1
            out = os.path.join(page.dir, {"prometheus": "prometheus.yml", "kymod": "kymod.yaml"}[rest])
            open(out, "w").write(here(body).replace("scrape_interval: 15s", "scrape_interval: 1s"))
            if rest == "prometheus":
                # Newer than Debian's promtool: what a Prometheus 3 knows.
                known = re.sub(r"\n    (send_native_histograms|protobuf_message): .*", "", open(out).read()) if "3" not in subprocess.run(["promtool", "--version"], capture_output=True, text=True).stderr[:20] else open(out).read()
                open(out, "w").write(known)
                ok(page.run("promtool check config prometheus.yml").returncode == 0, f"{name}: promtool takes its configuration")
            else:
                page.run("[ -e prometheus.token ] || (umask 077; openssl rand -hex 32 > prometheus.token)")
                ok(page.run("kymod --check-config kymod.yaml").returncode == 0, f"{name}: kymod takes its configuration")
        elif kind == "promql":
            for line in lines:
                count += 1
                status, answer = api(int(ports["9470"]), "query", query=line)
                ok(status == 200 and answer["data"]["result"], f"{name}: {line} has a result: {str(answer)[:200]}")
        else:
            ok(False, f"{name}: a block of a kind that nobody runs: {kind} {rest}")
    if ports["9470"] in page.servers:
        for link in re.findall(r"\]\((/[^)]*)\)", text):
            status = request(int(ports["9470"]), "GET", link, headers={"Accept": "text/html"})[0]
            there = os.path.exists(os.path.join(folder, link.split("/help/")[1] + ".md")) if "/help/" in link else True
            ok(status == 200 and there, f"{name}: {link} leads somewhere")
    ok(count > 0, f"{name}: {count} commands, configurations and expressions")
    page.end()

exporter.end()
victoria.end()
done()
