#!/usr/bin/env python3
"""HTTP/2 as RFC 9113 and RFC 7541 want it from a server: frames that are right, and all kinds of wrong ones, by hand. The list covers what h2spec asks for, and more of section 8."""
import ssl, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
from h2raw import *

SMALL = "/-/healthy"
BODY = "/api/v1/query"  # a POST of it takes a form
PAGE = "/graph"         # some hundred bytes
CASES = []
SCHEME = "http"


def case(section, title, **settings):
    def add(fn):
        CASES.append((section, title, fn, [(globals()[k.upper()], v) for k, v in settings.items()]))
        return fn
    return add


def get(path=SMALL, method="GET", authority="127.0.0.1", more=()):
    return [literal(2, method), literal(6, SCHEME), literal(4, path), literal(1, authority), *more]


def post(more=(), path=BODY):
    return get(path, "POST", more=[literal("content-type", "application/x-www-form-urlencoded"), *more])


FORM = b"query=1%2B1"
OPEN = END_HEADERS  # a request whose body is to come


def is_two(body):
    if b'"2"' not in body:
        raise Wrong(f"1+1 is {body}")


def size_of(c):
    return c.settings.get(MAX_FRAME_SIZE, 16384)


# --- RFC 9113, 3: starting ---

@case("3.4", "a preface and SETTINGS are answered by SETTINGS")
def _(c):
    c.alive(get(), 1)


@case("4.1", "a frame of an unknown type is passed over")
def _(c):
    c.send(frame(0x16, 0, 0, b"8 bytes!"))
    c.alive(get(), 1)


@case("4.1", "an undefined flag is passed over")
def _(c):
    c.ping(b"8 bytes!", flags=0x16)
    c.alive(get(), 1)


@case("4.1", "the reserved bit of a stream identifier is passed over")
def _(c):
    c.ping(b"8 bytes!", stream=1 << 31)
    c.alive(get(), 1)


@case("4.2", "a DATA frame of 16,384 bytes is taken")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, FORM + b"&x=" + b"y" * (16384 - len(FORM) - 3))
    is_two(c.answer(1)[1])


@case("4.2", "so is one of SETTINGS_MAX_FRAME_SIZE")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, FORM + b"&x=" + b"y" * (size_of(c) - len(FORM) - 3))
    is_two(c.answer(1)[1])


@case("4.2", "a larger DATA frame is FRAME_SIZE_ERROR")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, b"y" * (size_of(c) + 1))
    c.stream_error(1, FRAME_SIZE_ERROR)


@case("4.2", "a larger HEADERS frame is FRAME_SIZE_ERROR of the connection")
def _(c):
    c.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(get()) + literal("x", "y" * size_of(c))))
    c.connection_error(FRAME_SIZE_ERROR)


@case("4.3", "a header block that cannot be decoded is COMPRESSION_ERROR")
def _(c):
    c.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, b"\x40\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"))
    c.connection_error(COMPRESSION_ERROR)


@case("4.3", "a PRIORITY frame in the middle of a header block is PROTOCOL_ERROR")
def _(c):
    c.headers(1, get(), END_STREAM)
    c.send(frame(PRIORITY, 0, 1, priority(0)))
    c.connection_error(PROTOCOL_ERROR)


@case("4.3", "a HEADERS frame of another stream in the middle of a header block is PROTOCOL_ERROR")
def _(c):
    c.headers(1, get(), END_STREAM)
    c.headers(3, get())
    c.connection_error(PROTOCOL_ERROR)


# --- 5: streams ---

@case("5.1", "idle: DATA is PROTOCOL_ERROR")
def _(c):
    c.data(1, b"x")
    c.connection_error(PROTOCOL_ERROR, STREAM_CLOSED)


@case("5.1", "idle: RST_STREAM is PROTOCOL_ERROR")
def _(c):
    c.send(reset(1))
    c.connection_error(PROTOCOL_ERROR)


@case("5.1", "idle: WINDOW_UPDATE is PROTOCOL_ERROR")
def _(c):
    c.send(window_update(1, 100))
    c.connection_error(PROTOCOL_ERROR)


@case("5.1", "idle: CONTINUATION is PROTOCOL_ERROR")
def _(c):
    c.send(frame(CONTINUATION, END_HEADERS, 1, block(get())))
    c.connection_error(PROTOCOL_ERROR)


@case("5.1", "idle: PRIORITY is passed over")
def _(c):
    c.send(frame(PRIORITY, 0, 1, priority(0, 255)))
    c.alive(get(), 1)


@case("5.1", "half-closed (remote): DATA is STREAM_CLOSED")
def _(c):
    c.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(get())), frame(DATA, END_STREAM, 1, b"x"))
    c.connection_error(STREAM_CLOSED)


