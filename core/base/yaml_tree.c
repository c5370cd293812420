/* yaml_tree - from libyaml's events to the tree: what a configuration needs not is refused. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/base/mem.h"
#include "core/base/rune.h"
#include "core/base/yaml_priv.h"

struct frame {
	struct yaml_node *node, **tail;
	const char *key; /* of the value that comes next; NULL: a key comes */
	uint32_t key_len, key_at;
	bool key_bad;
};
struct grower {
	struct yaml *y;
	yaml_parser_t parser;
	size_t skip; /* bytes before what libyaml reads */
	struct frame frames[YAML_DEPTH_MAX + 1];
	size_t depth; /* frames in use */
	bool root, over;
	size_t chars, bytes; /* a place in what libyaml reads, see at_mark */
};

static bool stop(struct grower *g)
{
	g->over = true;
	return false;
}

static bool inside_rune(const struct yaml *y, size_t at)
{
	return at < y->len && ((unsigned char)y->text[at] & 0xc0) == 0x80;
}

/*
 * libyaml counts characters, we bytes: from the last place, for marks follow one another closely.
 */
static uint32_t at_mark(struct grower *g, const yaml_mark_t *m)
{
	const struct yaml *y = g->y;
	size_t at = g->skip + g->bytes;
	for (; g->chars < m->index && at < y->len; g->chars++)
		do
			at++;
		while (inside_rune(y, at));
	for (; g->chars > m->index && at > g->skip; g->chars--)
		do
			at--;
		while (inside_rune(y, at));
	g->bytes = at - g->skip;
	return (uint32_t)at;
}

/* ---- refusals ---- */

/* Of a value at a place, which &name or !name begins. */
static bool refuse_extras(struct grower *g, const void *anchor, const void *tag, uint32_t at)
{
	if (anchor)
		return yaml_fail_at(
		    g->y, at, "anchors (&name) are not taken: write the value where it is needed");
	if (tag)
		return yaml_fail_at(g->y, at, "tags (!name) are not taken");
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct yaml_node *x = *(const struct yaml_node *const *)a,
	                       *z = *(const struct yaml_node *const *)b;
	size_t n = x->key_len < z->key_len ? x->key_len : z->key_len;
	int c = n ? memcmp(x->key, z->key, n) : 0;
	if (c)
		return c;
	if (x->key_len != z->key_len)
		return x->key_len < z->key_len ? -1 : 1;
	return x->key_at < z->key_at ? -1 : 1;
}

static bool same_key(const struct yaml_node *a, const struct yaml_node *b)
{
	return a->key_len == b->key_len && !memcmp(a->key, b->key, a->key_len);
}

/* Of repeated keys the first counts. */
static void drop_repeated(struct grower *g, struct yaml_node *map)
{
	if (map->count < 2)
		return;
	struct yaml_node **all = mem_array(NULL, map->count, sizeof(struct yaml_node *));
	size_t n = 0;
	for (struct yaml_node *c = map->first; c; c = c->next)
		all[n++] = c;
	qsort(all, n, sizeof(struct yaml_node *), by_key);
	for (size_t i = 1, first = 0; i < n; i++) {
		unsigned line = 0, column;
		if (!same_key(all[first], all[i])) {
			first = i;
			continue;
		}
		if (yaml_has_room(g->y))
			yaml_place(g->y, all[first]->key_at, &line, &column);
		yaml_fail_key(g->y, all[i], "this key stands in line %u already", line);
		all[i]->_repeated = true;
	}
	mem_free(all);
	struct yaml_node **link = &map->first;
	while (*link) {
		if ((*link)->_repeated) {
			*link = (*link)->next;
			map->count--;
		} else {
			link = &(*link)->next;
		}
	}
}

/* ---- growing ---- */

