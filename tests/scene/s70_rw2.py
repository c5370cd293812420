#!/usr/bin/env python3
"""Remote Write 2.0 through the server, over HTTP/1.1 and over HTTP/2 without TLS: every kind of request that Prometheus' compliance suite for receivers sends,
and such as senders of the field make. Status, counts and texts are those of the specification; what was counted is read back, bit for bit: floats, histograms,
exemplars, metadata and start timestamps, from memory, after kill -9 and from files. What was refused is not there."""
import math, shutil, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from rread import *
from rw2 import *

top = tmpdir("rw2")
data = os.path.join(top, "data")
FLAGS = ("--web.enable-admin-api", "--enable-feature=use-start-timestamps,promql-experimental-functions")
k = Kymod(data, *FLAGS)
begin = int(time.time() * 1000) - 7200 * 1000
cases = 0
floats, histograms, exemplars, metadata, starts = {}, {}, {}, {}, {}  # what must be there


class Case:
    """One request of a case. Its series are told apart from those of other cases by the label `case`, unless they are to have no more labels."""

    def __init__(self, how):
        global cases
        cases += 1
        self.no, self.how, self.t = cases, how, int(time.time() * 1000)
        self.r, self.counts, self.keep = Request(), [0, 0, 0], []

    def labels(self, m):
        return {**m, "case": str(self.no)} if m.get("__name__") else m

    def name(self, stem):
        """Of a family whose metadata is looked at."""
        return f"{stem}_{self.no}"

    def series(self, m, samples=(), hists=(), ex=(), meta=None, created=0, stored=True):
        """samples: (v, seconds from now[, start]); hists: (arguments of histogram(), seconds from now); ex: (v, labels, seconds from now)."""
        m = self.labels(m)
        s = [(self.t + round(at[0] * 1000) if at else self.t, v, *at[1:]) for v, *at in samples]
        h = [(self.t + round(at * 1000), args) for args, at in hists]
        e = [(self.t + round(at * 1000), v, own) for v, own, at in ex]
        raw = [histogram(t, **args) for t, args in h]
        self.r.add(m, s, raw, e, meta, created)
        if not stored:
            return self
        key = tuple(sorted(m.items()))
        for t, v, *start in s:
            self.keep.append((floats, key, t, bits(v)))
            if start and start[0] or created:
                self.keep.append((starts, key, t, start[0] if start and start[0] else created))
        for (t, args), one in zip(h, raw):
            want = histogram_of(one)
            want.pop("t")
            self.keep.append((histograms, key, t, want))
            if args.get("start") or created:
                self.keep.append((starts, key, t, args.get("start") or created))
        for t, v, own in e:
            self.keep.append((exemplars, key, (t, tuple(sorted(own.items()))), bits(v)))
        if meta and m.get("__name__"):
            self.keep.append((metadata, m["__name__"], None, meta))
        for i, n in enumerate((len(s), len(h), len(e))):
            self.counts[i] += n
        return self

    def sent(self, headers=None):
        return self.how.send(self.r, headers)

    def taken(self, what):
        """204, with the counts of all that is in it."""
        a = self.sent()
        ok(a.status == 204 and a.text == b"" and a.written == tuple(self.counts), f"{self.how.name}: {what}" + (f": {a}, wanted {self.counts}" if a.status != 204 or a.written != tuple(self.counts) else ""))
        self.remember()
        return a

    def refused(self, what, *says, status=400):
        """400, the counts are those of what is stored all the same."""
        a = self.sent()
        good = a.status == status and a.written == tuple(self.counts) and all(w in a.text for w in says) and len(a.text) <= 1024 and a.text.count(b"\n") == 1
        ok(good, f"{self.how.name}: {what}: {a}" + ("" if good else f", wanted {self.counts} {says}"))
        self.remember()
        return a

    def remember(self):
        for where, key, t, what in self.keep:
            if t is None:
                where[key] = what
            else:
                where.setdefault(key, {})[t] = what


class Http1:
    name = "HTTP/1.1"

    def send(self, body, headers=None, packed=False):
        return send(k.port, body, headers, packed)


class Http2(H2):
    name = "HTTP/2"


