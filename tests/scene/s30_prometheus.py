#!/usr/bin/env python3
"""Real input: Debian's Prometheus scrapes itself and a node exporter every second and writes to kymod; then the queries of a node exporter dashboard give the same answer from both, and every sample that it holds is read back with the same bits: floats, classic histograms, and the staleness markers of a target that went away.

That Prometheus is 2.42: its ranges include their left end, so no evaluation time or range bound falls on a sample's millisecond; windows lie inside the recording, no subqueries, job!="kymo".
"""
import shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from rread import *

need("prometheus", "prometheus-node-exporter")
SECONDS = float(os.environ.get("KYMO_RECORD_S", "76"))
top = tmpdir("prometheus")
kymod = Kymod(os.path.join(top, "data"))
node_port, prom_port = free_port(), free_port()
node = Process(["prometheus-node-exporter", f"--web.listen-address=127.0.0.1:{node_port}"], os.path.join(top, "node.log"))
open(os.path.join(top, "prometheus.yml"), "w").write(f"""
global: {{scrape_interval: 1s, scrape_timeout: 900ms}}
scrape_configs:
- {{job_name: node, static_configs: [{{targets: ["127.0.0.1:{node_port}"]}}]}}
- {{job_name: prometheus, static_configs: [{{targets: ["127.0.0.1:{prom_port}"]}}]}}
remote_write:
- url: http://127.0.0.1:{kymod.port}/api/v1/write
""")
prom = Process(["prometheus", f"--config.file={top}/prometheus.yml", f"--storage.tsdb.path={top}/tsdb", f"--web.listen-address=127.0.0.1:{prom_port}", "--log.level=warn"], os.path.join(top, "prometheus.log"))


def up_since():
    """Time of the first scrape of the job that came last, in s; none yet: now."""
    try:
        status, a = api(prom_port, "query", query="max(min by (job) (min_over_time(timestamp(up)[10m:1s]))) and count(up) == 2", time=time.time())
        return float(a["data"]["result"][0]["value"][1])
    except (OSError, ValueError, LookupError, TypeError):
        return time.time()


patience = time.time() + SECONDS + 90
while (begin := up_since()) + SECONDS > time.time() and time.time() < patience:
    time.sleep(0.5)
# Stop scraping by ending the writer cleanly, after its queue has been sent: nothing moves while the answers are compared.
frozen = time.time() - 4
end = int(frozen) + 0.0
samples = api(kymod.port, "query", query='count({__name__=~".+",job!="kymo"})', time=end)[1]
note(f"recorded {end - begin:.0f} s, series in kymod: {samples['data']['result'][0]['value'][1] if samples['data']['result'] else 0}")


def sample_phases():
    """Milliseconds (mod 1 s) of every sample of the recording: evaluation times keep away from them."""
    out = set()
    for port in (prom_port, kymod.port):
        for job in ("node", "prometheus"):
            a = api(port, "query", query=f'up{{job="{job}"}}[10m]', time=end)[1]
            for s in a["data"]["result"]:
                out |= {round(float(t) * 1000) % 1000 for t, _ in s["values"]}
    return out


