#!/usr/bin/env python3
"""TLS end to end: curl over TLS 1.2 and 1.3, HTTP/2 by ALPN, certificates of clients, resumption over loops and reloads,
certificates renewed under load without a request lost, what is offered and what is not."""
import os, re, shutil, signal, socket, ssl, subprocess, sys, threading, time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import *

need("openssl", "curl")
top = tmpdir("tls")


def path(name):
    return os.path.join(top, name)


def openssl(*args, stdin=None):
    r = subprocess.run(["openssl", *args], capture_output=True, input=stdin, timeout=120)
    if r.returncode:
        raise RuntimeError(f"openssl {args}: {r.stderr.decode()}")
    return r.stdout


def make_ca(stem):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
            "-keyout", path(stem + ".key"), "-out", path(stem + ".crt"), "-subj", f"/CN={stem}")


serial = [100]


def make_cert(stem, ca, subject, sans, rsa=False):
    """A certificate and its key, put in their places one after the other, as by cert-manager."""
    serial[0] += 1
    new = ["rsa:2048"] if rsa else ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    openssl("req", "-newkey", *new, "-nodes", "-keyout", path(stem + ".key.new"), "-out", path(stem + ".csr"), "-subj", subject)
    open(path(stem + ".ext"), "w").write(f"subjectAltName={sans}\n")
    openssl("x509", "-req", "-in", path(stem + ".csr"), "-CA", path(ca + ".crt"), "-CAkey", path(ca + ".key"), "-days", "30",
            "-set_serial", str(serial[0]), "-extfile", path(stem + ".ext"), "-out", path(stem + ".crt.new"))
    os.chmod(path(stem + ".key.new"), 0o600)
    for end in ".crt", ".key":
        os.rename(path(stem + end + ".new"), path(stem + end))
    return serial[0]


def curl(url, *args, ca="ca.crt"):
    """Status, version and body."""
    r = subprocess.run(["curl", "-sS", "--cacert", path(ca), "-w", "\n%{http_code} %{http_version} %{ssl_verify_result}", *args, url],
                       capture_output=True, text=True, timeout=60)
    if r.returncode:
        return 0, r.stderr.strip().splitlines()[0], ""
    body, _, last = r.stdout.rpartition("\n")
    code, version, _ = last.split()
    return int(code), version, body


class Served(Kymod):
    def wait_ready(self, timeout=90):
        end = time.time() + timeout
        while time.time() < end:
            if not self.alive():
                raise RuntimeError("kymod ended at start:\n" + tail(self.log_path))
            if curl(f"https://localhost:{self.port}/-/ready", *self.with_cert)[0] == 200:
                return
            time.sleep(0.05)
        raise RuntimeError("kymod not ready:\n" + tail(self.log_path))


make_ca("ca")
make_ca("other")
make_cert("tls", "ca", "/CN=localhost", "DNS:localhost,IP:127.0.0.1")
make_cert("agent", "ca", "/CN=agent", "URI:spiffe://kymo/agent")
make_cert("stranger", "other", "/CN=agent", "URI:spiffe://kymo/agent")

# --- web.config.file, as Prometheus has it ---
open(path("web.yml"), "w").write("tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"
                                 "http_server_config: {headers: {X-Frame-Options: deny}}\n"
                                 "basic_auth_users: {alice: $2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a}\n")
Served.with_cert = []
k = Served(path("one"), "--web.config.file", path("web.yml"))
url = f"https://localhost:{k.port}"
ready = url + "/-/ready"
ok(curl(ready, "--http1.1")[:2] == (200, "1.1"), "curl speaks HTTP/1.1 over TLS")
ok(curl(ready, "--http2")[:2] == (200, "2"), "and HTTP/2 by ALPN")
ok(curl(ready, "--tlsv1.2", "--tls-max", "1.2")[0] == 200, "over TLS 1.2")
ok(curl(ready, "--tlsv1.3")[0] == 200, "over TLS 1.3")
status, why, _ = curl(ready, "--tlsv1.1", "--tls-max", "1.1", "--ciphers", "DEFAULT@SECLEVEL=0")
ok(status == 0, f"not over TLS 1.1: {why}")
status, why, _ = curl(ready, ca="other.crt")
ok(status == 0, f"who does not know the authority stays away: {why}")
ok("https" in open(k.log_path).read().split("remote_write")[1][:40], "the ready line says https")
head = subprocess.run(["curl", "-sS", "-D", "-", "-o", "/dev/null", "--cacert", path("ca.crt"), ready], capture_output=True, text=True).stdout
ok("x-frame-options: deny" in head.lower(), "fields of the file are in answers")
query = url + "/api/v1/query?query=1"
ok(curl(query)[0] == 401 and curl(query, "-u", "alice:wrong")[0] == 401, "its users have to show who they are")
ok(curl(query, "-u", "alice:secret")[0] == 200, "and may come in then")
plain = subprocess.run(["curl", "-sS", f"http://localhost:{k.port}/"], capture_output=True, text=True).stdout
ok("https://" in plain, f"plain HTTP is told: {plain.strip()}")
r = subprocess.run([BENCH, "write", "--url", url, "--ca", path("ca.crt"), "--series", "1000", "--rounds", "3", "--start", str(int(time.time()) - 60),
                    "--header", "Authorization: Basic YWxpY2U6c2VjcmV0"],
                   capture_output=True, text=True, timeout=120)
