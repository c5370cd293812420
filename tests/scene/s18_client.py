#!/usr/bin/env python3
"""The HTTP client against servers people have: nginx over TLS in HTTP/1.1 and HTTP/2, gzip, redirects, client certificates, a proxy with CONNECT."""
import select, ssl, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("nginx", "openssl")
top = tmpdir("client")
HGET = os.path.join(BUILD, "hget")


def path(name):
    return os.path.join(top, name)


def put(name, text):
    with open(path(name), "w") as f:
        f.write(text)
    return path(name)


# --- certificates: one authority, and what may be wrong with a certificate ---
def openssl(*args):
    r = subprocess.run(["openssl", *args], cwd=top, capture_output=True, text=True)
    if r.returncode:
        raise RuntimeError(r.stderr)


openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=scene CA")
openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "self.key", "-out", "self.pem", "-days", "2",
        "-subj", "/CN=self", "-addext", "subjectAltName=DNS:good.test")


def certificate(name, san, *dates):
    openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
    put(f"{name}.ext", f"subjectAltName={san}\n")
    openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem", "-extfile", f"{name}.ext", *(dates or ("-days", "2")))


certificate("good", "DNS:good.test,DNS:*.wild.test,IP:127.0.0.1")
certificate("client", "DNS:client.test")
certificate("expired", "DNS:expired.test", "-days", "-1")

# --- nginx ---
ports = {n: free_port() for n in ("plain", "h2", "h1", "self", "expired", "mtls", "old")}
big = "".join(f"line {i}\n" for i in range(200000))
os.makedirs(path("www"))
put("www/small.txt", "small\n")
put("www/big.txt", big)


def server(name, cert, more="", listen="ssl"):
    return f"""
  server {{
    listen 127.0.0.1:{ports[name]} {listen};
    server_name {name};
    ssl_certificate {path(cert + '.pem')};
    ssl_certificate_key {path(cert + '.key')};
    {more}
    location /hop {{ return 302 /small.txt; }}
    location /away {{ return 307 http://127.0.0.1:{ports['plain']}/small.txt; }}
    location /loop {{ return 301 /loop; }}
    location /busy {{ add_header Retry-After 0 always; return 503 busy; }}
    location /say {{ return 200 "$request_method $http_authorization $ssl_client_s_dn|"; }}
  }}
"""


put("nginx.conf", f"""
worker_processes 1;
pid {path('nginx.pid')};
error_log stderr warn;
daemon off;
master_process off;
events {{ worker_connections 200; }}
http {{
  types {{ text/plain txt; }}
  access_log off;
  root {path('www')};
  gzip on; gzip_min_length 100; gzip_types text/plain; gzip_proxied any;
  client_body_temp_path {path('t1')}; proxy_temp_path {path('t2')}; fastcgi_temp_path {path('t3')}; uwsgi_temp_path {path('t4')}; scgi_temp_path {path('t5')};
  keepalive_requests 50;
{server('plain', 'good', listen='')}
{server('h2', 'good', listen='ssl http2')}
{server('h1', 'good')}
{server('self', 'self')}
{server('expired', 'expired')}
{server('mtls', 'good', f"ssl_client_certificate {path('ca.pem')}; ssl_verify_client on;", 'ssl http2')}
{server('old', 'good', 'ssl_protocols TLSv1.1;')}
}}
""")
nginx = Process(["nginx", "-e", "stderr", "-p", top, "-c", path("nginx.conf")], path("nginx.log"))
end = time.time() + 60
while time.time() < end:
    try:
        socket.create_connection(("127.0.0.1", ports["plain"]), 1).close()
        break
    except OSError:
        time.sleep(0.05)
else:
    note(tail(path("nginx.log")))

hosts = put("hosts", "127.0.0.1 good.test expired.test a.wild.test a.b.wild.test other.test\n")


def hget(*args, env=None, lines=False):
    r = subprocess.run([HGET, "--hosts", hosts, "--ca", path("ca.pem"), *args], capture_output=True, text=True, timeout=120, env=env)
    out = [json.loads(line) for line in r.stdout.splitlines()]
    if r.returncode not in (0, 1) or not out:
        note(f"hget {args}: {r.returncode} {r.stderr}")
        out = [{"err": "none", "text": r.stderr, "status": 0, "version": 0, "bytes": -1, "body": "", "fields": {}, "tries": 0, "conns": -1}]
    return out if lines else out[0]


def https(name, where="/small.txt", host="good.test"):
    return f"https://{host}:{ports[name]}{where}"


