"""HTTP/2 by hand (RFC 9113, RFC 7541): frames as bytes, headers as representations, so that wrong ones can be sent, and a reader that judges what comes back."""
import socket, struct, time

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, HAS_PRIORITY = 1, 1, 4, 8, 0x20
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = range(1, 7)
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(10)
ENHANCE_YOUR_CALM = 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PATIENCE = 120  # seconds for what must come: only a server that is wrong takes so long

# --- HPACK ---

STATIC = (":authority", ":method GET", ":method POST", ":path /", ":path /index.html", ":scheme http", ":scheme https", ":status 200", ":status 204", ":status 206",
          ":status 304", ":status 400", ":status 404", ":status 500", "accept-charset", "accept-encoding gzip, deflate", "accept-language", "accept-ranges", "accept",
          "access-control-allow-origin", "age", "allow", "authorization", "cache-control", "content-disposition", "content-encoding", "content-language", "content-length",
          "content-location", "content-range", "content-type", "cookie", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match",
          "if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards", "proxy-authenticate", "proxy-authorization", "range", "referer", "refresh",
          "retry-after", "server", "set-cookie", "strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate")
STATIC = [tuple(e.split(" ", 1)) if " " in e else (e, "") for e in STATIC]

# Length in bits of each symbol's code (RFC 7541, appendix B); the code is canonical, so that is all. 256 is EOS.
LENGTHS = {5: b"012aceiost", 6: b" %-./3456789=A_bdfghlmnpru", 7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz", 8: b"&*,;XZ", 10: b"!\"()?", 11: b"'+|", 12: b"#>", 13: b"\0$@[]~", 14: b"^}", 15: b"<`{",
           19: [92, 195, 208], 20: [128, 130, 131, 162, 184, 194, 224, 226], 21: [153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230],
           22: [129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228, 232, 233],
           23: [1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183, 188, 191, 197, 231, 239],
           24: [9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237], 25: [199, 207, 234, 235], 26: [192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255],
           27: [203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254],
           28: [2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249], 30: [10, 13, 22, 256]}
CODES = {}
_code = _len = 0
for _n in sorted(LENGTHS):
    for _symbol in LENGTHS[_n]:
        _code <<= _n - _len
        _len = _n
        CODES[_symbol] = format(_code, f"0{_n}b")
        _code += 1
SYMBOLS = {bits: symbol for symbol, bits in CODES.items()}
EOS = CODES[256]


