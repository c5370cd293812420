#!/usr/bin/env python3
"""Writes rune_cat.def, rune_script.def, rune_fold.def and rune_case.def beside itself from the files of the Unicode Character Database.

usage: rune_tables.py [DIR]        DIR: /usr/share/unicode (Debian: package unicode-data; the tables are those of 15.0.0)
"""
import os
import sys

MAX = 0x110000


def fields(path):
    with open(path, encoding="utf-8") as f:
        for line in f:
            line = line.split("#")[0].strip()
            if line:
                yield [x.strip() for x in line.split(";")]


def categories(top):
    of = ["Cn"] * MAX
    first = None
    for row in fields(os.path.join(top, "UnicodeData.txt")):
        code = int(row[0], 16)
        if row[1].endswith(", First>"):
            first = code
            continue
        of[(code if first is None else first):code + 1] = [row[2]] * (code + 1 - (code if first is None else first))
        first = None
    return of


def category_rows(of):
    """(first, last, category of the even offsets, category of the odd ones)"""
    i = 0
    while i < MAX:
        n = 1
        while i + n < MAX and of[i + n] == of[i]:
            n += 1
        m = 1
        if n == 1 and {of[i], of[min(i + 1, MAX - 1)]} == {"Lu", "Ll"}:
            while i + m < MAX and of[i + m] == of[i + m % 2]:
                m += 1
            # a longer run of one category at the end is a row of its own
            e = i + m
            while e < MAX and of[e] == of[e - 1]:
                e += 1
            if e > i + m:
                m -= 1
        if m > 1:
            yield i, i + m - 1, of[i], of[i + 1]
            i += m
        else:
            if of[i] != "Cn":
                yield i, i + n - 1, of[i], of[i]
            i += n


def scripts(top):
    ranges = {}
    for span, name in fields(os.path.join(top, "Scripts.txt")):
        first, _, last = span.partition("..")
        ranges.setdefault(name, []).append([int(first, 16), int(last or first, 16)])
    for name in sorted(ranges):
        joined = []
        for first, last in sorted(ranges[name]):
            if joined and joined[-1][1] + 1 == first:
                joined[-1][1] = last
            else:
                joined.append([first, last])
        yield name, joined


def folds(top):
    """(first, last, stride, delta): simple folding, status C and S of CaseFolding.txt"""
    rows = []
    for code, status, to, _ in fields(os.path.join(top, "CaseFolding.txt")):
        if status not in ("C", "S"):
            continue
        add_delta(rows, int(code, 16), int(to, 16))
    return [(f, l, s or 1, d) for f, l, s, d in rows]


def add_delta(rows, code, to):
    """A row more, or a longer one: code goes to `to`."""
    row, delta = rows[-1] if rows else None, to - code
    if row and row[3] == delta and code - row[1] in (1, 2) and row[2] in (0, code - row[1]):
        row[1], row[2] = code, code - row[1]
    else:
        rows.append([code, code, 0, delta])


def cases(top, column):
    """(first, last, stride, delta): the simple mapping of UnicodeData.txt, column 12 upper, 13 lower"""
    rows = []
    for row in fields(os.path.join(top, "UnicodeData.txt")):
        if row[column]:
            add_delta(rows, int(row[0], 16), int(row[column], 16))
    return [(f, l, s or 1, d) for f, l, s, d in rows]


def write(name, head, words):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    with open(path, "w", encoding="ascii") as out:
        out.write(head)
        line = ""
        for w in words:
            if line and (w.startswith("SCRIPT") or len(line) + 1 + len(w) > 120):
                out.write(line + "\n")
                line = ""
            line += (" " if line else "") + w
        out.write(line + "\n")


def main():
    top = sys.argv[1] if len(sys.argv) > 1 else "/usr/share/unicode"
    made = "Made by rune_tables.py from Unicode 15.0.0"
    rows = ["ROW(0x%x, 0x%x, %s, %s)" % r for r in category_rows(categories(top))]
    write("rune_cat.def", "/* ROW(first, last, even, odd): the general category of first, first + 2, ... and of first + 1, ...;\n"
          " * code points in no row are Cn. In ascending order. %s. */\n" % made, rows)
    words = []
    for name, spans in scripts(top):
        words.append("SCRIPT(%s)" % name)
        words += ["RANGE(0x%x, 0x%x)" % tuple(s) for s in spans]
    write("rune_script.def", "/* SCRIPT(name), then its RANGE(first, last) in ascending order. %s. */\n" % made, words)
    write("rune_fold.def", "/* ROW(first, last, stride, delta): first, first + stride, ... last fold to themselves + delta (simple\n"
          " * case folding). %s. */\n" % made, ["ROW(0x%x, 0x%x, %d, %d)" % f for f in folds(top)])
    words = ["UPPER(0x%x, 0x%x, %d, %d)" % c for c in cases(top, 12)]
    words += ["LOWER(0x%x, 0x%x, %d, %d)" % c for c in cases(top, 13)]
    write("rune_case.def", "/* UPPER(first, last, stride, delta): first, first + stride, ... last have themselves + delta as their\n"
          " * upper case (simple mapping), LOWER as their lower case; ascending. %s. */\n" % made, words)


main()
