#!/usr/bin/env python3
"""Who asks: tokens, passwords and tokens of an OIDC issuer, over HTTP/1.1 and HTTP/2; roles on every route of the table; tenants."""
import base64, hashlib, http.server, socketserver, sys, threading
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

need("openssl", "curl")
top = tmpdir("identity")
H1, H2 = [], ["--http2-prior-knowledge"]


def path(name):
    return os.path.join(top, name)


def put(name, text, mode=0o600):
    with open(path(name), "w") as f:
        f.write(text)
    os.chmod(path(name), mode)
    return path(name)


def run(*argv, data=None):
    return subprocess.run(argv, input=data, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=True).stdout


def b64url(raw):
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


# --- an issuer: its keys are made by openssl, its tokens signed by it ---
class Key:
    def __init__(self, kid, alg):
        self.kid, self.alg, self.pem = kid, alg, path(kid + ".pem")
        if alg == "RS256":
            run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", self.pem)
            n = run("openssl", "rsa", "-in", self.pem, "-noout", "-modulus").decode().strip().split("=")[1]
            self.jwk = {"kty": "RSA", "n": b64url(bytes.fromhex(n)), "e": "AQAB"}
        elif alg == "ES256":
            run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", self.pem)
            point = run("openssl", "pkey", "-in", self.pem, "-pubout", "-outform", "DER")[-64:]
            self.jwk = {"kty": "EC", "crv": "P-256", "x": b64url(point[:32]), "y": b64url(point[32:])}
        else:
            run("openssl", "genpkey", "-algorithm", "ED25519", "-out", self.pem)
            self.jwk = {"kty": "OKP", "crv": "Ed25519", "x": b64url(run("openssl", "pkey", "-in", self.pem, "-pubout", "-outform", "DER")[-32:])}
        self.jwk.update(kid=kid, use="sig", alg=alg)

    def sign(self, text):
        if self.alg == "EdDSA":
            name = put("to-sign", text)
            return run("openssl", "pkeyutl", "-sign", "-rawin", "-inkey", self.pem, "-in", name)
        sig = run("openssl", "dgst", "-sha256", "-sign", self.pem, data=text.encode())
        if self.alg == "RS256":
            return sig
        numbers, at = b"", 2
        for _ in range(2):  # DER: two INTEGERs
            size = sig[at + 1]
            numbers += sig[at + 2:at + 2 + size].lstrip(b"\0").rjust(32, b"\0")
            at += 2 + size
        return numbers

    def token(self, **claims):
        head = {"alg": self.alg, "kid": self.kid, "typ": "at+jwt"}
        now = int(time.time())
        body = {"iss": issuer.url, "aud": "kymo", "iat": now, "exp": now + 3600, "sub": "eve", "org": "acme", "roles": ["read"], **claims}
        text = b64url(json.dumps(head).encode()) + "." + b64url(json.dumps({k: v for k, v in body.items() if v is not None}).encode())
        return text + "." + b64url(self.sign(text))


class Issuer:
    def __init__(self, port=0):
        self.keys, self.asked = [], 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                if self.path == "/.well-known/openid-configuration":
                    text = json.dumps({"issuer": outer.url, "jwks_uri": outer.url + "/keys"})
                else:
                    text = json.dumps({"keys": [k.jwk for k in outer.keys]})
                self.send_response(200)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self.make = lambda p: Server(("127.0.0.1", p), Handler)
        self.server = self.make(port)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.up(True)

    def up(self, on):
        if on:
            self.server = self.server or self.make(self.port)
            threading.Thread(target=self.server.serve_forever, daemon=True).start()
        else:
            self.server.shutdown()
            self.server.server_close()
            self.server = None


issuer = Issuer()
rsa, ec, ed = Key("rsa", "RS256"), Key("ec", "ES256"), Key("ed", "EdDSA")
issuer.keys = [rsa, ec]

# --- the configuration ---
TOKENS = {n: f"{n}-" + hashlib.sha256(n.encode()).hexdigest() for n in ("prom", "reader", "gateway", "admin", "several")}
put("prom.token", TOKENS["prom"] + "\n")


