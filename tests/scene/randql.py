"""Random PromQL over the data of randdata.py, of all productions about equally often.

Each production has a name, and `used` counts them; what was used least comes first. A production says from which version on a
Prometheus knows it, and which feature it needs. An expression is a text with `exact`: its values are the same to the last bit
whatever the order of adding; what jumps (floor, comparisons, ranks) is built over exact ones alone, since a last bit
must not become a difference that anybody sees. `kind`: what is in it: floats (f), histograms (h), both (m).
"""
import random
from collections import Counter

MATH = "abs ceil floor exp ln log2 log10 sqrt sgn deg rad sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh".split()
WAVES = {"sin", "cos", "tan"}  # of a large number they are as its last bits
JUMPS = {"ceil", "floor", "sgn", "round"}
DATES = "minute hour day_of_week day_of_month day_of_year days_in_month month year".split()
OVER = {  # name: (from version, experimental, what it takes: f floats alone, b both; keeps exactness)
    "rate": (2, False, "b", False), "increase": (2, False, "b", False), "delta": (2, False, "b", False),
    "irate": (2, False, "b", False), "idelta": (2, False, "b", True), "resets": (2, False, "b", True), "changes": (2, False, "b", True),
    "deriv": (2, False, "f", False), "avg_over_time": (2, False, "b", False), "sum_over_time": (2, False, "b", True),
    "min_over_time": (2, False, "f", True), "max_over_time": (2, False, "f", True), "count_over_time": (2, False, "b", True),
    "present_over_time": (2, False, "b", True), "last_over_time": (2, False, "b", True), "first_over_time": (3, True, "b", True),
    "stddev_over_time": (2, False, "f", False), "stdvar_over_time": (2, False, "f", False), "mad_over_time": (3, True, "f", False),
    "ts_of_first_over_time": (3, True, "b", True), "ts_of_last_over_time": (3, True, "b", True),
    "ts_of_min_over_time": (3, True, "f", True), "ts_of_max_over_time": (3, True, "f", True),
}
ARITH = ("+", "-", "*", "/", "%", "^", "atan2")
WEIGHT = {"of histograms": 2, "math": 4, "binary": 5, "over": 5, "vector scalar": 3, "vector vector": 3}  # of productions with many in them
COMPARE = ("==", "!=", ">", "<", ">=", "<=")
AGGR = ("sum", "avg", "count", "min", "max", "group", "stddev", "stdvar")


class Expr:
    def __init__(self, text, exact=True, kind="f", names=True, aligned=True):
        self.text, self.exact, self.kind, self.names = text, exact, kind, names

    def __str__(self):
        return self.text