static struct yaml_node *node_add(struct grower *g, enum yaml_type type, uint32_t at)
{
	struct yaml *y = g->y;
	if (++y->nodes > YAML_NODES_MAX) {
		yaml_fail_at(y, at, "more than %u values", YAML_NODES_MAX);
		g->over = true;
		return NULL;
	}
	struct yaml_node *n = arena_zalloc(&y->arena, sizeof(*n));
	n->type = type;
	n->at = at;
	if (!g->depth)
		return n;
	struct frame *f = &g->frames[g->depth - 1];
	n->parent = f->node;
	n->key = f->key;
	n->key_len = f->key_len;
	n->key_at = f->key_at;
	n->bad = f->key_bad;
	f->key = NULL;
	*f->tail = n;
	f->tail = &n->next;
	f->node->count++;
	return n;
}

/* The first value of the document is its root. */
static bool root_is(struct grower *g, struct yaml_node *n)
{
	if (g->depth)
		return true;
	g->root = true;
	if (n->type == YAML_MAP)
		g->y->root = n;
	else if (n->type != YAML_NULL)
		return yaml_fail_at(g->y, n->at, "a configuration is a map: lines of \"key: value\"");
	return true;
}

static bool wants_key(const struct grower *g)
{
	const struct frame *f = g->depth ? &g->frames[g->depth - 1] : NULL;
	return f && f->node->type == YAML_MAP && !f->key;
}

static bool take_key(struct grower *g, const yaml_event_t *ev, uint32_t at)
{
	struct frame *f = &g->frames[g->depth - 1];
	const char *text = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	f->key_bad = !refuse_extras(g, ev->data.scalar.anchor, ev->data.scalar.tag, at);
	if (len == 2 && !memcmp(text, "<<", 2))
		f->key_bad =
		    !yaml_fail_at(g->y, at, "merge keys (<<) are not taken: write the keys out");
	f->key = arena_strndup(&g->y->arena, text, len);
	f->key_len = (uint32_t)len;
	f->key_at = at;
	return true;
}

static bool is_null(const char *s, size_t len)
{
	return !len || (len == 1 && *s == '~') ||
	    (len == 4 && (!memcmp(s, "null", 4) || !memcmp(s, "Null", 4) || !memcmp(s, "NULL", 4)));
}

static bool take_scalar(struct grower *g, const yaml_event_t *ev)
{
	uint32_t at = at_mark(g, &ev->start_mark);
	if (wants_key(g))
		return take_key(g, ev, at);
	const char *text = (const char *)ev->data.scalar.value;
	size_t len = ev->data.scalar.length;
	bool plain = ev->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	struct yaml_node *n = node_add(g, plain && is_null(text, len) ? YAML_NULL : YAML_SCALAR, at);
	if (!n)
		return false;
	n->quoted = !plain;
	n->text = arena_strndup(&g->y->arena, text, len);
	n->len = (uint32_t)len;
	n->bad |= !refuse_extras(g, ev->data.scalar.anchor, ev->data.scalar.tag, at);
	return root_is(g, n);
}

static bool open_node(struct grower *g, enum yaml_type type, const yaml_event_t *ev,
    const void *anchor, const void *tag)
{
	uint32_t at = at_mark(g, &ev->start_mark);
	if (wants_key(g)) {
		yaml_fail_at(g->y, at, "a key is a plain text, not a map or a list");
		return stop(g);
	}
	if (g->depth == YAML_DEPTH_MAX) {
		yaml_fail_at(g->y, at, "more than %u levels", YAML_DEPTH_MAX);
		return stop(g);
	}
	struct yaml_node *n = node_add(g, type, at);
	if (!n)
		return false;
	n->bad |= !refuse_extras(g, anchor, tag, at);
	if (!root_is(g, n))
		return stop(g);
	g->frames[g->depth++] = (struct frame){ .node = n, .tail = &n->first };
	return true;
}