ok(r.returncode == 0 and '"failed":0' in r.stdout, f"kymobench writes over TLS: {r.stdout.strip()[:120]}{r.stderr.strip()[:200]}")
wrong = subprocess.run([BENCH, "write", "--url", url, "--series", "10000", "--rounds", "1"], capture_output=True, text=True, timeout=120)
ok(wrong.returncode == 1 and "certificate verify failed" in wrong.stderr and wrong.stderr.count("\n") == 1 and "--ca" in wrong.stderr,
   f"and not without the authority, which it says once: {wrong.stderr.strip()[:300]}")
ok(k.end() == 0, "it ends")

# --- certificates of clients, a file of our own, renewal under load ---
open(path("kymod.yml"), "w").write("""
listeners:
- address: 127.0.0.1:%d
  tls: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.crt, client_auth: require}
web: {enable_lifecycle: true}
""" % free_port())
port = int(re.search(r"127.0.0.1:(\d+)", open(path("kymod.yml")).read()).group(1))
Served.with_cert = ["--cert", path("agent.crt"), "--key", path("agent.key")]


class Configured(Served):
    def __init__(self, data, config):
        self.port = port
        self.data = data
        Process.__init__(self, [KYMOD, "--data-dir", data, "--config", config, "--loops", "2"], data + ".log")
        self.wait_ready()


k = Configured(path("two"), path("kymod.yml"))
url = f"https://localhost:{port}"
mine = ["--cert", path("agent.crt"), "--key", path("agent.key")]
ok(curl(url + "/-/ready", *mine)[0] == 200, "a client with a certificate is let in")
status, why, _ = curl(url + "/-/ready")
ok(status == 0, f"one without is not: {why}")
status, why, _ = curl(url + "/-/ready", "--cert", path("stranger.crt"), "--key", path("stranger.key"))
ok(status == 0, f"nor one of another authority: {why}")


def connect(session=None):
    """A connection, its certificate's serial, whether it was resumed."""
    context = ssl.create_default_context(cafile=path("ca.crt"))
    context.load_cert_chain(path("agent.crt"), path("agent.key"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # its tickets may be used more than once, and are there at once
    if session:
        context = session[1]
    s = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=60), server_hostname="localhost",
                            session=session[0] if session else None)
    return s, context


def get(s):
    s.sendall(b"GET /-/ready HTTP/1.1\r\nHost: a\r\n\r\n")
    data = b""
    while b"Ready." not in data:
        piece = s.recv(4096)
        if not piece:
            return 0
        data += piece
    return int(data[9:12])


def serial_of(s):
    der = s.getpeercert(True)
    return int(openssl("x509", "-inform", "der", "-noout", "-serial", stdin=der).decode().split("=")[1], 16)


s, context = connect()
ok(get(s) == 200, "a session begins")
session = (s.session, context)
s.close()
resumed = 0
for _ in range(20):
    s, _ = connect(session)
    resumed += s.session_reused and get(s) == 200
    s.close()
ok(resumed == 20, f"it is resumed wherever the kernel puts it: {resumed} of 20, two loops")

first = serial_of(connect()[0])
running, _ = connect()
get(running)
count, failed, stop = [0], [], threading.Event()


def load():
    while not stop.is_set():
        try:
            s, _ = connect()
            for _ in range(5):
                if get(s) != 200:
                    failed.append("no answer")
                count[0] += 1
            s.close()
        except OSError as e:
            failed.append(str(e))


def reload():
    status, _, body = curl(url + "/-/reload", "-X", "POST", *mine)
    return status, body


threads = [threading.Thread(target=load) for _ in range(4)]
for t in threads:
    t.start()
seen = {first}
for i in range(5):
    before = count[0]
    new = make_cert("tls", "ca", "/CN=localhost", "DNS:localhost,IP:127.0.0.1", rsa=i % 2 == 1)
    status, body = reload()
    if status != 200:
        note(body)
    seen.add(serial_of(connect()[0]))
    while count[0] < before + 50:
        time.sleep(0.01)
stop.set()
for t in threads:
    t.join()
ok(len(seen) == 6, f"five new certificates were taken: {sorted(seen)}")
ok(not failed and count[0] >= 250, f"of {count[0]} requests meanwhile none failed: {failed[:3]}")
ok(get(running) == 200 and serial_of(running) == first, "a connection of before goes on")
s, _ = connect(session)
ok(s.session_reused, "and so does a session")
open(path("tls.crt"), "w").write("nonsense\n")
status, body = reload()
ok(status == 500 and "tls.crt" in body, f"a bad certificate is refused: {body.strip()[:200]}")
s, _ = connect()
ok(serial_of(s) == max(seen), "what was there goes on")
metrics = curl(url + "/metrics", *mine)[2]
value = lambda name: float(re.search(rf"^{re.escape(name)} (\S+)$", metrics, re.M).group(1))
ok(value('kymo_tls_handshakes_failed_total{reason="client_certificate"}') == 2, "who was not let in is counted")
ok(value("kymo_tls_certificate_not_after_timestamp_seconds") > time.time() + 29 * 86400, "when the certificate ends is told")
ok(k.end() == 0, "it ends")
shutil.rmtree(top)
done()
