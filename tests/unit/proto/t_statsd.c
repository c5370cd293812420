#include "tests/lib/tap.h"

#include "core/base/buf.h"
#include "core/base/mem.h"
#include "proto/statsd.h"

#include <string.h>

static struct buf told;

static void tell_piece(const char *name, struct statsd_piece p)
{
	if (p.len)
		buf_printf(&told, " %s=%.*s", name, (int)p.len, p.s);
}

static void tell_sample(const struct statsd_sample *s)
{
	static const char *const types[] = { "c", "g", "s", "ms", "h", "d" };
	struct statsd_tags tags = statsd_tags(s);
	struct statsd_tag t;
	buf_printf(&told, "%.*s%.*s %s", (int)s->name.len, s->name.s, (int)s->name_end.len,
	    s->name_end.s, types[s->type]);
	if (s->type == STATSD_SET)
		buf_printf(&told, " %.*s", (int)s->text.len, s->text.s);
	else
		buf_printf(&told, " %s%.17g", s->change ? "~" : "", s->value);
	if (s->rate != 1)
		buf_printf(&told, " @%g", s->rate);
	while (statsd_tag_next(&tags, &t))
		buf_printf(&told, " %.*s=%.*s", (int)t.name.len, t.name.s,
		    t.solo ? 4 : (int)t.value.len, t.solo ? "solo" : t.value.s);
	if (tags.bad)
		buf_printf(&told, " bad_tags=%u", tags.bad);
	if (s->t_s)
		buf_printf(&told, " T%lld", (long long)s->t_s);
	tell_piece("container", s->container);
	tell_piece("external", s->external);
	tell_piece("card", s->card);
	buf_add_u8(&told, ';');
}

/* The packet lies in a piece of memory of its own size, so that reading further is seen. */
static void read(const char *packet)
{
	struct statsd_reader r;
	enum statsd_got got;
	size_t len = strlen(packet);
	char *exact = mem_alloc(len ? len : 1);
	memcpy(exact, packet, len);
	buf_clear(&told);
	statsd_reader_init(&r, exact, (uint32_t)len);
	while ((got = statsd_next(&r))) {
		if (got == STATSD_SAMPLE)
			tell_sample(&r.sample);
		else if (got == STATSD_BAD)
			buf_printf(&told, "bad(%s);", statsd_bad_text[r.bad]);
		else
			buf_add_str(&told, got == STATSD_EVENT ? "event;" : "check;");
	}
	buf_add_u8(&told, 0);
	mem_free(exact);
}

static void is(const char *packet, const char *want)
{
	read(packet);
	tap_is_str((const char *)told.data, want, "%s", packet);
}

static void plain(void)
{
	is("", "");
	is("a:1|c", "a c 1;");
	is("a:1|c\nb:2.5|g\r\n\n\r\nc:x y|s\n", "a c 1;b g 2.5;c s x y;");
	is("a:1|ms\na:1|h\na:1|d", "a ms 1;a h 1;a d 1;");
	is("a:+3|g\na:-3|g\na:-0.5|c", "a g ~3;a g ~-3;a c ~-0.5;");
	is("a:1|c|@0.1\na:1|c|@0\na:1|c|@1", "a c 1 @0.1;a c 1;a c 1;");
	is("a.b.c:1e3|c\na:.5|c\na:5.|c\na:123456789012345|c\na:1234567890123456789|c",
	    "a.b.c c 1000;a c 0.5;a c 5;a c 123456789012345;a c 1.2345678901234568e+18;");
	is("a:0.1|c\na:0.30000000000000004|c\na:3.141592653589793|c",
	    "a c 0.10000000000000001;a c 0.30000000000000004;a c 3.1415926535897931;");
}