@case("5.1", "half-closed (remote): HEADERS is STREAM_CLOSED")
def _(c):
    c.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(get())), frame(HEADERS, END_STREAM | END_HEADERS, 1, block(get())))
    c.connection_error(STREAM_CLOSED)


@case("5.1", "half-closed (remote): CONTINUATION is an error of the connection")
def _(c):
    c.send(frame(HEADERS, END_STREAM | END_HEADERS, 1, block(get())), frame(CONTINUATION, END_HEADERS, 1, block(get())))
    c.connection_error(STREAM_CLOSED, PROTOCOL_ERROR)


@case("5.1", "half-closed (remote): WINDOW_UPDATE, PRIORITY and RST_STREAM are right", initial_window_size=1)
def _(c):
    c.headers(1, get(PAGE))
    c.send(window_update(1, 2), frame(PRIORITY, 0, 1, priority(0)), reset(1), settings_frame([(INITIAL_WINDOW_SIZE, 65535)]))
    c.alive(get(), 3)


@case("5.1", "closed: DATA behind RST_STREAM does not end the connection for good streams, or is STREAM_CLOSED")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(reset(1), frame(DATA, END_STREAM, 1, b"test"))
    closed_or_ignored(c, 3)


@case("5.1", "closed: HEADERS behind RST_STREAM is STREAM_CLOSED")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(reset(1))
    c.headers(1, get())
    c.stream_error(1, STREAM_CLOSED)


@case("5.1", "closed: CONTINUATION behind RST_STREAM is an error of the connection")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(reset(1), frame(CONTINUATION, END_HEADERS, 1, literal("x", "y")))
    c.connection_error(STREAM_CLOSED, PROTOCOL_ERROR)


@case("5.1", "closed: DATA behind an answer is STREAM_CLOSED")
def _(c):
    c.headers(1, get())
    c.answer(1)
    c.data(1, b"test")
    c.stream_error(1, STREAM_CLOSED)


@case("5.1", "closed: HEADERS behind an answer is STREAM_CLOSED of the connection")
def _(c):
    c.headers(1, get())
    c.answer(1)
    c.headers(1, get())
    c.connection_error(STREAM_CLOSED)


@case("5.1", "closed: CONTINUATION behind an answer is an error of the connection")
def _(c):
    c.headers(1, get())
    c.answer(1)
    c.send(frame(CONTINUATION, END_HEADERS, 1, literal("x", "y")))
    c.connection_error(STREAM_CLOSED, PROTOCOL_ERROR)


@case("5.1", "closed: PRIORITY and WINDOW_UPDATE are passed over")
def _(c):
    c.headers(1, get())
    c.answer(1)
    c.send(frame(PRIORITY, 0, 1, priority(0)), window_update(1, 1))
    c.alive(get(), 3)


@case("5.1.1", "an even stream identifier is PROTOCOL_ERROR")
def _(c):
    c.headers(2, get())
    c.connection_error(PROTOCOL_ERROR)


@case("5.1.1", "a stream identifier below the last one is an error of the connection")
def _(c):
    c.headers(5, get())
    c.headers(3, get())
    c.connection_error(PROTOCOL_ERROR, STREAM_CLOSED)


@case("5.1.2", "streams over SETTINGS_MAX_CONCURRENT_STREAMS are refused, or end the connection; up to it they go on")
def _(c):
    most = c.settings[MAX_CONCURRENT_STREAMS]
    for i in range(most):
        c.headers(1 + 2 * i, post(), OPEN)
    c.ping()
    c.data(1, FORM)
    is_two(c.answer(1)[1])
    c.headers(1 + 2 * most, post(), OPEN)
    c.headers(3 + 2 * most, post(), OPEN)
    if c.stream_error(3 + 2 * most, REFUSED_STREAM, PROTOCOL_ERROR) == "reset":
        c.data(3, FORM)
        is_two(c.answer(3)[1])


@case("5.3.1 of RFC 7540", "HEADERS that depends on its own stream is an error of the stream, or passed over")
def _(c):
    c.headers(1, get(), END_STREAM | END_HEADERS | HAS_PRIORITY, priority(1))
    error_or_answer(c, 1, PROTOCOL_ERROR)


@case("5.3.1 of RFC 7540", "so is PRIORITY")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(frame(PRIORITY, 0, 1, priority(1)))
    c.data(1, FORM)
    error_or_answer(c, 1, PROTOCOL_ERROR)


@case("5.4.1", "an error of the connection ends it")
def _(c):
    c.send(frame(PING, 0, 0, b"short"))
    c.connection_error(FRAME_SIZE_ERROR)


@case("5.5", "an unknown frame in the middle of a header block is PROTOCOL_ERROR")
def _(c):
    c.headers(1, get(), END_STREAM)
    c.send(frame(0x16, 0, 1, b"x"))
    c.connection_error(PROTOCOL_ERROR)