def token_hash(token):
    return run(KYMOD, "--hash-token", data=token.encode() + b"\n").decode().strip()


said = subprocess.run([KYMOD, "--hash-token"], input=b"Bearer " + TOKENS["prom"].encode() + b"\n", capture_output=True, timeout=60)
ok(said.returncode == 2 and not said.stdout and b"blanks" in said.stderr, "what no header can carry is no token")
password_hash = run(KYMOD, "--hash-password", data=b"open sesame\n").decode().strip()
ok(password_hash.startswith("$argon2id$"), "kymod --hash-password makes a hash of argon2id")
# The password is U*U: an example of the tests of crypt_blowfish.
BCRYPT = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"
config = put("kymod.yml", f"""
identities:
  tokens:
  - {{name: prom, token_file: prom.token, roles: [write], tenant: acme}}
  - {{name: reader, token_hash: "{token_hash(TOKENS['reader'])}", roles: [read], tenant: acme}}
  - {{name: gateway, token_hash: "{token_hash(TOKENS['gateway'])}", roles: [write, read], trusted: true, tenants: ["*"]}}
  - {{name: several, token_hash: "{token_hash(TOKENS['several'])}", roles: [read], tenant: acme, tenants: [beta]}}
  - {{name: admin, token_hash: "{token_hash(TOKENS['admin'])}", roles: [admin]}}
  basic:
  - {{name: ann, password_hash: "{password_hash}", roles: [read], tenant: acme}}
  - {{name: bob, password_hash: "{BCRYPT}", roles: [read, rules]}}
  oidc:
  - {{name: idp, issuer: "{issuer.url}", audience: kymo, tenant_claim: org, roles_claim: roles}}
""")

# --- mistakes are told, all of them ---
put("bad.yml", """identities:
  tokens:
  - {name: a, token_file: open.token, roles: [write]}
  - {name: b, token_hash: "x", roles: [wirte]}
  basic:
  - {name: c, password_hash: "x", roles: [read], tenant: "a/b"}
""")
put("open.token", TOKENS["prom"], 0o644)
said = subprocess.run([KYMOD, "--check-config", path("bad.yml")], capture_output=True, text=True, timeout=90)
ok(said.returncode != 0 and "open.token" in said.stderr and "did you mean write?" in said.stderr, "a file that others read, an unknown role")
put("bad.yml", open(path("bad.yml")).read().replace("open.token", "prom.token").replace("wirte", "write"))
said = subprocess.run([KYMOD, "--check-config", path("bad.yml")], capture_output=True, text=True, timeout=90)
ok(all(t in said.stderr for t in ("tokens[1]", "token_hash is none", "basic[0]", "password_hash", "a/b")), "and what is no hash and no tenant")
ok(TOKENS["prom"] not in said.stderr, "a secret is never told")

k = Kymod(path("data"), "--config", config, "--loops", "2", "--web.enable-admin-api", "--no-self-metrics", port=None)
base = f"http://127.0.0.1:{k.port}"
said = time.time() + 90                                               # the server answers a moment before it says so
while "/api/v1/query" not in open(k.log_path, errors="replace").read() and time.time() < said:
    time.sleep(0.02)
ok(any("access=identities" in line for line in open(k.log_path, errors="replace")), "the ready line says that identities are asked for")
ok(any("remote_write" in line and "credentials_file" in line for line in open(k.log_path, errors="replace")), "and what to paste, where they belong")


def ask(how, url, *args):
    """Status and body, by curl."""
    out = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "--max-time", "60", *how, *args, base + url], capture_output=True, text=True, timeout=90).stdout
    text, _, status = out.rpartition("\n")
    return int(status), text


def bearer(token):
    return ["-H", f"Authorization: Bearer {TOKENS.get(token, token)}"]


