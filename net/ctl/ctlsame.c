#include "net/ctl/ctlsame.h"

#include "core/base/num.h"
#include "core/model/histalike.h"
#include "storage/chunk/colruns.h"

#define TRIES 8u

int ctlsame_read(struct ctlsrc *src, struct labels ls, int64_t from, int64_t to, struct column *out)
{
	struct buf text;
	struct arena a;
	struct ctlsel sel;
	struct errbuf eb;
	struct ctlsrc_item item;
	struct colruns runs = { 0 };
	enum ctlsrc_got got = CTLSRC_BROKEN;
	errbuf_init(&eb);
	buf_init(&text);
	arena_init(&a, 1024);
	label_text(&text, ls);
	if (ctlsel_parse(&a, (const char *)text.data, text.len, &sel, &eb)) {
		buf_release(&text);
		arena_release(&a);
		return ctl_fail(CTL_LOCAL, "a series has labels that are no selector: %s", eb.text);
	}
	struct ctlsrc_piece piece = { .sel = &sel, .from_ms = from, .to_ms = to };
	for (unsigned i = 0; got == CTLSRC_BROKEN && i < TRIES; i++) {
		colruns_join(&runs, out);
		column_clear(out);
		if (i && !ctl_sleep_ms(200u << i))
			break;
		ctlsrc_begin(src, &piece);
		while ((got = ctlsrc_next(src, &item)) == CTLSRC_ITEM) {
			struct column *top = colruns_top(&runs);
			uint32_t had = top->count;
			/* a narrower selector there is none: {a="b"} is of {a="b",c="d"}, too */
			if (!label_equal(item.labels, ls))
				continue;
			column_append_lent(top, &item.samples, 0, item.samples.count);
			if (had && top->t_ms[had] <= top->t_ms[had - 1])
				colruns_split(&runs, had);
		}
	}
	colruns_join(&runs, out);
	colruns_release(&runs);
	ctlsel_release(&sel);
	buf_release(&text);
	arena_release(&a);
	return got == CTLSRC_END ? CTL_OK : ctlsrc_tell(src);
}

static bool alike(const struct column *a, uint32_t i, const struct column *b, uint32_t k)
{
	const struct hist *h = column_hist(a, i), *g = column_hist(b, k);
	if (h || g)
		return hist_alike(h, g);
	if (sample_is_stale(a->v[i]) || sample_is_stale(b->v[k]))
		return sample_is_stale(a->v[i]) && sample_is_stale(b->v[k]);
	return num_bits(a->v[i]) == num_bits(b->v[k]) || (a->v[i] != a->v[i] && b->v[k] != b->v[k]);
}

bool ctlsame_within(const struct column *c, const struct column *there)
{
	uint32_t at = 0;
	for (uint32_t i = 0; i < c->count; i++) {
		while (at < there->count && there->t_ms[at] < c->t_ms[i])
			at++;
		if (at == there->count || there->t_ms[at] != c->t_ms[i] || !alike(c, i, there, at))
			return false;
	}
	return true;
}
