#!/usr/bin/env python3
"""HTTP/1.1: where does a message end (RFC 9112)? Requests that two readers could understand differently, each with another request hidden behind or inside it:
it must be refused, with the end of the connection, or read as the RFC has it; what is hidden is never answered. The forms are those of public lists
(HTTP Garden, PortSwigger's request smuggling research) and of the RFC's own warnings."""
import sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

PATIENCE = 120
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"
top = tmpdir("framing")
k = Kymod(os.path.join(top, "data"))


def talk(raw):
    """All that comes back until the end: statuses in order, and the bytes."""
    s = socket.create_connection(("127.0.0.1", k.port), timeout=PATIENCE)
    said = b""
    try:
        s.sendall(raw)
        while more := s.recv(65536):
            said += more
    except ConnectionError:
        pass
    except socket.timeout:
        return ["no end"], said
    finally:
        s.close()
    statuses = []
    rest = said
    while rest:  # answers here have a length, or no body
        head, _, rest = rest.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 "):
            return statuses + ["garbage"], said
        statuses.append(int(head[9:12]))
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        rest = rest[int(length[1]) if length else 0:]
    return statuses, said


def refused(title, raw, *statuses):
    """One answer, an error, and the end: nothing behind it is read."""
    got, _ = talk(raw)
    wanted = statuses or (400,)
    ok(len(got) == 1 and got[0] in wanted, f"refused: {title}: {got}")


def read_as(title, raw, *statuses):
    """These answers, in this order, and the end."""
    got, _ = talk(raw)
    ok(got == list(statuses), f"read: {title}: {got}, to be {list(statuses)}")


def post(fields, body, version="1.1", path="/api/v1/query"):
    return f"POST {path} HTTP/{version}\r\nHost: a\r\n".encode() + FORM + fields + b"\r\n" + body


