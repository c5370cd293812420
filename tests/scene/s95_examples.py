#!/usr/bin/env python3
"""Every example of net/examples is run: Prometheus and vmagent write, nginx, haproxy (and Envoy, where there is one) stand in
front, Kubernetes' arguments and probes are tried, each panel of the dashboard and each alert is evaluated."""
import json, os, re, shlex, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *
import yaml

need("prometheus", "promtool", "prometheus-node-exporter", "vmagent", "haproxy", "nginx")
top = tmpdir("examples")
examples = os.path.join(SRC, "net", "examples")
node, nginx, haproxy, envoy, prom, vmagent = free_ports(6)


def example(name, into=None, **more):
    """The text of an example with real addresses; written to a file of the scene when it has a name."""
    text = open(os.path.join(examples, name)).read()
    text = text.replace("KYMO:9470", f"127.0.0.1:{k.port}").replace("NODE:9100", f"127.0.0.1:{node}")
    for was, now in more.items():
        assert was in text, f"{name} has no {was}"
        text = text.replace(was, now)
    if into:
        open(os.path.join(top, into), "w").write(text)
    return text


def path(name):
    return os.path.join(top, name)


def value(expr):
    status, answer = api(k.port, "query", query=expr)
    if status != 200:
        return f"{status} {answer}"
    return [float(r["value"][1]) for r in answer["data"]["result"]]


def until(what, check, timeout=120):
    end = time.time() + timeout
    while not check() and time.time() < end:
        time.sleep(0.1)
    return check()


open(path("kymod.yml"), "w").write("web: {trusted_proxies: [127.0.0.1]}\n")
k = Kymod(path("data"), "--loops=1", "--config", path("kymod.yml"), "--storage.min-free=1MiB")
exporter = Process(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node}"], path("node.log"))

# Senders.
conf = example("prometheus/prometheus.yml", "prometheus.yml", **{"scrape_interval: 15s": "scrape_interval: 1s"})
ok(subprocess.run(["promtool", "check", "config", path("prometheus.yml")], capture_output=True).returncode == 0, "promtool takes prometheus.yml")
sender = Process(["prometheus", f"--config.file={path('prometheus.yml')}", f"--storage.tsdb.path={path('prom')}",
                  f"--web.listen-address=127.0.0.1:{prom}"], path("prometheus.log"))
example("vmagent/scrape.yml", "scrape.yml", **{"scrape_interval: 15s": "scrape_interval: 1s", "cluster: example": "cluster: of-vmagent"})
args = example("vmagent/vmagent.args", **{"/var/lib/vmagent": path("vmagent"), "127.0.0.1:8429": f"127.0.0.1:{vmagent}", "=scrape.yml": "=" + path("scrape.yml")})
agent = Process(["vmagent"] + args.split(), path("vmagent.log"))
for cluster in ("example", "of-vmagent"):
    ok(until(cluster, lambda: value(f'count(node_cpu_seconds_total{{cluster="{cluster}"}})') not in ([], [0.0])),
       f"samples of {'Prometheus' if cluster == 'example' else 'vmagent'} are here")