QUERY = "/api/v1/query?query=up"
for how, name in ((H1, "HTTP/1.1"), (H2, "HTTP/2")):
    ok(ask(how, QUERY)[0] == 401, f"{name}: who shows nothing is 401")
    status, text = ask(how, QUERY)
    ok('"errorType":"unauthorized"' in text, f"{name}: in the form of the API")
    ok(ask(how, QUERY, *bearer("reader"))[0] == 200, f"{name}: a token")
    ok(ask(how, QUERY, *bearer("reader-"))[0] == 401, f"{name}: another token is 401")
    status, text = ask(how, QUERY, *bearer("prom"))
    ok(status == 403 and 'role \\"read\\"' in text, f"{name}: a token without the role is 403, which names it")
    ok(ask(how, QUERY, "-u", "ann:open sesame")[0] == 200, f"{name}: a password (argon2id)")
    ok(ask(how, QUERY, "-u", "bob:U*U")[0] == 200, f"{name}: a password (bcrypt)")
    ok(ask(how, QUERY, "-u", "ann:open")[0] == 401 and ask(how, QUERY, "-u", "eve:open")[0] == 401, f"{name}: a wrong one, an unknown user")
    for key in (rsa, ec):
        ok(ask(how, QUERY, *bearer(key.token()))[0] == 200, f"{name}: a token of the issuer ({key.alg})")
    status, _ = ask(how, "/api/v1/query", *bearer("reader"), "-X", "OPTIONS", "-H", "Origin: http://a", "-H", "Access-Control-Request-Method: GET")
    ok(status == 204 and ask(how, "/api/v1/query", "-X", "OPTIONS", "-H", "Origin: http://a")[0] == 204, f"{name}: a browser's first question needs nothing")
status, _, head = request(k.port, "GET", QUERY)
ok("Bearer" in head["Www-Authenticate"] or "Basic" in head["Www-Authenticate"], "what may be shown stands in WWW-Authenticate")
head = request(k.port, "GET", "/api/v1/query?query=up", headers={"X-Requested-With": "fetch"})[2]
ok("Basic" not in head["Www-Authenticate"], "but to a page's script not Basic: it asks itself")
for url in ("/", "/graph", "/query", "/status", "/help/move"):
    status, body, head = request(k.port, "GET", url, headers={"Accept": "text/html"})
    ok(status == 200 and head["Content-Type"].startswith("text/html") and b"<title>Kymo</title>" in body, f"the web page is for everybody: {url} {status}")
ok(request(k.port, "GET", "/", headers={"Accept": "*/*"})[0] == 401, "not so what programs are told there")

