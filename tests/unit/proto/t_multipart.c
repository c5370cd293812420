/* multipart/form-data as parameters: what curl and Go's clients send, what is no form, what is
 * refused. */
#include "tests/lib/tap.h"

#include "core/base/buf.h"
#include "proto/multipart.h"

#include <stdlib.h>

static struct arena arena;
static struct errbuf eb;
static struct urlq q;

/* The body lies in memory of its exact size, so that a sanitizer sees a byte too far. */
static enum err read_form(const char *type, const char *body, size_t len)
{
	char *exact = malloc(len ? len : 1);
	CHECK(exact);
	if (len)
		memcpy(exact, body, len);
	urlq_init(&q, &arena);
	errbuf_init(&eb);
	enum err err = multipart_parse(&q, type, strlen(type), exact, len, &eb);
	free(exact);
	return err;
}

/* "key=value|key=value" of what was read. */
static const char *pairs(void)
{
	static struct buf b;
	buf_clear(&b);
	for (size_t i = 0; i < q.count; i++)
		buf_printf(&b, "%s%s=%s", i ? "|" : "", q.pairs[i].key, q.pairs[i].value);
	buf_add_u8(&b, 0);
	return (const char *)b.data;
}

#define TYPE              "multipart/form-data; boundary=B"
#define PART(head, body)  "--B\r\n" head "\r\n\r\n" body "\r\n"
#define FIELD(name, body) PART("Content-Disposition: form-data; name=" name, body)
#define END               "--B--\r\n"

/* What is read is what Go's ParseMultipartForm reads of the same bytes. */
static const struct {
	const char *what, *type, *body, *want;
} good[] = {
	{ "as curl -F sends it",
	    "multipart/form-data; boundary=------------------------d74496d66958873e",
	    "--------------------------d74496d66958873e\r\nContent-Disposition: form-data; name=\"query\"\r\n\r\n1+1\r\n--------------------------d74496d66958873e--\r\n",
	    "query=1+1" },
	{ "nothing is unescaped", TYPE, FIELD("\"a\"", "%41+;&=") END, "a=%41+;&=" },
	{ "in order, repeated ones too", TYPE,
	    FIELD("\"match[]\"", "x") FIELD("b", "") FIELD("\"match[]\"", "y") END,
	    "match[]=x|b=|match[]=y" },
	{ "no part at all", TYPE, "--B--", "" },
	{ "the last line may be without its end", TYPE, FIELD("a", "1") "--B--", "a=1" },
	{ "blanks behind a boundary", TYPE,
	    "--B \t\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--B--  \r\n", "a=1" },
	{ "what stands before and behind the form", TYPE,
	    "preamble\r\n--Bx\r\n" FIELD("a", "1") END FIELD("b", "2") END, "a=1" },
	{ "lines that end with LF", TYPE,
	    "--B\nContent-Disposition: form-data; name=a\n\n1\r\n--B--\n", "a=1\r" },
	{ "an empty part without a line of its own", TYPE,
	    "--B\r\nContent-Disposition: form-data; name=a\r\n\r\n--B--\r\n", "a=" },
	{ "what only looks like a boundary", TYPE,
	    FIELD("a", "1\r\n--Bx\r\n--B-\r\n --B\r\n--b\r\n") END,
	    "a=1\r\n--Bx\r\n--B-\r\n --B\r\n--b\r\n" },
	{ "files are no values", TYPE,
	    PART("Content-Disposition: form-data; name=f; filename=x", "file")
	        PART("Content-Disposition: form-data; name=g; filename*=utf-8''x", "file")
	            FIELD("a", "1") END,
	    "a=1" },
	{ "an empty file name is none", TYPE,
	    PART("Content-Disposition: form-data; name=a; filename=\"\"", "1") END, "a=1" },
	{ "parts without a name are none", TYPE,
	    FIELD("\"\"", "x") PART("Content-Disposition: form-data", "x")
	        PART("Content-Disposition: attachment; name=g", "x")
	            PART("Content-Type: text/plain", "x") FIELD("a", "1") END,
	    "a=1" },
	{ "the case of fields and words", "Multipart/Form-Data; charset=utf-8; BOUNDARY=\"B\";",
	    PART("content-disposition: FORM-DATA ; NAME = \"a\"", "1") END, "a=1" },
	{ "quotes and Windows' backslashes", TYPE, FIELD("\"a\\\"b\\c\\\\\"", "1") END,
	    "a\"b\\c\\=1" },
	{ "folded fields, and others", TYPE,
	    PART("X-Other: 1\r\nContent-Disposition: form-data;\r\n name=a\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8BIT",
	        "1") END,
	    "a=1" },
	{ "a boundary with blanks and marks", "multipart/form-data; boundary=\"a b'()+_,-./:=?c\"",
	    "--a b'()+_,-./:=?c\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--a b'()+_,-./:=?c--",
	    "a=1" },
};

