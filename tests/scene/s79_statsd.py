#!/usr/bin/env python3
"""StatsD and DogStatsD: many packets by UDP give an exact sum, as do TCP and unix sockets in any pieces; tenants, types, sets, timers,
timestamps, rules that are read again, series that end, bad lines, hostile connections; SIGTERM loses nothing, and a restart is a reset."""
import socket, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

PACKETS = int(os.environ.get("KYMO_STATSD_PACKETS", "20000"))
BURST = 128  # packets that fit the smallest receive buffer a kernel gives
top = tmpdir("statsd")
conf, rules = os.path.join(top, "kymod.yml"), os.path.join(top, "mapping.yml")
port, gram, stream = free_port(), os.path.join(top, "gram.sock"), os.path.join(top, "stream.sock")
TTL = "4s"


def put(name, text):
    with open(name + ".new", "w") as f:
        f.write(text)
    os.chmod(name + ".new", 0o600)
    os.replace(name + ".new", name)


def put_rules(labels):
    put(rules, f"""
defaults: {{ttl: 10m, histogram_options: {{buckets: [0.1, 1]}}}}
mappings:
- {{match: "http.*.requests.*", name: "http_requests", labels: {labels}}}
- {{match: "short.*", name: "short_$1", ttl: {TTL}}}
- {{match: "noise.*", name: noise, action: drop}}
- {{match: '^quantiles\\.(.+)$', match_type: regex, name: "q_$1", observer_type: summary}}
- {{match: "native.*", name: "native_$1", observer_type: native}}
""")


put_rules('{service: "$1", code: "$2"}')
put(conf, f"""
web: {{enable_lifecycle: true}}
identities:
  anonymous: {{roles: [read, admin], trusted: true, tenants: ["*"], tenant: default}}
receivers:
  statsd:
    flush_interval: 500ms
    mapping_file: mapping.yml
    connections: 8
    relabel_configs: [{{source_labels: [__name__], regex: secret.*, action: drop}}]
    listen:
    - {{address: "udp://127.0.0.1:{port}"}}
    - {{address: "tcp://127.0.0.1:{port}"}}
    - {{address: "unixgram://{gram}", dialect: dogstatsd}}
    - {{address: "unix://{stream}", dialect: dogstatsd, tenant: acme, mode: "0600"}}
""")
k = Kymod(os.path.join(top, "data"), "--config", conf, "--loops", "2", "--no-self-metrics")


def metric(name, **labels):
    text = request(k.port, "GET", "/metrics")[1].decode()
    want = "".join(f'{n}="{v}"' for n, v in labels.items())
    return sum(float(x.rsplit(" ", 1)[1]) for x in text.splitlines() if x.split("{")[0].split(" ")[0] == name and want in x)


def query(text, tenant="default"):
    q = urllib.parse.urlencode({"query": text})
    body = request(k.port, "GET", "/api/v1/query?" + q, headers={"X-Scope-OrgID": tenant})[1]
    out = {}
    for r in json.loads(body)["data"]["result"]:
        m = dict(r["metric"])
        out[m.pop("__name__", "") + "".join(f",{a}={b}" for a, b in sorted(m.items()))] = r
    return out


def now(text, tenant="default"):
    return {a: float(r["value"][1]) for a, r in query(text, tenant).items()}


def becomes(text, want, what, tenant="default"):
    end = time.time() + 120
    got = None
    while time.time() < end and got != want:
        got = now(text, tenant)
        time.sleep(0.05)
    ok(got == want, f"{what}: {got if got != want else ''}")


def counted(name, want, **labels):
    end = time.time() + 120
    while time.time() < end and metric(name, **labels) < want:
        time.sleep(0.01)
    return metric(name, **labels)


# Many packets, from several ports, so that each loop has some of every series.
udp = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
for s in udp:
    s.connect(("127.0.0.1", port))
