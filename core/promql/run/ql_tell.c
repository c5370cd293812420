#include "core/promql/run/ql_tell.h"

#include <string.h>

#define TELL_WORK 1024 /* values that take as long as making a text */

void ql_tell_init(struct ql_tell *t, struct arena *a, bool info, const char *query, size_t len)
{
	*t = (struct ql_tell){ .info = info, .arena = a, ._query = query, ._len = len };
}

static void tell_enter(struct ql_tell *t, enum ql_tell_phase phase)
{
	t->_phase = phase;
	t->_pos = 0;
}

/* Offsets behind each line feed, the first line's too. */
static enum ql_did tell_lines(struct ql_tell *t, struct ql_run *x)
{
	const char *end = t->_query + t->_len;
	uint32_t count = 1;

	for (const char *p = t->_query; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		count++;
	if ((x->err = ql_room(&x->budget, count * (uint64_t)sizeof(*t->_lines), x->eb)))
		return QL_FAILED;
	t->_lines = arena_array(x->arena, count, sizeof(*t->_lines));
	t->_lines[0] = 0;
	t->_lines_count = 1;
	for (const char *p = t->_query; (p = memchr(p, '\n', (size_t)(end - p))); p++)
		t->_lines[t->_lines_count++] = (uint32_t)(p + 1 - t->_query);
	return QL_DONE;
}

static void place_of(const struct ql_tell *t, uint32_t at, unsigned *line, unsigned *col)
{
	uint32_t lo = 0, hi = t->_lines_count;

	at = at < t->_len ? at : (uint32_t)t->_len;
	while (hi - lo > 1) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (t->_lines[mid] <= at)
			lo = mid;
		else
			hi = mid;
	}
	*line = lo + 1;
	*col = at - t->_lines[lo] + 1;
}

static enum ql_did tell_texts(struct ql_tell *t, struct ql_run *x)
{
	const struct ql_notes *n = &x->notes;

	if (!t->_texts)
		t->_texts = arena_array(x->arena, (size_t)n->tab.count + 1, sizeof(*t->_texts));
	while (t->_pos < n->tab.count) {
		const struct ql_note_item *it = &n->items[t->_pos++];
		unsigned line, col;
		if (it->info == t->info) {
			if ((x->err = ql_room(&x->budget, strlen(it->text) + 256, x->eb)))
				return QL_FAILED;
			place_of(t, it->pos.start, &line, &col);
			t->_texts[t->count++].text = ql_note_text(t->arena, it, line, col);
		}
		if (ql_tick(x, TELL_WORK))
			return QL_AGAIN;
	}
	return QL_DONE;
}

static int cmp_texts(const void *arg, uint32_t a, uint32_t b)
{
	const struct ql_note *n = arg;
	return strcmp(n[a].text, n[b].text);
}

static enum ql_did tell_order(struct ql_tell *t, struct ql_run *x)
{
	if (!t->notes)
		t->notes = arena_array(t->arena, (size_t)t->count + 1, sizeof(*t->notes));
	while (t->_pos < t->count) {
		t->notes[t->_pos] = t->_texts[t->_sorter.idx[t->_pos]];
		t->_pos++;
		if (ql_tick(x, 0))
			return QL_AGAIN;
	}
	return QL_DONE;
}

static enum ql_did tell_phase(struct ql_tell *t, struct ql_run *x)
{
	enum ql_did did = QL_DONE;

	switch (t->_phase) {
	case QL_TELL_LINES:
		did = x->notes.tab.count ? tell_lines(t, x) : QL_DONE;
		if (!did)
			tell_enter(t, QL_TELL_TEXTS);
		break;
	case QL_TELL_TEXTS:
		if ((did = tell_texts(t, x)))
			break;
		ql_sorter_init(&t->_sorter, x->arena, t->count, cmp_texts, t->_texts);
		t->_sorter.work = 128;
		tell_enter(t, QL_TELL_SORT);
		break;
	case QL_TELL_SORT:
		did = ql_sorter_run(&t->_sorter, x) ? QL_DONE : QL_AGAIN;
		if (!did)
			tell_enter(t, QL_TELL_ORDER);
		break;
	case QL_TELL_ORDER:
		did = tell_order(t, x);
		if (!did)
			tell_enter(t, QL_TELL_TOLD);
		break;
	case QL_TELL_TOLD:
		break;
	}
	return did;
}

enum ql_did ql_tell_run(struct ql_tell *t, struct ql_run *x)
{
	while (t->_phase != QL_TELL_TOLD) {
		enum ql_did did = tell_phase(t, x);
		if (did)
			return did;
	}
	return QL_DONE;
}