static void forms(void)
{
	for (size_t i = 0; i < COUNT_OF(good); i++) {
		enum err err = read_form(good[i].type, good[i].body, strlen(good[i].body));
		tap_ok(!err, "read: %s (%s)", good[i].what, eb.text);
		tap_is_str(pairs(), good[i].want, "with its values");
	}
	static const char nul[] = FIELD("a", "x\0y") END;
	tap_ok(!read_form(TYPE, nul, sizeof(nul) - 1) && q.count == 1 &&
	        q.pairs[0].value_len == 3 && !memcmp(q.pairs[0].value, "x\0y", 4),
	    "a value may hold any byte, and a NUL stands behind it");
}

static const struct {
	const char *type, *body, *why;
} bad[] = {
	{ "multipart/form-data", FIELD("a", "1") END,
	    "Content-Type multipart/form-data needs one boundary" },
	{ "multipart/form-data; boundary=", FIELD("a", "1") END, "needs one boundary" },
	{ "multipart/form-data; boundary=\"\"", "--\r\n", "needs one boundary" },
	{ "multipart/form-data; boundary=\"B \"", FIELD("a", "1") END, "needs one boundary" },
	{ "multipart/form-data; boundary=B; boundary=C", FIELD("a", "1") END, "needs one boundary" },
	{ "multipart/form-data; boundary=B; x", FIELD("a", "1") END, "needs one boundary" },
	{ "multipart/form-data; boundary=\"B", FIELD("a", "1") END, "needs one boundary" },
	{ "multipart/form-data; boundary=1234567890123456789012345678901234567890123456789012345678901234567890x",
	    "", "needs one boundary" },
	{ TYPE, "", "no boundary" },
	{ TYPE, "query=1", "no boundary" },
	{ TYPE, "--C\r\n\r\n", "no boundary" },
	{ TYPE, "--B\r\n", "ends before its last boundary" },
	{ TYPE, "--B\r\nContent-Disposition: form-data; name=a\r\n", "ends before" },
	{ TYPE, FIELD("a", "1"), "ends before" },
	{ TYPE, FIELD("a", "1") "--B", "ends before" },
	{ TYPE, FIELD("a", "1") "--B-", "ends before" },
	{ TYPE, FIELD("a", "1") "--B x\r\n" END, "has something behind it" },
	{ TYPE, FIELD("a", "1") "--B\n" END, "has something behind it" },
	{ TYPE, FIELD("a", "1") "--B--x\r\n", "has something behind it" },
	{ TYPE, "--B\r\nno field\r\n\r\n1\r\n" END, "malformed field" },
	{ TYPE, PART("a b: 1", "1") END, "malformed field" },
	{ TYPE, PART(": 1", "1") END, "malformed field" },
	{ TYPE, PART("a: \1", "1") END, "malformed field" },
	{ TYPE, FIELD("a\rb", "1") END, "malformed field" },
	{ TYPE, FIELD("a; name=b", "1") END, "two names" },
	{ TYPE, PART("Content-Disposition: form-data; name*=utf-8''a", "1") END, "name*=" },
	{ TYPE, FIELD("\"a", "1") END, "malformed Content-Disposition" },
	{ TYPE, FIELD("a b", "1") END, "malformed Content-Disposition" },
	{ TYPE,
	    PART("Content-Disposition: form-data; name=a\r\nContent-Disposition: form-data; name=b",
	        "1") END,
	    "two Content-Disposition" },
	{ TYPE,
	    PART("Content-Disposition: form-data; name=a\r\nContent-Transfer-Encoding: quoted-printable",
	        "=31") END,
	    "Content-Transfer-Encoding" },
};

