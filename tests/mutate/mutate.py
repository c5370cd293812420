#!/usr/bin/env python3
"""Changes one line of storage at random, and asks whether a test notices.

  tests/mutate/mutate.py --dir DIR [--count 30] [--seed 1] [--jobs 2] [--only storage/wal]

DIR is a scratch folder: a copy of the tree in DIR/src, its build in DIR/build; a later run goes on
with both. Each change is made in the copy, one object is compiled, and the unit tests of storage
are linked and run one after the other, quick ones first, until one fails. A change that the
compiler refuses, or that gives the same object, does not count. What no test notices is printed
with its line at the end: read it, and add an assertion or a test where the error would be silent.
Not part of make check: 30 changes take about a quarter of an hour.
"""
import argparse
import glob
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import time

# Seconds of a test when nothing is wrong, so that the quick ones go first; others take 2.
SLOW = {"t_back": 8, "t_clocks": 23, "t_damage": 4, "t_days": 6, "t_faults": 8, "t_faultstart": 4,
        "t_fulldisk": 3, "t_ids": 10, "t_lost": 4, "t_powercut": 12, "t_reads": 4, "t_returns": 3,
        "t_store": 8, "t_stress": 4, "t_walog": 10, "t_walcut": 6,
        "t_head": .1, "t_chunk": .3, "t_newest": 0, "t_pack": .1, "t_postings": .1, "t_replay": .1,
        "t_seal": .5, "t_walrec": 0, "t_walseg": 0, "t_envfault": .1, "t_cfile": .7}


def patience(test):
    """A test that hangs has noticed; one that is slow on a busy machine has not."""
    return 120 + 40 * SLOW.get(test, 2)


def swap(a, b):
    """a becomes b, where it stands between blanks, as clang-format writes binary operators."""
    find = re.compile(r"(?<= )" + re.escape(a) + r"(?= )")
    return lambda line, rnd: at_random(line, find, lambda m: b, rnd)


def at_random(line, find, make, rnd):
    found = list(find.finditer(line))
    if not found:
        return None
    m = rnd.choice(found)
    return line[:m.start()] + make(m) + line[m.end():]


def step(line, rnd):
    return at_random(line, re.compile(r"\+\+|--"), lambda m: "--" if m.group() == "++" else "++", rnd)


def constant(line, rnd):
    find = re.compile(r"(?<![\w.%\"'])\d+(?![\w.]*[\w\"'])")
    return at_random(line, find, lambda m: str(int(m.group()) + 1), rnd)


def drop(line, rnd):
    """A statement that stands on one line: a call or an assignment, no declaration, no jump."""
    if re.match(r"^\t+(\*?[\w>.\[\]-]+ ([-+|&]?=) .*|[\w>.-]+\(.*\));$", line) and line.count("(") == line.count(")"):
        return re.match(r"^\t+", line).group() + ";"
    return None


KINDS = {"relation": [swap("<", "<="), swap("<=", "<"), swap(">", ">="), swap(">=", ">"), swap("==", "!="), swap("!=", "==")],
         "sum": [swap("+", "-"), swap("-", "+"), swap("+=", "-="), swap("-=", "+="), step],
         "logic": [swap("&&", "||"), swap("||", "&&")],
         "constant": [constant],
         "drop": [drop]}


def code_lines(text):
    """Numbers of the lines that may be changed: no comment, preprocessor line, log line, assertion, text, and no size
    of memory that is taken or kept ahead."""
    comment, last_done = False, True
    for n, line in enumerate(text):
        bare = line.strip()
        was = comment
        if "/*" in bare:
            comment = "*/" not in bare[bare.index("/*"):]
        elif "*/" in bare:
            comment = False
        if was or not bare or bare.startswith(("/*", "*", "#")):
            continue
        begins = last_done
        last_done = bare.endswith((";", "{", "}", ":")) or bare.endswith("*/")
        if re.search(r"cap\b|_cap_|pool|arena_init\(|slab_huge\(", bare):  # how much memory is kept ahead: nothing that a test could see
            continue
        if not line.startswith("\t") or re.search(r"\b(CHECK\w*|LOG_\w+|ODD|errbuf_set|metric_\w+)\(", bare) or '"' in bare:
            continue
        yield n, begins


def change(path, rnd):
    """One change: (line number, kind, new line), or None."""
    with open(path) as f:
        text = f.read().split("\n")
    n, begins = rnd.choice(list(code_lines(text)) or [(0, False)])
    kinds = list(KINDS)
    rnd.shuffle(kinds)
    for kind in kinds:
        if kind == "drop" and not begins:
            continue
        makers = list(KINDS[kind])
        rnd.shuffle(makers)
        for make in makers:
            new = make(text[n], rnd)
            if new and new != text[n]:
                return n, kind, new
    return None