# Proxies: a write and a query through each, admin calls stay outside.
open(path("nginx.conf"), "w").write(f"daemon off;\npid {path('nginx.pid')};\nerror_log {path('nginx.err')};\nevents {{}}\nhttp {{\n  access_log off;\n" +
    "".join(f"  {m}_temp_path {path('t_' + m)};\n" for m in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")) +
    example("nginx/kymo.conf", **{"listen 8080": f"listen 127.0.0.1:{nginx}"}) + "}\n")
example("haproxy/haproxy.cfg", "haproxy.cfg", **{"bind :8080": f"bind 127.0.0.1:{haproxy}"})
example("envoy/envoy.yaml", "envoy.yaml", **{"0.0.0.0, port_value: 8080": f"127.0.0.1, port_value: {envoy}", "KYMO, port_value: 9470": f"127.0.0.1, port_value: {k.port}"})
proxies = {"nginx": (nginx, ["nginx", "-c", path("nginx.conf"), "-p", top]), "haproxy": (haproxy, ["haproxy", "-f", path("haproxy.cfg")])}
ok(set(yaml.safe_load(open(path("envoy.yaml")))["static_resources"]) == {"listeners", "clusters"}, "envoy.yaml is YAML")
binary = shutil.which("envoy")
if binary:
    proxies["envoy"] = (envoy, [binary, "-c", path("envoy.yaml"), "--use-dynamic-base-id"])
now = int(time.time() * 1000)


def there(port):
    try:
        return request(port, "GET", "/-/ready")[0] == 200
    except OSError:
        return False


for name, (port, command) in proxies.items():
    proxy = Process(command, path(name + ".log"))
    ok(until(name, lambda: there(port)), f"{name} is ready")
    if not there(port):
        note(tail(path(name + ".log")))
        continue
    got = write(port, series({"__name__": "through", "proxy": name}, [(now, 7)]))
    ok(got[0] == 204, f"a write through {name}: {got[0]}")
    ok(api(port, "query", query=f'through{{proxy="{name}"}}')[1]["data"]["result"][0]["value"][1] == "7", f"a query through {name}")
    ok(request(port, "POST", "/api/v1/admin/tsdb/flush")[0] == 403, f"no admin calls through {name}")
    proxy.end()

# Kubernetes: what the manifest starts, and asks.
docs = {d["kind"]: d for d in yaml.safe_load_all(open(os.path.join(examples, "kubernetes/kymod.yaml")))}
pod = docs["StatefulSet"]["spec"]["template"]["spec"]
container = pod["containers"][0]
mounts = {m["name"]: m["mountPath"] for m in container["volumeMounts"]}
ok({v["name"] for v in pod["volumes"]} | {v["metadata"]["name"] for v in docs["StatefulSet"]["spec"]["volumeClaimTemplates"]} == set(mounts),
   "each mount has its volume")
labels = docs["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
ok(docs["Service"]["spec"]["selector"] == labels == docs["StatefulSet"]["spec"]["selector"]["matchLabels"] ==
   docs["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], "selectors meet the pod's labels")
port = free_ports(1)[0]
os.makedirs(path("etc"), exist_ok=True)
for name, text in docs["ConfigMap"]["data"].items():
    assert "0.0.0.0:9470" in text
    open(path("etc/" + name), "w").write(text.replace("0.0.0.0:9470", f"127.0.0.1:{port}"))
args = [a.replace(mounts["data"], path("poddata")).replace(mounts["config"], path("etc")) for a in container["args"]]


class Pod(Kymod):
    def __init__(self):
        self.port, self.data = port, path("poddata")
        Process.__init__(self, [KYMOD] + args, path("pod.log"))
        self.wait_ready()


p = Pod()
for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
    get = container[probe]["httpGet"]
    ok(get["port"] in {c["name"] for c in container["ports"]} and request(port, "GET", get["path"])[0] == 200, f"{probe} is answered")
ok(any(line.startswith('{"') for line in open(path("pod.log"))), "its log is JSON")
p.end()

# Grafana: each panel's query has an answer.
for name in ("datasources/kymo.yaml", "dashboards/kymo.yaml"):
    ok(yaml.safe_load(open(os.path.join(examples, "grafana/provisioning", name)))["apiVersion"] == 1, f"provisioning/{name} is YAML")
dash = json.load(open(os.path.join(examples, "grafana/dashboards/kymo.json")))
until("two of its own samples", lambda: value("count_over_time(kymo_series_active[1m]) > 2") not in ([], [0.0]))
names = api(k.port, "label/__name__/values")[1]["data"]
ids, empty, wrong, asked = set(), [], [], 0
for panel in dash["panels"]:
    ids.add(panel["id"])
    for target in panel.get("targets", []):
        expr = target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
        end = time.time()
        status, answer = api(k.port, "query_range", query=expr, start=end - 60, end=end, step=15)
        asked += 1
        if status != 200:
            wrong.append(f"{panel['title']}: {answer}")
        elif not answer["data"]["result"]:
            empty.append(panel["title"])
ok(len(ids) == len(dash["panels"]) and asked > 30, f"{len(ids)} panels, {asked} queries")
ok(not wrong, f"each is evaluated {wrong[:3]}")
ok(not empty, f"and has an answer {empty}")

# Alerts: their own tests, and each evaluated here: none fires on a healthy server, each metric it names is known.
alerts = os.path.join(examples, "alerts")
for what in ("check", "test"):
    r = subprocess.run(["promtool", what, "rules", "kymo.rules.yml" if what == "check" else "kymo.rules_test.yml"], cwd=alerts, capture_output=True, text=True)
    ok(r.returncode == 0, f"promtool {what} rules {r.stdout[-300:] + r.stderr[-300:] if r.returncode else ''}")
rules = yaml.safe_load(open(os.path.join(alerts, "kymo.rules.yml")))["groups"][0]["rules"]
sections = {"#" + line[3:].strip().lower() for line in open(os.path.join(SRC, "net/examples/alerts/RUNBOOK.md")) if line.startswith("## ")}
families = set(re.findall(r"^# TYPE (\S+)", request(k.port, "GET", "/metrics")[1].decode(), re.M))
unknown, lost, bad = [], [], []


def firing():
    answers = {rule["alert"]: value(rule["expr"]) for rule in rules}
    bad.extend(a for a in answers.values() if isinstance(a, str))
    return sorted(name for name, a in answers.items() if a)


until("the first series of two senders at once are no explosion any more", lambda: not firing(), 180)
fires = firing()
for rule in rules:
    unknown += [n for n in re.findall(r"\bkymo_\w+", rule["expr"]) if n not in families]
    lost += [rule["alert"]] if "#" + rule["annotations"]["runbook_url"].split("#")[1] not in sections else []
ok(len(rules) > 10 and not bad, f"{len(rules)} alerts are evaluated {bad[:2]}")
ok(not unknown, f"their metrics exist {unknown}")
ok(not fires, f"none fires here {fires}")
ok(not lost, f"each has its section of the runbook {lost}")
for process in (sender, agent, exporter, k):
    process.end()
done()
