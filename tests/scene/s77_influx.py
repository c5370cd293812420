#!/usr/bin/env python3
"""Clients of InfluxDB: Debian's `influx` and python3-influxdb start, make a database and write; each version's path takes and refuses in
its own words; what is acknowledged is there, a bad line costs no others; tokens as its clients show them; options of names."""
import base64, gzip, shutil, subprocess, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *
import rread

need("influx")
try:
    import influxdb
except ImportError:
    skip_all("python3-influxdb is not installed")

top = tmpdir("influx")
now = int(time.time())
conf = os.path.join(top, "kymo.yml")
open(conf, "w").write("receivers: {influx: {databases: [telegraf, other]}}\n")
k = Kymod(os.path.join(top, "a"), "--config", conf)


def values(port, selector, head=None):
    """{label text: [(ms, value)]} of all that is stored."""
    q = urllib.parse.urlencode({"match[]": selector})
    out = {}
    for line in request(port, "GET", f"/api/v1/export?{q}", headers=head)[1].splitlines():
        m = json.loads(line)
        name = m["metric"].pop("__name__")
        key = name + "".join(f",{a}={b}" for a, b in sorted(m["metric"].items()))
        out.setdefault(key, []).extend(zip(m["timestamps"], m["values"]))
    return {key: sorted(v) for key, v in out.items()}


def post(path, body, head=None, port=None):
    status, text, fields = request(port or k.port, "POST", path, body, head or {})
    return status, text.decode(), fields


# --- the three versions, by hand ---
status, text, fields = post("/write?db=x&precision=s", f'cpu,host=a\\ b,cpu=0 usage=1.5,n=3i,ok=t,text="x\ny, z" {now}\r\n# no\n\ncpu,host=c usage=2 {now}\n'.encode())
ok(status == 204 and text == "" and fields.get("X-Influxdb-Version"), f"1.x: {status} {text} {fields}")
ok(values(k.port, '{__name__=~"cpu_.*"}') == {
    "cpu_usage,cpu=0,host=a b": [(now * 1000, 1.5)], "cpu_n,cpu=0,host=a b": [(now * 1000, 3)], "cpu_ok,cpu=0,host=a b": [(now * 1000, 1)],
    "cpu_usage,host=c": [(now * 1000, 2)]}, "a sample for each field, texts are left out")
for path, scale in (("/write?db=x", 10 ** 9), ("/api/v2/write?bucket=x", 10 ** 9), ("/api/v3/write_lp?db=x", 10 ** 9), ("/influx/write?db=x&precision=u", 10 ** 6),
                    ("/influx/api/v2/write?bucket=x&precision=ms", 1000), ("/influx/api/v3/write_lp?db=x", 1), ("/api/v3/write_lp?db=x&precision=second", 1)):
    n = len(values(k.port, '{__name__="paths_f"}'))
    status, text, _ = post(path, f"paths,n={n} f=1 {now * scale}".encode())
    ok(status == 204 and values(k.port, f'{{__name__="paths_f",n="{n}"}}') == {f"paths_f,n={n}": [(now * 1000, 1)]}, f"{path}: {status} {text}")
packed = gzip.compress(f"packed f=1 {now}\n".encode()) + gzip.compress(f"packed f=2 {now + 1}\n".encode())
ok(post("/write?db=x&precision=s", packed, {"Content-Encoding": "gzip"})[0] == 204 and values(k.port, "packed_f") == {"packed_f": [(now * 1000, 1), (now * 1000 + 1000, 2)]}, "gzip, of two members")