EXPONENTIAL = dict(positive=[(0, [1, 3, 4]), (2, [7, 8])], negative=[(0, [1, 2])], zero=1)
POSITIVE = dict(positive=[(0, [1, 3, 4]), (2, [7, 8])], zero=1)
NEGATIVE = dict(negative=[(0, [1, 2])])
CUSTOM = dict(positive=[(0, [2, 3, 5, 8, 7, 5])], schema=-53, bounds=(0.1, 0.5, 1.0, 2.5, 5.0, 10.0))
VALUES = (("1", 1.0), ("a stale marker", STALE), ("NaN", NAN), ("+Inf", math.inf), ("-Inf", -math.inf))
UP = {"__name__": "up", "job": "testjob", "instance": "localhost:9090"}


def types(how):
    """What is no request of ours is refused by its head, whatever its body is."""
    corrupt = b"0" + snappy(Request().add(UP, [(begin, 1.0)]).raw())[1:]
    for more in ({"Content-Type": "application/json"}, {"Content-Type": "image/png"}, {"Content-Type": TYPE.replace("v2", "v3")},
                 {"Content-Encoding": "gzip"}, {"Content-Encoding": "deflate"}, {"Content-Encoding": "zstd"}):
        a = how.send(corrupt, {**HEADERS, **more}, True)
        ok(a.status == 415 and a.written is None and a.text.startswith(b"unsupported: ") and list(more.values())[0].split("proto=")[-1].encode() in a.text, f"{how.name}: {more} is refused: {a}")
    for body, word in ((corrupt, b"bad_snappy: "), (snappy(b"\x2a\x7f no message"), b"bad_protobuf: "), (b"", b"bad_snappy: "), (b"\xff\x06\x00\x00sNaPpY\x01\x05", b"bad_snappy: the body looks like snappy's framed format"),
                       (b"\x1f\x8b\x08\x00\x00", b"bad_snappy: the body looks like gzip"), (b"\x28\xb5\x2f\xfd\x04\x00", b"bad_snappy: the body looks like zstd"),
                       (b"\xff\xff\xff\xff\x0f", b"decoded_too_large: ")):
        a = how.send(body, None, True)
        ok(a.status == 400 and a.written == (0, 0, 0) and a.text.startswith(word), f"{how.name}: a body that is none: {a}")
    a = how.send(b"")
    ok(a.status == 204 and a.written == (0, 0, 0), f"{how.name}: an empty request: {a}")
    for kind, version in (('application/x-protobuf; proto=io.prometheus.write.v2.Request', "2.0.0"), ('Application/X-Protobuf ;charset=utf-8; proto = "io.prometheus.write.v2.Request"', "2.0.0"),
                          (TYPE, "0.1.0"), (TYPE, "9.9"), (TYPE, "")):
        c = Case(how).series(UP, [(1.0,)])
        a = c.sent({"Content-Type": kind, "X-Prometheus-Remote-Write-Version": version})
        ok(a.status == 204 and a.written == (1, 0, 0), f"{how.name}: the type decides, not the version, and snappy need not be said: {kind} {version!r}: {a}")
        c.remember()


def samples(how):
    for name, v in VALUES:
        Case(how).series({"__name__": "up"}, [(v,)]).taken(f"{name}, a metric")
        Case(how).series(UP, [(v,)]).taken(f"{name}, with labels")
        Case(how).series({**UP, "job": "test\njob\n"}, [(v,)]).taken(f"{name}, newlines in a value")
        Case(how).series({"__name__": "resource.cpu.usage", "job.name": "testjob", "instance.name": "localhost:9090"}, [(v,)]).taken(f"{name}, names with dots")
        Case(how).series({"__name__": "resource cpu usage", "job name": "testjob", "instance name": "localhost:9090"}, [(v,)]).taken(f"{name}, names with blanks")
        Case(how).series({"job": "testjob", "instance": "localhost:9090"}, [(v,)], stored=False).refused(f"{name}, no metric name", b"stored 0 of 1 samples; 1 refused; first: bad_labels: ")
        Case(how).series({}, [(v,)], stored=False).refused(f"{name}, no labels at all", b"stored 0 of 1 samples; 1 refused; first: bad_labels: ")
        c = Case(how)
        for port in range(9090, 9094):
            c.series({**UP, "instance": f"localhost:{port}"}, [(v,)])
        c.taken(f"{name}, four series")
        c = Case(how)
        for port in range(9090, 9094):
            c.series({"job": "testjob", "instance": f"localhost:{port}"}, [(v,)], stored=False)
        c.refused(f"{name}, four without a name", b"stored 0 of 4 samples; 4 refused; first: bad_labels: ", b'instance="localhost:9090"')
        c = Case(how).series({"job": "testjob", "instance": "localhost:9090"}, [(v,)], stored=False)
        for port in range(9091, 9094):
            c.series({**UP, "instance": f"localhost:{port}"}, [(v,)])
        c.refused(f"{name}, the first of four has no name", b"stored 3 of 4 samples; 1 refused; first: bad_labels: ")
    Case(how).series({"__name__": "http_requests_total", "job": "api"}, [(100.0,)], created=begin).taken("a counter that tells when it began, in field 6")
    Case(how).series({"__name__": "http_requests_total", "job": "api"}, [(100.0, -30, begin), (3.0, -15, begin + 7190000), (4.0, 0, begin + 7190000)]).taken("samples that tell it themselves")