# --- both versions, by what the server prefers ---
a = hget("GET", f"http://127.0.0.1:{ports['plain']}/small.txt")
ok(a["status"] == 200 and a["version"] == 11 and a["body"] == "small\n", f"plain: {a}")
a = hget("GET", https("h2"))
ok(a["status"] == 200 and a["version"] == 20 and a["body"] == "small\n", f"TLS and HTTP/2 by ALPN: {a}")
a = hget("GET", https("h1"))
ok(a["status"] == 200 and a["version"] == 11 and a["body"] == "small\n", f"TLS and HTTP/1.1: {a}")
a = hget("--h2", "GET", https("h1"))
ok(a["err"] and "does not speak HTTP/2" in a["text"], f"HTTP/2 or nothing: {a}")
for name in "h1", "h2", "plain":
    a = hget("GET", https(name, "/big.txt") if name != "plain" else f"http://127.0.0.1:{ports[name]}/big.txt")
    ok(a["bytes"] == len(big) and a["fields"].get("content-encoding") == "gzip", f"{name}: {len(big)} bytes, packed on the way: {a['bytes']} {a['text']}")
a = hget("--max", "100000", "GET", https("h2", "/big.txt"))
ok(a["err"] and "larger than 100000 bytes" in a["text"], f"more than is wanted: {a['text']}")
a = hget("HEAD", https("h2", "/big.txt"))
ok(a["status"] == 200 and a["bytes"] == 0, f"HEAD: {a['text']}")
a = hget("POST", https("h2", "/say"), "x=1")
ok(a["status"] == 200 and a["body"].startswith("POST"), f"POST: {a['body']} {a['text']}")

# --- connections are kept; nginx ends each after 50 requests ---
for name in "h1", "h2":
    all = hget("--times", "300", "--at-once", "10", "GET", https(name), lines=True)
    ok(len(all) == 300 and all[-1]["status"] == 200 and not any(x["err"] for x in all), f"{name}: 300 requests, 10 at once: {[x['text'] for x in all if x['err']][:3]}")
    ok(max(x["conns"] for x in all) <= (8 if name == "h1" else 3), f"{name}: on {max(x['conns'] for x in all)} connections at most")

# --- redirects ---
a = hget("GET", https("h2", "/hop"))
ok(a["status"] == 302, "a redirect is an answer")
a = hget("--redirects", "3", "GET", https("h2", "/hop"))
ok(a["status"] == 200 and a["body"] == "small\n", f"or followed: {a['text']}")
a = hget("--redirects", "3", "GET", https("h2", "/loop"))
ok(a["err"] and "more than 3 redirects" in a["text"], f"not for ever: {a['text']}")
a = hget("--redirects", "3", "GET", https("h2", "/away"))
ok(a["err"] and "from https to http" in a["text"], f"nor out of TLS: {a['text']}")
a = hget("--retries", "2", "GET", https("h2", "/busy"))
ok(a["status"] == 503 and a["tries"] == 3, f"503 is tried three times: {a}")

# --- who is trusted ---
a = hget("GET", f"https://127.0.0.1:{ports['h1']}/small.txt")
ok(a["status"] == 200, f"an address in the certificate: {a['text']}")
a = hget("GET", https("h1", host="a.wild.test"))
ok(a["status"] == 200, f"a wildcard: {a['text']}")
for where, why in ((https("h1", host="a.b.wild.test"), "ostname mismatch"), (https("h1", host="other.test"), "ostname mismatch"),
                   (f"https://[::1]:{ports['h1']}/", "connect to"), (https("self"), "self"), (https("expired", host="expired.test"), "expired")):
    a = hget("--retries", "0", "GET", where)
    ok(a["err"] and why in a["text"] and not a["status"], f"{where}: {a['text']}")
    ok("(ssl" not in a["text"] and f":{where.rsplit(':', 1)[1].split('/')[0]}" in a["text"], "names the address")
a = hget("--no-verify", "GET", https("self"))
ok(a["status"] == 200, "unless it is said that nobody is looked at")
a = hget("--name", "good.test", "GET", https("h1", host="other.test"))
ok(a["status"] == 200, f"another name to look for: {a['text']}")
a = hget("--retries", "0", "GET", https("old"))
ok(a["err"] and "TLS with 127.0.0.1" in a["text"], f"TLS 1.1 is not spoken: {a['text']}")
a = hget("--retries", "0", "GET", f"https://127.0.0.1:{ports['plain']}/")
ok(a["err"] and "TLS with 127.0.0.1" in a["text"], f"nor is plain HTTP: {a['text']}")
a = hget("GET", https("mtls", "/say"))
ok(a["status"] == 400, f"nginx wants a certificate: {a['status']} {a['text']}")
a = hget("--cert", path("client.pem"), "--key", path("client.key"), "GET", https("mtls", "/say"))
ok(a["status"] == 200 and "CN=client" in a["body"], f"and gets ours: {a['body']} {a['text']}")
a = hget("--cert", path("client.pem"), "--key", path("good.key"), "GET", https("mtls", "/say"))
ok(a["err"] == "settings" and "good.key" in a["text"], f"a key of another: {a['text']}")
a = hget("--ca", path("nothing.pem"), "GET", https("h1"))
ok(a["err"] == "settings" and "nothing.pem" in a["text"], f"no such file: {a['text']}")