bad = f"good f=1 {now}\nno line\nm,a.b=1,a-b=2 f=1 {now}\ngood f=2 {now + 1}\n".encode()
status, text, fields = post("/write?db=x&precision=s", bad)
error = json.loads(text)["error"]
ok(status == 400 and error == "partial write: unable to parse 'no line': invalid field format\nunable to parse 'm,a.b=1,a-b=2 f=1 %d': tags a.b and a-b would both be a_b dropped=0" % now, f"1.x tells of bad lines: {status} {text}")
ok(fields.get("X-Influxdb-Error", "").startswith("partial write: unable to parse 'no line'") and fields["Content-Type"] == "application/json", f"in its header, too: {fields}")
ok(values(k.port, "good_f") == {"good_f": [(now * 1000, 1), (now * 1000 + 1000, 2)]}, "what is good beside them is stored")
status, text, fields = post("/api/v2/write?bucket=x&precision=s", bad)
ok(status == 422 and json.loads(text)["code"] == "unprocessable entity" and json.loads(text)["message"] == error and fields.get("X-Platform-Error-Code"), f"2.x: {status} {text}")
status, text, fields = post("/api/v3/write_lp?db=x&precision=s", bad)
told = json.loads(text)
ok(status == 400 and told["error"] == "partial write of line protocol occurred" and [(d["line_number"], d["original_line"]) for d in told["data"]] == [(2, "no line"), (3, "m,a.b=1,a-b=2 f=1 17"[:20])], f"3.x: {status} {text}")
status, text, _ = post("/api/v3/write_lp?db=x&precision=s&accept_partial=false", f"strict f=1 {now}\nbad\n".encode())
ok(status == 400 and json.loads(text)["error"] == "line protocol parsing error" and not values(k.port, "strict_f"), f"3.x, all or nothing: {status} {text}")
cut = gzip.compress("".join(f"cut,i={i} f={i} {now}\n" for i in range(20000)).encode())[:-40]
for path in ("/write?db=x&precision=s", "/api/v2/write?bucket=x&precision=s", "/api/v3/write_lp?db=x&precision=s"):
    status, text, _ = post(path, cut, {"Content-Encoding": "gzip"})
    ok(status in (400, 422) and "gzip" in text, f"{path}: a body that ends too early is told, behind what was stored: {status} {text[:300]}")
status, text, _ = post("/write?db=x", b"only bad\n")
ok(status == 400 and json.loads(text)["error"] == "unable to parse 'only bad': invalid field format", f"nothing is good: {status} {text}")
status, text, _ = post("/api/v2/write?bucket=x", b"only bad\n")
ok(status == 400 and json.loads(text)["code"] == "invalid", f"2.x: {status} {text}")
status, text, _ = post("/write?db=x&precision=s", f"late f=1 5\nlate f=2 {now}\n".encode())
ok(status == 400 and json.loads(text)["error"].startswith("partial write: too_old: late_f: ") and text.rstrip().endswith('dropped=1"}') and values(k.port, "late_f") == {"late_f": [(now * 1000, 2)]}, f"what is refused later: {text}")
for path, body, want in (("/write", b"m f=1", "database is required"), ("/write?db=x&precision=d", b"m f=1", 'invalid precision "d" (use n, u, ms, s, m or h)'), ("/api/v3/write_lp", b"m f=1", "missing field `db`")):
    status, text, fields = post(path, body)
    ok(status == 400 and json.loads(text)["error"] == want and fields.get("X-Influxdb-Version"), f"{path}: {status} {text}")
status, text, _ = post("/api/v2/write?bucket=x&precision=m", b"m f=1")
ok(status == 400 and json.loads(text)["code"] == "invalid", f"2.x has other precisions: {status} {text}")
status, text, fields = post("/write?db=x", b"m f=1", {"Content-Encoding": "br"})
ok(status == 415 and json.loads(text)["error"] and fields.get("X-Influxdb-Version"), f"an encoding that is not known: {status} {text}")
status, text, fields = request(k.port, "GET", "/write?db=x")
ok(status == 405 and fields.get("X-Influxdb-Version") is None and b"error" in text or status == 405, f"another method: {status}")

# --- what clients ask first ---
status, text, fields = request(k.port, "HEAD", "/ping")
ok(status == 204 and fields["X-Influxdb-Version"] == "1.8.10" and fields["X-Influxdb-Build"] == "OSS", f"ping: {status} {fields}")
ok(request(k.port, "GET", "/influx/ping?verbose=true")[:2] == (200, b'{"version":"1.8.10"}\n'), "with its version")
ok(json.loads(request(k.port, "GET", "/influx/health")[1])["status"] == "pass", "health")


def query(q, **more):
    status, text, _ = request(k.port, "POST", "/query", urllib.parse.urlencode({"q": q, **more}), {"Content-Type": "application/x-www-form-urlencoded"})
    return status, json.loads(text)