def with_exemplars(how):
    trace = {"trace_id": "abc123def456"}
    for what, m, own, v in (("a trace", {"__name__": "http_requests_total", "job": "api"}, trace, 1.0),
                            ("trace and span", {"__name__": "request_duration_seconds", "method": "GET"}, {"trace_id": "xyz789", "span_id": "span123"}, 0.125),
                            ("no trace", {"__name__": "cpu_usage", "instance": "host1"}, {"user_id": "user123"}, 0.85),
                            ("three labels", {"__name__": "request_latency", "service": "auth"}, {"trace_id": "t456", "user": "admin", "endpoint": "/login"}, 0.05),
                            ("no labels", {"__name__": "simple_counter"}, {}, 1.0),
                            ("dashes and dots", {"__name__": "test_metric"}, {"trace_id": "trace-with-dashes_and_underscores.123"}, 42.0),
                            ("Unicode", {"__name__": "unicode_test", "region": "\N{EARTH GLOBE EUROPE-AFRICA}"}, {"trace_id": "unicode_trace_\u6d4b\u8bd5"}, 100.0)):
        Case(how).series(m, [(v,)], ex=[(v, own, 0)]).taken(f"an exemplar, {what}")
    Case(how).series({"__name__": "http_requests_total", "job": "api"}, [(250.0,)], ex=[(250.0, trace, 0)], created=begin).taken("an exemplar of a counter that tells when it began")
    c = Case(how)
    for i, m in enumerate(({"method": "GET"}, {"method": "POST"}, {"service": "payment"})):
        c.series({"__name__": "request_duration", **m}, [(i / 8,)], ex=[(i / 8, {"trace_id": f"trace{i}", "span_id": f"span{i}"}, 0)])
    c.taken("an exemplar of each of three series")
    c = Case(how)
    for v, at, who in ((0.05, -3600, "old"), (0.15, -60, "recent"), (0.08, 0, "current")):
        c.series({"__name__": "latency_hist"}, [(v, at)], ex=[(v, {"trace_id": who + "_trace"}, at)])
    c.taken("exemplars of an hour, in three series of the same name")
    Case(how).series({"__name__": "latency"}, [(1.0,)], ex=[(i / 4, {"trace_id": f"t{i}"}, i / 1000 - 1) for i in range(8)]).taken("eight exemplars of one sample")
    for m, n in (({"job": "test"}, b'{job="test"}'), ({"__name__": ""}, b"bad_labels")):
        Case(how).series(m, [(1.0,)], ex=[(1.0, trace, 0)], stored=False).refused("an exemplar of a series without a name", b"stored 0 of 1 samples and 0 of 1 exemplars; 1 refused; ", n)
    for v in (0.0, -123.456, 1e10, 1e-10, NAN, math.inf, -math.inf):
        Case(how).series({"__name__": "test_metric"}, [(v,)], ex=[(v, {"trace_id": "special_value_trace"}, 0)]).taken(f"an exemplar of {v}")
    Case(how).series({"__name__": "orphan_metric"}, ex=[(42.0, {"trace_id": "orphan_trace"}, 0)], stored=False).refused(
        "an exemplar of a series that is not there", b"stored 0 of 0 samples and 0 of 1 exemplars; 0 refused; first: orphan_metric{", b"exemplar of a series that is not known")
    c = Case(how).series({"__name__": "lonely_metric"}, [(1.0, -10)], ex=[(1.0, {"trace_id": "first"}, -10)])
    c.taken("a series that is there, then")
    c.r, c.counts = Request(), [0, 0, 0]
    c.series({"__name__": "lonely_metric"}, ex=[(42.0, {"trace_id": "second"}, 0)]).taken("an exemplar alone, as Prometheus sends them")
    c.taken("the same again is no harm, and counts")
    c.r, c.counts = Request(), [0, 0, 0]
    c.series({"__name__": "lonely_metric"}, [(2.0,)]).series({"__name__": "lonely_metric"}, ex=[(1.0, {"trace_id": "late"}, -5)], stored=False)
    c.refused("one that is out of order, beside a sample", b"stored 1 of 1 samples and 0 of 1 exemplars; 0 refused; first: lonely_metric{", b"exemplar out of order")


