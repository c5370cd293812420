#!/usr/bin/env python3
"""Behind load balancers: haproxy with PROXY protocol 1 and 2, nginx with X-Forwarded-For. Who asks is who stands behind them, in
the log and in what one address may have; nobody else can say so."""
import os, re, shutil, signal, socket, subprocess, sys, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

need("haproxy", "nginx", "curl", "openssl")
top = tmpdir("proxy")
LIMIT = 3


def path(name):
    return os.path.join(top, name)


with_header, tls_port, plain, v1, v2, v2_crc, v2_tls, nginx_port = free_ports(8)
subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30", "-keyout",
                path("tls.key"), "-out", path("tls.crt"), "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"],
               check=True, capture_output=True)
open(path("kymod.yml"), "w").write(f"""
listeners:
- {{address: "127.0.0.1:{plain}"}}
- {{address: "127.0.0.1:{with_header}", proxy_protocol_from: [127.0.0.1]}}
- {{address: "127.0.0.1:{tls_port}", proxy_protocol_from: [127.0.0.1], tls: {{cert_file: tls.crt, key_file: tls.key}}}}
web: {{trusted_proxies: [127.0.0.1], max_connections_per_address: {LIMIT}}}
""")
open(path("haproxy.cfg"), "w").write(f"""
global
  maxconn 500
defaults
  mode tcp
  timeout connect 60s
  timeout check 60s
  timeout client 60s
  timeout server 60s
listen v1
  bind 127.0.0.1:{v1}
  server kymod 127.0.0.1:{with_header} send-proxy
listen v2
  bind 127.0.0.1:{v2}
  server kymod 127.0.0.1:{with_header} send-proxy-v2 check inter 500ms fall 100 check-send-proxy
listen v2crc
  bind 127.0.0.1:{v2_crc}
  server kymod 127.0.0.1:{with_header} send-proxy-v2 proxy-v2-options crc32c,unique-id
listen v2tls
  bind 127.0.0.1:{v2_tls}
  server kymod 127.0.0.1:{tls_port} send-proxy-v2
""")
open(path("nginx.conf"), "w").write(f"""
daemon off;
pid {path('nginx.pid')};
error_log {path('nginx.err')};
events {{ worker_connections 500; }}
http {{
  access_log off;
  client_body_temp_path {path('b')};
  proxy_temp_path {path('p')};
  fastcgi_temp_path {path('f')};
  uwsgi_temp_path {path('u')};
  scgi_temp_path {path('s')};
  server {{
    listen 127.0.0.1:{nginx_port};
    location / {{
      proxy_pass http://127.0.0.1:{plain};
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
  }}
}}
""")


class Configured(Kymod):
    def __init__(self):
        self.port = plain
        self.data = path("data")
        Process.__init__(self, [KYMOD, "--data-dir", self.data, "--config", path("kymod.yml")], self.data + ".log")
        self.wait_ready()


def wait_port(port, timeout=60):
    end = time.time() + timeout
    while time.time() < end:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=60).close()
            return True
        except OSError:
            time.sleep(0.05)
    return False


k = Configured()
haproxy = Process(["haproxy", "-f", path("haproxy.cfg")], path("haproxy.log"))
nginx = Process(["nginx", "-p", top, "-e", path("nginx.err"), "-c", path("nginx.conf")], path("nginx.log"))
ok(wait_port(v1) and wait_port(nginx_port), "haproxy and nginx are there: " + tail(path("haproxy.log"), 3) + tail(path("nginx.log"), 3))


def write_as(source, port, headers=(), body=b"x", scheme="http", host="127.0.0.1"):
    """Status of a write that is refused, sent from this address."""
    more = [a for h in headers for a in ("-H", h)]
    r = subprocess.run(["curl", "-sS", "--interface", source, "--cacert", path("tls.crt"), "-o", path("out"), "-w", "%{http_code}", "--data-binary", "@-",
                        *more, f"{scheme}://{host}:{port}/api/v1/write"], input=body, capture_output=True, timeout=60)
    return r.stdout.decode() + r.stderr.decode()


def logged(reason, timeout=90):
    """Who is named in the first line about this reason."""
    end = time.time() + timeout
    while time.time() < end:
        m = re.search(rf"event=(?:writes|samples)_refused reason={reason} .*?from=(\S+)", open(k.log_path).read())
        if m:
            return m.group(1).rsplit(":", 1)[0]
        time.sleep(0.05)
    return "(nobody)"


