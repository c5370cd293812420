#!/usr/bin/env python3
"""The same OTLP bodies to kymod and to a Prometheus 3.14 with its OTLP receiver and delta to cumulative (otlpcorpus.py): with
every way of making names and labels, both have the same series, samples, native histograms, exemplars and metadata.

What that Prometheus said is in otlpcorpus.json, which "s86_otlp_peer.py record" makes anew: KYMO_OTLP_PROMETHEUS names the
program, and with it alone the scene asks that one instead of the file. Times in the file are counted from the first step.

What kymod says in another way on purpose is left out of the comparison, and looked at by itself:
- a delta series whose resource changes in what is no label goes on (Prometheus begins anew);
- each delta point's exemplars are stored (Prometheus repeats those of the series' first one);
- zero buckets have the width that their sender told (Prometheus: 1e-128);
- metadata can be asked for (Prometheus keeps that of targets alone)."""
import sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
import otlpcorpus

PEER = os.environ.get("KYMO_OTLP_PROMETHEUS")
FACTS = os.path.join(SRC, "tests/scene/otlpcorpus.json")
TYPES = {"Content-Type": "application/x-protobuf"}
ALL = '{__name__=~".+",job!="kymo",job!~".*-moving"}'
# Name of the services > the section otlp of both configurations.
SETTINGS = {
    "usual": {},
    "short": {"translation_strategy": "UnderscoreEscapingWithoutSuffixes", "label_name_underscore_sanitization": False},
    "utf8": {"translation_strategy": "NoUTF8EscapingWithSuffixes", "promote_resource_attributes": ["host.name", "process.pid"]},
    "plain": {"translation_strategy": "NoTranslation", "promote_scope_metadata": True},
    "native": {"convert_histograms_to_nhcb": True, "keep_identifying_resource_attributes": True,
               "label_name_preserve_multiple_underscores": False},
    "all": {"promote_all_resource_attributes": True, "ignore_resource_attributes": ["process.pid"]},
}


def yaml(section):
    return json.dumps(section)


def kymo_config(section):
    return "receivers:\n  otlp: " + yaml({**section, "delta_zero_start": False, "delta_max_stale": "1h"}) + "\n"


def peer_config(section):
    return "storage: {tsdb: {out_of_order_time_window: 6h}}\notlp: " + yaml(section) + "\n"


class Peer(Process):
    def __init__(self, top):
        self.port, self.config = free_port(), os.path.join(top, "prometheus.yml")
        open(self.config, "w").write(peer_config({}))
        super().__init__([PEER, f"--config.file={self.config}", f"--storage.tsdb.path={top}/tsdb", "--web.enable-otlp-receiver",
                          f"--web.listen-address=127.0.0.1:{self.port}", "--web.enable-lifecycle",
                          "--enable-feature=otlp-deltatocumulative,exemplar-storage"], os.path.join(top, "prometheus.log"))
        end = time.time() + 60
        while time.time() < end:
            try:
                if request(self.port, "GET", "/-/ready")[0] == 200:
                    return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(tail(self.log_path))


def reload(port, path, text):
    open(path, "w").write(text)
    status, body, _ = request(port, "POST", "/-/reload")
    if status != 200:
        raise RuntimeError(f"reload: {status} {body}")


def fill(port, path, config_of, base_ns):
    """All bodies with all settings; gives the statuses other than 200."""
    told = []
    for name, section in SETTINGS.items():
        reload(port, path, config_of(section))
        for i, body in enumerate(otlpcorpus.bodies(name, base_ns, "convert_histograms_to_nhcb" in section)):
            status, answer, _ = request(port, "POST", "/api/v1/otlp/v1/metrics", body, TYPES)
            if status != 200 or answer:
                told.append(f"{name} {i}: {status} {answer[:300]}")
    return told


def since(t, base_s):
    return round((float(t) - base_s) * 1000)


def bucket_text(b):
    return [b[0], "zero", "", b[3]] if float(b[1]) < 0 < float(b[2]) else b


def histogram_of(h):
    return {**h, "buckets": [bucket_text(b) for b in h.get("buckets", [])]}


def key_of(labels):
    return json.dumps(labels, sort_keys=True, ensure_ascii=False)


def samples(port, base_s):
    status, a = api(port, "query", query=ALL + "[3h]", time=base_s + 3600)
    out = {}
    for s in a["data"]["result"]:
        out[key_of(s["metric"])] = [[since(t, base_s), v] for t, v in s.get("values", [])] + \
            [[since(t, base_s), histogram_of(h)] for t, h in s.get("histograms", [])]
    return out


def series_of(port, base_s):
    a = api(port, "series", **{"match[]": ALL, "start": base_s - 3600, "end": base_s + 3600})[1]
    return sorted(key_of(s) for s in a["data"])


