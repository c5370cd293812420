"""Remote Read by hand: a request, the bytes of its answer, and what is stored, bit for bit."""
from lib import *

def matcher(kind, name, value):
    return field(3, (b"\x08" + bytes([kind]) if kind else b"") + field(2, name.encode()) + field(3, value.encode()))


def query(start, end, *matchers, func=""):
    hints = field(4, field(2, func.encode())) if func else b""
    return field(1, b"\x08" + varint(start) + b"\x10" + varint(end) + b"".join(matchers) + hints)


def unsnappy(raw):
    n, at, shift = 0, 0, 0
    while True:
        n |= (raw[at] & 127) << shift
        shift += 7
        at += 1
        if raw[at - 1] < 128:
            break
    out = bytearray()
    while at < len(raw):
        tag = raw[at]
        at += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                more = size - 59
                size = int.from_bytes(raw[at:at + more], "little")
                at += more
            out += raw[at:at + size + 1]
            at += size + 1
            continue
        if tag & 3 == 1:
            size, offset = (tag >> 2 & 7) + 4, (tag >> 5) << 8 | raw[at]
            at += 1
        else:
            width = 2 if tag & 3 == 2 else 4
            size, offset = (tag >> 2) + 1, int.from_bytes(raw[at:at + width], "little")
            at += width
        for _ in range(size):
            out.append(out[-offset])
    assert len(out) == n, (len(out), n)
    return bytes(out)


def fields(raw):
    at = 0
    while at < len(raw):
        tag, at = read_varint(raw, at)
        if tag & 7 == 0:
            v, at = read_varint(raw, at)
        elif tag & 7 == 1:
            v, at = raw[at:at + 8], at + 8
        else:
            size, at = read_varint(raw, at)
            v, at = raw[at:at + size], at + size
        yield tag >> 3, v


def read_varint(raw, at):
    v = shift = 0
    while True:
        v |= (raw[at] & 127) << shift
        shift += 7
        at += 1
        if raw[at - 1] < 128:
            return v, at


def label_of(raw):
    m = dict(fields(raw))
    return m[1].decode(), m[2].decode()


READ = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "Accept-Encoding": "snappy", "X-Prometheus-Remote-Read-Version": "0.1.0"}


def doubles(raw):
    return struct.unpack(f"<{len(raw) // 8}d", raw)


def zigzags(raw):
    out, at = [], 0
    while at < len(raw):
        n, at = read_varint(raw, at)
        out.append(n >> 1 ^ -(n & 1))
    return out


def absolute(deltas):
    out, n = [], 0
    for d in deltas:
        n += d
        out.append(n)
    return out


def buckets(spans, counts):
    """{index: count} of the buckets that have any, of one side."""
    out, index, k = {}, 0, 0
    for offset, length in spans:
        index += offset
        for _ in range(length):
            if counts[k]:
                out[index] = counts[k]
            index += 1
            k += 1
    assert k == len(counts), "as many buckets as the spans say"
    return out


def bits(v):
    return struct.unpack("<Q", struct.pack("<d", v))[0]


def histogram_of(raw):
    """A histogram as it can be compared: whatever its spans, the same buckets are the same."""
    h = {"schema": 0, "sum": bytes(8), "threshold": bytes(8), "count": 0, "zero": 0, "float": False, "bounds": (), "hint": 0}
    spans, counts = {8: [], 11: []}, {8: [], 11: []}
    for no, v in fields(raw):
        if no in (1, 2):
            h["count"], h["float"] = (v, False) if no == 1 else (doubles(v)[0], True)
        elif no == 3:
            h["sum"] = v
        elif no == 4:
            h["schema"] = v >> 1 ^ -(v & 1)
        elif no == 5:
            h["threshold"] = v
        elif no in (6, 7):
            h["zero"] = v if no == 6 else doubles(v)[0]
        elif no in (8, 11):
            m = dict(fields(v))
            offset = m.get(1, 0)
            spans[no].append((offset >> 1 ^ -(offset & 1), m.get(2, 0)))
        elif no in (9, 12):
            counts[no - 1] += zigzags(v)
        elif no in (10, 13):
            counts[no - 2] += doubles(v)
        elif no == 14:
            h["hint"] = v
        elif no == 15:
            h["t"] = v
        elif no == 16:
            h["bounds"] += doubles(v)
    for side, name in ((8, "negative"), (11, "positive")):
        h[name] = buckets(spans[side], counts[side] if h["float"] else absolute(counts[side]))
    return h


def everything(port, start, end, *matchers, headers=None):
    """{labels: {t_ms: bits of a float, or a histogram}} of what the server at this port has in the range."""
    status, raw, _ = request(port, "POST", "/api/v1/read", snappy(query(start, end, *matchers)), {**READ, **(headers or {})})
    assert status == 200, (status, raw[:300])
    out = {}
    for _, result in fields(unsnappy(raw)):
        for _, ts in fields(result):
            names, points = [], {}
            for no, v in fields(ts):
                if no == 1:
                    names.append(label_of(v))
                elif no == 2:
                    p = dict(fields(v))
                    points[p.get(2, 0)] = int.from_bytes(p.get(1, bytes(8)), "little")
                elif no == 4:
                    h = histogram_of(v)
                    points[h.pop("t", 0)] = h
            out.setdefault(tuple(sorted(names)), {}).update(points)
    return out
