#include "net/recv/recvextra.h"

#include "core/base/rune.h"
#include "core/model/label.h"
#include "proto/jobpath.h"

static void list_add(struct label *items, size_t *count, const struct label *l)
{
	for (size_t i = 0; i < *count; i++)
		if (bytes_equal(items[i].name, items[i].name_len, l->name, l->name_len)) {
			items[i] = *l;
			return;
		}
	items[(*count)++] = *l;
}

/* Those of the path first: parameters stand over them. */
static bool path_add(struct req *r, struct label *items, size_t *count)
{
	struct errbuf eb;
	struct label_builder b;
	struct label l;
	errbuf_init(&eb);
	label_builder_init(&b, &r->arena);
	if (jobpath_labels(&b, r->param, r->param_len, &eb)) {
		req_refuse(r, 400, "bad_path", "%s", eb.text);
		return false;
	}
	struct labels made = label_builder_done(&b);
	struct label_iter it = label_iter(made);
	while (label_next(&it, &l) && *count < RECVEXTRA_BYTES_MAX)
		list_add(items, count, &l);
	return true;
}

static bool param_add(struct req *r, const char *text, size_t len, struct label *items, size_t *count)
{
	const char *is = memchr(text, '=', len);
	if (!is || is == text || !rune_valid(text, len)) {
		req_refuse(r, 400, "bad_extra_label", "extra_label is \"%.*s\", must be name=value",
		    (int)rune_cut(text, len, 100), text);
		return false;
	}
	list_add(items, count,
	    &(struct label){ .name = text,
	        .name_len = (uint32_t)(is - text),
	        .value = is + 1,
	        .value_len = (uint32_t)(len - (size_t)(is + 1 - text)) });
	return true;
}

bool recvextra_open(
    struct req *r, const struct urlq *q, bool with_path, const struct label **out, size_t *count)
{
	size_t pos = 0, len, params = 0, bytes = with_path ? r->param_len : 0;
	const char *text;
	*out = NULL;
	*count = 0;
	while (urlq_next(q, "extra_label", &pos, &len)) {
		params++;
		bytes += len;
	}
	if (bytes > RECVEXTRA_BYTES_MAX) {
		req_refuse(r, 400, "bad_extra_label", "labels of the URL have %zu bytes, limit %u",
		    bytes, RECVEXTRA_BYTES_MAX);
		return false;
	}
	if (!params && !with_path)
		return true;
	struct label *items = arena_array(&r->arena, params + bytes / 2 + 1, sizeof(*items));
	if (with_path && !path_add(r, items, count))
		return false;
	pos = 0;
	while ((text = urlq_next(q, "extra_label", &pos, &len)))
		if (!param_add(r, text, len, items, count))
			return false;
	*out = items;
	return true;
}

static struct labels with_extra(
    struct labels ls, const struct label *extra, size_t count, struct arena *a)
{
	struct label_builder b;
	label_builder_from(&b, a, ls);
	for (size_t i = 0; i < count; i++)
		label_builder_set(
		    &b, extra[i].name, extra[i].name_len, extra[i].value, extra[i].value_len);
	return label_builder_done(&b);
}

void recvextra_set(struct batch *b, size_t rows, size_t exemplars, const struct label *extra,
    size_t count, struct arena *a)
{
	struct labels was = { 0 }, is = { 0 };
	for (size_t i = rows; i < b->rows_count; i++) {
		struct batch_row *r = &b->rows[i];
		if (r->labels != was.bytes || r->labels_len != was.len || !was.bytes) {
			was = (struct labels){ .bytes = r->labels, .len = r->labels_len };
			is = with_extra(was, extra, count, a);
		}
		r->labels = is.bytes;
		r->labels_len = is.len;
	}
	for (size_t i = exemplars; i < b->exemplars_count; i++) {
		struct batch_exemplar *x = &b->exemplars[i];
		is = with_extra(
		    (struct labels){ .bytes = x->labels, .len = x->labels_len }, extra, count, a);
		x->labels = is.bytes;
		x->labels_len = is.len;
	}
}