class Gen:
    """version: 2 or 3, of the other server. features: what is switched on in both."""

    def __init__(self, seed, data, version=3, features=()):
        self.r, self.data, self.version, self.features = random.Random(seed), data, version, set(features)
        self.used, self.here = Counter(), []
        self.hists = data.histograms and version >= 3
        self.nested = 0

    def pick(self, *rows):
        """rows: (name, function, from version, feature or None). The least used of three that are drawn."""
        can = [x for x in rows if (x[2] if len(x) > 2 else 2) <= self.version and (len(x) < 4 or not x[3] or x[3] in self.features)]
        best = min((self.r.choice(can) for _ in range(3)), key=lambda x: self.used[x[0]] / WEIGHT.get(x[0], 1))
        return self.use(best[0], best[1])

    def use(self, name, fn):
        self.used[name] += 1
        self.here.append(name)
        return fn()

    def chance(self, p):
        return self.r.random() < p

    # --- selectors ---

    def name_of(self, kind, counter=False):
        r = self.r
        if kind == "h":
            return r.choice(("nh_seconds", "nhf", "nhcb") if counter else ("nh_seconds", "nhf", "nhg", "nhcb"))
        if kind == "m":
            return "mixed"
        if counter:
            return r.choice(("req_total", "lat_count") + (("fresh_total",) if self.data.from_zero else ()))
        return r.choice(("temp", "load", "odd_temp", "temp", "load", "req_total", "lat_sum") + (("even",) if self.version >= 3 else ()))

    def matcher(self):
        r = self.r
        return r.choice((
            lambda: f'job="{r.choice(("api", "db", "web"))}"', lambda: f'job!="{r.choice(("api", "db"))}"', lambda: 'job=~"a.*|db"', lambda: 'instance!~"i[13]"',
            lambda: f'instance=~"i[0-{r.randrange(1, 4)}]"', lambda: f'instance="i{r.randrange(4)}"', lambda: 'nothing=""', lambda: 'job=~".+"', lambda: 'zone!="q"'))()

    def selector_text(self, name):
        ms = [self.matcher() for _ in range(self.r.choice((0, 0, 1, 1, 2)))]
        if len(ms) == 2 and self.version < 3 and ms[0][:3] == ms[1][:3]:  # 2.42's absent() thinks otherwise of a label that is named twice
            ms.pop()
        if self.chance(0.05):
            return self.use("name in braces", lambda: '{__name__="%s"%s}' % (name, "".join("," + m for m in ms)))
        if self.chance(0.04):
            return self.use("several names", lambda: '{__name__=~"%s|load"%s}' % (name, "".join("," + m for m in ms)))
        return name + ("{%s}" % ",".join(ms) if ms else "")

    def duration(self, least=1, most=30):
        r = self.r
        return r.choice((f"{r.randrange(least, most)}m", f"{r.randrange(least * 60, most * 60)}s", f"{r.randrange(least, most)}m30s"))

    def mods(self):
        r, out = self.r, ""
        if self.chance(0.12):
            out += self.pick(("offset", lambda: f" offset {self.duration()}"), ("offset negative", lambda: f" offset -{self.duration(1, 4)}"))
        if self.chance(0.10):
            t = self.data.end / 1000 - r.randrange(60, 3 * 86400 if self.chance(0.3) else 7000) + 0.5
            out += self.pick(("@ time", lambda: f" @ {t:.3f}"), ("@ start()", lambda: " @ start()"), ("@ end()", lambda: " @ end()"))
        return out

    def selector(self, kind="f", counter=False, plain=False):
        name = self.name_of(kind, counter)
        text = self.selector_text(name)
        if kind == "f" and not plain and "odd_temp" not in text and "{__name__" not in text and self.version >= 3 and self.chance(0.04) and "promql-extended-range-selectors" in self.features:
            return Expr(self.use("smoothed instant", lambda: text + " smoothed") + self.mods(), exact=False, kind=kind)
        return Expr(text + ("" if plain else self.mods()), exact="odd_temp" not in text and "lat_sum" not in text, kind=kind)

    # --- ranges ---

    def range_of(self, kind, counter, depth, fn=""):
        r = self.r
        if depth > 0 and self.chance(0.25) and not (self.version < 3 and self.nested):
            return self.use("subquery", lambda: self.subquery(kind, depth))
        s = self.selector(kind, counter, plain=True)
        d = self.duration(2, 40) if self.chance(0.8) else self.r.choice(("6h", "1d", "90m"))
        if self.version >= 3 and self.chance(0.06):
            d = self.pick(("duration expression", lambda: r.choice(("5m*2", "1h/3", "(10m+5m)", "2^2*60", "7m-30s")), 3), ("number as duration", lambda: str(r.randrange(60, 3000)), 3))
        text = f"{s}[{d}]"
        if "promql-extended-range-selectors" in self.features and kind == "f" and fn in ("rate", "increase", "delta", "changes", "resets") and self.chance(0.6):
            text += self.pick(("anchored", lambda: " anchored")) if fn in ("changes", "resets") else self.pick(("anchored", lambda: " anchored"), ("smoothed", lambda: " smoothed"))
            return Expr(text + self.mods(), exact=False, kind=kind)
        return Expr(text + self.mods(), exact=s.exact, kind=kind)

    def subquery(self, kind, depth):
        self.nested += 1
        inner = self.vector(depth - 1) if kind == "f" else self.hist_vector(depth - 1)
        self.nested -= 1
        step = self.r.choice(("1m", "", "30s", "7m", "2m"))
        return Expr(f"({inner})[{self.duration(5, 40)}:{step}]" + self.mods(), exact=inner.exact, kind=inner.kind)

    def over(self, depth, kind="f"):
        fns = [k for k, (v, x, takes, _) in OVER.items() if v <= self.version and (not x or "promql-experimental-functions" in self.features) and (kind == "f" or takes == "b" or self.chance(0.2))]
        fn = min((self.r.choice(fns) for _ in range(3)), key=lambda k: self.used[k])
        counter = fn in ("rate", "increase", "irate", "resets") and self.chance(0.85)

        def make():
            m = self.range_of(kind, counter, depth, fn)
            if self.version < 3 and fn in ("rate", "increase"):  # where a counter meets zero 2.42 thinks otherwise
                m = Expr(f"{self.selector(kind, True, plain=True)}[{self.duration(3, 40)}]" + self.mods())
            if fn in ("changes", "resets", "irate", "ts_of_min_over_time", "ts_of_max_over_time") and not m.exact:
                m = self.selector(kind, counter, plain=True)
                m = Expr(f"{m}[{self.duration(3, 40)}]", kind=kind)
            exact = OVER[fn][3] and m.exact
            out = m.kind if fn in ("rate", "increase", "delta", "irate", "idelta", "avg_over_time", "sum_over_time", "last_over_time", "first_over_time") else "f"
            return Expr(f"{fn}({m})", exact=exact and fn != "sum_over_time" or exact and m.kind == "f", kind=out)
        return self.use(fn, make)

    def over_with(self, depth):
        r = self.r
        m = lambda: self.range_of("f", False, depth)
        return self.pick(
            ("quantile_over_time", lambda: Expr(f"quantile_over_time({self.phi()}, {m()})", False)),
            ("predict_linear", lambda: Expr(f"predict_linear({self.selector(plain=True) if self.version < 3 else ''}{f'[{self.duration(2, 40)}]' if self.version < 3 else m()}, {r.choice((60, 3600, -300))})", False)),
            ("double_exponential_smoothing", lambda: Expr(f"double_exponential_smoothing({self.selector(plain=True)}[{self.duration(5, 30)}], 0.{r.randrange(1, 9)}, 0.{r.randrange(1, 9)})", False), 3, "promql-experimental-functions"),
            ("absent_over_time", lambda: Expr(f"absent_over_time({m()})")))

    def phi(self):
        return self.r.choice(("0", "0.25", "0.5", "0.9", "0.99", "1", "0.333", "-0.5", "1.5") if self.version >= 3 else ("0", "0.25", "0.5", "0.9", "0.99", "1", "0.333"))

    # --- scalars ---

    def scalar(self, depth):
        r = self.r
        rows = [("number", lambda: Expr(r.choice(("2", "0.5", "-3", "1e3", "0x1F", "1_000", ".25", "100") if self.version >= 3 else ("2", "0.5", "-3", "1e3", ".25", "100")))), ("pi", lambda: Expr("pi()", False)),
                ("time", lambda: Expr("time()")), ("duration as number", lambda: Expr(r.choice(("5m", "1h30m", "90s"))), 3)]
        if depth > 0:
            rows += [("scalar", lambda: self.fn1("scalar", self.vector(depth - 1))), ("scalar operator", lambda: self.scalar_op(depth)),
                     ("start end step range", lambda: Expr(r.choice(("start()", "end()", "step()", "range()"))), 3, "promql-experimental-functions"),
                     ("min_of", lambda: Expr(f"min_of({self.scalar(depth - 1)}, {self.scalar(depth - 1)})", False), 3, "promql-experimental-functions"),
                     ("max_of", lambda: Expr(f"max_of({self.scalar(depth - 1)}, {self.scalar(depth - 1)})", False), 3, "promql-experimental-functions")]
        return self.pick(*rows)

    def scalar_op(self, depth):
        a, b = self.scalar(depth - 1), self.scalar(depth - 1)
        if self.chance(0.3) and a.exact and b.exact:
            op = self.r.choice(COMPARE)
            return Expr(f"({a} {op} bool {b})")
        return Expr(f"({a} {self.r.choice(ARITH)} {b})", False)

    # --- floats ---

    def fn1(self, fn, v, *more, exact=None):
        return Expr(f"{fn}({', '.join(map(str, (v, *more)))})", v.exact if exact is None else exact)

    def exact(self, depth, tries=6):
        for _ in range(tries):
            mark, before = len(self.here), self.used.copy()
            v = self.vector(depth)
            if v.exact:
                return v
            self.used = before
            del self.here[mark:]
        return self.selector()

    def distinct(self):
        """A vector whose values all differ, at each step."""
        s = self.selector("f")
        while not s.exact or "{__name__=~" in s.text or "lat_" in s.text:
            s = self.selector("f")
        return s

    def math(self, depth):
        fn = min((self.r.choice(MATH) for _ in range(3)), key=lambda k: self.used[k])
        return self.use(fn, lambda: self.fn1(fn, self.exact(depth - 1) if fn in JUMPS | WAVES else self.vector(depth - 1), exact=fn in JUMPS or fn == "abs"))

    def clamp(self, depth):
        v, a, b = self.vector(depth - 1), self.r.randrange(-20, 60), self.r.randrange(0, 200)
        return self.pick(("clamp", lambda: self.fn1("clamp", v, a, b)), ("clamp_min", lambda: self.fn1("clamp_min", v, a)), ("clamp_max", lambda: self.fn1("clamp_max", v, b)),
                         ("round", lambda: self.fn1("round", self.exact(depth - 1), *([] if self.chance(0.5) else [self.r.choice(("5", "0.25", "10"))]))))

    def date(self, depth):
        fn = min((self.r.choice(DATES) for _ in range(3)), key=lambda k: self.used[k])
        return self.use(fn, lambda: Expr(f"{fn}()" if self.chance(0.2) else f"{fn}({self.exact(depth - 1)} * {self.r.choice((1000, 100000, 10000000))})"))

    def time_of(self, depth):
        if self.chance(0.6):  # with both, "@" makes 3.14 forget the offset there
            s = self.selector()
            return Expr(f"timestamp({s})") if not ("@" in s.text and "offset" in s.text) else Expr(f"timestamp({self.selector(plain=True)})")
        v = self.vector(depth - 1)
        return Expr(f"timestamp({v} + 0)" if "offset" in v.text else f"timestamp({v})", v.exact)

    def labels_of(self, depth):
        v, r = self.vector(depth - 1), self.r
        return self.pick(
            ("label_replace", lambda: Expr(f'label_replace({v}, "{r.choice(("x", "zone", "job", "instance"))}", "{r.choice(("$1", "p-$1", "${1}", "", "same"))}", "{r.choice(("job", "instance", "nothing"))}", "{r.choice(("(.*)", "i(.)", "a(.+)", "(a|d).*"))}")', v.exact)),
            ("label_join", lambda: Expr(f'label_join({v}, "{r.choice(("x", "job"))}", "{r.choice(("-", "", "::"))}", "job", "{r.choice(("instance", "zone"))}")', v.exact)))

    def order(self, depth):
        return self.pick(
            ("sort", lambda: self.fn1("sort", self.vector(depth - 1))), ("sort_desc", lambda: self.fn1("sort_desc", self.vector(depth - 1))),
            ("sort_by_label", lambda: self.fn1("sort_by_label", self.vector(depth - 1), '"instance"'), 3, "promql-experimental-functions"),
            ("sort_by_label_desc", lambda: self.fn1("sort_by_label_desc", self.vector(depth - 1), '"job"', '"instance"'), 3, "promql-experimental-functions"))

    def grouping(self):
        if self.chance(0.25):
            return ""
        names = self.r.sample(("job", "instance", "zone", "mode", "code"), self.r.randrange(0, 3))
        return self.pick(("by", lambda: f" by ({', '.join(names)}) "), ("without", lambda: f" without ({', '.join(names)}) "))

    def aggregate(self, depth, kind="f"):
        ops = AGGR
        op = min((self.r.choice(ops) for _ in range(3)), key=lambda k: self.used[k])

        def make():
            v = self.vector(depth - 1) if kind == "f" else self.hist_vector(depth - 1)
            out = v.kind if op in ("sum", "avg") else "f"
            exact = op in ("count", "group") or v.exact and v.kind == "f" and op in ("sum", "min", "max")
            return Expr(f"{op}{self.grouping()}({v})", exact, out)
        return self.use(op, make)

    def aggregate_with(self, depth):
        r = self.r
        return self.pick(
            ("topk", lambda: Expr(f"topk{self.grouping()}({r.randrange(1, 5)}, {self.distinct()})")), ("bottomk", lambda: Expr(f"bottomk{self.grouping()}({r.randrange(1, 5)}, {self.distinct()})")),
            ("quantile", lambda: Expr(f"quantile{self.grouping()}({self.phi()}, {self.vector(depth - 1)})", False)),
            ("count_values", lambda: Expr(f'count_values{self.grouping()}("v", {self.exact(depth - 1)})')),
            ("limitk", lambda: Expr(f"count(limitk{self.grouping()}({r.randrange(1, 6)}, {self.selector()}))"), 3, "promql-experimental-functions"),
            ("limit_ratio", lambda: Expr(f"limit_ratio({r.choice(('0.5', '0.2', '-0.4', '0.9', '1.5'))}, {self.selector()})", False), 3, "promql-experimental-functions"))

    def matching(self, on=True):
        return self.pick(("on", lambda: f" on ({', '.join(self.r.sample(('job', 'instance', 'zone'), self.r.randrange(1, 3)))}) "), ("ignoring", lambda: f" ignoring ({', '.join(self.r.sample(('zone', 'mode', 'code', 'le'), self.r.randrange(1, 4)))}) "))

    def binary(self, depth):
        return self.pick(*[("vector scalar", lambda: self.with_scalar(depth))] * 2, *[("vector vector", lambda: self.with_vector(depth))] * 2, ("compare scalar", lambda: self.compare_scalar(depth)),
                         ("compare vector", lambda: self.compare_vector(depth)), ("set", lambda: self.sets(depth)), ("group_left", lambda: self.many(depth)),
                         ("fill", lambda: self.fill(depth), 3, "promql-binop-fill-modifiers"))

    def arith(self):
        """2.42 lets names stand under atan2."""
        return ARITH if self.version >= 3 else ARITH[:-1]

    def with_scalar(self, depth):
        v, s = self.vector(depth - 1), self.scalar(depth - 1)
        op = min((self.r.choice(self.arith()) for _ in range(3)), key=lambda k: self.used[k])
        a, b = (v, s) if self.chance(0.6) else (s, v)
        if op == "%" and not (v.exact and s.exact):
            op = "+"
        return self.use(op, lambda: Expr(f"({a} {op} {b})", False))

    def pair(self, depth):
        """Two vectors that find each other, mostly."""
        if self.chance(0.5):
            a = self.r.choice(("temp", "odd_temp", "load", "req_total"))
            b = self.r.choice(("temp", "odd_temp", "load", "req_total"))
            return Expr(a + self.mods(), a != "odd_temp"), Expr(b + self.mods(), b != "odd_temp"), " ignoring (zone, mode, code) " if self.chance(0.6) else " on (job, instance) "
        a, b = self.vector(depth - 1), self.vector(depth - 1)
        return a, b, self.matching() if self.chance(0.5) else " "

    def with_vector(self, depth):
        a, b, m = self.pair(depth)
        op = min((self.r.choice(self.arith()) for _ in range(3)), key=lambda k: self.used[k])
        if op == "%" and not (a.exact and b.exact):
            op = "-"
        return self.use(op, lambda: Expr(f"({a} {op}{m}{b})", False))

    def compare_scalar(self, depth):
        v = self.exact(depth - 1)
        op = min((self.r.choice(COMPARE) for _ in range(3)), key=lambda k: self.used[k])
        s = self.r.choice(("50.3", "0", "7", "100", "1048600.1"))
        b = self.use("bool", lambda: " bool") if self.chance(0.3) else ""
        return self.use(op, lambda: Expr(f"({v} {op}{b} {s})" if self.chance(0.7) else f"({s} {op}{b} {v})"))

    def compare_vector(self, depth):
        a, b, m = self.pair(depth)
        if not (a.exact and b.exact):
            a, b, m = Expr("temp"), Expr("load"), " on (job, instance) "
        op = min((self.r.choice(COMPARE) for _ in range(3)), key=lambda k: self.used[k])
        bool_ = " bool" if self.chance(0.3) else ""
        return self.use(op, lambda: Expr(f"({a} {op}{bool_}{m}{b})"))

    def sets(self, depth):
        op = min((self.r.choice(("and", "or", "unless")) for _ in range(3)), key=lambda k: self.used[k])
        a, b = self.vector(depth - 1), self.vector(depth - 1)
        m = self.matching() if self.chance(0.6) else " "
        return self.use(op, lambda: Expr(f"({a} {op}{m}{b})", a.exact and b.exact))

    def many(self, depth):
        one = self.r.choice(("sum by (job) (load)", "max by (job, zone) (temp)", "target_info", "build_info", "group by (instance, job) (temp)"))
        on = "job" if "by (job)" in one else "job, instance"
        many = self.r.choice(("temp", "req_total", "lat_bucket", "load"))
        inc = self.r.choice(("", "version", "env, rev", "zone")) if self.chance(0.6) else ""
        return self.pick(("group_left", lambda: Expr(f"({many} * on ({on}) group_left ({inc}) {one})", False)), ("group_right", lambda: Expr(f"({one} + on ({on}) group_right ({inc}) {many})", False)))

    def fill(self, depth):
        f = self.pick(("fill", lambda: f"fill ({self.r.choice(('0', '-1', 'NaN', '5'))})"), ("fill_left", lambda: "fill_left (3)"), ("fill_right", lambda: "fill_right (7)"), ("fill both", lambda: "fill_left (1) fill_right (2)"))
        return Expr(f'(temp{{{self.matcher()}}} {self.r.choice(("+", "-", "*", "> bool"))} on (job, instance) {f} load{{{self.matcher()}}})', False)

    def unary(self, depth):
        v = self.vector(depth - 1)
        return Expr(f"(-{v})" if self.chance(0.8) else f"(+{v})", v.exact, v.kind)

    def classic(self, depth):
        rate = self.r.choice(("rate", "increase"))
        inner = f"{rate}({self.selector_text('lat_bucket')}[{self.duration(3, 30)}])"
        if self.chance(0.6):
            inner = f"sum by (le{self.r.choice(('', ', job', ', instance'))}) ({inner})"
        return self.pick(("histogram_quantile classic", lambda: Expr(f"histogram_quantile({self.phi()}, {inner})", False)),
                         ("histogram_fraction classic", lambda: Expr(f"histogram_fraction({self.r.choice(('0, 1', '0.2, 3', '-Inf, 0.5', '1, +Inf'))}, {inner})", False), 3),
                         ("histogram_quantiles classic", lambda: Expr(f'histogram_quantiles({inner}, "q", 0.5, 0.9)', False), 3, "promql-experimental-functions"))

    def info(self, depth):
        v = self.r.choice(("temp", "load", "rate(req_total[10m])"))
        more = self.r.choice(("", ', {version=~".+"}', ', {env="prod"}', ', {__name__="build_info"}', ', {__name__=~"target_info|build_info", rev!=""}'))
        return Expr(f"info({v}{more})", False)

    def vector(self, depth):
        if depth <= 0:
            return self.selector()
        rows = [("selector", lambda: self.selector()), ("over", lambda: self.over(depth)), ("over", lambda: self.over(depth)), ("over with", lambda: self.over_with(depth)), ("math", lambda: self.math(depth)),
                ("clamps", lambda: self.clamp(depth)), ("dates", lambda: self.date(depth)), ("timestamp", lambda: self.time_of(depth)), ("vector", lambda: self.fn1("vector", self.scalar(depth - 1))),
                ("labels", lambda: self.labels_of(depth)), ("sorting", lambda: self.order(depth)), ("aggregate", lambda: self.aggregate(depth)), ("aggregate with", lambda: self.aggregate_with(depth)),
                *[("binary", lambda: self.binary(depth))] * 3, *[("math", lambda: self.math(depth))] * 2, ("unary", lambda: self.unary(depth)), ("classic", lambda: self.classic(depth)),
                ("absent", lambda: self.fn1("absent", self.r.choice((self.vector(depth - 1), Expr('gone{a="b"}'), self.selector())), exact=True)),
                ("info", lambda: self.info(depth), 3, "promql-experimental-functions")]
        if self.hists:
            rows += [("of histograms", lambda: self.of_hists(depth)), ("of histograms", lambda: self.of_hists(depth))]
        return self.pick(*rows)

    # --- histograms ---

    def of_hists(self, depth):
        """Floats made of histograms."""
        v = self.hist_vector(depth - 1)
        r = self.r
        names = ("histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar")
        fn = min((r.choice(names) for _ in range(3)), key=lambda k: self.used[k])
        return self.pick((fn, lambda: self.fn1(fn, v, exact=False)), ("histogram_quantile", lambda: Expr(f"histogram_quantile({self.phi()}, {v})", False)),
                         ("histogram_fraction", lambda: Expr(f"histogram_fraction({r.choice(('0, 1', '-1, 2', '-Inf, 0.7', '0.3, +Inf', '2, 1'))}, {v})", False)),
                         ("histogram_quantiles", lambda: Expr(f'histogram_quantiles({v}, "q", 0.1, 0.5, 0.99)', False), 3, "promql-experimental-functions"),
                         ("floats of histograms", lambda: Expr(r.choice((f"count({v})", f"absent({v})", f"timestamp({self.selector('h', plain=True)})", f"abs({v})", f"max({v})", f"topk(2, {v})", f"scalar({v}) + vector(1)", f"sort({v})", f'count_values("v", {self.selector("h")})')), False)))

    def hist_vector(self, depth):
        kind = "m" if self.chance(0.12) else "h"
        if depth <= 0:
            return self.selector(kind)
        r = self.r
        flat = lambda: self.fn_rate_or_gauge(depth)
        return self.pick(
            ("histogram selector", lambda: self.selector(kind)), ("over histograms", lambda: self.as_hist(self.over(depth, kind))), ("over histograms", lambda: self.as_hist(self.over(depth, kind))),
            ("aggregate histograms", lambda: self.as_hist(self.aggregate(depth, "h"))),
            ("histogram scalar", lambda: self.same(flat(), r.choice(("({} * 2)", "(3 * {})", "({} / 4)", "(-{} * -1)", "({} + 1)", "({} > 2)", "(2 / {})", "({} / 0)")))),
            ("histogram trim", lambda: self.same(flat(), r.choice(("({} </ 1)", "({} >/ 0.5)", "({} </ 100)", "({} >/ -1)", "({} </ 0.3)")))),
            ("histogram vector", lambda: self.same(flat(), f"({{}} {r.choice(('+', '-'))} on (job, instance) {self.fn_rate_or_gauge(depth)})")),
            ("histogram floats", lambda: self.same(flat(), f"({{}} {r.choice(('*', '/', '+', '>', '=='))} on (job, instance) temp)")),
            ("histogram equal", lambda: Expr(f"({self.selector('h', plain=True)} {r.choice(('==', '!='))} {self.r.choice(('', 'bool '))}on (job, instance, __name__) {self.selector('h', plain=True)})", False, "h")),
            ("histogram set", lambda: Expr(f"({flat()} {r.choice(('and', 'or', 'unless'))} on (job) {self.vector(depth - 1)})", False, "h")),
            ("limitk histograms", lambda: self.same(self.selector("h"), "limit_ratio(0.6, {})"), 3, "promql-experimental-functions"),
            ("labels of histograms", lambda: self.same(flat(), 'label_replace({}, "x", "$1", "job", "(.*)")')))

    def as_hist(self, e):
        return Expr(e.text, False, "h")

    def same(self, e, form):
        return Expr(form.replace("{}", e.text, 1), False, "h")

    def fn_rate_or_gauge(self, depth):
        """Histograms whose hints do not depend on how a server cuts its chunks."""
        if self.chance(0.4):
            return Expr("nhg", False, "h")
        fn = self.r.choice(("rate", "increase"))
        return Expr(f"{fn}({self.selector('h', True, plain=True)}[{self.duration(3, 30)}])", False, "h")

    def query(self):
        """A text, and the productions in it."""
        self.here = []
        x = self.r.random()
        depth = self.r.choice((1, 2, 2, 3, 3, 4))
        if self.hists and x < 0.2:
            e = self.hist_vector(depth)
        elif x < 0.24:
            e = self.scalar(depth)
        else:
            e = self.vector(depth)
        return e.text, list(self.here)