def exemplars(port, base_s):
    a = api(port, "query_exemplars", query='{__name__=~".+",job!~".*-delta"}', start=base_s - 3600, end=base_s + 3600)[1]
    out = {}
    for s in a["data"]:
        got = [[since(e["timestamp"], base_s), e["value"], key_of(e["labels"])] for e in s["exemplars"]]
        out.setdefault(key_of(s["seriesLabels"]), []).extend(got)
    return {k: sorted(v) for k, v in out.items()}


def metadata(port):
    a = api(port, "metadata")[1]["data"]
    return {k: sorted(key_of(m) for m in v) for k, v in a.items() if not k.startswith(("kymo_", "process_", "go_"))}


def answers(port, base_s):
    return {"series": series_of(port, base_s), "samples": samples(port, base_s), "exemplars": exemplars(port, base_s)}


def of_peer(top, base_s):
    peer = Peer(top)
    told = fill(peer.port, peer.config, peer_config, base_s * 10**9)
    for line in told:
        note(f"Prometheus: {line}")
    out = answers(peer.port, base_s)
    peer.end()
    return out


def keep(facts):
    """Most settings have the same samples under other names: each list stands once."""
    lists = []
    numbers = {}
    for v in [*facts["samples"].values(), *facts["exemplars"].values()]:
        if json.dumps(v) not in numbers:
            numbers[json.dumps(v)] = len(lists)
            lists.append(v)
    out = {what: {k: numbers[json.dumps(v)] for k, v in facts[what].items()} for what in ("samples", "exemplars")}
    with open(FACTS, "w") as f:
        json.dump({**out, "series": [s for s in facts["series"] if s not in out["samples"]], "lists": lists}, f,
                  ensure_ascii=False, indent=0, sort_keys=True, separators=(",", ":"))
        f.write("\n")


def kept():
    facts = json.load(open(FACTS))
    out = {what: {k: facts["lists"][v] for k, v in facts[what].items()} for what in ("samples", "exemplars")}
    return {**out, "series": sorted([*facts["series"], *out["samples"]])}


top = tmpdir("otlp")
base_s = int(time.time()) // 60 * 60 - 1800
if PEER:
    want = of_peer(top, base_s)
    if "record" in sys.argv:
        keep(want)
        want = kept()
else:
    want = kept()

config = os.path.join(top, "kymod.yml")
open(config, "w").write(kymo_config({}))
k = Kymod(os.path.join(top, "data"), "--config", config, "--web.enable-lifecycle", "--storage.exemplars-per-series", "100")
for line in fill(k.port, config, kymo_config, base_s * 10**9):
    note(f"kymod: {line}")
got = answers(k.port, base_s)


def compare(what):
    a, b = want[what], got[what]
    keys = sorted(set(a) | set(b)) if isinstance(a, dict) else sorted(set(a) ^ set(b))
    if isinstance(a, list):
        wrong = [("only Prometheus has " if x in a else "only kymod has ") + x for x in keys]
    else:
        wrong = [f"{x}\n    Prometheus {a.get(x)}\n    kymod      {b.get(x)}" for x in keys if a.get(x) != b.get(x)]
    for w in wrong[:int(os.environ.get("KYMO_SHOW", "20"))]:
        note(w)
    ok(not wrong and len(a) > 0, f"{what}: {len(a)}, {len(wrong)} of them differ")


for what in ("series", "samples", "exemplars"):
    compare(what)


def values(query, t=None):
    return api(k.port, "query", query=query, time=t or base_s + 3600)[1]["data"]["result"]


moving = values('moving_total{job="usual-moving"}[3h]')
ok(len(moving) == 1 and [float(v) for _, v in moving[0]["values"]] == [n * (n + 1) / 2 for n in range(otlpcorpus.STEPS)],
   "a delta series goes on when its resource changes in what is no label of it")
traces = [e for s in api(k.port, "query_exemplars", query='d_exemplars_total{job="usual-delta"}', start=base_s - 60,
                         end=base_s + 3600)[1]["data"] for e in s["exemplars"]]
ok(len(traces) == otlpcorpus.STEPS, "exemplars of delta points are stored")
meta = metadata(k.port)
for name, want_of in (("http_requests_total", ("counter", "", "requests that were answered")),
                      ("temp_room_celsius", ("gauge", "celsius", "temperature of a room")),
                      ("latency_seconds", ("histogram", "seconds", "time of an answer")),
                      ("size_bytes", ("histogram", "bytes", "size of a message")),
                      ("rpc_duration_seconds", ("summary", "seconds", "of calls")), ("d.plain", ("counter", "", "events of d.plain"))):
    ok(meta.get(name) == [key_of(dict(zip(("type", "unit", "help"), want_of)))], f"metadata of {name}: {meta.get(name)}")
ok(k.end() == 0, "kymod ends cleanly")
shutil.rmtree(top, ignore_errors=True)
done()