ok(query('CREATE DATABASE "telegraf"') == (200, {"results": [{"statement_id": 0}]}), "a database is made")
ok(query("show databases; SELECT 1 FROM x;", db="mine") == (200, {"results": [
    {"statement_id": 0, "series": [{"name": "databases", "columns": ["name"], "values": [["telegraf"], ["other"], ["mine"]]}]}, {"statement_id": 1}]}), f"databases: {query('SHOW DATABASES')}")
ok(query("")[0] == 400 and query("FROB x")[1]["error"].startswith("error parsing query: found FROB"), "what is no query")

# --- Debian's clients ---
host = ["influx", "-host", "127.0.0.1", "-port", str(k.port)]
p = subprocess.run([*host, "-execute", "CREATE DATABASE shop"], capture_output=True, text=True, timeout=60)
ok(p.returncode == 0 and not p.stderr, f"influx makes a database: {p.stdout} {p.stderr}")
p = subprocess.run([*host, "-database", "shop", "-execute", f'INSERT till,shop=1,name=a\\ b sum=12.5,n=2i {now}000000000'], capture_output=True, text=True, timeout=60)
ok(p.returncode == 0 and values(k.port, '{__name__=~"till_.*"}') == {"till_sum,name=a b,shop=1": [(now * 1000, 12.5)], "till_n,name=a b,shop=1": [(now * 1000, 2)]}, f"influx writes: {p.stdout} {p.stderr}")
dump = os.path.join(top, "dump")
with open(dump, "w") as f:
    f.write("# DDL\nCREATE DATABASE shop\n# DML\n# CONTEXT-DATABASE: shop\n")
    f.writelines(f"bulk,i={i % 50} v={i} {now - 20000 + i}\n" for i in range(20000))
p = subprocess.run([*host, "-import", "-path", dump, "-precision", "s"], capture_output=True, text=True, timeout=120)
got = values(k.port, "bulk_v")
ok(p.returncode == 0 and len(got) == 50 and sum(map(len, got.values())) == 20000 and got["bulk_v,i=7"][1] == ((now - 20000 + 57) * 1000, 57), f"influx imports 20,000 lines: {len(got)} series; {p.stdout[-300:]} {p.stderr[-300:]}")

c = influxdb.InfluxDBClient("127.0.0.1", k.port, database="py", timeout=60)
ok(c.ping() == "1.8.10", "python3-influxdb finds the server")
c.create_database("py")
ok({"name": "py"} in c.get_list_database(), f"its database: {c.get_list_database()}")
points = [{"measurement": "py", "tags": {"host": "é x", "n": str(i % 3)}, "time": (now - i) * 10 ** 9, "fields": {"a": i * 0.1, "b": i, "c": i % 2 == 0, "d": "text \"q\" \\ , =\n line"}} for i in range(100)]
ok(c.write_points(points, batch_size=30), "points are written")
got = values(k.port, '{__name__=~"py_.*"}')
ok(len(got) == 9 and sum(map(len, got.values())) == 300 and got["py_a,host=é x,n=1"][-1] == ((now - 1) * 1000, 0.1), f"and are there: {sorted(got)}")
try:
    c.write([f"fine f=1 {now}", "bad"], params={"db": "py", "precision": "s"}, protocol="line")
    ok(False, "a bad line is told")
except influxdb.exceptions.InfluxDBClientError as e:
    ok(e.code == 400 and "partial write" in str(e) and values(k.port, "fine_f") == {"fine_f": [(now * 1000, 1)]}, f"a bad line is told: {e}")
gz = influxdb.InfluxDBClient("127.0.0.1", k.port, database="py", timeout=60, gzip=True)
ok(gz.write_points([{"measurement": "gz", "time": now * 10 ** 9, "fields": {"a": 1.0}}]) and values(k.port, "gz_a") == {"gz_a": [(now * 1000, 1)]}, "packed by the client")

# --- a kill behind the acknowledgement ---
ok(post("/write?db=x&precision=s", "".join(f"kill,i={i} v={i} {now}\n" for i in range(5000)).encode())[0] == 204, "5,000 lines")
k.end(signal.SIGKILL)
open(conf, "w").write("""receivers: {influx: {separator: ":", db_label: db, skip_single_field: true}}
identities:
  tokens: [{name: tom, token_file: token, roles: [write, read]}]
  basic: [{name: ann, password_file: password, roles: [write]}]
""")
for name, text in (("token", "a-token-of-many-characters"), ("password", "geheim und lang")):
    open(os.path.join(top, name), "w").write(text)
    os.chmod(os.path.join(top, name), 0o600)
