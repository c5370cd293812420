#!/usr/bin/env python3
"""Queries over several tenants against a reference: one more tenant holds the series of all, with the labels __tenant_id__ and original___tenant_id__ written out, and is asked the same alone. Some hundreds of expressions, matchers and groupings on both labels, in memory, from files, and after a kill with other loops."""
import itertools, sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

top = tmpdir("federation")
TOKEN = "gate-secret-0123456789abcdef"
OWNER, ORIGINAL = "__tenant_id__", "original___tenant_id__"
NAMES, COUNT = ["a", "b", "c"], 150
rnd = random.Random(66)
config = os.path.join(top, "kymod.yml")
with open(config, "w") as f:
    hash_ = subprocess.run([KYMOD, "--hash-token"], input=TOKEN.encode() + b"\n", stdout=subprocess.PIPE, timeout=60, check=True).stdout.decode().strip()
    f.write(f'identities:\n  tokens:\n  - {{name: gate, token_hash: "{hash_}", roles: [write, read, admin], trusted: true, tenants: ["*"]}}\n')
os.chmod(config, 0o600)


def start(loops, port=None):
    return Kymod(os.path.join(top, "data"), "--config", config, "--loops", str(loops), "--no-self-metrics", "--web.enable-admin-api", port=port)


k = start(2)
NOW = int(time.time()) // 15 * 15


def ask(method, path, body=None, org=None, headers=None):
    return request(k.port, method, path, body, {"Authorization": "Bearer " + TOKEN, "X-Scope-OrgID": org or "a", **(headers or {})}, 120)


# --- the series: whole numbers, no two alike, so sums are exact in any order and nothing ties ---
unlike = itertools.count(1)


def some_series(tenant):
    out = []
    for name in ("m1", "m2", "m3", "only_" + tenant):
        for i in range(rnd.randint(1, 8)):
            labels = {"__name__": name, "job": f"j{rnd.randint(0, 2)}", "inst": f"i{i}"}
            if rnd.random() < .2:
                labels[OWNER] = rnd.choice(["a", "b", "x", "own"])
            if rnd.random() < .2:
                labels["A"] = "u"
            if rnd.random() < .1:
                labels["zz"] = "v"
            out.append((labels, [((NOW - 15 * n) * 1000, next(unlike)) for n in range(39, -1, -1) if rnd.random() < .9]))
    for le, n in (("1", 1), ("5", 3), ("+Inf", 4)):
        out.append(({"__name__": "h_bucket", "le": le, "job": "j0"}, [((NOW - 15 * i) * 1000, (40 - i) * n) for i in range(39, -1, -1)]))
    return out


def push(org, rows):
    status, text, _ = ask("POST", "/api/v1/write", snappy(b"".join(series(*r) for r in rows)), org, WRITE_HEADERS)
    assert status == 204, (status, text)


def written_out(tenant, labels):
    out = {n: v for n, v in labels.items() if n != OWNER}
    if OWNER in labels:
        out[ORIGINAL] = labels[OWNER]
    return {**out, OWNER: tenant}


held = {n: some_series(n) for n in NAMES}
GROUPS = [c for n in (1, 2, 3) for c in itertools.combinations(NAMES, n)]
for n in NAMES:
    push(n, held[n])
for group in GROUPS:
    push("ref-" + "".join(group), [(written_out(n, labels), s) for n in group for labels, s in held[n]])

# --- what is asked ---
VALUES = {OWNER: ["a", "b", "c", "", "nobody", "ref"], ORIGINAL: ["a", "x", "own", "", "b"], "job": ["j0", "j1", ""], "inst": ["i0", "i1", ""],
          "A": ["u", ""], "zz": ["v", ""], "__name__": ["m1", "m2"], "nope": ["", "x"]}
LABELS = [OWNER, ORIGINAL, "job", "inst", "A", "le"]


def matcher():
    label, op = rnd.choice([OWNER] * 3 + list(VALUES)), rnd.choice(["=", "!=", "=~", "!~"])
    v = rnd.choice(VALUES[label])
    if "~" in op:
        v = rnd.choice([v, ".*", ".+", "|".join(rnd.sample(VALUES[label], 2)), "[ab]", "(?i)A", "a.*|", "[^a]", v + ".*", "(a|b)", "x?"])
    return f'{label}{op}"{v}"'


def selector():
    ms = [matcher() for _ in range(rnd.choice([0, 0, 1, 1, 2, 3]))]
    if rnd.random() < .85:
        return rnd.choice(["m1", "m2", "m3", "only_a", "only_b", "h_bucket"]) + ("{%s}" % ",".join(ms) if ms else "")
    return "{%s}" % ",".join(ms + [rnd.choice(['__name__=~"m.*"', '__name__!=""', 'job=~".+"'])])


def grouping():
    word = rnd.choice(["", "", "by", "without"])
    return f" {word} ({', '.join(rnd.sample(LABELS, rnd.randint(0, 3)))}) " if word else ""


