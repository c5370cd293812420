"""otlpcorpus - bodies of OTLP metrics that a service could send, made from a seed: every kind of metric, delta temporality
with gaps, repeats, overlaps and restarts, histograms that change their bounds and scales, names, units and attributes of all
sorts, resources that change. Times are base_ns plus some steps of 15 s; nothing else changes from run to run."""
import random
from otlp import *

STEP = 15 * 10**9
STEPS = 12
NAN, INF = float("nan"), float("inf")


def trace(n):
    return (n * 0x0123456789abcdef0123456789abcd).to_bytes(20, "big")[-16:]


def gauges(t, k, rnd):
    a = {"room": "kitchen", "n": k % 2}
    return [
        metric("temp.room", GAUGE, [point(20.5 + k, t, 0, a)], "Cel", "temperature of a room"),
        metric("fill", GAUGE, [point(k / 7, t)], "1", "a ratio"),
        metric("level_ratio", GAUGE, [point(k / 8, t)], "1"),
        metric("2nd.place", GAUGE, [point(-k, t)], "{place}"),
        metric("odd name/with-chars:é", GAUGE, [point(k, t, 0, {"odd label/é": "é"})], "By/s"),
        metric("memory.used", GAUGE, [point(2**53 + k, t)], "MiBy", "two\nlines \"quoted\""),
        metric("special", GAUGE, [point([NAN, INF, -INF, 0.0][k % 4], t)], "%"),
        metric("speed", GAUGE, [point(rnd.uniform(-1e9, 1e-9), t)], "m/s"),
        metric("power", GAUGE, [point(rnd.randint(-2**62, 2**62), t)], "W/{unit}"),
        metric("seconds.since", GAUGE, [point(1.0 * k, t)], "s"),
        metric("marked", GAUGE, [point(1.0 * k, t, 0, (), k % 3 == 1)]),
        metric("two_points", GAUGE, [point(k, t, 0, {"which": "a"}), point(-k, t, 0, {"which": "b"})]),
    ]


def attributes_of_all_sorts(t, k):
    a = [("bool", True), ("int", -3), ("double", 0.1), ("large", 1e21), ("bytes", b"\x00\xff"), ("list", ["a", 1, False]),
         ("map", {"b": 1, "a": "x"}), ("empty", ""), ("nothing", None), ("a.b", "1"), ("a_b", "2"), ("a-b", "0"),
         ("_low", "u"), ("__high", "v"), ("x__y", "w"), ("9th", "n"), ("é1", "latin"), ("name with blanks", "z"),
         ("otel_scope_name", "mine"), ("job", "mine"), ("quote", 'a"b\\c\nd')]
    return [metric("attributes", GAUGE, [point(k, t, 0, a)])]