# --- a body is not read before it is known who sends it ---
s = socket.create_connection(("127.0.0.1", k.port), timeout=60)
s.sendall(b"POST /api/v1/write HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
first = s.recv(1000)
ok(first.startswith(b"HTTP/1.1 401"), f"401 instead of 100 Continue: {first[:20]}")
s.close()

# --- every route of the table wants its role ---
table = open(os.path.join(SRC, "net/api/routes.c")).read()
rows = re.findall(r'\{\s*([A-Z_|\s]+?),\s*"([^"]+)",\s*(\w+),.*?(ROLE_[A-Z]+)', table)
ok(len(rows) >= 35, f"{len(rows)} routes")
WHO = {"ROLE_WRITE": "prom", "ROLE_READ": "reader", "ROLE_ADMIN": "admin"}
wrong = []
for methods, url, handler, role in rows:
    method = methods[4:] if methods in ("REQ_PUT", "REQ_DELETE") else "POST" if "GET" not in methods and "LIFECYCLE" not in methods else "GET"
    url = re.sub("<[^>]*>", "up", url).replace("*", "x")
    if url == "/-/quit":
        method = "GET"
    for name, token in TOKENS.items():
        if name in ("several", "gateway"):
            continue
        status = request(k.port, method, url, headers={"Authorization": "Bearer " + token})[0]
        may = role == "ROLE_NONE" or WHO.get(role) == name
        if (status == 403) == may or status == 401:
            wrong.append((method, url, name, status))
    status = request(k.port, method, url)[0]
    refusal = 403 if handler.startswith("recv_datadog") else 401  # a wrong key of Datadog's is 403
    if (status == refusal) == (role == "ROLE_NONE"):
        wrong.append((method, url, "nobody", status))
ok(not wrong, f"each is 403 without its role and 401 without an identity: {wrong}")

# --- tenants ---
now = int(time.time() * 1000)


def push(token, name, *fields):
    raw = series({"__name__": "s60", "by": name}, [(now, 1)])
    extra = dict(f.split(": ", 1) for f in fields)
    return request(k.port, "POST", "/api/v1/write", snappy(raw), {**WRITE_HEADERS, "Authorization": "Bearer " + TOKENS[token], **extra})


def seen(token, *fields):
    args = [a for f in fields for a in ("-H", f)]
    status, text = ask(H1, f"/api/v1/query?query=s60&time={now / 1000}", *bearer(token), *args)
    return sorted(r["metric"]["by"] for r in json.loads(text)["data"]["result"]) if status == 200 else status


ok(push("prom", "acme")[0] == 204, "a token writes to its tenant")
ok(push("gateway", "beta", "X-Scope-OrgID: beta")[0] == 204, "a trusted one to the one it names, which is new")
ok(push("gateway", "gamma", "THANOS-TENANT: gamma")[0] == 204, "as Thanos has it")
ok(push("gateway", "own")[0] == 204, "to its own without a name")
ok(push("prom", "x", "X-Scope-OrgID: beta")[0] == 403, "others may not choose")
ok(push("gateway", "x", "X-Scope-OrgID: beta|gamma")[0] == 400, "nobody writes to two")
ok(push("gateway", "x", "X-Scope-OrgID: a/b")[0] == 400, "a name that is none")
ok(seen("reader") == ["acme"], f"who reads sees its tenant only: {seen('reader')}")
ok(seen("reader", "X-Scope-OrgID: acme") == ["acme"], "and may name it")
ok(seen("reader", "X-Scope-OrgID: beta") == 403, "another one is 403")
ok(seen("several", "X-Scope-OrgID: beta") == ["beta"], "one of those it may read")
ok(seen("several", "X-Scope-OrgID: gamma") == 403, "one of those it may not")
ok(seen("gateway", "X-Scope-OrgID: gamma") == ["gamma"], "a gateway reads each")
ok(seen("gateway", "X-Scope-OrgID: nobody-yet") == [], "one that nobody has written to is empty")
ok(seen("gateway") == ["own"], "without a name its own")

# --- the issuer: claims, clocks, new keys, and when it is away ---
now_s = int(time.time())
refused = {"another audience": {"aud": "other"}, "another issuer": {"iss": "http://127.0.0.1:1"}, "expired": {"exp": now_s - 120},
           "from the future": {"iat": now_s + 600}, "without an end": {"exp": None}}
for what, claims in refused.items():
    status, text = ask(H1, QUERY, *bearer(rsa.token(**claims)))
    ok(status == 401 and "the token is refused" in text, f"{what}: {text}")
ok(ask(H1, QUERY, *bearer(rsa.token(exp=now_s - 5, iat=now_s + 20)))[0] == 200, "a clock that is some seconds off")
status, text = ask(H1, QUERY, *bearer(rsa.token(roles=["write"])))
ok(status == 403 and "eve" in text, "roles come from the token, and its name stands in the refusal")
status, text = ask(H1, QUERY, *bearer(rsa.token(org="a b")))
ok(status == 403 and "names no tenant" in text, "a tenant that is none")
ok(ask(H1, f"/api/v1/query?query=s60&time={now / 1000}", *bearer(rsa.token(org=["beta", "acme"])))[1].count('"by"') == 1, "the first of several tenants is its own")
text = rsa.token()
forged = ".".join(text.split(".")[:2] + [b64url(ec.sign(".".join(text.split(".")[:2])))])
ok(ask(H1, QUERY, *bearer(forged))[0] == 401, "a signature by another key")
none = b64url(b'{"alg":"none","kid":"rsa"}') + "." + text.split(".")[1] + ".AA"
ok(ask(H1, QUERY, *bearer(none))[0] == 401, "alg none")
issuer.keys = [ed, ec]
asked = issuer.asked
ok(ask(H1, QUERY, *bearer(ed.token()))[0] == 200 and issuer.asked > asked, "a new key is fetched when a token names it")
status, _ = ask(H1, QUERY, *bearer(rsa.token()))
ok(status in (401, 503), f"a key that was withdrawn is not taken any more: {status}")
issuer.up(False)
ok(ask(H1, QUERY, *bearer(ed.token(jti="away")))[0] == 200, "without the issuer its keys still hold")
odd = Key("odd", "EdDSA")
status, _, head = request(k.port, "GET", QUERY, headers={"Authorization": "Bearer " + odd.token()})
ok(status in (401, 503) and (status == 401 or 1 <= int(head["Retry-After"]) <= 60), f"one it cannot be asked for: {status}")
issuer.up(True)

# --- many wrong passwords do not keep the others out ---
answers = []


def guess(i):
    answers.append(request(k.port, "GET", QUERY, headers={"Authorization": "Basic " + base64.b64encode(f"ann:guess {i}".encode()).decode()})[0])


threads = [threading.Thread(target=guess, args=(i,)) for i in range(60)]
for t in threads:
    t.start()
during = [ask(H1, QUERY, *bearer("reader"))[0] for _ in range(3)] + [ask(H1, QUERY, "-u", "ann:open sesame")[0] for _ in range(3)]
for t in threads:
    t.join()
ok(set(during) == {200}, f"tokens, and passwords that were right before, get in meanwhile: {during}")
ok(set(answers) <= {401, 429} and len(answers) == 60, f"the guesses are refused or told to come back: { {a: answers.count(a) for a in set(answers)} }")

# --- a new configuration: who left is out, who came is in, and nothing else changes ---
text = open(config).read()
new = "newcomer-" + hashlib.sha256(b"newcomer").hexdigest()
put("next.yml", text.replace("name: reader, token_hash", "name: newcomer, token_hash").replace(token_hash(TOKENS["reader"]), token_hash(new)))
os.replace(path("next.yml"), config)
k.p.send_signal(signal.SIGHUP)
end = time.time() + 60
while time.time() < end and ask(H1, QUERY, *bearer(new))[0] != 200:
    time.sleep(0.05)
both = [(ask(how, QUERY, *bearer(new))[0], ask(how, QUERY, *bearer("reader"))[0]) for how in (H1, H2) for _ in range(4)]
ok(set(both) == {(200, 401)}, f"after a reload the new token is in and the old one out: {both}")
ok(ask(H1, QUERY, "-u", "ann:open sesame")[0] == 200 and ask(H1, QUERY, *bearer(ed.token()))[0] == 200, "the others stay in")
with open(config, "a") as f:
    f.write("  tokens: []\n")
k.p.send_signal(signal.SIGHUP)
end = time.time() + 60
while time.time() < end and "tokens" not in tail(k.log_path, 5):
    time.sleep(0.05)
ok(ask(H1, QUERY, *bearer(new))[0] == 200 and ask(H1, QUERY)[0] == 401, "a configuration with a mistake changes nothing")
TOKENS["reader"] = new

# --- what is told ---
status, text = ask(H1, "/metrics", *bearer("admin"))
counts = dict(re.findall(r'kymo_auth_refused_total\{reason="(\w+)"\} (\d+)', text))
ok(all(int(counts[r]) > 0 for r in ("missing", "token", "password", "role", "tenant", "jwt_claims", "jwt_time", "jwt_signature", "jwt_form")), f"refusals are counted: {counts}")
status, text = ask(H1, "/api/v1/status/config", *bearer("admin"))
ok(status == 200 and "newcomer" in text and not any(t in text for t in ("blake2b:", "argon2id$", "$2a$", TOKENS["prom"])), f"the configuration that is shown has no hashes: {text[:2000]}")
status = k.end()
ok(status == 0, f"it ends well: {status}")
log = open(k.log_path, errors="replace").read()
ok("event=denied reason=role" in log and 'identity="prom"' in log, "the log says who was refused")
ok(not any(t in log for t in (*TOKENS.values(), "open sesame", "guess 1", "U*U", rsa.token().split(".")[0])), "and never what was shown")

# --- client certificates, over TLS ---
def certificate(name, subject, san=None, ca=None):
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", path(name + ".key"), "-subj", subject,
        *(["-x509", "-days", "2", "-out", path(name + ".crt")] if not ca else ["-out", path(name + ".csr")]))
    if ca:
        put(name + ".ext", f"subjectAltName={san}\n" if san else "basicConstraints=CA:FALSE\n")
        run("openssl", "x509", "-req", "-in", path(name + ".csr"), "-CA", path(ca + ".crt"), "-CAkey", path(ca + ".key"), "-CAcreateserial", "-days", "2",
            "-extfile", path(name + ".ext"), "-out", path(name + ".crt"))
    os.chmod(path(name + ".key"), 0o600)


