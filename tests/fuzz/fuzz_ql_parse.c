/*
 * Any text is refused or parsed; what was parsed prints, what was printed parses again and prints
 * the same. Then durations are resolved, and the text is read as a selector and as a series
 * description.
 */
#include "core/model/limits.h"
#include "core/promql/lang/ql_parse.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void round_trip(struct arena *a, const char *text, size_t len)
{
	static const struct ql_parse_opts all = { true, true, true, NULL };
	struct ql_node *n = NULL, *again = NULL;
	struct errbuf eb;
	struct buf first, second;
	errbuf_init(&eb);
	if (ql_parse(a, text, len, &all, &n, &eb)) {
		CHECK(eb.text[0]);
		return;
	}
	buf_init(&first);
	buf_init(&second);
	ql_print(&first, n);
	if (first.len <= limits_here()->query_text_bytes) { /* printing adds blanks */
		enum err e = ql_parse(a, (const char *)first.data, first.len, &all, &again, &eb);
		CHECK(!e);
		ql_print(&second, again);
		CHECK(first.len == second.len && !memcmp(first.data, second.data, first.len));
		ql_ast_release(again);
	}
	buf_clear(&second);
	ql_pretty(&second, n);
	(void)!ql_ast_resolve(n, -60000, 3600000, 15000, &eb);
	ql_ast_release(n);
	buf_release(&first);
	buf_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data;
	struct arena a;
	struct errbuf eb;
	struct matcher *m = NULL;
	struct ql_series_desc d;
	size_t count = 0;
	arena_init(&a, 4096);
	round_trip(&a, text, size);
	errbuf_init(&eb);
	if (!ql_parse_selector(&a, text, size, NULL, &(struct ql_counts){ 0 }, &m, &count, &eb))
		for (size_t i = 0; i < count; i++)
			matcher_release(&m[i]);
	errbuf_init(&eb);
	(void)!ql_series_desc(&a, text, size, &d, &eb);
	arena_release(&a);
	return 0;
}