# --- 6: frames ---

@case("6.1", "DATA of stream 0 is PROTOCOL_ERROR")
def _(c):
    c.data(0, b"x")
    c.connection_error(PROTOCOL_ERROR)


@case("6.1", "DATA in pieces, with padding, and empty ones, is a body")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, FORM[:5], 0)
    c.data(1, b"\x04" + FORM[5:8] + b"\0" * 4, PADDED)
    c.data(1, b"\x00", PADDED)
    c.data(1, b"", 0)
    c.data(1, FORM[8:], 0)
    c.data(1, b"\x00", END_STREAM | PADDED)
    is_two(c.answer(1)[1])


@case("6.1", "padding that is longer than its frame is PROTOCOL_ERROR")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, b"\x06Test!", END_STREAM | PADDED)
    c.connection_error(PROTOCOL_ERROR)


@case("6.1", "DATA with a flag of padding and nothing else is FRAME_SIZE_ERROR or PROTOCOL_ERROR")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, b"", END_STREAM | PADDED)
    c.connection_error(PROTOCOL_ERROR, FRAME_SIZE_ERROR)


@case("6.2", "HEADERS with padding and priority is a request")
def _(c):
    c.headers(1, get(), END_STREAM | END_HEADERS | PADDED | HAS_PRIORITY, b"\x03" + priority(0, 255, True), b"\0\0\0")
    c.answer(1)
    c.headers(3, get(), END_STREAM | END_HEADERS | PADDED, b"\x08", b"\0" * 8)
    c.answer(3)
    c.headers(5, get(), END_STREAM | END_HEADERS | HAS_PRIORITY, priority(3, 0))
    c.answer(5)


@case("6.2", "HEADERS of stream 0 is PROTOCOL_ERROR")
def _(c):
    c.headers(0, get())
    c.connection_error(PROTOCOL_ERROR)


@case("6.2", "padding of HEADERS that is too long is PROTOCOL_ERROR")
def _(c):
    raw = block(get())
    c.send(frame(HEADERS, END_STREAM | END_HEADERS | PADDED, 1, bytes([len(raw) + 1]) + raw))
    c.connection_error(PROTOCOL_ERROR)


@case("6.2", "HEADERS that is too short for its priority is an error of the connection")
def _(c):
    c.send(frame(HEADERS, END_STREAM | END_HEADERS | HAS_PRIORITY, 1, b"\0\0"))
    c.connection_error(PROTOCOL_ERROR, FRAME_SIZE_ERROR)


@case("6.3", "PRIORITY with all weights, dependencies and exclusive is passed over")
def _(c):
    c.send(frame(PRIORITY, 0, 1, priority(0, 0)), frame(PRIORITY, 0, 3, priority(0, 255)), frame(PRIORITY, 0, 5, priority(1)), frame(PRIORITY, 0, 7, priority(1, 15, True)))
    c.alive(get(), 1)


@case("6.3", "PRIORITY of an idle stream, then HEADERS of a lower one")
def _(c):
    c.send(frame(PRIORITY, 0, 3, priority(0)))
    c.headers(1, get())
    c.answer(1)


@case("6.3", "PRIORITY of stream 0 is PROTOCOL_ERROR")
def _(c):
    c.send(frame(PRIORITY, 0, 0, priority(1)))
    c.connection_error(PROTOCOL_ERROR)


@case("6.3", "PRIORITY of another length than 5 is FRAME_SIZE_ERROR")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(frame(PRIORITY, 0, 1, b"\x80\0\0\x01"))
    c.stream_error(1, FRAME_SIZE_ERROR)


@case("6.4", "RST_STREAM ends a stream, and no other")
def _(c):
    c.headers(1, post(), OPEN)
    c.headers(3, post(), OPEN)
    c.send(reset(1))
    c.data(3, FORM)
    is_two(c.answer(3)[1])
    c.ping()


@case("6.4", "RST_STREAM of stream 0 is PROTOCOL_ERROR")
def _(c):
    c.send(reset(0))
    c.connection_error(PROTOCOL_ERROR)


@case("6.4", "RST_STREAM of another length than 4 is FRAME_SIZE_ERROR")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(frame(RST_STREAM, 0, 1, b"\0\0\0"))
    c.connection_error(FRAME_SIZE_ERROR)


@case("6.5", "SETTINGS is acknowledged, whatever it says of the table, the streams and the lists")
def _(c):
    c.send(settings_frame([(HEADER_TABLE_SIZE, 0), (ENABLE_PUSH, 0), (MAX_CONCURRENT_STREAMS, 0), (MAX_FRAME_SIZE, 16777215), (MAX_HEADER_LIST_SIZE, 100)]))
    wait_ack(c)
    c.alive(get(), 1)


