#!/usr/bin/env python3
"""Native histograms and exemplars of Remote Write 1.0 through the server: taken with 204, bad ones alone refused with a text
that says why, evaluated with the same answers from memory, after kill -9 and from files; after kill -9, and from files, every bit is there: what is sent again is a
duplicate, what differs in one bucket is not."""
import shutil, struct, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *


def zigzag(n):
    return varint((n << 1 ^ n >> 63) & (1 << 64) - 1)


def number(no, n):
    return varint(no << 3) + varint(n)


def double(no, v):
    return varint(no << 3 | 1) + struct.pack("<d", v)


def histogram(t, counts, schema=3, total=None, bounds=(), is_float=False, hint=2):
    """One Histogram with a zero bucket of 1; counts are its positive buckets from index -2 on, in two spans."""
    zero = 0 if bounds else 1
    n = sum(counts) + zero if total is None else total
    half = len(counts) // 2
    spans = [(0, len(counts))] if bounds else [(-2, half), (3, len(counts) - half)]
    out = double(2, float(n)) if is_float else number(1, n)
    out += double(3, n * 0.25) + varint(4 << 3) + zigzag(schema)
    if zero:
        out += double(5, 1e-128) + (double(7, 1.0) if is_float else number(6, 1))
    for offset, length in spans:
        out += field(11, varint(1 << 3) + zigzag(offset) + number(2, length))
    if is_float:
        out += field(13, b"".join(struct.pack("<d", float(c)) for c in counts))
    else:
        out += field(12, b"".join(zigzag(c - b) for b, c in zip([0, *counts], counts)))
    out += number(14, hint) + number(15, t)
    if bounds:
        out += field(16, b"".join(struct.pack("<d", b) for b in bounds))
    return field(4, out)


def labels(name, **more):
    m = {"__name__": name, "job": "kinds", **more}
    return b"".join(field(1, field(1, k.encode()) + field(2, m[k].encode())) for k in sorted(m))


def exemplar(t, v, trace):
    return field(3, field(1, field(1, b"trace_id") + field(2, trace.encode())) + double(2, v) + number(3, t))


def request_of(now, series_count, samples):
    """Histograms of all sorts, and floats beside them."""
    out = b""
    for i in range(series_count):
        for k in range(samples):
            t, counts = now - (samples - k) * 15000, [k * (b + 1) + i for b in range(8)]
            if i % 3 == 0:
                h = histogram(t, counts)
            elif i % 3 == 1:
                h = histogram(t, counts, is_float=True, hint=3)
            else:
                h = histogram(t, counts, schema=-53, bounds=[0.1, 0.5, 1, 2, 5, 10, 60])
            out += field(1, labels("kinds_seconds", i=str(i)) + h + (exemplar(t, 0.5, f"t{i}-{k}") if k % 4 == 0 else b""))
    for k in range(samples):
        out += series({"__name__": "kinds_total", "job": "kinds"}, [(now - (samples - k) * 15000, float(k))])
    return out


def counter(port, name):
    text = request(port, "GET", "/metrics")[1].decode()
    return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(name))


top = tmpdir("kinds")
data = os.path.join(top, "data")
k = Kymod(data, "--web.enable-admin-api")
now = int(time.time() * 1000)
N, SAMPLES = 30, 20
body = request_of(now, N, SAMPLES)
rows = (N + 1) * SAMPLES
before = counter(k.port, "kymo_samples_refused_total")
status, text, _ = write(k.port, body)
ok(status == 204, f"histograms, exemplars and floats are answered with 204: {status} {text[:200]}")
ok(counter(k.port, "kymo_samples_refused_total") == before, "none is refused")


def repeated(what, want):
    """Sends it all again: how many rows were there with the very same bits?"""
    was = counter(k.port, "kymo_samples_duplicate_total")
    status = write(k.port, body)[0]
    n = counter(k.port, "kymo_samples_duplicate_total") - was
    ok(status == 204 and n == want, f"{what}: {n} of {want} rows sent again are there bit by bit")


def expected(i, k, overwritten=False):
    """count and sum of the k-th histogram of series i."""
    n = sum(k * (b + 1) + i for b in range(8)) + (i % 3 != 2)
    if overwritten and i == 0 and k == 19:
        n += 1
    return float(n), n * 0.25


def queries(when, overwritten=False):
    at = (now - 15000) / 1000
    status, a = api(k.port, "query", query="kinds_seconds", time=at)
    got = {int(s["metric"]["i"]): (float(s["histogram"][1]["count"]), float(s["histogram"][1]["sum"])) for s in a["data"]["result"] if "histogram" in s}
    ok(status == 200 and got == {i: expected(i, 19, overwritten) for i in range(N)} and not a.get("infos"), f"{when}: each histogram is there: {str(a)[:300]}")
    status, a = api(k.port, "query", query="histogram_count(kinds_seconds)", time=(now - 20 * 15000 + 100) / 1000)
    got = {int(s["metric"]["i"]): float(s["value"][1]) for s in a["data"]["result"]}
    ok(got == {i: expected(i, 0)[0] for i in range(N)}, f"{when}: the first ones, too: {str(a)[:300]}")
    status, a = api(k.port, "query", query="sum(count_over_time({job=\"kinds\"}[1h]))", time=at)
    ok(status == 200 and a["data"]["result"][0]["value"][1] == str((N + 1) * SAMPLES), f"{when}: all of both kinds count: {a}")
    status, a = api(k.port, "series", **{"match[]": "kinds_seconds"})
    ok(status == 200 and len(a["data"]) == N, f"{when}: their series are found")


queries("in memory")
repeated("in memory", rows)
bad = field(1, labels("kinds_seconds", i="0") + histogram(now, [1, 2, 3, 4], total=99))
bad += series({"__name__": "kinds_total", "job": "kinds"}, [(now, 77.0)])
status, text, _ = write(k.port, bad)
ok(status == 400 and b"stored 1 of 2" in text and b"bad_histogram" in text and b"count is 99" in text, f"a bad one is refused alone, and the text says why: {text}")
big = field(1, labels("kinds_seconds", i="0") + histogram(now, [1] * 20000))
status, text, _ = write(k.port, big)
ok(status == 400 and b"--limits.histogram-buckets" in text, f"too many buckets name the limit and its flag: {text[:300]}")
k.end(signal.SIGKILL)
k = Kymod(data, "--web.enable-admin-api")
queries("after kill -9")
repeated("after kill -9", rows)
was = counter(k.port, "kymo_samples_overwritten_total")
one = field(1, labels("kinds_seconds", i="0") + histogram(now - 15000, [19 * (b + 1) + (b == 3) for b in range(8)]))
ok(write(k.port, one)[0] == 204 and counter(k.port, "kymo_samples_overwritten_total") - was == 1, "one that differs in one bucket overwrites")
ok(request(k.port, "POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "flush")
queries("from files", True)
k.end(signal.SIGKILL)
k = Kymod(data, "--web.enable-admin-api")
queries("from files after kill -9", True)
ok(k.end() == 0, "an orderly end")
shutil.rmtree(top, ignore_errors=True)
done()