def sums(t, start, k, rnd):
    a = {"method": "GET", "code": 200}
    x = [exemplar(0.5 + k, t - 10**9, trace(k + 1), trace(k + 7)[:8], {"user": "u%d" % k})]
    return [
        metric("http.requests", SUM, [point(10 * k, t, start, a, 0, x)], "{request}", "requests that were answered"),
        metric("cpu.time", SUM, [point(k * 0.25, t, start)], "s"),
        metric("jobs_total", SUM, [point(k, t, start)]),
        metric("total", SUM, [point(k, t, start)], "1"),
        metric("io.bytes.total.read", SUM, [point(k << 40, t, start)], "By"),
        metric("queue.size", SUM, [point(k % 3 - 1, t, start)], "{item}", monotonic=False),
        metric("balance", SUM, [point(rnd.uniform(-5, 5), t)], "USD/d", monotonic=False),
        metric("restarted", SUM, [point(k % 5, t, start + k // 5 * 5 * STEP)]),
    ]


def delta_points(t, k, rnd):
    """Name and points of each step: t is the end of its interval, which began STEP before."""
    s = t - STEP
    yield "d.plain", [point(rnd.randint(0, 50), t, s)]
    yield "d.double", [point(rnd.uniform(0, 5), t, s)]
    yield "d.gap", [point(k, t, s)] if k not in (3, 4, 8) else []
    yield "d.long", [point(k, t, s if k != 5 else s - 2 * STEP)] if k not in (3, 4) else []
    yield "d.again", [point(7, t, s)] if k % 3 else [point(7, t, s), point(8, t + 5000000, t)]
    yield "d.late", [point(k, t, s)] if k != 6 else [point(k, t, s), point(99, t - 2 * STEP, s - 2 * STEP)]
    yield "d.overlap", [point(k + 1, t, s - STEP // 2 if k else s)]
    yield "d.restart", [point(1, t - STEP // 3, t - STEP // 2), point(2, t, t - STEP // 3)] if k % 5 == 4 else [point(3, t, s)]
    yield "d.old_start", [point(5, t, s if k != 4 else s - 40 * STEP)]
    yield "d.no_start", [point(4, t)]
    yield "d.attrs", [point(i + k, t, s, {"i": i}) for i in range(3) if (k + i) % 4]
    yield "d.exemplars", [point(k, t, s, (), 0, [exemplar(1, t - 5, trace(k + 3))])]


def delta_sums(t, k, rnd):
    return [metric(name, SUM, points, "{event}", "events of " + name, DELTA) for name, points in delta_points(t, k, rnd)
            if points] + [metric("d.updown", SUM, [point(rnd.randint(-5, 5), t, t - STEP)], "", "", DELTA, False)]


def histograms(t, start, k, custom):
    bounds = [0.1, 0.5, 1.0, 2.5, 1e6]
    counts = [k * (b + 1) for b in range(6)]
    x = [exemplar(v, t - i * 10**6, trace(i + k)) for i, v in enumerate([0.05, 0.7, 3.0, 5e9])]
    alone = histogram_point([], [], t, start, (), 1.0 * k, count=k)
    return [
        metric("latency", HISTOGRAM, [histogram_point(counts, bounds, t, start, {"path": "/"}, k * 3.5, exemplars=x)], "s",
               "time of an answer"),
        metric("no.sum", HISTOGRAM, [histogram_point(counts, bounds, t, start)], "ms"),
        metric("no.bounds", HISTOGRAM, [histogram_point([k * 9], [], t, start, (), 2.0 * k)]),
        metric("nothing.but.count", HISTOGRAM, [] if custom else [alone]),
        metric("marked.latency", HISTOGRAM, [histogram_point(counts, bounds, t, start, (), 1.0 * k, flags=k % 4 == 2)]),
    ]


def delta_histograms(t, k, rnd, custom):
    bounds, d = [0.1, 0.5, 1.0, 2.5, 1e6], t - STEP
    few = [rnd.randint(0, 3) for _ in range(6)]
    more = [0.2, 0.5, 2.0] if k < 6 else [0.2, 0.7, 2.0]
    x = [exemplar(0.05, t - 1, trace(k))]
    return [
        metric("d.latency", HISTOGRAM, [histogram_point(few, bounds, t, d, (), 0.25 * sum(few), exemplars=x)], "s", "",
               DELTA),
        metric("d.bounds", HISTOGRAM, [histogram_point(few[:4], more, t, d, (), 1.5)], "", "", DELTA),
        metric("d.no.sum", HISTOGRAM, [histogram_point(few, bounds, t, d, (), None if k > 6 and not custom else 2.0)], "", "",
               DELTA),
        metric("d.gap.latency", HISTOGRAM, [histogram_point(few, bounds, t, d, (), 2.0)] if k % 4 else [], "", "", DELTA),
    ]


def exponentials(t, start, k):
    x = [exemplar(1.7, t - 3, trace(k + 11), b"", {"a": 1})]
    grow = [k * (i % 4) for i in range(20)]
    return [
        metric("size", EXPONENTIAL, [exponential_point(3, (-4, grow), t, start, {"z": 1}, (2, [k, 0, k]), 2 * k, 12.5 * k,
                                                       exemplars=x)], "By", "size of a message"),
        metric("fine", EXPONENTIAL, [exponential_point(20, (1 << 19, [k] * 30), t, start, (), (0, []), k, 3.0 * k)]),
        metric("coarse", EXPONENTIAL, [exponential_point(-4, (-2, [k, 0, 0, k]), t, start, (), (0, []), 0, 3.0 * k)]),
        metric("scales", EXPONENTIAL, [exponential_point(8 - k % 3, (k, [k] * 9), t, start, (), (0, []), 0, 1.0 * k)]),
        metric("empty", EXPONENTIAL, [exponential_point(0, (0, []), t, start, (), (0, []), 0, 0.0)]),
    ]


def delta_exponentials(t, k, rnd):
    d = t - STEP
    many = [rnd.choice([0, 0, 0, 1, 5]) for _ in range(40)]
    threshold = [0.0, 0.125, 0.25, 0.25, 0.5, 0.0, 1.0, 1.0, 0.5, 2.0, 2.0, 0.0][k]
    above = [int(2.0 ** (i - 2) > threshold) for i in range(6)]
    return [
        metric("d.size", EXPONENTIAL, [exponential_point(2, (-7, many), t, d, (), (0, many[:5]), k, 2.5)], "By", "", DELTA),
        metric("d.scales", EXPONENTIAL, [exponential_point([5, 5, 3, 4, 9, 1, 5, 8, 0, 5, 5, 5][k], (rnd.randint(-30, 30), many[:12]),
                                                           t, d, (), (rnd.randint(-3, 3), [k % 2, 1]), 1, 1.0)], "", "", DELTA),
        metric("d.wide", EXPONENTIAL, [exponential_point(6, (rnd.randint(-3000, 3000), [1 + k, 0, 1]), t, d, (), (0, []), 0, 1.0)],
               "", "", DELTA),
        metric("d.zero", EXPONENTIAL, [exponential_point(0, (-3, above), t, d, (), (-2, above[1:]), 3, 4.0,
                                                         threshold=threshold)], "", "", DELTA),
        metric("d.gap.size", EXPONENTIAL, [exponential_point(1, (0, [1, k]), t, d, (), (0, []), 0, 2.0)] if k % 4 else [],
               "", "", DELTA),
    ]


def summaries(t, start, k):
    return [metric("rpc.duration", SUMMARY, [summary_point([(0.5, 0.1 + k), (0.99, 1e-7), (1.0, 1e21)], 10.0 * k, k, t, start,
                                                           {"m": "Get"})], "s", "of calls"),
            metric("no.quantiles", SUMMARY, [summary_point([], 1.0, k, t, start)])]


def bodies(name, base_ns, custom=False, seed=1):
    """The requests of a service of this name, in order. custom: histograms will have custom buckets, and so need buckets."""
    rnd = random.Random(seed)
    for k in range(STEPS):
        t, start = base_ns + k * STEP, base_ns - 10 * STEP
        own = {"service.name": name, "service.namespace": "ns", "service.instance.id": "i-1", "host.name": "h%d" % (k // 6),
               "deployment.environment": "prod", "process.pid": 1234, "empty": ""}
        first = scope(gauges(t, k, rnd) + attributes_of_all_sorts(t, k) + sums(t, start, k, rnd), "lib.one", "1.2",
                      {"lang": "c", "name": "of scope"}, "https://example.com/schema/1")
        second = scope(histograms(t, start, k, custom) + exponentials(t, start, k) + summaries(t, start, k), "lib.two")
        yield request([resource([first, second], own)])
        # One that says less of itself, and one that says nothing but its name; both in one body.
        bare = {"service.name": name + "-bare"}
        lone = {"service.instance.id": name + "-lone", "host.name": "h"}
        yield request([resource([scope([metric("up.since", GAUGE, [point(k, t)])])], bare),
                       resource([scope([metric("lone", GAUGE, [point(k, t)], "s")])], lone),
                       resource([scope([metric("nobody." + name, GAUGE, [point(k, t)])])])])
        yield request([resource([scope(delta_sums(t, k, rnd) + delta_histograms(t, k, rnd, custom) + delta_exponentials(t, k, rnd))],
                                {"service.name": name + "-delta", "service.instance.id": "i-1"})])
        yield request([resource([scope([metric("moving", SUM, [point(k, t, t - STEP)], "", "", DELTA)])],
                                {"service.name": name + "-moving", "host.name": "h%d" % (k // 4)})])
