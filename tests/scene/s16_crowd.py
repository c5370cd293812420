#!/usr/bin/env python3
"""One client against all others: announced bodies, pipelined requests that nobody reads, large forms. Good clients go on meanwhile, from the same address, and turns stay short."""
import resource, shutil, socket, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

resource.setrlimit(resource.RLIMIT_NOFILE, (2048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
SECONDS = float(os.environ.get("KYMO_CROWD_S", "4"))
top = tmpdir("crowd")
k = Kymod(os.path.join(top, "data"), "--loops", "2", "--wal.sync", "off", "--no-self-metrics")


def good(stop, took, bad):
    """A write of ten samples and a small query in turn, one connection each."""
    c, i = http.client.HTTPConnection("127.0.0.1", k.port, timeout=60), 0
    while time.time() < stop:
        i += 1
        begin = time.time()
        if i % 2:
            raw = b"".join(series({"__name__": "m", "i": str(n)}, [(int(begin * 1000), i)]) for n in range(10))
            c.request("POST", "/api/v1/write", snappy(raw), WRITE_HEADERS)
        else:
            c.request("GET", "/api/v1/query?query=sum(m)")
        r = c.getresponse()
        r.read()
        if r.status >= 300:
            bad.append(r.status)
        took.append(time.time() - begin)


def beside(what, attack):
    took, bad = [], []
    held = attack()
    threads = [threading.Thread(target=good, args=(time.time() + SECONDS, took, bad)) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for s in held:
        s.close()
    took.sort()
    note(f"{what}: {len(took)} good requests, median {1000 * took[len(took) // 2]:.1f} ms, p99 {1000 * took[len(took) * 99 // 100]:.1f} ms, slowest {1000 * took[-1]:.1f} ms")
    ok(len(took) > 5 and not bad, f"{what}: no good request is refused ({len(bad)} of {len(took)})")
    return took


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value):
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


def announced():
    """Five HTTP/2 connections of 120 streams that announce 1 MiB each and send nothing."""
    head = b"\x83\x86" + literal(b":path", b"/api/v1/write") + literal(b":authority", b"x") + literal(b"content-type", b"application/x-protobuf") + literal(b"content-encoding", b"snappy") + literal(b"content-length", b"1048576")
    out = []
    for _ in range(5):
        s = socket.create_connection(("127.0.0.1", k.port))
        s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + b"".join(frame(1, 4, 1 + 2 * n, head) for n in range(120)))
        out.append(s)
    return out


def pipelined():
    """400 connections, 50 requests each, unread."""
    out = []
    for _ in range(400):
        s = socket.create_connection(("127.0.0.1", k.port))
        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50)
        out.append(s)
    return out


def forms():
    """Forms of 9 MB: the parameters of a query at their end."""
    body = b"pad=" + b"%41" * 3000000 + b"&query=1"
    out = []
    for _ in range(8):
        s = socket.create_connection(("127.0.0.1", k.port))
        threading.Thread(target=s.sendall, args=(b"POST /api/v1/query HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n" % len(body) + body,), daemon=True).start()
        out.append(s)
    return out


quiet = beside("quiet", lambda: [])
beside("announced bodies", announced)
took = beside("pipelined requests", pipelined)
ok(took[len(took) // 2] < max(0.5, 100 * quiet[len(quiet) // 2]), "no good client waits for all of them")
beside("large forms", forms)

metrics = request(k.port, "GET", "/metrics")[1].decode()
turns = [(float(m.group(1)), int(m.group(2))) for m in re.finditer(r'kymo_loop_turn_cpu_seconds_bucket\{le="([0-9.e+-]+)"\} (\d+)', metrics)]
note("turns by CPU time: " + " ".join(f"{le}:{n}" for le, n in turns))
within = max(n for le, n in turns if le <= 0.005)
ok(turns[-1][1] - within <= turns[-1][1] // 1000, f"turns take less than 5 ms of CPU time ({turns[-1][1] - within} of {turns[-1][1]} more)")

# Dashboards ask with long URLs: 200 selectors, 60 KB.
write(k.port, series({"__name__": "up", "pod": "pod-7-of-a-deployment", "job": "a"}, [(int(time.time() * 1000), 1)]))
sets = [f'up{{pod="pod-{n}-of-a-deployment",job!="{"x" * 260}"}}' for n in range(200)]
status, a = api(k.port, "label/job/values", **{"match[]": sets})
ok(status == 200 and a["data"] == ["a"], f"a URL of {len(''.join(sets))} bytes and more is answered ({status})")

# All of it is given back.
end = time.time() + 90
while time.time() < end:
    metrics = request(k.port, "GET", "/metrics")[1].decode()
    left = {n: float(re.search(rf'^kymo_memory_bytes{{part="{n}"}} (\S+)$', metrics, re.M).group(1)) for n in ("inflight", "answers")}
    if not any(left.values()):
        break
    time.sleep(0.1)
ok(not any(left.values()), f"nothing is held when all have left ({left})")
ok(k.end() == 0, "SIGTERM ends with status 0")
shutil.rmtree(top)
done()