@case("6.5", "SETTINGS with ACK and a payload is FRAME_SIZE_ERROR")
def _(c):
    c.send(frame(SETTINGS, ACK, 0, b"\0"))
    c.connection_error(FRAME_SIZE_ERROR)


@case("6.5", "SETTINGS of a stream is PROTOCOL_ERROR")
def _(c):
    c.send(settings_frame([(MAX_CONCURRENT_STREAMS, 10)], stream=1))
    c.connection_error(PROTOCOL_ERROR)


@case("6.5", "SETTINGS of no multiple of 6 bytes is FRAME_SIZE_ERROR")
def _(c):
    c.send(frame(SETTINGS, 0, 0, b"\0\x03\0"))
    c.connection_error(FRAME_SIZE_ERROR)


@case("6.5.2", "SETTINGS_ENABLE_PUSH of 2 is PROTOCOL_ERROR")
def _(c):
    c.send(settings_frame([(ENABLE_PUSH, 2)]))
    c.connection_error(PROTOCOL_ERROR)


@case("6.5.2", "SETTINGS_INITIAL_WINDOW_SIZE of 2^31 is FLOW_CONTROL_ERROR")
def _(c):
    c.send(settings_frame([(INITIAL_WINDOW_SIZE, 1 << 31)]))
    c.connection_error(FLOW_CONTROL_ERROR)


@case("6.5.2", "SETTINGS_MAX_FRAME_SIZE below 2^14 is PROTOCOL_ERROR")
def _(c):
    c.send(settings_frame([(MAX_FRAME_SIZE, 16383)]))
    c.connection_error(PROTOCOL_ERROR)


@case("6.5.2", "SETTINGS_MAX_FRAME_SIZE of 2^24 is PROTOCOL_ERROR")
def _(c):
    c.send(settings_frame([(MAX_FRAME_SIZE, 1 << 24)]))
    c.connection_error(PROTOCOL_ERROR)


@case("6.5.2", "an unknown setting is passed over")
def _(c):
    c.send(settings_frame([(0xFF, 1)]))
    wait_ack(c)
    c.alive(get(), 1)