def with_histograms(how):
    for what, m, h in (("on both sides of zero", {}, EXPONENTIAL), ("of custom buckets", {}, CUSTOM), ("positive ones only", {"job": "test"}, POSITIVE), ("negative ones only", {"instance": "localhost"}, NEGATIVE),
                       ("the zero bucket only", {}, dict(zero=1)), ("no buckets", {}, dict(sum=0.0)), ("of floats", {}, {**EXPONENTIAL, "is_float": True, "threshold": 0.001, "schema": 3}),
                       ("a gauge", {}, {**POSITIVE, "hint": 3}), ("the end of it", {}, dict(sum=STALE))):
        Case(how).series({"__name__": "test_histogram", **m}, hists=[(h, 0)]).taken(f"a histogram, {what}")
    Case(how).series({"__name__": "minimal_hist"}, hists=[({**POSITIVE, "total": 99}, 0)], stored=False).refused("a histogram that contradicts itself", b"stored 0 of 1 samples; 1 refused; first: bad_histogram: minimal_hist{", b"count is 99")
    Case(how).series({"__name__": "request_duration_seconds", "job": "api"}, hists=[(EXPONENTIAL, 0)], created=begin).taken("a histogram that tells when it began, in field 6")
    Case(how).series({"__name__": "request_duration_seconds", "job": "api"}, hists=[({**EXPONENTIAL, "start": begin}, 0)]).taken("the same in field 17")
    Case(how).series({"__name__": "hist1", "job": "test"}, hists=[({**POSITIVE, "sum": 10.5}, 0)]).series({"__name__": "hist2", "job": "test"}, hists=[({**NEGATIVE, "sum": 5.2}, 0)]).taken("two histograms")
    own = {"trace_id": "abc123def456", "span_id": "span789"}
    Case(how).series({"__name__": "http_request_duration_seconds", "method": "GET"}, hists=[({**POSITIVE, "sum": 1.23}, 0)], ex=[(1.23, own, 0)]).taken("a histogram with an exemplar")
    Case(how).series({"__name__": "custom_latency_hist", "version": "v2"}, hists=[(CUSTOM, 0)], ex=[(0.05, {"trace_id": "custom_bucket_trace", "bucket": "0.1"}, 0)]).taken("one of custom buckets with an exemplar")
    Case(how).series({"__name__": "mixed_hist"}, [(1.0, -10)], [(POSITIVE, -5), (CUSTOM, 0)]).taken("a float and two histograms in one series")
    Case(how).series({"__name__": "good_hist"}, hists=[(POSITIVE, 0)]).series({"__name__": "bad_hist"}, hists=[({**POSITIVE, "total": 3}, 0)], stored=False).series({"__name__": "good_total"}, [(1.0,)]).refused(
        "one bad one between a histogram and a sample", b"stored 2 of 3 samples; 1 refused; first: bad_histogram: bad_hist{")


