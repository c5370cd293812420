"""Remote Write 2.0 by hand: a request (io.prometheus.write.v2.Request) with its table of symbols, sent over HTTP/1.1 and, without TLS, over HTTP/2."""
from lib import *
import h2raw

TYPE = "application/x-protobuf;proto=io.prometheus.write.v2.Request"
HEADERS = {"Content-Type": TYPE, "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "2.0.0"}
COUNTER, GAUGE, HISTOGRAM, GAUGEHISTOGRAM, SUMMARY, INFO, STATESET = range(1, 8)
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
NAN = struct.unpack("<d", struct.pack("<Q", 0x7FF8000000000001))[0]


def zigzag(n):
    return varint((n << 1 ^ n >> 63) & (1 << 64) - 1)


def number(no, n):
    return varint(no << 3) + varint(n & (1 << 64) - 1) if n else b""


def double(no, v):
    raw = struct.pack("<d", v)
    return varint(no << 3 | 1) + raw if raw != bytes(8) else b""


def packed(no, pieces):
    return field(no, b"".join(pieces)) if pieces else b""


def histogram(t, positive=(), negative=(), zero=0, sum=1.0, schema=0, threshold=0.0, bounds=(), is_float=False, hint=0, total=None, start=0):
    """positive, negative: spans, [(offset, [count, ...])]. total: what it says of all of them, if that is not their sum."""
    count = zero
    sides = b""
    for no, spans in ((8, negative), (11, positive)):
        for offset, counts in spans:
            sides += field(no, (varint(1 << 3) + zigzag(offset) if offset else b"") + number(2, len(counts)))
        flat = [c for _, counts in spans for c in counts]
        for c in flat:
            count += c
        if is_float:
            sides += packed(no + 2, [struct.pack("<d", float(c)) for c in flat])
        else:
            sides += packed(no + 1, [zigzag(c - b) for b, c in zip([0, *flat], flat)])
    count = count if total is None else total
    out = double(2, float(count)) if is_float else varint(1 << 3) + varint(count)
    out += double(3, sum) + (varint(4 << 3) + zigzag(schema) if schema else b"") + double(5, threshold)
    out += double(7, float(zero)) if is_float else number(6, zero)
    out += sides + number(14, hint) + number(15, t)
    out += packed(16, [struct.pack("<d", b) for b in bounds]) + number(17, start)
    return out


class Request:
    """What is in it, field by field. Labels are written in the order of their dict, as senders do that do not sort."""

    def __init__(self):
        self.symbols, self.places, self.body = [], {}, b""
        self.symbol("")

    def symbol(self, text):
        if text not in self.places:
            self.places[text] = len(self.symbols)
            self.symbols.append(text)
        return self.places[text]

    def refs(self, labels):
        return [self.symbol(s) for pair in labels.items() for s in pair]

    def exemplar(self, t, v, own, refs=None):
        refs = self.refs(own) if refs is None else refs
        return packed(1, [varint(r) for r in refs]) + double(2, v) + number(3, t)

    def add(self, labels, samples=(), histograms=(), exemplars=(), meta=None, created=0, refs=None):
        """samples: (t, v) or (t, v, start); exemplars: (t, v, labels); meta: (type, help, unit); created: field 6 of early senders; refs instead of those of labels."""
        refs = self.refs(labels) if refs is None else refs
        out = packed(1, [varint(r) for r in refs])
        for t, v, *start in samples:
            out += field(2, double(1, v) + number(2, t) + number(3, start[0] if start else 0))
        for h in histograms:
            out += field(3, h)
        for t, v, own in exemplars:
            out += field(4, self.exemplar(t, v, own))
        if meta:
            out += field(5, number(1, meta[0]) + number(3, self.symbol(meta[1])) + number(4, self.symbol(meta[2])))
        self.body += field(5, out + number(6, created))
        return self

    def raw(self):
        return b"".join(field(4, s.encode()) for s in self.symbols) + self.body


class Answer:
    def __init__(self, status, text, fields):
        self.status, self.text, self.fields = status, text, {k.lower(): v for k, v in fields.items()}
        names = [f"x-prometheus-remote-write-{what}-written" for what in ("samples", "histograms", "exemplars")]
        self.written = tuple(int(self.fields[n]) for n in names) if all(n in self.fields for n in names) else None if not any(n in self.fields for n in names) else "some"

    def __str__(self):
        return f"{self.status} {self.written} {self.text[:300]}"


def send(port, body, headers=None, packed=False):
    """body: a Request, or the bytes of one; packed: they are in snappy already."""
    raw = body.raw() if isinstance(body, Request) else body
    status, text, fields = request(port, "POST", "/api/v1/write", raw if packed else snappy(raw), HEADERS if headers is None else headers)
    return Answer(status, text, fields)


class H2:
    """A connection by HTTP/2 without TLS, prior knowledge; one request after the other."""

    def __init__(self, port):
        self.c = h2raw.Connection(socket.create_connection(("127.0.0.1", port), timeout=h2raw.PATIENCE))
        self.c.handshake()
        self.port, self.stream = port, -1

    def send(self, body, headers=None, packed=False):
        raw = body.raw() if isinstance(body, Request) else body
        raw = raw if packed else snappy(raw)
        self.stream += 2
        head = [(":method", "POST"), (":scheme", "http"), (":authority", f"127.0.0.1:{self.port}"), (":path", "/api/v1/write")]
        head += [(k.lower(), v) for k, v in (HEADERS if headers is None else headers).items()]
        self.c.headers(self.stream, head, h2raw.END_HEADERS)
        pieces = [raw[i:i + 16384] for i in range(0, len(raw), 16384)] or [b""]
        for piece in pieces[:-1]:
            self.c.data(self.stream, piece, 0)
        self.c.data(self.stream, pieces[-1])
        fields, text = self.c.answer(self.stream, None)
        return Answer(int(fields[":status"]), text, fields)