static void no_forms(void)
{
	for (size_t i = 0; i < COUNT_OF(bad); i++) {
		enum err err = read_form(bad[i].type, bad[i].body, strlen(bad[i].body));
		tap_ok(err == ERR_MALFORMED && strstr(eb.text, bad[i].why), "refused: %s",
		    eb.text[0] ? eb.text : bad[i].why);
	}
}

static void cuts(void)
{
	static const char whole[] = FIELD("a", "1") FIELD("b", "2") "--B--";
	for (size_t len = 0; len < sizeof(whole) - 1; len++)
		if (!read_form(TYPE, whole, len)) {
			tap_ok(false, "a form cut at %zu is taken for whole", len);
			return;
		}
	tap_ok(!read_form(TYPE, whole, sizeof(whole) - 1), "a form cut anywhere is none");
}

static void bounds(void)
{
	struct buf b;
	buf_init(&b);
	for (unsigned i = 0; i < MULTIPART_PARTS_MAX; i++)
		buf_add_str(&b, FIELD("a", "1"));
	size_t len = b.len;
	buf_add_str(&b, END);
	tap_ok(!read_form(TYPE, (char *)b.data, b.len) && q.count == MULTIPART_PARTS_MAX,
	    "%u parts pass", MULTIPART_PARTS_MAX);
	b.len = len;
	buf_add_str(&b, FIELD("a", "1") END);
	tap_ok(read_form(TYPE, (char *)b.data, b.len) == ERR_TOOBIG, "one more does not");
	buf_clear(&b);
	buf_add_str(&b, "--B\r\nX: ");
	while (b.len < MULTIPART_HEAD_MAX + 10)
		buf_add_u8(&b, 'x');
	buf_add_str(&b, "\r\n\r\n1\r\n" END);
	tap_ok(read_form(TYPE, (char *)b.data, b.len) == ERR_TOOBIG, "nor do long fields");
	buf_clear(&b);
	buf_add_str(&b, "--B\r\nX: 1\r\n");
	for (unsigned i = 0; i < MULTIPART_HEAD_MAX / 4; i++)
		buf_add_str(&b, " x\r\n");
	buf_add_str(&b, "\r\n1\r\n" END);
	size_t used = arena_used(&arena);
	tap_ok(read_form(TYPE, (char *)b.data, b.len) == ERR_TOOBIG, "nor many folds");
	tap_ok(arena_used(&arena) - used < (64u << 10), "which take %zu bytes of memory",
	    arena_used(&arena) - used);
	buf_clear(&b);
	buf_add_str(&b, "--B\r\nContent-Disposition: form-data");
	while (b.len < MULTIPART_HEAD_MAX - 100)
		buf_add_str(&b, ";a=\"x\"");
	buf_add_str(&b, "\r\n\r\n1\r\n" END);
	used = arena_used(&arena);
	tap_ok(!read_form(TYPE, (char *)b.data, b.len) && q.count == 0, "many quotes are read");
	tap_ok(arena_used(&arena) - used < (64u << 10), "and take %zu bytes of memory",
	    arena_used(&arena) - used);
	buf_release(&b);
}

int main(void)
{
	arena_init(&arena, 4096);
	forms();
	no_forms();
	cuts();
	bounds();
	arena_release(&arena);
	return tap_done();
}