def with_metadata(how):
    for stem, kind, text, unit in (("http_requests_total", COUNTER, "Total number of HTTP requests", "requests"), ("cpu_usage_percent", GAUGE, "Current CPU usage percentage", "percent"),
                                   ("request_seconds", HISTOGRAM, "Request duration in seconds", "seconds"), ("simple_counter", COUNTER, "", ""),
                                   ("test_metric", GAUGE, 'Test metric with\nnewlines and "quotes"', "bytes/sec"), ("unknown_metric", 0, "Unknown metric type", ""),
                                   ("build_info", INFO, "Build information", ""), ("node_state", STATESET, "Node state information", ""),
                                   ("request_latency_summary", SUMMARY, "Request latency summary", "seconds"), ("temperature_histogram", GAUGEHISTOGRAM, "Temperature distribution gauge histogram", "celsius")):
        c = Case(how)
        m = {"__name__": c.name(stem)}
        if kind == HISTOGRAM:
            c.series(m, hists=[(EXPONENTIAL, 0)], meta=(kind, text, unit))
        else:
            c.series(m, [(1.0,)], meta=(kind, text, unit))
        c.taken(f"metadata of type {kind}")
    c = Case(how)
    c.series({"__name__": c.name("http_requests_total"), "job": "api"}, [(150.0,)], meta=(COUNTER, "Total HTTP requests", "requests"), created=begin).taken("metadata and when a counter began")
    c = Case(how)
    for i, what in enumerate(("cpu", "memory", "disk")):
        c.series({"__name__": c.name(what), "device": f"sda{i}"}, [(i + 0.5,)], meta=(GAUGE, f"usage of {what}", "percent"))
    c.taken("metadata of three families")
    c = Case(how)
    full = {"__name__": c.name("http_request_duration_seconds"), "job": "api-server", "instance": "localhost:8080", "method": "GET", "status": "200", "endpoint": "/api/v1/users"}
    c.series(full, hists=[(EXPONENTIAL, 0)], ex=[(1.0, {"trace_id": "full"}, 0)], meta=(HISTOGRAM, "HTTP request duration in seconds", "seconds")).taken("metadata, a histogram, an exemplar and many labels")
    c = Case(how)
    c.series({"__name__": c.name("orphan_metric")}, meta=(COUNTER, "Orphaned metric metadata", "count")).taken("metadata alone")
    for m in ({"job": "test"}, {"__name__": ""}):
        Case(how).series(m, [(1.0,)], meta=(COUNTER, "Test help", "unit"), stored=False).refused("metadata of a series without a name", b"bad_labels")


def combined(how):
    c = Case(how)
    c.series({"__name__": "http_requests_total", "job": "api", "method": "POST"}, [(1.0,)], ex=[(1.0, {"trace_id": "request_trace_123", "user_id": "user789"}, 0)], meta=(COUNTER, "Total number of HTTP requests", "requests"))
    c.series({"__name__": "temperature_celsius", "location": "datacenter1"}, [(23.5,)], meta=(GAUGE, "Temperature in Celsius", "celsius")).taken("several families of samples")
    c = Case(how)
    c.series({"__name__": "response_time_hist", "endpoint": "/api/v1/users"}, hists=[({**POSITIVE, "sum": 0.125}, 0)], ex=[(0.125, {"trace_id": "fast", "user": "premium"}, 0)], meta=(HISTOGRAM, "Response time distribution", "seconds"))
    c.series({"__name__": "request_size_hist", "method": "POST"}, hists=[({**NEGATIVE, "zero": 1, "sum": 1024.0}, 0)], meta=(HISTOGRAM, "Request size distribution", "bytes")).taken("several families of histograms")
    Case(how).series({"__name__": "old_metric"}, [(1.0, -3600)], ex=[(1.0, {"trace_id": "old_trace"}, -1800)]).series({"__name__": "new_metric"}, [(2.0,)]).taken("samples of an hour ago and of now")
    c = Case(how)
    for i in range(50):
        c.series({"__name__": f"counter_metric_{i}", "series": f"series_{i}"}, [(i * 100.0,)], ex=[(i * 100.0, {"trace_id": f"trace_{i}"}, 0)], meta=(COUNTER, f"Counter metric number {i}", "count"))
    c.taken("50 samples with exemplars and metadata")
    c = Case(how)
    for i in range(50):
        c.series({"__name__": f"histogram_metric_{i}", "bucket": f"bucket_{i}"}, hists=[({**(POSITIVE if i % 2 else EXPONENTIAL), "sum": i / 10}, 0)], ex=[(i / 10, {"trace_id": f"trace_{i}"}, 0)],
                 meta=(HISTOGRAM, f"Histogram metric number {i}", "seconds"))
    c.taken("50 histograms with exemplars and metadata")
    c = Case(how)
    c.series({"__name__": c.name("test_metric"), "job": "test-job_with.special@chars", "environment": "test\N{ROCKET}"}, [(42.0,)], ex=[(42.0, {"trace_id": "special_trace_\xe4\xf6\xfc-123", "span_id": "span_with.dots-and_underscores"}, 0)],
             meta=(GAUGE, 'Test metric with special characters: \xe4\xf6\xfc, newlines\nand "quotes"', "special/units")).taken("special characters everywhere")


