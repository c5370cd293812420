/* What becomes of labels on the way up a plan, against labels that are really made. */
#include "core/promql/ql_shape.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/promql/lang/ql_func.h"
#include "core/promql/lang/ql_parse.h"
#include "tests/lib/tap.h"

static struct arena arena;
static struct ql_shape_room room;

static struct ql_names names(const char *a, const char *b)
{
	struct ql_str s[2] = { { a, a ? (uint32_t)strlen(a) : 0 },
		{ b, b ? (uint32_t)strlen(b) : 0 } };
	return ql_names_make(&arena, s, b ? 2 : a ? 1 : 0);
}

static const struct ql_node *call_of(const char *text)
{
	static const struct ql_parse_opts opts = { true, true, true, NULL };
	struct ql_node *n = NULL;
	struct errbuf eb;
	errbuf_init(&eb);
	CHECK(!ql_parse(&arena, text, strlen(text), &opts, &n, &eb));
	return n;
}

static uint64_t of(const struct ql_shape *s, struct labels ls)
{
	return ql_shape_hash(s, ls, &room);
}

static void names_go_and_stay(void)
{
	struct labels a = label_make(&arena, "__name__", "x", "job", "j1", "zone", "z1", NULL),
	              b = label_make(&arena, "__name__", "y", "job", "j1", "zone", "z2", NULL),
	              c = label_make(&arena, "job", "j1", NULL), none = { 0 };
	const struct ql_shape *all = ql_shape_add(&arena, NULL, QL_SHAPE_ALL, names(NULL, NULL));
	const struct ql_shape *by = ql_shape_add(&arena, all, QL_SHAPE_STAY, names("job", "nope"));
	const struct ql_shape *without =
	    ql_shape_add(&arena, all, QL_SHAPE_GO, names("__name__", "zone"));
	const struct ql_shape *one = ql_shape_add(&arena, by, QL_SHAPE_STAY, names(NULL, NULL));
	tap_ok(of(all, a) != of(all, b) && of(all, a) == of(all, a), "as they are");
	tap_ok(of(by, a) == of(by, b) && of(by, a) == of(all, c),
	    "by(job): equal, and as the rest alone");
	tap_ok(of(without, a) == of(by, a), "without(zone), in another way the same");
	tap_ok(of(one, a) == of(all, none) && of(one, b) == of(one, none), "nothing is left");
	struct labels swapped = label_make(&arena, "job", "z1", "zone", "j1", NULL),
	              plain = label_make(&arena, "job", "j1", "zone", "z1", NULL),
	              joined = label_make(&arena, "job", "j1zonez1", NULL);
	tap_ok(of(all, swapped) != of(all, plain) && of(all, joined) != of(all, plain),
	    "a value is that of its name");
}

static void calls(void)
{
	struct labels a = label_make(&arena, "job", "j1", "zone", "z17", NULL),
	              b = label_make(&arena, "job", "j1", "zone", "z12", NULL),
	              want = label_make(&arena, "job", "j1", "x", "1", "zone", "z17", NULL),
	              both = label_make(&arena, "job", "j1", "x", "j1-z17-", "zone", "z17", NULL),
	              over = label_make(&arena, "job", "j1", "zone", "1", NULL);
	const struct ql_shape *all = ql_shape_add(&arena, NULL, QL_SHAPE_ALL, names(NULL, NULL));
	struct ql_shape *r = ql_shape_call(
	    &arena, all, call_of("label_replace(m, \"x\", \"$1\", \"zone\", \"z(.).*\")"));
	tap_ok(r && of(r, a) == of(all, want), "label_replace adds one");
	const struct ql_shape *by = ql_shape_add(&arena, r, QL_SHAPE_STAY, names("x", NULL));
	tap_ok(of(by, a) == of(by, b), "and it is grouped by");
	struct ql_shape *o = ql_shape_call(
	    &arena, all, call_of("label_replace(m, \"zone\", \"$1\", \"zone\", \"z(.).*\")"));
	tap_ok(of(o, a) == of(all, over) && of(o, b) == of(o, a), "one is written over");
	struct ql_shape *no = ql_shape_call(
	    &arena, all, call_of("label_replace(m, \"x\", \"$1\", \"zone\", \"y(.).*\")"));
	tap_ok(of(no, a) == of(all, a), "what does not match stays");
	struct ql_shape *gone =
	    ql_shape_call(&arena, all, call_of("label_replace(m, \"zone\", \"\", \"job\", \".*\")"));
	const struct ql_shape *go = ql_shape_add(&arena, all, QL_SHAPE_GO, names("zone", NULL));
	tap_ok(of(gone, a) == of(go, a), "an empty value is none");
	struct ql_shape *j = ql_shape_call(
	    &arena, all, call_of("label_join(m, \"x\", \"-\", \"job\", \"zone\", \"nope\")"));
	tap_ok(of(j, a) == of(all, both), "label_join");
	tap_ok(!ql_shape_call(&arena, all, call_of("label_replace(m, \"x\", \"\", \"a\", \"(\")")) &&
	        !ql_shape_call(&arena, all, call_of("label_replace(m, \"\", \"\", \"a\", \"b\")")) &&
	        !ql_shape_call(&arena, NULL, call_of("label_join(m, \"x\", \"\", \"a\")")),
	    "what would fail is none, nor is what stands on none");
	ql_shape_release(r);
	ql_shape_release(o);
	ql_shape_release(no);
	ql_shape_release(gone);
	ql_shape_release(j);
	ql_shape_release(NULL);
}

