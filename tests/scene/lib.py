"""What the scenes share: TAP, a kymod on a free port, HTTP, Remote Write by hand, exact comparison of answers."""
import atexit, http.client, json, os, random, re, shutil, signal, socket, struct, subprocess, sys, tempfile, time, urllib.parse

SRC = os.environ.get("KYMO_SRC", ".")
BUILD = os.environ.get("KYMO_BUILD", "build")
KYMOD = os.path.join(BUILD, "kymod")
BENCH = os.path.join(BUILD, "kymobench")
_n = 0
_failed = 0
_ended = False
_dirs = []


@atexit.register
def _tidy_up():
    """Runs last, when all processes have ended. What a scene that failed has left is there to be looked at."""
    if _ended and not _failed:
        for d in _dirs:
            shutil.rmtree(d, ignore_errors=True)


def ok(cond, text):
    global _n, _failed
    _n += 1
    if not cond:
        _failed += 1
    print(f"{'ok' if cond else 'not ok'} {_n} - {text}", flush=True)
    return bool(cond)


def note(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def done():
    global _ended
    _ended = True
    print(f"1..{_n}", flush=True)
    sys.exit(1 if _failed else 0)


def skip(text, why):
    """A case that could not run here; it never hides a failure."""
    global _n
    _n += 1
    print(f"ok {_n} # SKIP {text}: {why}", flush=True)


def skip_all(why):
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def need(*programs):
    for p in programs:
        if not shutil.which(p):
            skip_all(f"{p} is not installed")


def free_ports(n):
    """So many that nobody has, each another one."""
    held = []
    for _ in range(n):
        s = socket.socket()
        s.bind(("127.0.0.1", 0))
        held.append(s)
    numbers = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return numbers


def free_port():
    return free_ports(1)[0]


class Process:
    """A process started by a scene and ended by it, by its own id."""

    def __init__(self, argv, log, cwd=None, env=None):
        self.log = open(log, "ab")
        self.log_path = log
        self.p = subprocess.Popen(argv, stdout=self.log, stderr=self.log, cwd=cwd, env=env)
        self.pid = self.p.pid
        atexit.register(self.leave)

    def leave(self):
        """A scene that breaks off leaves nothing running."""
        if self.alive():
            self.p.kill()
            self.p.wait()

    def alive(self):
        return self.p.poll() is None

    def end(self, sig=signal.SIGTERM, timeout=60):
        if self.alive():
            self.p.send_signal(sig)
        try:
            return self.p.wait(timeout)
        except subprocess.TimeoutExpired:
            self.p.kill()
            self.p.wait()
            return "killed after timeout"
        finally:
            self.log.close()


class Kymod(Process):
    def __init__(self, data, *flags, port=None, wait=True, prefix=(), env=None):
        self.port = port or free_port()
        self.data = data
        super().__init__([*prefix, KYMOD, "--data-dir", data, "--listen", f"127.0.0.1:{self.port}", *flags], data + ".log", env=env)
        if wait:
            self.wait_ready()

    def wait_ready(self, timeout=90):
        end = time.time() + timeout
        while time.time() < end:
            if not self.alive():
                raise RuntimeError("kymod ended at start:\n" + tail(self.log_path))
            try:
                if request(self.port, "GET", "/-/ready")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError("kymod not ready:\n" + tail(self.log_path))


def tail(path, n=30):
    try:
        return "\n".join(open(path, errors="replace").read().splitlines()[-n:])
    except OSError as e:
        return str(e)


def request(port, method, path, body=None, headers=None, timeout=60):
    c = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        c.request(method, path, body, headers or {})
        r = c.getresponse()
        return r.status, r.read(), {k.title(): v for k, v in r.getheaders()}
    finally:
        c.close()


def api(port, path, **params):
    q = urllib.parse.urlencode(params, doseq=True)
    status, body, _ = request(port, "GET", f"/api/v1/{path}?{q}")
    return status, json.loads(body) if body[:1] == b"{" else body


def reread(k, timeout=90):
    """The configuration is read again: True when every loop has the new one."""
    def taken():
        lines = request(k.port, "GET", "/metrics")[1].decode().splitlines()
        return [line for line in lines if line.startswith('kymo_config_reloads_total{result="taken"}')]
    before, end = taken(), time.time() + timeout
    k.p.send_signal(signal.SIGHUP)
    while taken() == before and time.time() < end:
        time.sleep(0.05)
    return taken() != before


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(no, data):
    return varint(no << 3 | 2) + varint(len(data)) + data


def series(labels, samples):
    """labels: dict; samples: [(t_ms, v)]. One TimeSeries of a WriteRequest."""
    out = b""
    for k in sorted(labels):
        out += field(1, field(1, k.encode()) + field(2, labels[k].encode()))
    for t, v in samples:
        out += field(2, b"\x09" + struct.pack("<d", v) + b"\x10" + varint(t & (1 << 64) - 1))
    return field(1, out)


def snappy(raw):
    """Literals only: legal, uncompressed."""
    out = varint(len(raw))
    for i in range(0, len(raw), 60000):
        piece = raw[i:i + 60000]
        n = len(piece) - 1
        out += (bytes([n << 2]) if n < 60 else bytes([61 << 2]) + struct.pack("<H", n)) + piece
    return out


WRITE_HEADERS = {"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0"}


def write(port, raw, timeout=60):
    return request(port, "POST", "/api/v1/write", snappy(raw), WRITE_HEADERS, timeout)


def result_map(data):
    """data of a query answer -> {labels: [(t, value text)]}."""
    out = {}
    for s in data["result"]:
        key = tuple(sorted(s["metric"].items()))
        out[key] = s["values"] if "values" in s else [s["value"]]
    return out


def close(a, b, rel=1e-9):
    x, y = float(a), float(b)
    if x != x or y != y:
        return x != x and y != y
    return x == y or abs(x - y) <= rel * max(abs(x), abs(y))


def tmpdir(stem, top=None):
    _dirs.append(tempfile.mkdtemp(prefix=f"kymo-{stem}-", dir=top))
    return _dirs[-1]