def chunks(*parts):
    return b"".join(b"%x\r\n%b\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


Q = b"query=1"

# --- two lengths, or none that is sure (RFC 9112, 6.1 to 6.3) ---
for fields in (b"Content-Length: 7\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", b"Content-Length: 0\r\nTransfer-Encoding: chunked\r\n",
               b"Transfer-Encoding: chunked\r\ncontent-length:\r\n", b"Content-Length: 7\r\ntransfer-encoding: CHUNKED\r\n"):
    refused(f"length and chunked {fields!r}", post(fields, chunks(Q) + HIDDEN))
for value in (b"+7", b"-7", b"0x7", b"7 7", b"7,7", b"7, 8", b"7;x", b"7.0", b"7e0", b"7_0", b"\x0b7", b"7\x0c", b"'7'", b'"7"', b"", b"seven", b"18446744073709551623", b"9223372036854775815",
              b"\xef\xbc\x97", b"\xc2\xa07", b"7\0", b"7\r"):
    refused(f"Content-Length: {value!r}", post(b"Content-Length: " + value + b"\r\n", Q + HIDDEN))
refused("two lengths", post(b"Content-Length: 7\r\nContent-Length: 40\r\n", Q + HIDDEN))
refused("two lengths that agree", post(b"Content-Length: 7\r\nContent-Length: 7\r\n", Q + HIDDEN))
refused("two lengths, one without a value", post(b"Content-Length: 7\r\nContent-Length:\r\n", Q + HIDDEN))
refused("a length over two lines", post(b"Content-Length: 7\r\n 0\r\n", Q + HIDDEN))
refused("a length on the next line", post(b"Content-Length:\r\n 7\r\n", Q + HIDDEN))
for value in (b"xchunked", b"chunked-x", b"chunke", b"chunked, identity", b"identity, chunked", b"identity", b"gzip", b"gzip, chunked", b"chunked, chunked", b"chunked;x=y", b'"chunked"', b"'chunked'",
              b"\x0bchunked", b"chunked\x0b", b"\x0cchunked", b"\0chunked", b"chunked\0", b"chun ked", b"chun\xe2\x84\xaaed", b"", b",", b"chunked\x7f", b"\xc2\xa0chunked", b"chunked\r", b"[chunked]", b"0"):
    refused(f"Transfer-Encoding: {value!r}", post(b"Transfer-Encoding: " + value + b"\r\n", chunks(Q) + HIDDEN), 400, 501)
refused("two transfer codings", post(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", chunks(Q) + HIDDEN))
refused("two transfer codings, the other way round", post(b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", chunks(Q) + HIDDEN), 400, 501)
refused("a transfer coding over two lines", post(b"Transfer-Encoding:\r\n chunked\r\n", chunks(Q) + HIDDEN))
refused("chunked of HTTP/1.0", post(b"Transfer-Encoding: chunked\r\n", chunks(Q) + HIDDEN, "1.0"))

# --- names and lines (RFC 9112, 2.2 and 5) ---
for field in (b"Content-Length : 7", b"Content-Length\t: 7", b" Content-Length: 7", b"\tContent-Length: 7", b"Content-Length\x0b: 7", b"Content-Length\0: 7", b"Content\0-Length: 7", b"Content-Length\xa0: 7", b"Content Length: 7",
              b"Transfer-Encoding : chunked", b" Transfer-Encoding: chunked", b"Transfer-Encoding\r: chunked", b"Transfer-Encoding\n: chunked", b"\x01Transfer-Encoding: chunked", b"Transfer-Encoding", b": 7", b"(x): 7", b"X: a\rTransfer-Encoding: chunked",
              b"X: a\nTransfer-Encoding: chunked", b"X: a\r\r\nTransfer-Encoding: chunked", b"X: a\n\nGET /hidden HTTP/1.1", b"X: a\n\r\nGET /hidden HTTP/1.1", b"X: a\r\n b", b"X: a\r\n\tTransfer-Encoding: chunked", b"X: a\0b", b"X: a\x08b", b"X\xff: a", b"Host: b",
              b"Host : b", b"Host:"):
    refused(f"the field {field!r}", b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n" + HIDDEN)
for line in (b"GET /-/healthy HTTP/1.1\n", b"GET /-/healthy HTTP/1.1\r", b"GET /-/healthy HTTP/1.1 \r\n", b"GET /-/healthy  HTTP/1.1\r\n", b"GET\t/-/healthy\tHTTP/1.1\r\n", b" GET /-/healthy HTTP/1.1\r\n", b"GET /-/healthy HTTP/1.1\0\r\n",
             b"GET /-/healthy HTTP/1.1\x0b\r\n", b"GET /-/healthy http/1.1\r\n", b"GET /-/healthy HTTP/01.1\r\n", b"GET /-/healthy HTTP/1.10\r\n", b"GET /-/healthy HTTP/1,1\r\n", b"GET /-/healthy HTTP/ 1.1\r\n", b"GET /-/healthy HTTP/11\r\n",
             b"GET /-/healthy\r\n", b"GET /-/hea lthy HTTP/1.1\r\n", b"GET /-/healthy HTTP/1.1 HTTP/1.1\r\n", b"G\x00T /-/healthy HTTP/1.1\r\n", b"G(T /-/healthy HTTP/1.1\r\n", b"GET -/healthy HTTP/1.1\r\n", b"GET /-/healthy\x7f HTTP/1.1\r\n",
             b"GET /-/healthy#x HTTP/1.1\r\n", b"GET * HTTP/1.1\r\n", b"CONNECT a:80 HTTP/1.1\r\n", b"GET http://x@a/-/healthy HTTP/1.1\r\n", b"GET http:///-/healthy HTTP/1.1\r\n", b"\n\nGET /-/healthy HTTP/1.1\r\n", b"\r\n\r\nGET /-/healthy HTTP/1.1\r\n",
             b"PRI * HTTP/2.0\r\n"):
    refused(f"the line {line!r}", line + b"Host: a\r\n\r\n" + HIDDEN, 400, 505)
for version in (b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.9", b"HTTP/2.0", b"HTTP/3.0"):
    refused(f"{version.decode()} in text", b"GET /-/healthy " + version + b"\r\nHost: a\r\n\r\n" + HIDDEN, 505)
refused("HTTP/0.9 without a version", b"GET /-/healthy\r\n" + HIDDEN)
refused("no Host", b"GET /-/healthy HTTP/1.1\r\n\r\n" + HIDDEN)
refused("a head that ends by bare LF", b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\n" + HIDDEN)

# --- chunks (RFC 9112, 7.1) ---
CHUNKED = b"Transfer-Encoding: chunked\r\n"
for size in (b"+7", b"-7", b"0x7", b" 7", b"7 ", b"7\t", b"\x0b7", b"7_", b"", b";x", b"g", b"000000007", b"10000000000000007", b"fffffffffffffff7", b"7,0", b"7\0", b"\xef\xbc\x97", b"7\x0b;x"):
    refused(f"chunk size {size!r}", post(CHUNKED, size + b"\r\n" + Q + b"\r\n0\r\n\r\n" + HIDDEN))
for title, body in (
        ("LF behind a size", b"7\n" + Q + b"\r\n0\r\n\r\n"),
        ("CR behind a size", b"7\r" + Q + b"\r\n0\r\n\r\n"),
        ("CR, something, LF behind a size", b"7\rx\n" + Q + b"\r\n0\r\n\r\n"),
        ("LF in an extension", b"7;x\ny\r\n" + Q + b"\r\n0\r\n\r\n"),
        ("LF as the end of an extension", b"7;\n" + Q + b"\r\n0\r\n\r\n"),
        ("CR in an extension", b"7;x\ry\r\n" + Q + b"\r\n0\r\n\r\n"),
        ("NUL in an extension", b"7;x\0y\r\n" + Q + b"\r\n0\r\n\r\n"),
        ("LF behind the data", b"7\r\n" + Q + b"\n0\r\n\r\n"),
        ("CR behind the data", b"7\r\n" + Q + b"\r0\r\n\r\n"),
        ("nothing behind the data", b"7\r\n" + Q + b"0\r\n\r\n"),
        ("two other bytes behind the data", b"7\r\n" + Q + b"XX0\r\n\r\n"),
        ("one more byte of data", b"7\r\n" + Q + b"1\r\n0\r\n\r\n"),
        ("LF behind the last size", b"7\r\n" + Q + b"\r\n0\n\r\n"),
        ("LF as the end", b"7\r\n" + Q + b"\r\n0\r\n\n"),
        ("a last size with a blank", b"7\r\n" + Q + b"\r\n0 \r\n\r\n"),
        ("a trailer with LF", b"7\r\n" + Q + b"\r\n0\r\nX: a\n\r\n"),
        ("a folded trailer", b"7\r\n" + Q + b"\r\n0\r\nX: a\r\n b\r\n\r\n"),
        ("a trailer without a name", b"7\r\n" + Q + b"\r\n0\r\n: a\r\n\r\n"),
        ("a trailer without a colon", b"7\r\n" + Q + b"\r\n0\r\nhidden\r\n\r\n"),
        ("a trailer with a blank before its colon", b"7\r\n" + Q + b"\r\n0\r\nX : a\r\n\r\n"),
        ("a request in the place of trailers", b"7\r\n" + Q + b"\r\n0\r\n")):
    refused(f"chunks: {title}", post(CHUNKED, body + HIDDEN))
refused("a broken chunk of a request that is refused", b"POST /nowhere/at/all HTTP/1.1\r\nHost: a\r\n" + CHUNKED + b"\r\n" + b"7\n" + Q + b"\r\n0\r\n\r\n" + HIDDEN, 404)

# --- what is right, however odd: its end is where the RFC has it ---
for title, body in (
        ("one chunk", chunks(Q)),
        ("chunks of a byte", chunks(*(bytes([c]) for c in Q))),
        ("sizes with zeroes and capitals", b"0007\r\n" + Q + b"\r\n0A\r\n&x=1234567\r\n000\r\n\r\n"),
        ("extensions", b"7;a=b;c=\"d;e\"\r\n" + Q + b"\r\n0;x\r\n\r\n"),
        ("trailers", b"7\r\n" + Q + b"\r\n0\r\nX-Sum: 12\r\n\r\n"),
        ("trailers that name lengths", b"7\r\n" + Q + b"\r\n0\r\nContent-Length: 100\r\nTransfer-Encoding: chunked\r\n\r\n"),
        ("a trailer that names a Host", b"7\r\n" + Q + b"\r\n0\r\nHost: b\r\n\r\n")):
    read_as(f"chunks: {title}", post(CHUNKED, body) + LAST, 200, 200)
read_as("a length with zeroes", post(b"Content-Length: 007\r\n", Q) + LAST, 200, 200)
read_as("CHUNKED in capitals", post(b"TRANSFER-ENCODING: CHUNKED\r\n", chunks(Q)) + LAST, 200, 200)
read_as("one empty line before a request", b"\r\n" + post(b"Content-Length: 7\r\n", Q) + b"\r\n" + LAST, 200, 200)
read_as("names that only look like lengths", post(b"Content_Length: 40\r\nContent-Length-: 40\r\nX-Transfer-Encoding: chunked\r\nContent-Length: 7\r\n", Q) + LAST, 200, 200)
read_as("an absolute target", b"GET http://b/-/healthy HTTP/1.1\r\nHost: a\r\n\r\n" + LAST, 200, 200)
read_as("Upgrade to h2c, which is not taken", b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" + LAST, 200, 200)
read_as("a preface of HTTP/2 in the middle of HTTP/1.1", b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + HIDDEN, 200, 505)

# --- a request that is not taken has a body all the same: what is in it is no request ---
n = len(HIDDEN)
LENGTH = b"Content-Length: %d\r\n\r\n" % n
for title, head, status in (
        ("GET", b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n", 200),
        ("HEAD", b"HEAD /favicon.ico HTTP/1.1\r\nHost: a\r\n", 204),
        ("OPTIONS", b"OPTIONS /api/v1/query HTTP/1.1\r\nHost: a\r\n", 204),
        ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n", 204),
        ("a path that is not there", b"POST /nowhere/at/all HTTP/1.1\r\nHost: a\r\n", 404),
        ("another method", b"DELETE /-/healthy HTTP/1.1\r\nHost: a\r\n", 405),
        ("a strange method", b"BREW /-/healthy HTTP/1.1\r\nHost: a\r\n", 405),
        ("a redirect", b"POST /api/v1/query/ HTTP/1.1\r\nHost: a\r\n", 308),
        ("a redirected GET", b"GET //-/healthy HTTP/1.1\r\nHost: a\r\n", 301),
        ("a bad escape", b"GET /%zz HTTP/1.1\r\nHost: a\r\n", 400),
        ("a write of another type", b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n", 415),
        ("an asset that is known", b"GET /graph HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n", 304)):
    read_as(f"a length, {title}", head + LENGTH + HIDDEN + LAST, status, 200)
    read_as(f"chunks, {title}", head + CHUNKED + b"\r\n" + chunks(HIDDEN) + LAST, status, 200)
for title, head, status in (
        ("POST that closes", b"POST /api/v1/query HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + FORM + b"Content-Length: 7\r\n\r\n" + Q, 200),
        ("GET of HTTP/1.0", b"GET /-/healthy HTTP/1.0\r\n\r\n", 200)):
    read_as(f"nothing is read behind a {title}", head + HIDDEN, status)

# --- Expect (RFC 9110, 10.1.1) ---
refused("another expectation", b"POST /api/v1/query HTTP/1.1\r\nHost: a\r\nExpect: wonders\r\n" + LENGTH + HIDDEN, 417)
read_as("100 Continue, then the answer", b"POST /api/v1/query HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nConnection: close\r\n" + FORM + b"Content-Length: 7\r\n\r\n" + Q, 100, 200)
refused("a refusal in the place of 100 Continue ends the connection", b"POST /nowhere/at/all HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + LENGTH + HIDDEN, 404)

ok(request(k.port, "GET", "/-/healthy")[0] == 200 and k.alive(), "the server goes on")
ok(k.end() == 0, "and ends well")
shutil.rmtree(top)
done()