phases = sample_phases()
away = lambda p: min([min((p - q) % 1000, (q - p) % 1000) for q in phases], default=500)
free = max(range(1000), key=away)  # scrapes of a busy machine come at all times: as far away as there is
ok(away(free) > 0, f"there is a millisecond on which no sample falls")
phase = free / 1000
T = end - 3 + phase - 1
N, P = f'instance="127.0.0.1:{node_port}",job="node"', 'job="prometheus"'
QUERIES = [
    f'up{{job!="kymo"}}',
    f'node_load1{{{N}}}',
    f'rate(node_cpu_seconds_total{{{N}}}[20s])',
    f'sum by (mode) (rate(node_cpu_seconds_total{{{N}}}[20s]))',
    f'sum by (instance) (irate(node_cpu_seconds_total{{{N},mode!="idle"}}[20s])) / on (instance) group_left count by (instance) (node_cpu_seconds_total{{{N},mode="idle"}})',
    f'100 - avg by (instance) (rate(node_cpu_seconds_total{{{N},mode="idle"}}[20s])) * 100',
    f'(1 - node_memory_MemAvailable_bytes{{{N}}} / node_memory_MemTotal_bytes{{{N}}}) * 100',
    f'node_memory_MemTotal_bytes{{{N}}} - node_memory_MemFree_bytes{{{N}}} - (node_memory_Cached_bytes{{{N}}} + node_memory_Buffers_bytes{{{N}}})',
    f'{{__name__=~"node_memory_(Active|Inactive)_.*",{N}}}',
    f'node_filesystem_avail_bytes{{{N},fstype!~"tmpfs|rootfs"}} / node_filesystem_size_bytes{{{N},fstype!~"tmpfs|rootfs"}}',
    f'100 - node_filesystem_avail_bytes{{{N},device!~"rootfs"}} * 100 / node_filesystem_size_bytes{{{N},device!~"rootfs"}}',
    f'rate(node_network_receive_bytes_total{{{N}}}[15s]) * 8',
    f'sum without (device) (rate(node_network_transmit_bytes_total{{{N},device=~"lo|eth.*|en.+"}}[15s]))',
    f'topk(3, rate(node_disk_written_bytes_total{{{N}}}[30s]))',
    f'irate(node_disk_io_time_seconds_total{{{N},device=~"[a-z]+|nvme[0-9]+n[0-9]+|mmcblk[0-9]+"}}[20s])',
    f'rate(node_disk_read_time_seconds_total{{{N}}}[20s]) / rate(node_disk_reads_completed_total{{{N}}}[20s])',
    f'node_time_seconds{{{N}}} - node_boot_time_seconds{{{N}}}',
    f'increase(node_context_switches_total{{{N}}}[30s])',
    f'changes(node_procs_running{{{N}}}[30s])',
    f'max_over_time(node_load1{{{N}}}[30s]) - min_over_time(node_load1{{{N}}}[30s])',
    f'avg_over_time(node_procs_running{{{N}}}[25s])',
    f'deriv(node_memory_MemFree_bytes{{{N}}}[30s])',
    f'predict_linear(node_filesystem_avail_bytes{{{N}}}[30s], 3600)',
    f'node_uname_info{{{N}}} * on (instance, job) group_left (version) label_replace(node_exporter_build_info{{{N}}}, "v", "$1", "version", "(.*)")',
    f'node_load1{{{N}}} * on (instance) group_left (nodename) node_uname_info{{{N}}}',
    f'histogram_quantile(0.9, sum by (le) (rate(prometheus_http_request_duration_seconds_bucket{{{P}}}[30s])))',
    f'histogram_quantile(0.5, rate(prometheus_tsdb_compaction_chunk_size_bytes_bucket{{{P}}}[30s]))',
    f'histogram_quantile(0.99, sum by (le, handler) (rate(prometheus_http_response_size_bytes_bucket{{{P}}}[25s])))',
    f'sum by (handler, code) (increase(prometheus_http_requests_total{{{P},code=~"2.."}}[25s]))',
    f'rate(prometheus_tsdb_head_samples_appended_total{{{P}}}[20s])',
    f'quantile by (job) (0.5, scrape_duration_seconds{{job!="kymo"}})',
    f'stddev by (cpu) (rate(node_cpu_seconds_total{{{N}}}[20s]))',
    f'count_values("v", node_network_up{{{N}}})',
    f'count by (__name__) ({{__name__=~"node_netstat_.*",{N}}})',
    f'absent(node_nothing{{{N}}})',
    f'node_cpu_seconds_total{{{N},mode="system"}} > bool on (cpu, instance) node_cpu_seconds_total{{{N},mode="user"}}',
    f'node_cpu_seconds_total{{{N},mode="system"}} and on (cpu) (node_cpu_seconds_total{{{N},mode="idle"}} > 0)',
    f'sort_desc(sum by (mode) (node_cpu_seconds_total{{{N}}}))',
    f'clamp_max(rate(node_vmstat_pgfault{{{N}}}[20s]), 1000)',
    f'label_join(node_load5{{{N}}}, "both", "-", "instance", "job")',
    f'resets(process_cpu_seconds_total{{{P}}}[30s])',
    f'delta(node_memory_Cached_bytes{{{N}}}[30s])',
    f'sum(rate(node_softnet_processed_total{{{N}}}[20s])) by (instance) / scalar(count(node_cpu_seconds_total{{{N},mode="idle"}}))',
    f'node_load1{{{N}}} offset 10s',
]