for i in range(0, PACKETS, BURST):
    n = min(BURST, PACKETS - i)
    for j in range(i, i + n):
        udp[j % 8].send(b"http.shop.requests.%d:1|c\nall:3|c" % (200 + j % 50))
    counted("kymo_statsd_packets_total", i + n, transport="udp")
ok(metric("kymo_statsd_packets_total", transport="udp") == PACKETS and metric("kymo_statsd_kernel_drops_total") == 0, f"{PACKETS} packets have come")
becomes("all", {"all": 3.0 * PACKETS}, "their sum is exact")
becomes("sum(http_requests)", {"": float(PACKETS)}, "of series of all loops, too")
ok(len(now('http_requests{service="shop"}')) == min(50, PACKETS), "with the labels of the rule")
first = query("all[1h]")["all"]["values"]
ok(float(first[0][1]) == 0 and float(first[-1][1]) == 3 * PACKETS, f"a counter begins with 0: {first[:2]}")
ok(metric("kymo_statsd_samples_total") == 2 * PACKETS, "each line is counted")

# Lines by TCP in pieces of all sizes, over turns.
tcp = socket.create_connection(("127.0.0.1", port))
lines = b"".join(b"tcp.lines:%d|c\n" % (i % 7) for i in range(5000))
at = 0
for size in (1, 2, 3, 5, 8, 13, 1000, 40000, len(lines)):
    tcp.sendall(lines[at:at + size])
    at += size
    time.sleep(0.002)
becomes("tcp_lines", {"tcp_lines": float(sum(i % 7 for i in range(5000)))}, "lines in pieces")
tcp.sendall(b"tcp.end:1|c\ntcp.cut:1|c|@0")
tcp.close()
becomes("tcp_end", {"tcp_end": 1.0}, "the last whole line")
ok(counted("kymo_statsd_refused_total", 1, reason="cut") == 1 and not now("tcp_cut"), "a line that is cut is none")

# Types and dialects.
dog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
dog.connect(gram)
dog.send(b"temp:-7|g|#room:a,new\nusers:u1|s\nusers:u2|s\nusers:u1|s\nlat:0.05:0.5:5|d|@0.5|#x:y|c:abc\n_e{1,1}:a|b\n_sc|x|0\n")
udp[0].send(b"level:10|g\nlevel:-4|g\nlevel:+1|g\nwait:50|ms\nwait:500|ms|@0.1\nquantiles.q:4|h\nnative.n:2|h\nnoise.x:1|c\ntagged,a=b:1|c\nlib#a=b:1|c\nsig[a=b].fx:1|c")
becomes('{__name__=~"temp|level|tagged|lib|sig_fx|wait_count|lat_count|q_q_count"}', {"temp,new=no_label_value,room=a": -7.0, "level": 7.0, "tagged,a=b": 1.0,
        "lib,a=b": 1.0, "sig_fx,a=b": 1.0, "wait_count": 11.0, "lat_count,container_id=abc,x=y": 6.0, "q_q_count": 1.0}, "types, tags, rates")
becomes("wait_bucket", {"wait_bucket,le=0.1": 1.0, "wait_bucket,le=1": 11.0, "wait_bucket,le=+Inf": 11.0}, "timers are seconds, in buckets of the rules")
becomes("max_over_time(users[1h])", {"": 2.0}, "a set counts who is different")
becomes("users", {"users": 0.0}, "in each interval anew")
becomes('{__name__="q_q"}', {f"q_q,quantile={q}": 4.0 for q in ("0.5", "0.9", "0.99")}, "a summary")
becomes("histogram_count(native_n)", {"": 1.0}, "a native histogram")
ok(metric("kymo_statsd_ignored_total") == 2 and metric("kymo_statsd_samples_dropped_total") == 1, "events and checks are counted, what is dropped, too")
ok(json.loads(request(k.port, "GET", "/api/v1/metadata?metric=wait", headers={"X-Scope-OrgID": "default"})[1])["data"]["wait"][0]["type"] == "histogram", "types are told")