@case("6.5.3", "values are taken in order: the last one counts")
def _(c):
    c.send(settings_frame([(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]))
    c.headers(1, get(PAGE))
    first_data(c, 1, 1)


@case("6.6", "a client that pushes is a PROTOCOL_ERROR")
def _(c):
    c.send(frame(PUSH_PROMISE, END_HEADERS, 1, b"\0\0\0\x02" + block(get())))
    c.connection_error(PROTOCOL_ERROR)


@case("6.7", "PING is answered with its bytes")
def _(c):
    c.ping(b"8 bytes!")


@case("6.7", "PING with ACK is not")
def _(c):
    c.send(frame(PING, ACK, 0, b"answered"))
    c.ping(b"question")


@case("6.7", "PING of a stream is PROTOCOL_ERROR")
def _(c):
    c.send(frame(PING, 0, 1, b"8 bytes!"))
    c.connection_error(PROTOCOL_ERROR)


@case("6.7", "PING of another length than 8 is FRAME_SIZE_ERROR")
def _(c):
    c.send(frame(PING, 0, 0, b"6bytes"))
    c.connection_error(FRAME_SIZE_ERROR)


@case("6.8", "GOAWAY of a stream is PROTOCOL_ERROR")
def _(c):
    c.send(frame(GOAWAY, 0, 1, b"\0" * 8))
    c.connection_error(PROTOCOL_ERROR)


@case("6.8", "behind a GOAWAY what runs is answered, and a PING, or the connection ends")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(frame(GOAWAY, 0, 0, b"\0" * 8 + b"bye"))
    c.data(1, FORM)
    is_two(c.answer(1)[1])


@case("6.9", "WINDOW_UPDATE of the connection and of a stream is right")
def _(c):
    c.send(window_update(0, 1))
    c.headers(1, post(), OPEN)
    c.send(window_update(1, 1))
    c.data(1, FORM)
    is_two(c.answer(1)[1])


@case("6.9", "WINDOW_UPDATE by 0 is PROTOCOL_ERROR of the connection")
def _(c):
    c.send(window_update(0, 0))
    c.connection_error(PROTOCOL_ERROR)


@case("6.9", "WINDOW_UPDATE by 0 of a stream is PROTOCOL_ERROR of it")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(window_update(1, 0))
    c.stream_error(1, PROTOCOL_ERROR)


@case("6.9", "WINDOW_UPDATE of another length than 4 is FRAME_SIZE_ERROR")
def _(c):
    c.send(frame(WINDOW_UPDATE, 0, 0, b"\0\0\x01"))
    c.connection_error(FRAME_SIZE_ERROR)


@case("6.9.1", "a window of 1 has 1 byte sent", initial_window_size=1)
def _(c):
    c.headers(1, get(PAGE))
    first_data(c, 1, 1)


@case("6.9.1", "a window over 2^31-1 is FLOW_CONTROL_ERROR")
def _(c):
    c.send(window_update(0, (1 << 31) - 1), window_update(0, (1 << 31) - 1))
    c.connection_error(FLOW_CONTROL_ERROR)


@case("6.9.1", "so is one of a stream")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(window_update(1, (1 << 31) - 1), window_update(1, (1 << 31) - 1))
    c.stream_error(1, FLOW_CONTROL_ERROR)


@case("6.9.2", "a window that grows by SETTINGS has more sent", initial_window_size=0)
def _(c):
    c.headers(1, get(PAGE))
    until_headers(c, 1)
    c.send(settings_frame([(INITIAL_WINDOW_SIZE, 1)]))
    first_data(c, 1, 1)


@case("6.9.2", "a window may become negative", initial_window_size=3)
def _(c):
    c.headers(1, get(PAGE))
    first_data(c, 1, 3)
    c.send(settings_frame([(INITIAL_WINDOW_SIZE, 2)]))
    wait_ack(c)
    c.send(window_update(1, 2))
    first_data(c, 1, 1)


@case("6.9.2", "SETTINGS that make the window of a stream too large are FLOW_CONTROL_ERROR, of the stream at least", initial_window_size=0)
def _(c):
    c.headers(1, post(), OPEN)
    c.send(window_update(1, (1 << 31) - 1), settings_frame([(INITIAL_WINDOW_SIZE, 1)]))
    c.stream_error(1, FLOW_CONTROL_ERROR)


@case("6.9.2", "the window of the connection counts as well", initial_window_size=1 << 20)
def _(c):
    got = 0
    c.headers(1, get(PAGE))
    size = len(c.answer(1)[1])
    for i in range((65535 - size) // size + 20):
        c.headers(3 + 2 * i, get(PAGE))
    while got + size < 65535:
        kind, flags, stream, payload = c.read()
        if kind == RST_STREAM or kind == GOAWAY:
            raise Wrong(f"frame {kind}, code {code_of(payload)}")
        if kind == HEADERS:
            c.decoder.decode(payload)
        if kind == DATA:
            got += len(payload)
    if got + size > 65535:
        raise Wrong(f"{got + size} bytes of a window of 65,535")
    c.ping()


@case("6.10", "CONTINUATION goes on with a header block, in several frames, empty ones too")
def _(c):
    raw = block(get(more=[literal("x-long", "y" * 200)]))
    c.send(frame(HEADERS, END_STREAM, 1, raw[:7]), frame(CONTINUATION, 0, 1, raw[7:100]), frame(CONTINUATION, 0, 1), frame(CONTINUATION, END_HEADERS, 1, raw[100:]))
    c.answer(1)


@case("6.10", "another frame between CONTINUATIONs is PROTOCOL_ERROR")
def _(c):
    raw = block(get())
    c.send(frame(HEADERS, END_STREAM, 1, raw[:5]), frame(CONTINUATION, 0, 1, raw[5:]), frame(DATA, END_STREAM, 1, b"x"))
    c.connection_error(PROTOCOL_ERROR)


@case("6.10", "CONTINUATION of stream 0 is PROTOCOL_ERROR")
def _(c):
    c.headers(1, get(), END_STREAM)
    c.send(frame(CONTINUATION, END_HEADERS, 0, literal("x", "y")))
    c.connection_error(PROTOCOL_ERROR)


@case("6.10", "CONTINUATION of another stream is PROTOCOL_ERROR")
def _(c):
    c.headers(1, get(), END_STREAM)
    c.send(frame(CONTINUATION, END_HEADERS, 3, literal("x", "y")))
    c.connection_error(PROTOCOL_ERROR)


@case("6.10", "CONTINUATION behind a whole header block is PROTOCOL_ERROR")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(frame(CONTINUATION, END_HEADERS, 1, literal("x", "y")))
    c.connection_error(PROTOCOL_ERROR)


@case("6.10", "CONTINUATION behind a CONTINUATION with END_HEADERS is PROTOCOL_ERROR")
def _(c):
    raw = block(post())
    c.send(frame(HEADERS, 0, 1, raw[:5]), frame(CONTINUATION, END_HEADERS, 1, raw[5:]), frame(CONTINUATION, END_HEADERS, 1, literal("x", "y")))
    c.connection_error(PROTOCOL_ERROR)


@case("6.10", "CONTINUATION behind DATA is PROTOCOL_ERROR")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, literal("x", "y")))
    c.connection_error(PROTOCOL_ERROR)


# --- 7: error codes ---

@case("7", "unknown error codes are passed over")
def _(c):
    c.headers(1, post(), OPEN)
    c.send(reset(1, 0xFF))
    c.alive(get(), 3)


# --- 8: messages ---

