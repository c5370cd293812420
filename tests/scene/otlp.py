"""otlp - bodies of OTLP metrics made by hand: each function gives the bytes of one message of
opentelemetry/proto/metrics/v1, so that a scene says what a sender says, and nothing else."""
import struct


def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7f | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def number(field, n):
    return varint(field << 3) + varint(n)


def zigzag(field, n):
    return number(field, (n << 1) ^ (n >> 63))


def fixed(field, n):
    return varint(field << 3 | 1) + struct.pack("<Q", n & ((1 << 64) - 1))


def double(field, v):
    return varint(field << 3 | 1) + struct.pack("<d", v)


def data(field, b):
    b = b.encode() if isinstance(b, str) else b
    return varint(field << 3 | 2) + varint(len(b)) + b


def value(v):
    """AnyValue: str, bool, int, float, bytes, list, dict; None says nothing."""
    if v is None:
        return b""
    if isinstance(v, str):
        return data(1, v)
    if isinstance(v, bool):
        return number(2, v)
    if isinstance(v, int):
        return number(3, v)
    if isinstance(v, float):
        return double(4, v)
    if isinstance(v, bytes):
        return data(7, v)
    if isinstance(v, list):
        return data(5, b"".join(data(1, value(x)) for x in v))
    return data(6, b"".join(data(1, pair(k, x)) for k, x in v.items()))


def pair(k, v):
    return data(1, k) + data(2, value(v))


def attributes(field, attrs):
    items = attrs.items() if isinstance(attrs, dict) else attrs
    return b"".join(data(field, pair(k, v)) for k, v in items)


def exemplar(v, t_ns=0, trace=b"", span=b"", attrs=()):
    out = fixed(2, t_ns) + (double(3, v) if isinstance(v, float) else fixed(6, v))
    return out + (data(4, span) if span else b"") + (data(5, trace) if trace else b"") + \
        attributes(7, attrs)


def point(v, t_ns, start_ns=0, attrs=(), flags=0, exemplars=()):
    out = attributes(7, attrs) + (fixed(2, start_ns) if start_ns else b"") + fixed(3, t_ns)
    out += double(4, v) if isinstance(v, float) else fixed(6, v)
    out += b"".join(data(5, x) for x in exemplars)
    return out + (number(8, flags) if flags else b"")


def histogram_point(counts, bounds, t_ns, start_ns=0, attrs=(), total=None, count=None, flags=0,
                    exemplars=()):
    out = attributes(9, attrs) + (fixed(2, start_ns) if start_ns else b"") + fixed(3, t_ns)
    out += fixed(4, sum(counts) if count is None else count)
    out += b"" if total is None else double(5, total)
    out += data(6, struct.pack("<%dQ" % len(counts), *counts))
    out += data(7, struct.pack("<%dd" % len(bounds), *bounds))
    out += b"".join(data(8, x) for x in exemplars)
    return out + (number(10, flags) if flags else b"")


def side(offset, counts):
    return zigzag(1, offset) + data(2, b"".join(varint(c) for c in counts))


def exponential_point(scale, positive, t_ns, start_ns=0, attrs=(), negative=(0, []), zero=0,
                      total=None, count=None, flags=0, threshold=0.0, exemplars=()):
    n = sum(positive[1]) + sum(negative[1]) + zero if count is None else count
    out = attributes(1, attrs) + (fixed(2, start_ns) if start_ns else b"") + fixed(3, t_ns)
    out += fixed(4, n) + (b"" if total is None else double(5, total)) + zigzag(6, scale)
    out += fixed(7, zero) + data(8, side(*positive))
    out += data(9, side(*negative)) if negative[1] else b""
    out += number(10, flags) if flags else b""
    out += b"".join(data(11, x) for x in exemplars)
    return out + (double(14, threshold) if threshold else b"")


def summary_point(quantiles, total, count, t_ns, start_ns=0, attrs=(), flags=0):
    out = attributes(7, attrs) + (fixed(2, start_ns) if start_ns else b"") + fixed(3, t_ns)
    out += fixed(4, count) + double(5, total)
    out += b"".join(data(6, double(1, q) + double(2, v)) for q, v in quantiles)
    return out + (number(8, flags) if flags else b"")


DELTA, CUMULATIVE = 1, 2
GAUGE, SUM, HISTOGRAM, EXPONENTIAL, SUMMARY = 5, 7, 9, 10, 11


def metric(name, kind, points, unit="", help="", temporality=CUMULATIVE, monotonic=True):
    body = b"".join(data(1, p) for p in points)
    if kind in (SUM, HISTOGRAM, EXPONENTIAL) and temporality:
        body += number(2, temporality)
    if kind == SUM and monotonic:
        body += number(3, 1)
    return data(1, name) + (data(2, help) if help else b"") + (data(3, unit) if unit else b"") + \
        data(kind, body)


def scope(metrics, name="", version="", attrs=(), schema_url=""):
    inner = (data(1, name) if name else b"") + (data(2, version) if version else b"") + \
        attributes(3, attrs)
    return data(1, inner) + b"".join(data(2, m) for m in metrics) + \
        (data(3, schema_url) if schema_url else b"")


def resource(scopes, attrs=()):
    return data(1, attributes(1, attrs)) + b"".join(data(2, s) for s in scopes)


def request(resources):
    return b"".join(data(1, r) for r in resources)


def fields(b):
    """The fields of a message: number > list of values (int or bytes)."""
    out, at = {}, 0

    def take():
        nonlocal at
        n = shift = 0
        while True:
            c = b[at]
            at += 1
            n |= (c & 0x7f) << shift
            shift += 7
            if c < 0x80:
                return n
    while at < len(b):
        tag = take()
        if tag & 7 == 0:
            v = take()
        elif tag & 7 == 1:
            v, at = struct.unpack_from("<Q", b, at)[0], at + 8
        else:
            size = take()
            v, at = b[at:at + size], at + size
        out.setdefault(tag >> 3, []).append(v)
    return out