def integer(value, bits, first=0):
    """An integer with a prefix of so many bits; first: what stands before it in its first byte."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    out = bytearray([first | most])
    value -= most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def octets(bits):
    """A Huffman-coded string of these bits, as they are."""
    assert len(bits) % 8 == 0
    return integer(len(bits) // 8, 7, 0x80) + int(bits, 2).to_bytes(len(bits) // 8, "big")


def huffman(text):
    return "".join(CODES[c] for c in text)


def string(text, packed=False):
    raw = text.encode("latin-1") if isinstance(text, str) else text
    if not packed:
        return integer(len(raw), 7) + raw
    bits = huffman(raw)
    return octets(bits + "1" * (-len(bits) % 8))


def index(n):
    return integer(n, 7, 0x80)


def literal(name, value, how="without", packed=False):
    """how: incremental, without, never; name: a text, or an index."""
    bits, first = {"incremental": (6, 0x40), "without": (4, 0), "never": (4, 0x10)}[how]
    head = integer(name, bits, first) if isinstance(name, int) else bytes([first]) + string(name, packed)
    return head + string(value, packed)


def table_size(n):
    return integer(n, 5, 0x20)


def block(fields):
    return b"".join(f if isinstance(f, bytes) else literal(*f) for f in fields)


class Decoder:
    """Of what servers answer."""

    def __init__(self):
        self.table = []

    def entry(self, n):
        return STATIC[n - 1] if n <= len(STATIC) else self.table[n - 1 - len(STATIC)]

    def decode(self, b):
        at, out = 0, []

        def number(bits):
            nonlocal at
            most = (1 << bits) - 1
            n = b[at] & most
            at += 1
            shift = 0
            while n >= most:
                n += (b[at] & 0x7F) << shift
                shift += 7
                at += 1
                if not b[at - 1] & 0x80:
                    break
            return n

        def text():
            nonlocal at
            packed = b[at] & 0x80
            n = number(7)
            raw = b[at:at + n]
            at += n
            if not packed:
                return raw.decode("latin-1")
            done, bits = "", ""
            for bit in "".join(format(c, "08b") for c in raw):
                bits += bit
                if bits in SYMBOLS:
                    done += chr(SYMBOLS[bits])
                    bits = ""
            assert len(bits) < 8 and "0" not in bits, "padding"
            return done

        while at < len(b):
            if b[at] & 0x80:
                out.append(self.entry(number(7)))
            elif b[at] & 0xE0 == 0x20:
                number(5)
            else:
                keep = b[at] & 0x40
                n = number(6 if keep else 4)
                field = (self.entry(n)[0] if n else text(), text())
                out.append(field)
                if keep:
                    self.table.insert(0, field)
        return out


# --- connections ---


class Wrong(Exception):
    """The server does not do what it must."""


class Closed(Exception):
    """The connection ended; by_reset: and what had been sent before may be lost."""

    def __init__(self, by_reset):
        super().__init__("reset" if by_reset else "end")
        self.by_reset = by_reset


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    return struct.pack(">I", len(payload) if length is None else length)[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


class Connection:
    """One of HTTP/2 on a socket; nothing is sent that the caller does not ask for, but acknowledgements of SETTINGS."""

    def __init__(self, sock):
        self.sock, self.buffer, self.decoder = sock, b"", Decoder()
        self.settings, self.gone = {}, False
        sock.settimeout(PATIENCE)

    def send(self, *parts):
        try:
            self.sock.sendall(b"".join(parts))
        except OSError:  # it has closed: what it has sent says why
            self.gone = True

    def handshake(self, settings=()):
        self.send(PREFACE, settings_frame(settings))
        mine = theirs = False
        while not (mine and theirs):
            kind, flags, stream, payload = self.read()
            if kind == SETTINGS and flags & ACK:
                mine = True
            elif kind == SETTINGS:
                theirs = True

    def read(self):
        """The next frame."""
        while len(self.buffer) < 9 or len(self.buffer) < 9 + int.from_bytes(self.buffer[:3], "big"):
            try:
                more = self.sock.recv(65536)
            except socket.timeout:
                raise Wrong(f"nothing comes for {PATIENCE} s")
            except OSError:
                raise Closed(True) from None
            if not more:
                raise Closed(self.gone)
            self.buffer += more
        n = int.from_bytes(self.buffer[:3], "big")
        kind, flags = self.buffer[3], self.buffer[4]
        stream = int.from_bytes(self.buffer[5:9], "big")
        payload, self.buffer = self.buffer[9:9 + n], self.buffer[9 + n:]
        if kind == SETTINGS and not flags & ACK:
            for i in range(0, n, 6):
                key, value = struct.unpack(">HI", payload[i:i + 6])
                self.settings[key] = value
            self.send(frame(SETTINGS, ACK))
        return kind, flags, stream, payload

    def close(self):
        self.sock.close()

    # --- what is asked ---

    def headers(self, stream, fields, flags=END_STREAM | END_HEADERS, before=b"", behind=b""):
        raw = fields if isinstance(fields, bytes) else block(fields)
        self.send(frame(HEADERS, flags, stream, before + raw + behind))

    def data(self, stream, payload=b"", flags=END_STREAM):
        self.send(frame(DATA, flags, stream, payload))

    # --- what must come ---

    def answer(self, stream, status=200):
        """The answer of a stream, whole: fields and body. status None: any."""
        fields, body = None, b""
        while True:
            kind, flags, s, payload = self.read()
            if kind == GOAWAY:
                raise Wrong(f"GOAWAY {code_of(payload)} for an answer")
            if s == stream and kind == RST_STREAM:
                raise Wrong(f"RST_STREAM {code_of(payload)} for an answer")
            if kind == HEADERS:
                got = self.decoder.decode(payload)
                if s == stream and fields is None:
                    fields = dict(got)
            if s == stream and kind == DATA:
                body += payload
            if s == stream and kind in (HEADERS, DATA) and flags & END_STREAM:
                break
        if status and int(fields[":status"]) != status:
            raise Wrong(f"status {fields[':status']}, not {status}")
        return fields, body

    def connection_error(self, *codes):
        """GOAWAY with one of the codes, and the end."""
        while True:
            try:
                kind, _, _, payload = self.read()
            except Closed as e:
                if e.by_reset:
                    return
                raise Wrong("closed without GOAWAY") from None
            if kind == GOAWAY and code_of(payload) in codes:
                break
            if kind == GOAWAY and code_of(payload) != NO_ERROR:
                raise Wrong(f"GOAWAY {code_of(payload)}, not {codes}")
        try:
            while True:
                self.read()
        except Closed:
            pass

    def stream_error(self, stream, *codes):
        """RST_STREAM with one of the codes; a server may also end the connection for it (RFC 9113, 5.4.2), or answer 400 (8.1.1)."""
        while True:
            try:
                kind, _, s, payload = self.read()
            except Closed as e:
                if e.by_reset:
                    return "closed"
                raise Wrong("closed without GOAWAY") from None
            if kind == GOAWAY:
                if code_of(payload) in codes:
                    return "goaway"
                raise Wrong(f"GOAWAY {code_of(payload)}, not {codes}")
            if kind == HEADERS:
                fields = dict(self.decoder.decode(payload))
                if s == stream and PROTOCOL_ERROR in codes and fields[":status"] == "400":
                    return "400"
                if s == stream and fields[":status"].startswith("2"):
                    raise Wrong(f"answered {fields[':status']}")
            if kind == RST_STREAM and s == stream:
                if code_of(payload) in codes:
                    return "reset"
                raise Wrong(f"RST_STREAM {code_of(payload)}, not {codes}")

    def ping(self, payload=b"h2rawpng", flags=0, stream=0):
        self.send(frame(PING, flags, stream, payload))
        while True:
            kind, flags, _, got = self.read()
            if kind == GOAWAY:
                raise Wrong(f"GOAWAY {code_of(got)} for a PING")
            if kind == HEADERS:
                self.decoder.decode(got)
            if kind == PING and flags & ACK:
                if got != payload:
                    raise Wrong("a PING is answered with other bytes")
                return

    def alive(self, fields, stream):
        """The connection goes on: another request is answered."""
        self.ping()
        self.headers(stream, fields)
        self.answer(stream)


def code_of(payload):
    return int.from_bytes(payload[-4:] if len(payload) == 4 else payload[4:8], "big")


def settings_frame(pairs=(), flags=0, stream=0):
    return frame(SETTINGS, flags, stream, b"".join(struct.pack(">HI", k, v) for k, v in pairs))


def window_update(stream, n):
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", n))


def priority(dependency, weight=15, exclusive=False):
    return struct.pack(">IB", dependency | (exclusive << 31), weight)


def reset(stream, code=CANCEL):
    return frame(RST_STREAM, 0, stream, struct.pack(">I", code))