@case("8.1", "GET, HEAD, POST, and POST with trailers")
def _(c):
    c.headers(1, get(PAGE))
    fields, body = c.answer(1)
    if len(body) != int(fields["content-length"]):
        raise Wrong("content-length")
    c.headers(3, get(PAGE, "HEAD"))
    again, nothing = c.answer(3)
    if nothing or again["content-length"] != fields["content-length"]:
        raise Wrong("HEAD")
    c.headers(5, post([literal("content-length", str(len(FORM)))]), OPEN)
    c.data(5, FORM)
    is_two(c.answer(5)[1])
    c.headers(7, post([literal("trailer", "x-test")]), OPEN)
    c.data(7, FORM, 0)
    c.headers(7, [literal("x-test", "ok")])
    is_two(c.answer(7)[1])


@case("8.1", "a second HEADERS without END_STREAM is an error of the stream")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, FORM, 0)
    c.headers(1, [literal("x-test", "ok")], OPEN)
    c.stream_error(1, PROTOCOL_ERROR)


@case("8.1", "pseudo fields in trailers are malformed")
def _(c):
    c.headers(1, post(), OPEN)
    c.data(1, FORM, 0)
    c.headers(1, [literal(2, "GET")])
    c.stream_error(1, PROTOCOL_ERROR)


MALFORMED = [
    ("8.2.1", "a name in upper case", lambda: get(more=[literal("X-TEST", "ok")])),
    ("8.2.1", "a name with a blank", lambda: get(more=[literal("x test", "ok")])),
    ("8.2.1", "a name with a colon", lambda: get(more=[literal("x:test", "ok")])),
    ("8.2.1", "a name with a control character", lambda: get(more=[literal("x\x01", "ok")])),
    ("8.2.1", "a name beyond ASCII", lambda: get(more=[literal("x\xff", "ok")])),
    ("8.2.1", "an empty name", lambda: get(more=[literal("", "ok")])),
    ("8.2.1", "a value with NUL", lambda: get(more=[literal("x-test", "a\0b")])),
    ("8.2.1", "a value with CR", lambda: get(more=[literal("x-test", "a\rb")])),
    ("8.2.1", "a value with LF", lambda: get(more=[literal("x-test", "a\nx: y")])),
    ("8.2.1", "a value that begins with a blank", lambda: get(more=[literal("x-test", " a")])),
    ("8.2.1", "a value that ends with a tab", lambda: get(more=[literal("x-test", "a\t")])),
    ("8.2.2", "connection", lambda: get(more=[literal("connection", "keep-alive")])),
    ("8.2.2", "keep-alive", lambda: get(more=[literal("keep-alive", "5")])),
    ("8.2.2", "proxy-connection", lambda: get(more=[literal("proxy-connection", "keep-alive")])),
    ("8.2.2", "transfer-encoding", lambda: get(more=[literal("transfer-encoding", "chunked")])),
    ("8.2.2", "upgrade", lambda: get(more=[literal("upgrade", "h2c")])),
    ("8.2.2", "te with something else than trailers", lambda: get(more=[literal("te", "trailers, deflate")])),
    ("8.3", "an unknown pseudo field", lambda: get(more=[literal(":test", "ok")])),
    ("8.3", "a pseudo field of answers", lambda: get(more=[literal(8, "200")])),
    ("8.3", "a pseudo field behind others", lambda: [literal("x-test", "ok"), *get()]),
    ("8.3", "a pseudo field behind others, once more", lambda: [*get(), literal("x-test", "ok"), literal(4, "/")]),
    ("8.3.1", "an empty :path", lambda: get("")),
    ("8.3.1", "a :path that is none", lambda: get("healthy")),
    ("8.3.1", "no :method", lambda: get()[1:]),
    ("8.3.1", "no :scheme", lambda: [get()[0], *get()[2:]]),
    ("8.3.1", "no :path", lambda: [*get()[:2], get()[3]]),
    ("8.3.1", "two of :method", lambda: [get()[0], *get()]),
    ("8.3.1", "two of :scheme", lambda: [get()[1], *get()]),
    ("8.3.1", "two of :path", lambda: [get()[2], *get()]),
    ("8.3.1", "two of :authority", lambda: [get()[3], *get()]),
    ("8.3.1", "a :method that is no token", lambda: get(method="G ET")),
    ("8.3.1", "a :path with a blank", lambda: get("/-/heal thy")),
    ("8.3.1", "a :path with a line in it", lambda: get("/ HTTP/1.1\r\nHost: x\r\n\r\n")),
    ("8.3.1", "an :authority with a line in it", lambda: get(authority="a\r\nx: y")),
    ("8.5", "CONNECT with a :path", lambda: get(method="CONNECT")),
]
for _section, _title, _fields in MALFORMED:
    def _malformed(c, fields=_fields):
        c.headers(1, fields())
        if c.stream_error(1, PROTOCOL_ERROR) in ("reset", "400"):
            c.alive(get(), 3)
    CASES.append((_section, f"malformed: {_title}", _malformed, []))


