#!/usr/bin/env python3
"""The search API (/api/v1/search/...): the same series and the same questions as a Prometheus 3.14 had, whose answers stand in searchfacts.json: every byte of them. Then what that has not: metadata of what was written, limits, POST, files only."""
import sys
sys.path.insert(0, __file__.rsplit("/", 1)[0])
from lib import *

# With RECORD=URL of a Prometheus 3.14 (--enable-feature=search-api --web.enable-remote-write-receiver, empty) its answers are written down.
FACTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "searchfacts.json")
NOW = int(time.time() * 1000)


def labels(i):
    metric = ["http_requests_total", "http_request_duration_seconds_bucket", "http_request_duration_seconds_count", "node_cpu_seconds_total", "node_memory_MemFree_bytes", "go_gc_duration_seconds", "up", "HTTPErrors",
              "process_cpu_seconds_total", "Über_größe", "a_b_c_total", "aaaa", "aab", "abab", "method.timing", "日本語"][i % 16]
    out = {"__name__": metric, "job": f"job-{i % 4}", "instance": f"10.0.0.{i % 9}:9100"}
    if i % 3 == 0:
        out["pod"] = f"web-{i * 7919 % 1000:03d}-{'abcdef'[i % 6]}"
    if i % 5 == 0:
        out["path"] = ["/", "/api/v1/query", "/API/v1/write", "/größe", "a<b>&c", 'quote"d', "x" * 300, "tab\tbed"][i // 5 % 8]
    if metric.endswith("_bucket"):
        out["le"] = ["0.1", "1", "10", "+Inf"][i // 16 % 4]
    out[f"only_{i % 13}"] = "1"
    return out


SERIES = {json.dumps(labels(i), sort_keys=True): labels(i) for i in range(400)}.values()
RAW = b"".join(series(x, [(NOW - 1000, 1)]) for x in SERIES)
M, N, V = "metric_names", "label_names", "label_values"
ALGS = [{}, {"fuzz_alg": "jarowinkler"}, {"fuzz_threshold": "60"}, {"fuzz_alg": "jarowinkler", "fuzz_threshold": "70"}, {"case_sensitive": "false"}, {"fuzz_alg": "jarowinkler", "fuzz_threshold": "55", "case_sensitive": "F"}, {"fuzz_threshold": "100"}]
ASKED = [(M, {}), (N, {}), (V, {"label": "job"}), (V, {"label": "none"}), (V, {}), (V, {"label": "path", "include_score": "1"}), (M, {"include_score": "true", "search[]": "up"})]
for term in ("http", "cpu", "tot", "up", "UP", "größe", "GRÖSSE", "ab", "aa", "htrq", "secnds", "node_cpu_seconds_totl", "語", "zzz", ""):
    for alg in ALGS:
        ASKED.append((M, {"search[]": term, "include_score": "true", "sort_by": "score", **alg}))
for term in ("web-0", "web-1", "10.0", "b-9", "WEB", "e-"):
    for alg in ALGS[:5]:
        ASKED += [(V, {"label": "pod", "search[]": term, "include_score": "true", **alg}), (V, {"label": "pod", "search[]": term, "sort_by": "score", "limit": "4", **alg})]
for match in ("up", '{job="job-1"}', '{__name__=~"http.+"}', '{pod!=""}', '{job="no"}', '{__name__!~".+_total",job=~"job-[12]"}', ["up", "aab"], ["up", '{job="job-3"}']):
    ASKED += [(M, {"match[]": match}), (N, {"match[]": match, "search[]": "o", "include_score": "true"}), (V, {"label": "pod", "match[]": match, "limit": "7"}), (V, {"label": "instance", "match[]": match, "search[]": ["1:9", "8:9"], "sort_by": "score"})]
for more in ({"limit": "3"}, {"limit": "5", "batch_size": "2"}, {"limit": "16"}, {"limit": "17", "batch_size": "4"}, {"limit": "4", "batch_size": "4"}, {"sort_by": "alpha", "sort_dir": "dsc"}, {"sort_by": "alpha", "sort_dir": "dsc", "limit": "3"}, {"sort_by": "alpha", "sort_dir": "asc", "limit": "3"},
             {"search[]": ["", "up"]}, {"search[]": ["node", "go_", "日"], "sort_by": "score"}, {"search[]": ["t"] * 32}, {"search[]": ["t"] * 33}, {"limit": "0"}, {"limit": "-1"}, {"limit": "x"}, {"limit": "20000"}, {"limit": "10000"}, {"batch_size": "0"}, {"batch_size": "1.5"},
             {"sort_by": "foo"}, {"sort_by": "foo", "sort_dir": "dsc"}, {"sort_dir": "asc"}, {"sort_by": "score"}, {"sort_by": "score", "search[]": ""}, {"sort_by": "score", "sort_dir": "asc", "search[]": "a"}, {"sort_by": "alpha", "sort_dir": "x"}, {"fuzz_threshold": "101"}, {"fuzz_threshold": "-1"},
             {"fuzz_threshold": "é\x01"}, {"fuzz_alg": "x"}, {"case_sensitive": "2"}, {"include_score": "yes"}, {"include_metadata": "yes"}, {"start": "x"}, {"end": "2026-13-01T00:00:00Z"}, {"start": "10", "end": "5"}, {"match[]": "up{"}, {"match[]": "{}"}, {"match[]": '{a=~".*"}'}, {"match[]": ""},
             {"start": "0", "end": "9999999999"}, {"search[]": "total", "limit": "2", "sort_by": "score"}):
    ASKED.append((M, more))
    if len(more) == 1:
        ASKED.append((N, more))


def ask(port, path, params, method="GET"):
    form = urllib.parse.urlencode(params, doseq=True)
    status, body, h = request(port, method, f"/api/v1/search/{path}" + ("?" + form if method == "GET" else ""), form if method == "POST" else None, {"Content-Type": "application/x-www-form-urlencoded"} if method == "POST" else {})
    return [status, h.get("Content-Type"), body.decode()]


if os.environ.get("RECORD"):
    there = int(os.environ["RECORD"].rsplit(":", 1)[1])
    ok(write(there, RAW)[0] == 204, "Prometheus has the series")
    with open(FACTS, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps([p, q, ask(there, p, q)], ensure_ascii=False) for p, q in ASKED) + "\n]\n")
    sys.exit(done())

top = tmpdir("search")
k = Kymod(os.path.join(top, "data"), "--loops", "2", "--no-self-metrics")
ok(write(k.port, RAW)[0] == 204, "the series are written")
facts = json.load(open(FACTS))
ok([[p, q] for p, q, _ in facts] == [[p, q] for p, q in json.loads(json.dumps(ASKED))], f"{len(facts)} answers of Prometheus are there")


def by_chance(q):
    """Without a term Prometheus gives any ones of those there are (the first its memory has), sorted behind that, or not at all; here they are the first by name."""
    terms = q.get("search[]", "")
    return not any([terms] if isinstance(terms, str) else terms) and ("limit" in q or q.get("sort_by") == "score") and q.get("sort_dir") != "dsc"


def texts(answer):
    return [x.get("name", x.get("value")) for line in answer[2].splitlines() for x in json.loads(line).get("results", [])]


def compare(when):
    wrong = []
    for p, q, want in facts:
        got = ask(k.port, p, q)
        if want[0] == 200 and by_chance(q):
            every = texts(ask(k.port, p, {**q, "limit": "10000"}))
            good = len(texts(got)) == len(texts(want)) and texts(got) == sorted(every, key=str.encode)[:len(texts(got))] and got[2].splitlines()[-1] == want[2].splitlines()[-1]
        else:
            good = got == want
        if not good:
            wrong.append((p, q, want, got))
    ok(not wrong, f"{len(facts)} answers are those of Prometheus, byte by byte, {when}: {len(wrong)} are not, {str(wrong[:1])[:900]}")


compare("in memory")
ok(all(ask(k.port, p, q, "POST") == ask(k.port, p, q) for p, q, _ in facts[:40]), "by POST, too")
status, body, _ = request(k.port, "GET", "/api/v1/search/metric_names?a=%zz")
ok(status == 400 and b'invalid URL escape \\"%zz\\"' in body, f"what is no URL is refused: {body}")
status, _, body = ask(k.port, M, {"search[]": "x" * 257})
ok(status == 400 and "search[] of 257 bytes, 256 are the most" in body, f"terms have a limit: {body}")
ok(ask(k.port, M, {"search[]": "x" * 256})[0] == 200, "of 256 bytes")

EMPTY = '{"results":[]}\n{"status":"success","has_more":false}\n'
ok(all(ask(k.port, M, {"start": a, "end": b})[2] == EMPTY for a, b in (("5", "5"), ("100", "2000"))), "a range without samples has nothing (where Prometheus 3.14 breaks the connection)")

# --- metadata: of the metric, or of its family ---
def meta(name, kind, text, unit=""):
    return field(3, b"\x08" + varint(kind) + field(2, name.encode()) + field(4, text.encode()) + field(5, unit.encode()))


ok(write(k.port, meta("http_requests_total", 1, "All <requests>") + meta("http_request_duration_seconds", 3, "How long", "seconds") + meta("up", 2, ""))[0] == 204, "metadata are written")
lines = ask(k.port, M, {"include_metadata": "1", "search[]": ["http_", "up"], "batch_size": "2"})[2].splitlines()
told = {x["name"]: x for line in lines for x in json.loads(line).get("results", [])}
ok(told["http_requests_total"] == {"name": "http_requests_total", "type": "counter", "help": "All <requests>"} and "\\u003crequests\\u003e" in lines[1], f"a metric has its type and help: {lines}")
ok(told["http_request_duration_seconds_bucket"] == {"name": "http_request_duration_seconds_bucket", "type": "histogram", "help": "How long", "unit": "seconds"}, "a part of a histogram has those of the histogram")
ok(told["up"] == {"name": "up", "type": "gauge"}, "what is empty is left out")
ok("type" not in ask(k.port, M, {"search[]": "up"})[2], "they are told to who asks for them only")

# --- after a restart, and of what is in files ---
k.end()
k = Kymod(os.path.join(top, "data"), "--loops", "1", "--no-self-metrics")
compare("after a restart, on one loop")
features = json.loads(request(k.port, "GET", "/api/v1/features")[1])["data"]["api"]
ok(all(features[n] for n in ("search", "search_fuzz_alg_jarowinkler", "search_fuzz_alg_subsequence")), "/api/v1/features says so")
k.end()
k = Kymod(os.path.join(top, "data"), "--loops", "1", "--no-self-metrics", "--web.search.max-limit", "50")
ok("limit 51 exceeds the configured maximum (50, see --web.search.max-limit)" in ask(k.port, M, {"limit": "51"})[2], "the limit is the configured one")
ok(len(texts(ask(k.port, V, {"label": "pod"}))) == 50, "which is the usual one, too, when it is lower than 100")
k.end()
sys.exit(done())