# With a timestamp: as it is, at that time.
t = int(time.time()) - 100
dog.send(f"exact:5|c|T{t}\nexact:7|c|T{t + 10}\nexact:2|g|T{t + 20}".encode())
end = time.time() + 120
while time.time() < end and len(query("exact[1h]").get("exact", {"values": []})["values"]) < 3:
    time.sleep(0.05)
ok(query("exact[1h]")["exact"]["values"] == [[t, "5"], [t + 10, "7"], [t + 20, "2"]], "samples with timestamps are stored as they are")

# Another tenant, by packets with their length and by lines.
for packets in (True, False):
    s = socket.socket(socket.AF_UNIX)
    s.connect(stream)
    body = b"mine:%d|c\nmine:1|c\n" % (10 if packets else 20)
    whole = struct.pack("<I", len(body)) + body if packets else body
    for i in range(0, len(whole), 3):
        s.sendall(whole[i:i + 3])
    s.close()
becomes("mine", {"mine": 32.0}, "a stream of packets, and one of lines", tenant="acme")
ok(not now("mine") and not now("all", "acme"), "each tenant has its own")
ok(oct(os.stat(stream).st_mode & 0o777) == "0o600", "the socket has its mode")

# Rules of relabelling are those of any receiver.
udp[0].send(b"secret.one:1|c\nopen.one:1|c")
becomes('{__name__=~"(secret|open)_one"}', {"open_one": 1.0}, "relabel_configs")

# A client of StatsD.
try:
    import statsd
    c = statsd.StatsClient("127.0.0.1", port, prefix="py")
    c.incr("hits", 3)
    c.incr("hits", rate=1)
    c.timing("took", 250)
    c.gauge("depth", 12)
    c.gauge("depth", -2, delta=True)
    c.set("who", "me")
    with c.pipeline() as p:
        p.incr("hits")
        p.decr("lows")
    becomes('{__name__=~"py_(hits|took_sum|depth)"}', {"py_hits": 5.0, "py_took_sum": 0.25, "py_depth": 10.0}, "python3-statsd")
except ImportError:
    note("python3-statsd is not installed: its packets are sent by hand")
    udp[0].send(b"py.hits:3|c")
    udp[0].send(b"py.hits:1|c\npy.lows:-1|c")

# What is wrong costs nothing beside it, and is told.
before = metric("kymo_statsd_refused_total")
udp[1].send(b'good:1|c\nbad "one\\\x07\xff|\nbad:1|q\nbad:x|c\nbad:-1|c\nall:1|g\ngood:1|c')
becomes("good", {"good": 2.0}, "lines beside bad ones")
ok(counted("kymo_statsd_refused_total", before + 5) == before + 5, "each bad one is counted")
for reason in ("utf8", "type", "value", "negative", "conflict"):
    ok(metric("kymo_statsd_refused_total", reason=reason) >= 1, f"for its reason: {reason}")
log = open(k.log_path, "rb").read().decode()
ok('first="bad \\"one\\\\\\x07\\xff|"' in log and "it is not UTF-8" in log, "the first one stands in the log, escaped")
log_lines = log.count("event=statsd_refused")
for i in range(200):
    udp[1].send(b"bad:1|q")
counted("kymo_statsd_refused_total", before + 205)
told = open(k.log_path).read().count("event=statsd_refused") - log_lines
ok(told < 20, f"200 more are no line each: {told}")

udp[1].send(b"wide:1|c|#" + b",".join(b"t%d:v" % i for i in range(3000)))
ok(counted("kymo_statsd_refused_total", 1, reason="labels") == 1, "more tags than a series may have")

# Hostile connections.
s = socket.create_connection(("127.0.0.1", port))
try:
    s.sendall(b"x" * 200000)
    s.settimeout(60)
    gone = s.recv(1) == b""
except OSError:
    gone = True