def compare(path, expr, **params):
    a = api(prom_port, path, query=expr, **params)
    b = api(kymod.port, path, query=expr, **params)
    if a[0] != 200 or b[0] != 200:
        return f"{a[0]} {b[0]} {str(b[1])[:300]}"
    x, y = result_map(a[1]["data"]), result_map(b[1]["data"])
    if set(x) != set(y):
        return f"series differ: only prometheus {sorted(set(x) - set(y))[:2]}, only kymod {sorted(set(y) - set(x))[:2]}"
    for k in x:
        tx, ty = {round(float(t) * 1000): v for t, v in x[k]}, {round(float(t) * 1000): v for t, v in y[k]}
        if set(tx) != set(ty):
            return f"times of {k} differ: {sorted(set(tx) ^ set(ty))[:5]}"
        for t in tx:
            if not close(tx[t], ty[t]):
                return f"{k} at {t}: prometheus {tx[t]}, kymod {ty[t]}"
    return "" if x else "EMPTY"


def same(path, expr, **params):
    """The times stand still, so what the sender's queue has still brings it."""
    while (why := compare(path, expr, **params)) not in ("", "EMPTY") and time.time() < patience:
        time.sleep(0.5)
    return why


patience, filled = time.time() + 90, 0
for q in QUERIES:
    why = same("query", q, time=f"{T:.3f}")
    filled += why == ""
    ok(why in ("", "EMPTY"), f"instant, same answer: {q}" + (f" [{why}]" if why else ""))
    why = same("query_range", q, start=f"{T - 15:.3f}", end=f"{T:.3f}", step="1")
    filled += why == ""
    ok(why in ("", "EMPTY"), f"range, same answer: {q}" + (f" [{why}]" if why else ""))
ok(filled >= 60, f"{filled} of {2 * len(QUERIES)} answers hold series")
if shutil.which("promtool"):
    out = subprocess.run(["promtool", "query", "instant", f"http://127.0.0.1:{kymod.port}", "up"], capture_output=True, text=True, timeout=90)
    ok(out.returncode == 0 and "up{" in out.stdout, f"promtool query instant works: {out.stdout.strip()[:200]} {out.stderr.strip()[:200]}")

# --- each bit ---
node.end()
STALE = 0x7FF0000000000002
started = time.time()
while time.time() < started + 120:  # until the target is known to be down
    status, a = api(prom_port, "query", query='up{job="node"} == 0')
    if status == 200 and a["data"]["result"]:
        break
    time.sleep(0.2)
cut = int(float(a["data"]["result"][0]["value"][0]) * 1000)


def held(port):
    return everything(port, int(begin * 1000) + 1000, cut, matcher(2, "job", "node|prometheus"))


want, got = {}, {}
while time.time() < started + 240:  # the sender's queue is short, but a loaded machine is slow; a scrape has the time at which it began
    want, got = held(prom_port), held(kymod.port)
    if got == want:
        break
    time.sleep(0.5)
differ = [(m, sorted(set(want[m].items()) ^ set(got.get(m, {}).items()))[:4]) for m in want if got.get(m) != want[m]]
samples = sum(len(p) for p in want.values())
gone = [m for m, p in want.items() if dict(m)["job"] == "node" and p[max(p)] == STALE]
buckets = sum(1 for m in want if dict(m)["__name__"].endswith("_bucket"))
ok(set(got) == set(want) and not differ, f"{samples} samples of {len(want)} series have the same times and bits, and nothing else is there: {len(differ)} differ: {differ[:2]} {sorted(set(got) - set(want))[:2]}")
ok(len(gone) > 100 and buckets > 20 and samples > 10000, f"among them the staleness markers of {len(gone)} series, and {buckets} of classic histograms")
ok(prom.end() == 0 and kymod.end() == 0, "both end with status 0")
shutil.rmtree(top)
done()