class Scratch:
    def __init__(self, top, args):
        self.src, self.build = os.path.join(args.dir, "src"), os.path.join(args.dir, "build")
        self.jobs, self.top = args.jobs, top
        os.makedirs(self.build, exist_ok=True)
        self.copy()
        if not os.path.exists(os.path.join(self.build, "Makefile")):
            subprocess.run([os.path.join(self.src, "configure"), "-q"], cwd=self.build, check=True)
        self.tests = sorted((os.path.basename(p)[:-2] for p in glob.glob(self.src + "/tests/unit/storage/t_*.c")),
                            key=lambda t: SLOW.get(t, 2))
        self.tests = [t for t in self.tests if SLOW.get(t, 2) <= args.most]
        if self.make(*self.tests):
            sys.exit("mutate: the unchanged tree does not build")
        good = [t for t in self.tests if self.run(t) is None]
        for t in self.tests:
            if t not in good:
                print("left out, it fails without a change: " + t, flush=True)
        self.tests = good

    def copy(self):
        """The tree as it stands, new files included; what has not changed keeps its time, so that little is compiled."""
        names = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=self.top, check=True,
                               stdout=subprocess.PIPE, text=True).stdout.split("\n")
        # Made from the others, so they are copied last and in this order: make compares times.
        made = glob.glob("build-aux/*", root_dir=self.top) + ["aclocal.m4", "Makefile.in", "config.h.in", "configure"]
        for name in [n for n in names if n] + made:
            a, b = os.path.join(self.top, name), os.path.join(self.src, name)
            if not os.path.isfile(a):
                continue
            if os.path.exists(b) and open(a, "rb").read() == open(b, "rb").read():
                continue
            os.makedirs(os.path.dirname(b), exist_ok=True)
            shutil.copy(a, b)

    def make(self, *what):
        with open(os.path.join(self.build, "make.log"), "wb") as log:
            return subprocess.run(["make", "-s", "-j%d" % self.jobs, *what], cwd=self.build, stdout=log, stderr=log).returncode

    def object_of(self, name):
        stem = os.path.join(os.path.dirname(name), "libstorage_a-" + os.path.basename(name)[:-2] + ".o")
        return os.path.join(self.build, stem)

    def digest(self, name):
        """Of what the compiler made, without line numbers, that a debugger would want."""
        plain = self.object_of(name) + ".plain"
        subprocess.run(["objcopy", "-g", self.object_of(name), plain], check=True)
        with open(plain, "rb") as f:
            return hashlib.sha256(f.read()).digest()

    def order(self, name):
        """The module's own test first."""
        own = "t_" + os.path.basename(name)[:-2]
        return sorted(self.tests, key=lambda t: (t != own, SLOW.get(t, 2)))

    def run(self, test):
        """How it failed, or None."""
        env = dict(os.environ, KYMO_SRC=self.src, KYMO_BUILD=self.build)
        try:
            p = subprocess.run(["./" + test], cwd=self.build, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               timeout=patience(test))
        except subprocess.TimeoutExpired:
            return "hangs"
        if p.returncode == 0 and b"\nnot ok" not in p.stdout:
            return None
        check = b"check failed" in p.stdout.lower() or b"check_failed" in p.stdout
        return "CHECK" if check else "signal %d" % -p.returncode if p.returncode < 0 else "not ok"

    def noticed_by(self, name):
        for test in self.order(name):
            if self.make(test):
                return None, "does not link"
            how = self.run(test)
            if how:
                return test, how
        return None, "nobody"


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("--dir", required=True)
    a.add_argument("--count", type=int, default=30)
    a.add_argument("--seed", type=int, default=1)
    a.add_argument("--jobs", type=int, default=2)
    a.add_argument("--only", default="storage", help="a folder, or one file")
    a.add_argument("--most", type=float, default=100, help="leave out tests that take more seconds")
    args = a.parse_args()
    args.dir = os.path.abspath(args.dir)
    top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    rnd = random.Random(args.seed)
    s = Scratch(top, args)
    names = sorted(os.path.relpath(p, s.src) for p in glob.glob(os.path.join(s.src, args.only, "**/*.c"), recursive=True))
    if args.only.endswith(".c"):
        names = [args.only]
    lines = [len(open(os.path.join(s.src, n)).readlines()) for n in names]
    done, survivors = 0, []
    while done < args.count:
        name = rnd.choices(names, lines)[0]
        path = os.path.join(s.src, name)
        made = change(path, rnd)
        if not made:
            continue
        n, kind, new = made
        with open(path) as f:
            was = f.read()
        text = was.split("\n")
        old, text[n] = text[n], new
        before, begin = s.digest(name), time.time()
        try:
            with open(path, "w") as f:
                f.write("\n".join(text))
            if s.make(os.path.relpath(s.object_of(name), s.build)) or s.digest(name) == before:
                continue
            test, how = s.noticed_by(name)
        finally:
            with open(path, "w") as f:
                f.write(was)
            s.make(os.path.relpath(s.object_of(name), s.build))
        done += 1
        what = "%s:%d %s\n    - %s\n    + %s" % (name, n + 1, kind, old.strip(), new.strip())
        if how == "nobody":
            survivors.append(what)
        print("%2d %s: %s (%s), %d s" % (done, what, test or "SURVIVES", how, time.time() - begin), flush=True)
    print("noticed: %d of %d" % (done - len(survivors), done))
    for what in survivors:
        print("survives: " + what)


main()