ok(gone and metric("kymo_statsd_refused_total", reason="too_long") == 1, "a line without an end ends the connection")
many = [socket.create_connection(("127.0.0.1", port)) for _ in range(12)]
ok(counted("kymo_statsd_connections_refused_total", 4) >= 4 and metric("kymo_statsd_connections") == 8, "no more connections than may be")
for s in many:
    s.close()
end = time.time() + 60
while time.time() < end and metric("kymo_statsd_connections"):
    time.sleep(0.02)
ok(metric("kymo_statsd_connections") == 0, "all have ended")

# A series that nothing comes for ends; others stay.
udp[2].send(b"short.life:1|c\nlong.life:1|c")
becomes('last_over_time(short_life[1h])', {"short_life": 1.0}, "it is there")
becomes('{__name__=~"short_life|long_life"}', {"long_life": 1.0}, f"one is idle for {TTL}, and ends at once")
udp[2].send(b"short.life:5|c")
becomes("last_over_time(short_life[1h])", {"short_life": 5.0}, "it begins again, with what came since")

# Other rules, by a reload.
put_rules('{by: "$1"}')
status, body, _ = request(k.port, "POST", "/-/reload")
ok(status == 200, f"reload: {body[:200]}")
udp[3].send(b"http.shop.requests.200:7|c")
becomes('http_requests{by="shop"}', {"http_requests,by=shop": 7.0}, "rules of now")
put(rules, "mappings: [{match: 'a*', name: x}]")
status, body, _ = request(k.port, "POST", "/-/reload")
ok(status == 500 and b"mapping.yml:1:" in body and b"is no glob" in body, f"a mistake in the file is told: {body[:300]}")
udp[3].send(b"http.shop.requests.200:1|c")
becomes('http_requests{by="shop"}', {"http_requests,by=shop": 8.0}, "and changes nothing")
put_rules('{by: "$1"}')
said = open(conf).read()
put(conf, said.replace("dialect: dogstatsd}", "dialect: statsd}"))
ok(request(k.port, "POST", "/-/reload")[0] == 200 and "key=receivers.statsd " in open(k.log_path).read(), "listeners change at the next start, as the log says")
put(conf, said)

# SIGTERM: what came since the last flush is stored; afterwards counters begin with 0, which is a reset.
udp[4].send(b"last:1|c")
becomes("last", {"last": 1.0}, "before it")
put(conf, open(conf).read().replace("500ms", "1h"))
ok(request(k.port, "POST", "/-/reload")[0] == 200, "a flush once an hour")
time.sleep(1)  # the flush that is due already; with more of them the rest would only show less
for i in range(100):
    udp[4].send(b"last:1|c\nlate:1|c")
ok(k.end() == 0, "asked to end")
put(conf, open(conf).read().replace("1h", "500ms"))
k = Kymod(os.path.join(top, "data"), "--config", conf, "--loops", "2", "--no-self-metrics")
kept = now('last_over_time({__name__=~"last|late"}[1h])')
ok(kept == {"last": 101.0, "late": 100.0}, f"nothing is lost: {kept}")
ok(os.path.exists(gram) and os.path.exists(stream), "its sockets are there again")
udp[5].send(b"last:5|c")
becomes("last", {"last": 5.0}, "after a restart it counts from 0")
ok(now("resets(last[1h])") == {"": 1.0}, "which is one reset")
ok(k.end() == 0 and not os.path.exists(gram) and not os.path.exists(stream), "sockets go with their server")

# Two of them do not share an address.
k = Kymod(os.path.join(top, "data"), "--config", conf, "--no-self-metrics")
p = subprocess.run([KYMOD, "--data-dir", os.path.join(top, "other"), "--listen", f"127.0.0.1:{free_port()}", "--config", conf], capture_output=True, timeout=60)
ok(p.returncode == 1 and b"receivers.statsd.listen udp://" in p.stderr and b"in use" in p.stderr, f"a second server: {p.stderr[-200:]}")
ok(k.end() == 0, "ended")
done()