static void bounds(void)
{
	const struct ql_shape *s = ql_shape_add(&arena, NULL, QL_SHAPE_ALL, names(NULL, NULL)), *by;
	struct label many[QL_SHAPE_LABELS + 1];
	char text[sizeof(many) / sizeof(many[0])][8];
	for (unsigned i = 0; i < COUNT_OF(many); i++) {
		many[i] = (struct label){ .name = text[i], .value = "v", .value_len = 1 };
		many[i].name_len = (uint32_t)snprintf(text[i], sizeof(text[i]), "l%03u", i);
	}
	by = ql_shape_add(&arena, s, QL_SHAPE_STAY, names("l000", NULL));
	struct labels most = label_encode(&arena, many, QL_SHAPE_LABELS),
	              over = label_encode(&arena, many, COUNT_OF(many)),
	              one = label_encode(&arena, many, 1);
	tap_ok(of(by, most) == of(s, one) && !room.missed, "%u labels", QL_SHAPE_LABELS);
	tap_ok(of(by, over) == label_hash(over) && room.missed,
	    "one more: they stay as they are, and that is said");
	tap_ok(of(by, most) == of(s, one) && !room.missed, "of that call alone");
	for (unsigned i = 0; i < QL_SHAPE_STEPS && s; i++)
		s = ql_shape_call(&arena, s, call_of("label_join(m, \"x\", \"-\", \"l000\", \"x\")"));
	tap_ok(s && of(s, most) != 0, "%u steps", QL_SHAPE_STEPS);
	tap_ok(!ql_shape_add(&arena, s, QL_SHAPE_GO, names("x", NULL)), "and no more");
}

/* Values that become too long, patterns that take long: as the labels are, and that is said. */
static void costs(void)
{
	char big[3001], twice[128] = "label_replace(m, \"x\", \"$1$1\", \"l\", \"(.*)\")";
	memset(big, 'x', 3000);
	big[3000] = 0;
	struct labels a = label_make(&arena, "l", big, NULL);
	const struct ql_shape *all = ql_shape_add(&arena, NULL, QL_SHAPE_ALL, names(NULL, NULL));
	struct ql_shape *r = ql_shape_call(&arena, all, call_of(twice));
	struct ql_shape *j =
	    ql_shape_call(&arena, all, call_of("label_join(m, \"x\", \"-\", \"l\", \"l\")"));
	struct ql_shape *slow = ql_shape_call(
	    &arena, all, call_of("label_replace(m, \"x\", \"$1\", \"l\", \"((x+x+)+)y\")"));
	struct ql_shape *quick =
	    ql_shape_call(&arena, all, call_of("label_replace(m, \"x\", \"$1\", \"l\", \"(x).*\")"));
	tap_ok(of(r, a) == of(all, a) && of(r, a) && room.missed,
	    "a value of 6,000 bytes is not made");
	tap_ok(of(j, a) == of(all, a) && of(j, a) && room.missed, "nor is a joined one");
	tap_ok(of(quick, a) != of(all, a) && !room.missed, "a quick pattern is tried");
	unsigned n = 0;
	uint64_t begin = clock_real_mono_ns();
	while (room.spent_ns < QL_SHAPE_SPEND_NS && n++ < 1000000)
		of(slow, a);
	tap_ok(room.spent_ns >= QL_SHAPE_SPEND_NS, "a slow one %u times, for %u ms", n,
	    (unsigned)((clock_real_mono_ns() - begin) / 1000000));
	tap_ok(of(quick, a) == of(all, a) && of(quick, a) && room.missed,
	    "then there is no time for any in this room");
	ql_shape_room_release(&room);
	ql_shape_room_init(&room);
	tap_ok(of(quick, a) != of(all, a) && !room.missed, "but in another one");
	ql_shape_release(r);
	ql_shape_release(j);
	ql_shape_release(slow);
	ql_shape_release(quick);
}

int main(void)
{
	arena_init(&arena, 4096);
	ql_shape_room_init(&room);
	names_go_and_stay();
	calls();
	bounds();
	costs();
	ql_shape_room_release(&room);
	arena_release(&arena);
	return tap_done();
}
