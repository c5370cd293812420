/*
 * A backup's list (net/ctl/backrepo.h), with a good checksum behind whatever comes. Judges: one
 * that is refused is told why; of one that is taken every path stays below where it is restored to,
 * each stands once, and it is written as it was understood.
 */
#include <inttypes.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/hash.h"
#include "net/ctl/backrepo.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge(struct backgen *g)
{
	for (size_t i = 0; i < g->count; i++) {
		const char *p = g->files[i].path;
		if (!p[0] || p[0] == '/' || p[0] == '.' || strstr(p, "/.") || strstr(p, "//") ||
		    p[strlen(p) - 1] == '/' || g->files[i].stored > g->files[i].size ||
		    backgen_find(g, p) != &g->files[i])
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct backgen a, b;
	struct errbuf eb;
	struct buf in, out;
	if (size > 65536)
		return 0;
	buf_init(&in);
	buf_init(&out);
	errbuf_init(&eb);
	buf_add(&in, data, size);
	buf_printf(&in, "crc %08" PRIx32 "\n", crc32c(0, in.data, in.len));
	enum err e = backgen_parse(in.data, in.len, &a, &eb);
	if (e && !eb.text[0])
		abort();
	if (!e) {
		judge(&a);
		backgen_format(&a, &out);
		if (backgen_parse(out.data, out.len, &b, &eb) || b.count != a.count)
			abort();
		backgen_release(&a);
		backgen_release(&b);
	}
	buf_release(&in);
	buf_release(&out);
	return 0;
}