PROTO, SNAPPY = "Content-Type: application/x-protobuf", "Content-Encoding: snappy"
V01 = "X-Prometheus-Remote-Write-Version: 0.1.0"
status = write_as("127.0.0.2", v1, ["Content-Type: text/plain"])
ok(status == "415" and logged("unsupported") == "127.0.0.2", f"version 1: the log names the client: {status} {logged('unsupported')}")
status = write_as("127.0.0.3", v2, [PROTO, SNAPPY, V01], b"\xff\xff\xff")
ok(status == "400" and logged("bad_snappy") == "127.0.0.3", f"version 2: {status} {logged('bad_snappy')}")
status = write_as("127.0.0.4", v2_crc, [PROTO, SNAPPY, V01], snappy(b"\xff\xff"))
ok(status == "400" and logged("bad_protobuf") == "127.0.0.4", f"version 2 with a checksum: {status} {logged('bad_protobuf')}")
status = write_as("127.0.0.5", v2_tls, [PROTO, SNAPPY, V01], snappy(series({"__name__": "a", "b": "c"}, [(1, 1)])), "https", "localhost")
ok(status == "400" and logged("too_old") == "127.0.0.5", f"version 2 before TLS: {status} {logged('too_old')}")
status = write_as("127.0.0.6", nginx_port, ["X-Forwarded-For: 9.9.9.9", "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request", SNAPPY], b"\xff\xff\xff\xff\x0f")
ok(logged("decoded_too_large") == "127.0.0.6", f"nginx: the client that it names, not who that says he is: {status} {logged('decoded_too_large')}")
status = write_as("127.0.0.7", plain, ["X-Forwarded-For: 9.9.9.9", PROTO, SNAPPY, V01],
                  snappy(series({"__name__": "a", "": "c"}, [(int(time.time() * 1000), 1)])))
ok(logged("bad_labels") == "127.0.0.7", f"who is not trusted names nobody: {status} {logged('bad_labels')}")


def raw(source, port, data):
    s = socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))
    s.sendall(data)
    out = b""
    try:
        while piece := s.recv(4096):
            out += piece
    except ConnectionResetError:
        pass
    s.close()
    return out


GET = b"GET /-/healthy HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
ok(raw("127.0.0.1", with_header, GET) == b"", "a trusted address without a header is closed")
ok(b" 200 " in raw("127.0.0.8", with_header, GET), "from another address none is needed")
ok(b" 400 " in raw("127.0.0.8", with_header, b"PROXY TCP4 9.9.9.9 127.0.0.1 1 2\r\n" + GET), "and there it is no request")
ok(raw("127.0.0.1", with_header, b"PROXY TCP4 9.9.9 127.0.0.1 1 2\r\n" + GET) == b"", "a wrong one is closed")


def healthy(s):
    try:
        s.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n")
        return b" 200 " in s.recv(4096)
    except OSError:
        return False


def dial(source, port):
    return socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0))


many = [dial(f"127.0.1.{i}", v2) for i in range(1, 9) for _ in range(LIMIT)]
ok(all(healthy(s) for s in many), f"8 clients have {LIMIT} connections each through one proxy, which has {len(many)}: the limit is {LIMIT}")
ok(not healthy(dial("127.0.1.1", v2)), "one of them has no more")
direct = [dial("127.0.1.1", plain)]
ok(not healthy(direct[0]), "nor around the proxy")
for s in many + direct:
    s.close()
through = [dial(f"127.0.2.{i}", nginx_port) for i in range(1, 11)]
ok(all(healthy(s) for s in through), "10 clients through nginx, which keeps a connection for each")
for s in through:
    s.close()
metrics = request(plain, "GET", "/metrics")[1].decode()
ok(float(re.search(r"^kymo_proxy_headers_total (\S+)$", metrics, re.M).group(1)) > 25, "headers are counted")
ok(float(re.search(r"^kymo_proxy_headers_refused_total (\S+)$", metrics, re.M).group(1)) == 2, "and those that were refused")
ok("DOWN" not in open(path("haproxy.log")).read(), "haproxy's checks find it up")
haproxy.end()
nginx.end()
ok(k.end() == 0, "it ends")
shutil.rmtree(top)
done()