# --- a proxy ---
tunnels = []


def pump(a, b):
    while True:
        r, _, _ = select.select([a, b], [], [], 60)
        if not r:
            return
        for s in r:
            data = s.recv(65536)
            if not data:
                return
            (b if s is a else a).sendall(data)


def proxy_one(c):
    with c:
        head = b""
        while b"\r\n\r\n" not in head:
            piece = c.recv(4096)
            if not piece:
                return
            head += piece
        tunnels.append(head.decode())
        method, target, _ = head.split(b" ", 2)
        if method == b"CONNECT" and b"Basic bWU6cHc=" in head:
            with socket.create_connection(("127.0.0.1", int(target.rsplit(b":", 1)[1]))) as up:
                c.sendall(b"HTTP/1.1 200 Connection established\r\nVia: scene\r\n\r\n")
                pump(c, up)
        elif method == b"CONNECT":
            c.sendall(b"HTTP/1.1 407 Who are you\r\nProxy-Authenticate: Basic\r\n\r\n")
        else:
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\nConnection: close\r\n\r\nproxied")


def serve(handler, sock):
    while True:
        try:
            c, _ = sock.accept()
        except OSError:
            return
        threading.Thread(target=handler, args=(c,), daemon=True).start()


def listener(handler):
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(50)
    threading.Thread(target=serve, args=(handler, s), daemon=True).start()
    return s.getsockname()[1]


proxy = listener(proxy_one)
a = hget("--proxy", f"http://me:pw@127.0.0.1:{proxy}", "GET", https("h2", host="good.test"))
ok(a["status"] == 200 and a["version"] == 20 and a["body"] == "small\n", f"TLS through a tunnel: {a['text']}")
ok(tunnels and tunnels[-1].startswith(f"CONNECT good.test:{ports['h2']} HTTP/1.1\r\n"), f"asked for by name: {tunnels[-1:]}")
a = hget("--proxy", f"http://me:wrong@127.0.0.1:{proxy}", "--retries", "0", "GET", https("h2"))
ok(a["err"] and "407" in a["text"] and "wrong" not in a["text"], f"the proxy says no: {a['text']}")
env = {**os.environ, "HTTPS_PROXY": f"me:pw@127.0.0.1:{proxy}", "HTTP_PROXY": f"http://127.0.0.1:{proxy}", "NO_PROXY": ".wild.test"}
before = len(tunnels)
a = hget("--env", "GET", https("h1"), env=env)
ok(a["status"] == 200 and len(tunnels) == before + 1, f"by the environment: {a['text']}")
a = hget("--env", "GET", https("h1", host="a.wild.test"), env=env)
ok(a["status"] == 200 and len(tunnels) == before + 1, f"not for NO_PROXY: {a['text']}")
a = hget("--env", "GET", "http://good.test/x", env=env)
ok(a["body"] == "proxied" and tunnels[-1].startswith("GET http://good.test/x HTTP/1.1\r\n"), f"plain HTTP: {a['text']}")
a = hget("--env", "GET", f"https://127.0.0.1:{ports['h1']}/small.txt", env=env)
ok(a["status"] == 200 and len(tunnels) == before + 2, f"not for this host: {a['text']}")

# --- TLS that ends without a goodbye: a body that lasts to the end may have been cut ---
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(path("good.pem"), path("good.key"))


def torn(c, goodbye):
    s = context.wrap_socket(c, server_side=True)
    s.recv(65536)
    s.sendall(b"HTTP/1.1 200 OK\r\n\r\nto the end")
    if goodbye:
        s.unwrap()
    s.close()


a = hget("GET", f"https://good.test:{listener(lambda c: torn(c, True))}/")
ok(a["status"] == 200 and a["body"] == "to the end", f"a body to the end of TLS: {a['text']}")
a = hget("--retries", "0", "GET", f"https://good.test:{listener(lambda c: torn(c, False))}/")
ok(a["err"] and "closed before its end" in a["text"], f"cut off: {a['text']}")

nginx.end()
done()