def odd(how):
    """One series that cannot be read costs its neighbours nothing."""
    good = [{"__name__": "neighbour", "i": str(i)} for i in range(3)]
    for what, refs, says in (("a symbol that is not there", [1, 2, 3, 999], b"left out: "), ("an odd number of references", [1, 2, 3], b"left out: ")):
        c = Case(how).series(good[0], [(1.0,)])
        c.r.add({}, [(c.t, 7.0), (c.t + 1, 8.0)], [histogram(c.t + 2, **POSITIVE)], [(c.t, 1.0, {"a": "b"})], refs=refs)
        c.series(good[1], [(2.0,)]).refused(what, b"partial: stored 2 of 5 samples and 0 of 1 exemplars; 3 refused; ", says)
    c = Case(how).series(good[0], [(1.0,)])
    c.r.add(c.labels(good[1]))
    c.series(good[2], [(2.0,)]).refused("a series with nothing but labels", b"partial: stored 2 of 2 samples; 0 refused; left out: ")
    c = Case(how).series(good[0], [(1.0,)])
    m = c.labels(good[1])
    c.r.add(m, [(c.t, 7.0)], refs=c.r.refs(m) + c.r.refs({"i": "again"}))
    c.series(good[2], [(2.0,)]).refused("a label that comes twice", b"partial: stored 2 of 3 samples; 1 refused; first: bad_labels: neighbour{")
    Case(how).series(good[0], [(1.0, 3600)], stored=False).series(good[1], [(1.0,)]).refused("a sample of the future", b"partial: stored 1 of 2 samples; 1 refused; first: out_of_bounds: neighbour{")
    Case(how).series(good[0], [(1.0, -90 * 86400)], stored=False).series(good[1], [(1.0,)]).refused("one of long ago", b"partial: stored 1 of 2 samples; 1 refused; first: too_old: neighbour{")
    c = Case(how)
    for i in range(2000):
        c.series({"__name__": "many", "i": f"{i:04}"} if i != 777 else {"i": "x" * 900}, [(float(i),)], stored=i != 777)
    c.refused("one of 2,000 has no name", b"partial: stored 1999 of 2000 samples; 1 refused; first: bad_labels: ")
    c = Case(how).series({"__name__": "again"}, [(1.0, -1), (STALE, 0)], [(POSITIVE, 1)], [(1.0, {"a": "b"}, 0)])
    c.taken("a request")
    c.taken("the very same again is no harm, and counts")


def large(how):
    """More than a loop decodes itself."""
    c = Case(how)
    for i in range(6000):
        c.series({"__name__": "large", "i": f"{i:04}", **{f"label_{n}": f"value_{n}" for n in range(20)}}, [(i / 7,)])
    c.taken("6,000 samples with 22 labels each")


def version_1(how):
    """The same server, the older protocol: its answers never have the counts."""
    old = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy"}
    global cases
    cases += 1
    m = {**UP, "case": str(cases)}
    t = int(time.time() * 1000)
    for headers in (old, {**old, "X-Prometheus-Remote-Write-Version": "0.1.0"}, {**old, "X-Prometheus-Remote-Write-Version": "2.0.0"}, {"Content-Type": "application/x-protobuf; proto=prometheus.WriteRequest"}, {}):
        a = how.send(series(m, [(t, 1.0)]) + series({**m, "__name__": "http_requests_total"}, [(t, 100.0)]), headers)
        ok(a.status == 204 and a.written is None, f"{how.name}: version 1.0, {headers}: {a}")
    for name, v in (("up", 1.0), ("http_requests_total", 100.0)):
        floats.setdefault(tuple(sorted({**m, "__name__": name}.items())), {})[t] = bits(v)
    a = how.send(b"\xff" + snappy(series(m, [(t, 1.0)]))[1:], old, True)
    ok(a.status == 400 and a.written is None, f"{how.name}: version 1.0, a broken body: {a}")
    a = how.send(series({"job": "none"}, [(t, 1.0)]), old)
    ok(a.status == 400 and a.written is None and b"stored 0 of 1 samples; 1 refused" in a.text, f"{how.name}: version 1.0, in part: {a}")
    a = how.send(Request().add(UP, [(t, 1.0)]).raw(), old)
    ok(a.status == 400 and a.written is None and b"the body is an io.prometheus.write.v2.Request" in a.text, f"{how.name}: a body of 2.0 that says it is 1.0 is refused: {a}")
    a = how.send(series(m, [(t, 1.0)]), HEADERS)
    ok(a.status == 400 and a.written == (0, 0, 0) and b"the body is a prometheus.WriteRequest" in a.text, f"{how.name}: a body of 1.0 that says it is 2.0 is refused: {a}")


