"""Random data for comparisons with another server: the same Remote Write bodies for both.

Values are multiples of 1/64 and not large, so that sums of them are exact in any order; few series have a value in common,
so that there is one order of values. Counters begin again, and at zero, with from_zero alone: what rate() makes of that has changed. Two families of times: `odd` ones keep off whole seconds, so that no border of a window
falls on a sample (older servers count both borders in); `even` ones are hit by borders again and again.
"""
import math, random, struct
from lib import field, series, varint

STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]
DAY = 86400000


def zigzag(n):
    return varint((n << 1 ^ n >> 63) & (1 << 64) - 1)


def number(no, n):
    return varint(no << 3) + varint(n)


def double(no, v):
    return varint(no << 3 | 1) + struct.pack("<d", v)


def spans(buckets):
    """Spans and counts of a dict from index to count; gaps of one or two stand inside a span."""
    out, counts, last = [], [], None
    for i in sorted(buckets):
        if last is not None and i - last <= 3:
            for _ in range(i - last - 1):
                out[-1][1] += 1
                counts.append(0)
            out[-1][1] += 1
        else:
            out.append([i if last is None else i - last - 1, 1])
        counts.append(buckets[i])
        last = i
    return out, counts


class Hist:
    """A native histogram; counts are integers, or numbers when it is a float one."""

    def __init__(self, schema, bounds=(), is_float=False, gauge=False, threshold=0.0):
        self.schema, self.bounds, self.is_float, self.gauge, self.threshold = schema, bounds, is_float, gauge, threshold
        self.sum, self.zero, self.pos, self.neg = 0.0, 0, {}, {}

    def count(self):
        return self.zero + sum(self.pos.values()) + sum(self.neg.values())

    def encode(self, t):
        n = self.count()
        out = double(2, float(n)) if self.is_float else number(1, int(n))
        out += double(3, self.sum) + varint(4 << 3) + zigzag(self.schema) + double(5, self.threshold)
        if not self.bounds:
            out += double(7, float(self.zero)) if self.is_float else number(6, int(self.zero))
        for side, no in ((self.neg, 8), (self.pos, 11)):
            sp, counts = spans(side)
            for offset, length in sp:
                out += field(no, varint(1 << 3) + zigzag(offset) + number(2, length))
            if self.is_float and counts:
                out += field(no + 2, b"".join(struct.pack("<d", float(c)) for c in counts))
            elif counts:
                out += field(no + 1, b"".join(zigzag(int(c - b)) for b, c in zip([0, *counts], counts)))
        out += number(14, 3 if self.gauge else 0) + number(15, t & (1 << 64) - 1)
        if self.bounds:
            out += field(16, b"".join(struct.pack("<d", b) for b in self.bounds))
        return field(4, out)


def stale_hist(t, is_float):
    h = Hist(0, is_float=is_float)
    h.sum = STALE
    return h.encode(t)