certificate("ca", "/CN=scene")
certificate("server", "/CN=localhost", "DNS:localhost,IP:127.0.0.1", "ca")
certificate("agent", "/CN=agent.example", None, "ca")
certificate("spiffe", "/O=x", "URI:spiffe://scene/reader", "ca")
certificate("pinned", "/CN=whoever", None, "ca")
certificate("stranger", "/CN=stranger", None, "ca")
certificate("liar", "/CN=agent.example")
digest = run("openssl", "x509", "-in", path("pinned.crt"), "-noout", "-fingerprint", "-sha256").decode().strip().split("=")[1]
port = free_port()
put("tls.yml", f"""
listeners:
- address: 127.0.0.1:{port}
  tls: {{cert_file: server.crt, key_file: server.key, client_ca_file: ca.crt, client_auth: request}}
identities:
  tokens:
  - {{name: prom, token_file: prom.token, roles: [write]}}
  certificates:
  - {{name: agent, subject: agent.example, roles: [write]}}
  - {{name: reader, san: "spiffe://scene/reader", roles: [read]}}
  - {{name: pinned, fingerprint: "{digest}", roles: [read, admin]}}
""")
log = path("tls.log")
k = Process([KYMOD, "--data-dir", path("tls-data"), "--config", path("tls.yml"), "--no-self-metrics"], log)
end = time.time() + 90
while time.time() < end and k.alive() and not any(line.startswith("ready ") for line in open(log, errors="replace")):
    time.sleep(0.05)