static bool take_alias(struct grower *g, const yaml_event_t *ev)
{
	uint32_t at = at_mark(g, &ev->start_mark);
	yaml_fail_at(g->y, at, "aliases (*name) are not taken: write the value where it is needed");
	if (wants_key(g))
		return stop(g);
	struct yaml_node *n = node_add(g, YAML_NULL, at);
	if (n)
		n->bad = true;
	return n != NULL;
}

static bool close_node(struct grower *g)
{
	if (!g->depth)
		return stop(g);
	struct frame *f = &g->frames[--g->depth];
	if (f->node->type == YAML_MAP)
		drop_repeated(g, f->node);
	return true;
}

static bool take_event(struct grower *g, const yaml_event_t *ev)
{
	switch (ev->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(g, ev);
	case YAML_ALIAS_EVENT:
		return take_alias(g, ev);
	case YAML_MAPPING_START_EVENT:
		return open_node(
		    g, YAML_MAP, ev, ev->data.mapping_start.anchor, ev->data.mapping_start.tag);
	case YAML_SEQUENCE_START_EVENT:
		return open_node(
		    g, YAML_LIST, ev, ev->data.sequence_start.anchor, ev->data.sequence_start.tag);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		return close_node(g);
	case YAML_DOCUMENT_START_EVENT:
		if (!g->root)
			return true;
		yaml_fail_at(
		    g->y, at_mark(g, &ev->start_mark), "a second document (---): one is taken");
		return stop(g);
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
	return true;
}

static void tell_syntax(struct grower *g)
{
	const yaml_parser_t *p = &g->parser;
	const char *words = p->problem ? p->problem : "this is not YAML";
	if (p->error == YAML_MEMORY_ERROR)
		panic("no memory for YAML");
	if (p->error == YAML_READER_ERROR) { /* the text itself: of its bytes */
		size_t at = p->problem_offset + g->skip;
		yaml_fail_at(g->y, (uint32_t)(at < g->y->len ? at : g->y->len), "%s", words);
	} else if (p->context) {
		yaml_fail_at(g->y, at_mark(g, &p->problem_mark), "%s, %s", words, p->context);
	} else {
		yaml_fail_at(g->y, at_mark(g, &p->problem_mark), "%s", words);
	}
}

static void grow_by(struct grower *g)
{
	yaml_event_t ev;
	while (!g->over) {
		if (!yaml_parser_parse(&g->parser, &ev)) {
			tell_syntax(g);
			return;
		}
		bool ended = ev.type == YAML_STREAM_END_EVENT;
		take_event(g, &ev);
		yaml_event_delete(&ev);
		if (ended)
			return;
	}
}

static bool text_fits(struct yaml *y)
{
	for (size_t i = 0, n; i < y->len; i += n) {
		uint32_t rune;
		n = rune_decode(y->text + i, y->len - i, &rune);
		bool control = rune < 0x20 && rune != '\t' && rune != '\n' && rune != '\r';
		if (!n)
			return yaml_fail_at(y, (uint32_t)i, "this byte is no part of UTF-8 text");
		if (control || rune == 0x7f)
			return yaml_fail_at(y, (uint32_t)i,
			    "a control character (%#04x) is not taken", (unsigned)rune);
	}
	return true;
}

void yaml_grow(struct yaml *y)
{
	struct grower g = { .y = y };
	if (!text_fits(y))
		return;
	if (y->len >= 3 && !memcmp(y->text, "\xef\xbb\xbf", 3))
		g.skip = 3;
	if (!yaml_parser_initialize(&g.parser))
		panic("no memory for YAML");
	yaml_parser_set_encoding(&g.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
	    &g.parser, (const unsigned char *)y->text + g.skip, y->len - g.skip);
	grow_by(&g);
	yaml_parser_delete(&g.parser);
	/* What is read so far of a text that is no YAML says nothing about its keys. */
	if (y->errors_count && (g.over || g.depth))
		y->root = arena_zalloc(&y->arena, sizeof(*y->root));
	if (y->root->type != YAML_MAP)
		y->root->type = YAML_MAP;
}