def expression(depth=0):
    def sub():
        return expression(depth + 1)

    return selector() if depth > 2 or rnd.random() < .18 else rnd.choice([
        lambda: f"{rnd.choice(['sum', 'count', 'min', 'max', 'group'])}{grouping()}({sub()})",
        lambda: f"{rnd.choice(['sum_over_time', 'min_over_time', 'max_over_time', 'count_over_time', 'last_over_time', 'changes'])}({selector()}[{rnd.choice(['1m', '3m', '5m'])}])",
        lambda: f"{rnd.choice(['topk', 'bottomk'])}{grouping()}({rnd.randint(1, 3)}, {rnd.choice(['m1', 'm2', 'm3'])})",
        lambda: f'count_values{grouping()}("{rnd.choice(["v", OWNER, "job"])}", {sub()})',
        lambda: f"{sub()} {rnd.choice(['+', '-', '*', '==', '!=', '>', 'and', 'or', 'unless'])} {rnd.choice(['', 'on(%s) ' % ', '.join(rnd.sample(LABELS, 2)), 'ignoring(%s) ' % rnd.choice(LABELS)])}{sub()}",
        lambda: f"{sub()} {rnd.choice(['+', '*', '=='])} on({rnd.choice([OWNER, 'job', OWNER + ', job'])}) group_{rnd.choice(['left', 'right'])}({rnd.choice(['', OWNER, 'inst', ORIGINAL])}) sum by ({OWNER}, job) ({sub()})",
        lambda: f"absent({selector()})",
        lambda: f"absent_over_time({selector()}[2m])",
        lambda: f"{rnd.choice(['max', 'min', 'count', 'last'])}_over_time(({sub()})[3m:{rnd.choice(['30s', '1m', '15s'])}])",
        lambda: f'label_replace({sub()}, "{rnd.choice([OWNER, "new", ORIGINAL, "job"])}", "{rnd.choice(["$1", "x-$1", ""])}", "{rnd.choice([OWNER, "job", ORIGINAL, "inst"])}", "{rnd.choice(["(.*)", "(a).*", "([ab])", "zz", ""])}")',
        lambda: f'label_join({sub()}, "{rnd.choice([OWNER, "new"])}", "-", "{OWNER}", "{ORIGINAL}", "job")',
        lambda: f"histogram_quantile(0.9, {rnd.choice([f'sum by (le, {OWNER}) (h_bucket)', 'h_bucket', 'sum by (le) (h_bucket)', 'sum by (le) (sum_over_time(h_bucket[2m]))'])})",
        lambda: f"{selector()} offset {rnd.choice(['1m', '30s', '10m'])}",
        lambda: f"-({sub()})"])()


def call():
    t, kind = NOW - rnd.choice([0, 15, 60, 7]), rnd.random()
    if kind < .55:
        return "query", {"query": expression(), "time": t}
    if kind < .75:
        return "query_range", {"query": expression(), "start": t - 300, "end": t, "step": rnd.choice([15, 30, 60])}
    span = {"start": t - 600, "end": t}
    if kind < .85:
        return "series", {"match[]": [selector() for _ in range(rnd.randint(1, 3))], **span}
    matches = {"match[]": [selector() for _ in range(rnd.randint(1, 2))]} if rnd.random() < .7 else {}
    return ("labels" if kind < .92 else f"label/{rnd.choice([OWNER, OWNER, ORIGINAL, 'job', 'inst', 'A', '__name__', 'nope'])}/values"), {**matches, **span}


def answer(org, path, params):
    """What does not depend on the order: of an error its kind, else the data in order."""
    status, body, _ = ask("GET", f"/api/v1/{path}?{urllib.parse.urlencode(params, doseq=True)}", org=org)
    got = json.loads(body)
    if status != 200:
        return status, got["errorType"]
    rows = got["data"]["result"] if isinstance(got["data"], dict) else got["data"]
    return status, sorted(json.dumps(r, sort_keys=True) for r in rows)


def compare(when):
    wrong, full = [], 0
    for _ in range(COUNT):
        group = rnd.choice(GROUPS)
        named = list(group) + (["nobody"] if len(group) == 1 or rnd.random() < .3 else [])
        rnd.shuffle(named)
        path, params = call()
        got, want = answer("|".join(named), path, params), answer("ref-" + "".join(group), path, params)
        full += want[0] == 200 and bool(want[1])
        if got != want:
            wrong.append(f"{'|'.join(named)} {path} {params}: {str(got)[:300]} and not {str(want)[:300]}")
    ok(not wrong, f"{COUNT} calls over several tenants answer as one tenant with all series does, {when}: {wrong[:2]}")
    ok(full > COUNT // 4, f"many of them have series: {full}")


compare("in memory")
ok(ask("POST", "/api/v1/admin/tsdb/flush")[0] in (200, 204), "all goes into files")
compare("from files")
k.p.kill()
k.p.wait()
k = start(3, k.port)
compare("after a kill, with other loops")
status = k.end()
ok(status == 0, f"it ends well: {status}")
shutil.rmtree(top)
done()