k = Kymod(os.path.join(top, "a"), "--config", conf)
AUTH = {"Authorization": "Bearer a-token-of-many-characters"}
got = values(k.port, "kill_v", AUTH)
ok(len(got) == 5000 and got["kill_v,i=4999"] == [(now * 1000, 4999)], f"all is there after a kill: {len(got)}")

# --- who asks, and options ---
BASIC = "Basic " + base64.b64encode(b"ann:geheim und lang").decode()
for name, path, head in (("token", "/api/v2/write?bucket=b&precision=s", {"Authorization": "Token a-token-of-many-characters"}), ("basic", "/write?db=b&precision=s", {"Authorization": BASIC}),
                         ("password", "/write?db=b&precision=s&u=ann&p=geheim+und+lang", {}), ("any", "/write?db=b&precision=s", {"Authorization": "Basic " + base64.b64encode(b"root:a-token-of-many-characters").decode()})):
    status, text, _ = post(path, f"who,by={name} f=1 {now}".encode(), head)
    ok(status == 204 and values(k.port, f'who{{by="{name}"}}', AUTH) == {f"who,by={name},db=b": [(now * 1000, 1)]}, f"by {name}: {status} {text}; its database is a label, one field has no name")
status, text, fields = post("/write?db=b", b"m f=1")
ok(status == 401 and json.loads(text)["error"] and fields.get("X-Influxdb-Version") and "Basic" in fields.get("Www-Authenticate", ""), f"nobody: {status} {text} {fields}")
ok(post("/write?db=b&u=ann&p=no", b"m f=1")[0] == 401 and post("/query?q=SHOW+DATABASES&u=ann&p=geheim+und+lang", b"")[0] == 200, "a wrong password; and queries")
status, text, fields = post("/api/v1/prom/write?db=p&u=ann&p=geheim+und+lang", snappy(series({"__name__": "prom", "a": "b"}, [(now * 1000, 7)])), WRITE_HEADERS)
ok(status == 204 and fields.get("X-Influxdb-Version") and values(k.port, "prom", AUTH) == {"prom,a=b": [(now * 1000, 7)]}, f"a Prometheus whose remote storage was InfluxDB 1.x: {status} {text}")
ask = snappy(rread.query(now * 1000 - 1000, now * 1000, rread.matcher(0, "__name__", "prom")))
status, text, fields = request(k.port, "POST", "/api/v1/prom/read?db=p&u=tom&p=a-token-of-many-characters", ask, WRITE_HEADERS)
ok(status == 200 and fields["Content-Encoding"] == "snappy" and b"prom" in rread.unsnappy(text), f"reads there, too: {status} {text[:200]}")
ok(request(k.port, "POST", "/api/v1/prom/read?db=p&u=ann&p=geheim+und+lang", ask, WRITE_HEADERS)[0] == 403 and post("/api/v1/prom/write?db=p&u=ann&p=no", b"", WRITE_HEADERS)[0] == 401, "who may not read; a wrong password")
ok(post("/write?db=b&precision=s", f"two,db=own a=1,b=2 {now}".encode(), AUTH)[0] == 204 and sorted(values(k.port, '{__name__=~"two.*"}', AUTH)) == ["two:a,db=own", "two:b,db=own"], "a separator, and a tag db before the label")
shown = "".join(request(k.port, "GET", path, headers=AUTH)[1].decode() for path in ("/api/v1/status/active_queries", "/api/v1/status/top_queries", "/api/v1/status/flags"))
open(conf, "w").write("receivers: {influx: {enabled: false}}\n")
k.end()
shown += open(k.log_path, errors="replace").read()
ok("event=denied" in shown and not any(t in shown for t in ("geheim", "a-token-of-many", BASIC[6:])), "no log and no page has a password or a token")
k = Kymod(os.path.join(top, "a"), "--config", conf)
ok({post(path, b"m f=1")[0] for path in ("/write?db=x", "/api/v2/write?bucket=x", "/api/v3/write_lp?db=x", "/query?q=SHOW+DATABASES")} == {404} and request(k.port, "GET", "/ping")[0] == 404, "it is off: 404")
k.end()
shutil.rmtree(top)
done()