@case("8.2.2", "te: trailers is right")
def _(c):
    c.headers(1, get(more=[literal("te", "trailers")]))
    c.answer(1)


@case("8.1.1", "a body longer than its content-length is malformed")
def _(c):
    c.headers(1, post([literal("content-length", "1")]), OPEN)
    c.data(1, FORM)
    c.stream_error(1, PROTOCOL_ERROR)


@case("8.1.1", "so is a shorter one, in two frames")
def _(c):
    c.headers(1, post([literal("content-length", "100")]), OPEN)
    c.data(1, FORM[:5], 0)
    c.data(1, FORM[5:])
    c.stream_error(1, PROTOCOL_ERROR)


@case("8.1.1", "so is none at all")
def _(c):
    c.headers(1, post([literal("content-length", "5")]))
    c.stream_error(1, PROTOCOL_ERROR)


@case("8.1.1", "two content-lengths that differ are malformed")
def _(c):
    c.headers(1, post([literal("content-length", "11"), literal("content-length", "12")]), OPEN)
    c.data(1, FORM)
    c.stream_error(1, PROTOCOL_ERROR)


@case("8.1.1", "a content-length that is no number is malformed")
def _(c):
    c.headers(1, post([literal("content-length", "1x")]), OPEN)
    c.data(1, FORM)
    c.stream_error(1, PROTOCOL_ERROR)


# --- RFC 7541 ---

def fields_by(how):
    def asks(c):
        for i, packed in enumerate((False, True)):
            raw = b"".join((literal(2, "GET", how, packed), literal(6, SCHEME, how, packed), literal(4, SMALL, how, packed), literal(1, "127.0.0.1", how, packed),
                            literal("x-new", "some value", how, packed)))
            c.headers(1 + 2 * i, raw)
            c.answer(1 + 2 * i)
        if how == "incremental":  # ten entries, the newest first
            c.headers(5, b"".join(index(62 + i) for i in (4, 3, 2, 1, 0)))
            c.answer(5)
    return asks


for _how in ("incremental", "without", "never"):
    CASES.append(("6.2 of RFC 7541", f"literals with indexed and new names, plain and Huffman-coded: {_how}", fields_by(_how), []))


@case("6.1 of RFC 7541", "indexed fields of the static table")
def _(c):
    c.headers(1, index(2) + index(6 if SCHEME == "http" else 7) + index(4) + literal(1, "127.0.0.1"))
    c.answer(1)


@case("6.3 of RFC 7541", "table size updates, at the beginning of a block")
def _(c):
    c.headers(1, table_size(0) + block(get()))
    c.answer(1)
    c.headers(3, table_size(0) + table_size(4096) + block(get()))
    c.answer(3)