def with_cert(name, url, *args):
    cert = ["--cert", path(name + ".crt"), "--key", path(name + ".key")] if name else []
    out = subprocess.run(["curl", "-s", "-w", "\n%{http_code}", "--max-time", "60", "--cacert", path("ca.crt"), *cert, *args, f"https://localhost:{port}{url}"],
                         capture_output=True, text=True, timeout=90).stdout
    return int(out.rpartition("\n")[2] or 0)


for args, name in ((["--http1.1"], "HTTP/1.1"), (["--http2"], "HTTP/2")):
    post = ["-X", "POST", "-H", "Content-Type: application/x-protobuf", "-H", "Content-Encoding: snappy", "--data-binary", "x"]
    ok(with_cert("spiffe", QUERY, *args) == 200, f"{name}: a certificate by its name")
    ok(with_cert("pinned", QUERY, *args) == 200, f"{name}: a certificate by its fingerprint")
    ok(with_cert("agent", QUERY, *args) == 403 and with_cert("agent", "/api/v1/write", *args, *post) not in (401, 403), f"{name}: a certificate by its subject, which has its role only")
    ok(with_cert("stranger", QUERY, *args) == 401 and with_cert(None, QUERY, *args) == 401, f"{name}: another one, or none, is 401")
    ok(with_cert("liar", QUERY, *args) == 0, f"{name}: one that no authority vouches for does not even connect")
    ok(with_cert("spiffe", QUERY, *args, *bearer("prom")) == 403, f"{name}: a token that is shown is what counts")
ok(k.end() == 0, "it ends well")
shutil.rmtree(top, ignore_errors=True)
done()