for how in (Http1(), Http2(k.port)):
    for part in (types, samples, with_exemplars, with_histograms, with_metadata, combined, odd, large, version_1):
        part(how)

# --- what is there ---


def differ(got, want):
    """The first difference of {key: {t: value}}, "" = none."""
    if set(got) != set(want):
        return f"only there {sorted(set(got) - set(want))[:2]}, missing {sorted(set(want) - set(got))[:2]}"
    for key in want:
        if got[key] != want[key]:
            return f"{key}: there {got[key]}, wanted {want[key]}"[:600]
    return ""


def without_hint(h):
    """A hint that a counter went on or began anew is the server's to find out."""
    return {**h, "hint": 3 if h["hint"] == 3 else 0}


def of_histograms(points):
    out = {}
    for t, h in points.items():
        if isinstance(h, dict):
            out[t] = "stale" if int.from_bytes(h["sum"], "little") == bits(STALE) else without_hint(h)
    return out


def looks(when):
    end = int(time.time() * 1000) + 3600000
    got = everything(k.port, begin - 100 * 86400000, end, matcher(1, "__name__", ""), matcher(1, "job", "kymo"))
    got_floats = {m: {t: v for t, v in p.items() if isinstance(v, int)} for m, p in got.items()}
    got_histograms = {m: of_histograms(p) for m, p in got.items()}
    why = differ({m: p for m, p in got_floats.items() if p}, floats)
    ok(why == "", f"{when}: every float of {len(floats)} series, each bit, and nothing else: {why}")
    why = differ({m: p for m, p in got_histograms.items() if p}, {m: of_histograms(p) for m, p in histograms.items()})
    ok(why == "", f"{when}: every histogram of {len(histograms)} series, each bucket, and nothing else: {why}")
    status, a = api(k.port, "query_exemplars", query='{case!=""}', start=begin / 1000 - 86400, end=end / 1000)
    got = {}
    for s in a["data"]:
        got[tuple(sorted(s["seriesLabels"].items()))] = {(round(e["timestamp"] * 1000), tuple(sorted(e["labels"].items()))): bits(float(e["value"].replace("NaN", "nan"))) for e in s["exemplars"]}
    nan = {bits(NAN): bits(math.nan)}
    want = {m: {e: nan.get(v, v) for e, v in p.items()} for m, p in exemplars.items()}
    why = differ(got, want)
    ok(why == "", f"{when}: exemplars of {len(want)} series, and nothing else: {why}")
    status, a = api(k.port, "metadata")
    names = {0: "unknown", COUNTER: "counter", GAUGE: "gauge", HISTOGRAM: "histogram", GAUGEHISTOGRAM: "gaugehistogram", SUMMARY: "summary", INFO: "info", STATESET: "stateset"}
    got = {m: v for m, v in a["data"].items() if m != "up" and not m.startswith(("kymo_", "process_"))}
    want = {m: [{"type": names[kind], "help": text, "unit": unit}] for m, (kind, text, unit) in metadata.items()}
    missing = {m: (got.get(m), want[m]) for m in want if got.get(m) != want[m]}
    ok(not missing and set(got) == set(want), f"{when}: metadata of {len(want)} families: {list(missing.items())[:2]} {sorted(set(got) - set(want))[:3]}")
    wrong = []
    for m, points in starts.items():
        for t, start in points.items():
            text = ",".join(f"{json.dumps(n)}={json.dumps(v)}" for n, v in m)
            status, a = api(k.port, "query", query=f"start_timestamp({{{text}}})", time=t / 1000)
            v = [float(r["value"][1]) for r in a["data"]["result"]] if status == 200 else a
            if v != [start / 1000]:
                wrong.append((m, t, v, start))
    ok(not wrong, f"{when}: start timestamps of {sum(len(p) for p in starts.values())} samples: {wrong[:2]}")


looks("in memory")
k.end(signal.SIGKILL)
k = Kymod(data, *FLAGS)
looks("after kill -9")
ok(request(k.port, "POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "flush")
k.end(signal.SIGKILL)
k = Kymod(data, *FLAGS)
looks("from files after kill -9")
ok(k.end() == 0, "an orderly end")
shutil.rmtree(top, ignore_errors=True)
done()