@case("2.3.3 of RFC 7541", "an index beyond the tables is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + index(70))
    c.connection_error(COMPRESSION_ERROR)


@case("2.3.3 of RFC 7541", "so is one of a literal's name")
def _(c):
    c.headers(1, block(get()) + literal(70, "x", "incremental"))
    c.connection_error(COMPRESSION_ERROR)


@case("4.2 of RFC 7541", "a table size update at the end of a block is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + table_size(1))
    c.connection_error(COMPRESSION_ERROR)


@case("5.1 of RFC 7541", "an integer that is too large is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + b"\xff" + b"\xff" * 20 + b"\x01")
    c.connection_error(COMPRESSION_ERROR)


@case("5.2 of RFC 7541", "Huffman padding of more than 7 bits is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + b"\0" + string("x") + octets(huffman(b"0") + "1" * 11))
    c.connection_error(COMPRESSION_ERROR)


@case("5.2 of RFC 7541", "Huffman padding by zeroes is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + b"\0" + string("x") + octets(huffman(b"1") + "000"))
    c.connection_error(COMPRESSION_ERROR)


@case("5.2 of RFC 7541", "a Huffman-coded string with EOS in it is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + b"\0" + string("x") + octets(huffman(b"0") + EOS + huffman(b"0")))
    c.connection_error(COMPRESSION_ERROR)


@case("5.2 of RFC 7541", "a string that is longer than its block is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + b"\0" + string("x") + integer(100, 7) + b"short")
    c.connection_error(COMPRESSION_ERROR)


@case("6.1 of RFC 7541", "index 0 is COMPRESSION_ERROR")
def _(c):
    c.headers(1, block(get()) + index(0))
    c.connection_error(COMPRESSION_ERROR)


@case("6.3 of RFC 7541", "a table size over SETTINGS_HEADER_TABLE_SIZE is COMPRESSION_ERROR")
def _(c):
    c.headers(1, table_size(c.settings.get(HEADER_TABLE_SIZE, 4096) + 1) + block(get()))
    c.connection_error(COMPRESSION_ERROR)


# --- what cases share ---

def wait_ack(c):
    while True:
        kind, flags, _, payload = c.read()
        if kind == GOAWAY:
            raise Wrong(f"GOAWAY {code_of(payload)}")
        if kind == HEADERS:
            c.decoder.decode(payload)
        if kind == SETTINGS and flags & ACK:
            return


def until_headers(c, stream):
    while True:
        kind, _, s, payload = c.read()
        if kind in (GOAWAY, RST_STREAM, DATA):
            raise Wrong(f"frame {kind} before HEADERS")
        if kind == HEADERS:
            c.decoder.decode(payload)
            if s == stream:
                return


def first_data(c, stream, length):
    """The next DATA has so many bytes; behind a PING no more have come."""
    while True:
        kind, _, s, payload = c.read()
        if kind in (GOAWAY, RST_STREAM):
            raise Wrong(f"frame {kind}, code {code_of(payload)}")
        if kind == HEADERS:
            c.decoder.decode(payload)
        if kind == DATA and s == stream:
            if len(payload) != length:
                raise Wrong(f"{len(payload)} bytes, not {length}")
            return


def closed_or_ignored(c, stream):
    """A frame behind RST_STREAM may have been on its way: it is ignored, or STREAM_CLOSED (RFC 9113, 5.1)."""
    c.headers(stream, get())
    while True:
        kind, _, s, payload = c.read()
        if kind in (GOAWAY, RST_STREAM) and code_of(payload) != STREAM_CLOSED:
            raise Wrong(f"frame {kind}, code {code_of(payload)}")
        if kind == GOAWAY or (kind == HEADERS and s == stream):
            return


def error_or_answer(c, stream, code):
    while True:
        kind, _, s, payload = c.read()
        if kind in (GOAWAY, RST_STREAM):
            if code_of(payload) != code:
                raise Wrong(f"frame {kind}, code {code_of(payload)}")
            return
        if kind == HEADERS and s == stream:
            return


def run(name, connect):
    for section, title, fn, settings in CASES:
        where = section if "of RFC" in section else f"{section} of RFC 9113"
        try:
            c = Connection(connect())
            try:
                c.handshake(settings)
                fn(c)
                right, why = True, ""
            finally:
                c.close()
        except Wrong as e:
            right, why = False, str(e)
        except Closed as e:
            right, why = False, f"the connection ends ({e})"
        except Exception as e:
            right, why = False, repr(e)
        ok(right, f"{name}: {where}: {title}{': ' + why if why else ''}")


def certificate(folder):
    """Of this machine, signed by itself."""
    cert, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
                    "-keyout", key, "-out", cert], check=True, capture_output=True, timeout=PATIENCE)
    os.chmod(key, 0o600)
    return cert, key


def over_tls(port, cert):
    context = ssl.create_default_context(cafile=cert)
    context.set_alpn_protocols(["h2"])

    def connect():
        s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE), server_hostname="127.0.0.1")
        if s.selected_alpn_protocol() != "h2":
            raise Wrong(f"ALPN chooses {s.selected_alpn_protocol()}")
        return s
    return connect


top = tmpdir("h2spec")
k = Kymod(os.path.join(top, "plain"))
run("plain", lambda: socket.create_connection(("127.0.0.1", k.port)))

# What is no preface is HTTP/1.1 on this port, and refused as that.
s = socket.create_connection(("127.0.0.1", k.port), timeout=PATIENCE)
s.sendall(b"INVALID CONNECTION PREFACE\r\n\r\n")
said = b""
while more := s.recv(65536):
    said += more
ok(said.startswith(b"HTTP/1.1 400 "), f"a preface that is none is an answer of HTTP/1.1, then the end: {said[:80]}")
status, _, _ = request(k.port, "GET", SMALL)
ok(status == 200 and k.alive(), "the server goes on")
ok(k.end() == 0, "and ends well")

SCHEME = "https"
cert, key = certificate(top)
with open(os.path.join(top, "web.yml"), "w") as f:
    f.write(f"tls_server_config: {{cert_file: {cert}, key_file: {key}}}\n")
k = Kymod(os.path.join(top, "tls"), "--web.config.file", os.path.join(top, "web.yml"), wait=False)
connect, end = over_tls(k.port, cert), time.time() + PATIENCE
while True:
    try:
        c = Connection(connect())
        c.handshake()
        c.headers(1, get("/-/ready"))
        c.answer(1)
        break
    except (OSError, Wrong, Closed):
        if time.time() > end or not k.alive():
            raise
        time.sleep(0.05)
run("TLS", connect)
ok(k.alive() and k.end() == 0, "the server over TLS ends well")
shutil.rmtree(top)
done()