static void several(void)
{
	is("a:1|c:2|g:3|ms", "a c 1;a g 2;a ms 3;");
	is("a:1|c|@0.5:2|c|@0.25:3|ms", "a c 1 @0.5;a c 2 @0.25;a ms 3;");
	is("a:1:2:3|ms|@0.5|#x:y", "a ms 1 @0.5 x=y;a ms 2 @0.5 x=y;a ms 3 @0.5 x=y;");
	is("a:1:x:3|d", "a d 1;bad(the value is no finite number);a d 3;");
	is("a:1:2|c", "a c 1;a c 2;");
	is("u:a:b|s", "u s a:b;");
	is("a:1|c:2|x:3|c\nb:1|c", "a c 1;bad(the type is none of c, g, s, ms, h and d);b c 1;");
	is("a:1|c:2|c|#x:y", "bad(tags stand in two forms, or behind several samples);");
}

static void tags(void)
{
	is("a:1|c|#x:y,z,u:v:w", "a c 1 x=y z=solo u=v:w;");
	is("a:1|c|#x:y,#z:1,,:q,n:", "a c 1 x=y z=1 bad_tags=3;");
	is("a:1|c|#", "a c 1;");
	is("a,x=y,z=1:1|c", "a c 1 x=y z=1;");
	is("a#x=y,z=1:1|c", "a c 1 x=y z=1;");
	is("a[x=y,z=1].b:1|c", "a.b c 1 x=y z=1;");
	is("a[x=y:1|c", "a[x=y c 1;");
	is("a]x,y=z:1|c", "a]x,y=z c 1;");
	is("a,x,=y,z=:1|c", "a c 1 bad_tags=3;");
	is("a,x=y:1|c|#z:1", "bad(tags stand in two forms, or behind several samples);");
	is("a:1|c|#x:y|#z:1", "bad(tags stand in two forms, or behind several samples);");
	is("a,x=y:1|c:2|c", "a c 1 x=y;a c 2 x=y;");
}

static void dog(void)
{
	is("a:1|c|c:ab12", "a c 1 container=ab12;");
	is("a:1|c|#x:y|c:ci-ab|e:it-false|card:low|T1656581400|new:field",
	    "a c 1 x=y T1656581400 container=ci-ab external=it-false card=low;");
	is("a:1|ms|T1656581400", "a ms 1;");
	is("a:1|c|T0\na:1|g|Tx\na:1|c|T99999999999999999999",
	    "bad(the timestamp is no number of seconds above 0);bad(the timestamp is no number of seconds above 0);bad(the timestamp is no number of seconds above 0);");
	is("_e{5,4}:title|a|b:c\n_sc|name|0|#x:y\n_x:1|c", "event;check;_x c 1;");
	is("a:1|c|e:\na:1|c||", "a c 1;a c 1;");
}

static void bad(void)
{
	static const char *const lines[] = { "a", ":1|c", "a:1", "a:", ",x=y:1|c", "[x=y]:1|c" };
	for (size_t i = 0; i < COUNT_OF(lines); i++)
		is(lines[i], "bad(the form is name:value|type);");
	is("a:1|", "bad(the type is none of c, g, s, ms, h and d);");
	is("a:1|cc", "bad(the type is none of c, g, s, ms, h and d);");
	is("a:|c\na:x|c\na:nan|g\na:inf|c\na:1e999|c\na:--1|c\na:|s\na:.|c\na:+|g",
	    "bad(the value is no finite number);bad(the value is no finite number);bad(the value is no finite number);"
	    "bad(the value is no finite number);bad(the value is no finite number);bad(the value is no finite number);"
	    "bad(the value is no finite number);bad(the value is no finite number);bad(the value is no finite number);");
	is("a:1|c|@2\na:1|c|@-1\na:1|c|@\na:1|c|@x",
	    "bad(the sample rate is not above 0 and at most 1);bad(the sample rate is not above 0 and at most 1);"
	    "bad(the sample rate is not above 0 and at most 1);bad(the sample rate is not above 0 and at most 1);");
	is("a\xff:1|c\n\xc3\xa9:1|c", "bad(it is not UTF-8);\xc3\xa9 c 1;");
}

int main(void)
{
	buf_init(&told);
	plain();
	several();
	tags();
	dog();
	bad();
	buf_release(&told);
	return tap_done();
}