class Data:
    """names: what there is to ask for, by kind. bodies(): lists of WriteRequests, oldest first."""

    def __init__(self, seed, now_ms, days=3, histograms=True, from_zero=True):
        self.r = random.Random(seed)
        self.end = now_ms // 900000 * 900000
        self.begin = self.end - days * DAY
        self.dense = self.end - 2 * 3600000
        self.rows = []  # (labels, [(t, value or bytes)])
        self.histograms, self.from_zero = histograms, from_zero
        self.serial = 0
        self.floats()
        self.classic()
        self.infos()
        if histograms:
            self.natives()

    def times(self, phase):
        """Every five minutes, then every 15 s; with gaps."""
        gap = self.begin + self.r.randrange(1, int((self.end - self.begin) / 600000)) * 600000
        gap2 = self.dense + self.r.randrange(1, 100) * 60000
        out = [t for t in range(self.begin + phase, self.dense, 300000) if not gap <= t < gap + 6 * 3600000]
        out += [t for t in range(self.dense + phase, self.end, 15000) if not gap2 <= t < gap2 + 420000]
        return [t for t in out if self.r.random() > 0.01]

    def phase(self):
        return self.r.choice((7013, 3511, 11207))

    def labels(self, name, i, **more):
        m = {"__name__": name, "job": ("api", "db", "web")[i % 3], "instance": f"i{i // 3}", **more}
        return {k: v for k, v in m.items() if v}

    def row(self, labels, times, value, stale=0.004):
        points, gone = [], 0
        for t in times:
            if gone:
                gone -= 1
                value(t)
                continue
            if self.r.random() < stale:
                points.append((t, STALE))
                gone = self.r.randrange(1, 12)
                continue
            points.append((t, value(t)))
        self.rows.append((labels, points))

    def own(self):
        """A fraction of 1/64 that this series alone has... among some of them."""
        self.serial += 1
        return self.serial % 64 / 64 + self.serial // 64

    def gauge(self, strange):
        v, mine, r = [float(self.r.randrange(-40, 200))], self.own(), self.r

        def next_value(t):
            v[0] += r.choice((-8, -4, -1, 0, 0, 0, 1, 4, 8))
            if strange and r.random() < 0.02:
                return r.choice((NAN, math.inf, -math.inf))
            return v[0] + mine
        return next_value

    def counter(self, base):
        v, mine, r = [base], self.own(), self.r

        def next_value(t):
            v[0] = base if self.from_zero and r.random() < 0.015 else v[0] + r.choice((0, 0, 1, 2, 16))
            return v[0] + mine
        return next_value

    def floats(self):
        for i in range(12):
            zone = ("a", "b", "")[i % 3 if i % 2 else 2]
            self.row(self.labels("temp", i, zone=zone), self.times(self.phase()), self.gauge(False))
            self.row(self.labels("load", i, zone=zone, mode=("x", "y")[i % 2]), self.times(self.phase()), self.gauge(False))
            self.row(self.labels("odd_temp", i), self.times(self.phase()), self.gauge(True))
            self.row(self.labels("req_total", i, code=("200", "404", "500")[i // 3 % 3]), self.times(self.phase()), self.counter(1 << 20))
            self.row(self.labels("even", i, code=("200", "404")[i % 2]), self.times(0), self.gauge(False))
            if self.from_zero:
                self.row(self.labels("fresh_total", i), self.times(0), self.counter(0.0))
        for i in range(3):
            self.row(self.labels("my.metric", i, **{"a.b": f"v{i}"}), self.times(self.phase()), self.gauge(False))

    def classic(self):
        for i in range(6):
            times, mine = self.times(self.phase()), {}
            bounds = ("0.1", "0.5", "1", "2.5", "10", "+Inf")
            counts = [0] * len(bounds)
            rows = [[] for _ in bounds]
            for t in times:
                if self.from_zero and self.r.random() < 0.01:
                    counts = [0] * len(bounds)
                for b in range(len(bounds)):
                    counts[b] += self.r.randrange(0, 5)
                for b in range(len(bounds)):
                    rows[b].append((t, float((1 << 20) + sum(counts[:b + 1]))))
            for b, le in enumerate(bounds):
                self.rows.append((self.labels("lat_bucket", i, le=le), rows[b]))
            self.rows.append((self.labels("lat_count", i), rows[-1]))
            self.rows.append((self.labels("lat_sum", i), [(t, v / 2) for t, v in rows[-1]]))

    def infos(self):
        for i in range(12):
            times = [t + self.phase() for t in range(self.begin, self.end, 240000)]
            half = len(times) // 2
            for k, part in enumerate((times[:half], times[half:])):
                self.rows.append((self.labels("target_info", i, version=f"1.{i % 4}.{k}", env=("prod", "dev")[i % 2]), [(t, 1.0) for t in part]))
            self.rows.append((self.labels("build_info", i, rev=f"r{i % 5}"), [(t, 1.0) for t in times]))

    def native(self, schema, bounds, is_float, gauge, threshold, wander):
        r, h = self.r, Hist(schema, bounds, is_float, gauge, threshold)
        scale = 0.25 if is_float else 1

        def next_value(t):
            nonlocal h
            if r.random() < 0.012 or gauge:
                h = Hist(h.schema, h.bounds, is_float, gauge, h.threshold)
            if wander and r.random() < 0.01:
                h = Hist(r.choice((schema, schema + 1, schema - 1)), bounds, is_float, gauge, threshold)
            if not h.bounds and not h.neg:  # buckets on both sides: zeros that are a chunk's layout are not to be seen
                h.pos[0] = h.neg[0] = scale
            for _ in range(r.randrange(1, 6) + (4 if gauge else 0)):
                side = h.pos if h.bounds or r.random() < 0.8 else h.neg
                i = r.randrange(0, len(bounds) + 1) if h.bounds else r.choice((-3, -2, -1, 0, 0, 1, 2, 6, 7, 12))
                side[i] = side.get(i, 0) + r.randrange(1, 4) * scale
            if not h.bounds and r.random() < 0.5:
                h.zero += scale
            h.sum = float(h.count()) * 0.5
            return h.encode(t)
        return next_value

    def native_row(self, labels, times, value, is_float):
        points, gone = [], 0
        for t in times:
            b = value(t)
            if gone:
                gone -= 1
            elif self.r.random() < 0.004:
                points.append((t, stale_hist(t, is_float)))
                gone = self.r.randrange(1, 12)
            else:
                points.append((t, b))
        self.rows.append((labels, points))

    def natives(self):
        r = self.r
        for i in range(9):
            self.native_row(self.labels("nh_seconds", i, zone=("a", "b", "")[i % 3]), self.times(self.phase()), self.native(3, (), False, False, 2.0 ** -10, False), False)
        for i in range(6):
            self.native_row(self.labels("nhf", i), self.times(0), self.native(1, (), True, False, 2.0 ** -10, True), True)
            self.native_row(self.labels("nhg", i), self.times(self.phase()), self.native(r.choice((0, 2)), (), False, True, 2.0 ** -10, False), False)
            bounds = [(0.1, 0.5, 1.0, 5.0), (0.1, 1.0, 5.0, 10.0)][i % 2]
            self.native_row(self.labels("nhcb", i), self.times(self.phase()), self.native(-53, bounds, False, False, 0.0, False), False)
        for i in range(4):  # floats, then histograms, then floats
            times = self.times(self.phase())
            floats, hists, third = self.counter(0.0), self.native(2, (), False, False, 2.0 ** -10, False), len(times) // 3
            last = [t for t in times if t >= self.dense]
            cut = (last[len(last) // 3], last[2 * len(last) // 3])
            self.rows.append((self.labels("mixed", i), [(t, hists(t) if cut[0] <= t < cut[1] or t < times[third] else floats(t)) for t in times]))

    def encode(self, labels, points):
        """A TimeSeries for each run of one kind: of one with both the other server takes floats first."""
        out, i = b"", 0
        while i < len(points):
            k = i
            while k < len(points) and isinstance(points[k][1], bytes) == isinstance(points[i][1], bytes):
                k += 1
            if isinstance(points[i][1], bytes):
                head = b"".join(field(1, field(1, n.encode()) + field(2, labels[n].encode())) for n in sorted(labels))
                out += field(1, head + b"".join(v for _, v in points[i:k]))
            else:
                out += series(labels, points[i:k])
            i = k
        return out

    def bodies(self, width=1800000):
        """Half an hour of all series, then the next: nothing is late, nor too old for a head that only moves on."""
        at = [0] * len(self.rows)
        for t in range(self.begin, self.end, width):
            parts = []
            for i, (labels, points) in enumerate(self.rows):
                k = at[i]
                while k < len(points) and points[k][0] < t + width:
                    k += 1
                if k > at[i]:
                    parts.append(self.encode(labels, points[at[i]:k]))
                at[i] = k
            for k in range(0, len(parts), 100):
                yield t, b"".join(parts[k:k + 100])
