/*
 * Any bytes as labels: walking ends, what is canonicalised is canonical, and canonicalising it
 * again changes nothing.
 */
#include "core/model/label.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a;
	struct labels ls = { .bytes = data, .len = (uint32_t)size }, out, again;
	struct errbuf eb;
	struct buf text;
	arena_init(&a, 4096);
	buf_init(&text);
	errbuf_init(&eb);
	bool canonical = label_is_canonical(ls);
	label_text(&text, ls);
	label_text_metric(&text, ls);
	(void)label_cmp(ls, ls);
	if (label_canonicalize(&a, ls, &label_limits_default, &out, &eb) == ERR_OK) {
		if (!label_is_canonical(out) || (canonical && out.bytes != ls.bytes))
			abort();
		if (label_canonicalize(&a, out, &label_limits_default, &again, &eb) ||
		    again.bytes != out.bytes)
			abort();
		struct label_builder b;
		label_builder_from(&b, &a, ls);
		if (!label_equal(label_builder_done(&b), out))
			abort();
		if (label_cmp(out, out) != 0)
			abort();
	} else if (!eb.text[0]) {
		abort();
	}
	buf_release(&text);
	arena_release(&a);
	return 0;
}
