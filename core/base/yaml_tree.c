/* yaml_tree - from libfyaml's events to the tree: what a configuration needs not is refused. */
#include <libfyaml.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
	struct fy_parser *parser;
	size_t skip; /* bytes before what libfyaml reads */
	struct frame frames[YAML_DEPTH_MAX + 1];
	size_t depth; /* frames in use */
	bool root, over;
	char said[512]; /* by libfyaml: its first report */
};

static bool stop(struct grower *g)
{
	g->over = true;
	return false;
}

static uint32_t at_of(const struct grower *g, struct fy_event *ev)
{
	const struct fy_mark *m = fy_event_start_mark(ev);
	size_t at = m ? m->input_pos + g->skip : g->y->len;
	return (uint32_t)(at < g->y->len ? at : g->y->len);
}

/* ---- refusals ---- */

/* Where &name, *name or !name begins: libfyaml points behind the sign. */
static uint32_t at_sign(const struct grower *g, struct fy_token *t, uint32_t usual)
{
	const struct fy_mark *m = fy_token_start_mark(t);
	size_t at = m ? m->input_pos + g->skip : usual;
	if (at && at <= g->y->len && strchr("&*!", g->y->text[at - 1]))
		at--;
	return (uint32_t)(at < g->y->len ? at : g->y->len);
}

static bool refuse_extras(struct grower *g, struct fy_token *anchor, struct fy_token *tag, uint32_t at)
{
	if (anchor)
		return yaml_fail_at(g->y, at_sign(g, anchor, at),
		    "anchors (&name) are not taken: write the value where it is needed");
	if (tag)
		return yaml_fail_at(g->y, at_sign(g, tag, at), "tags (!name) are not taken");
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
		unsigned line, column;
		if (!same_key(all[first], all[i])) {
			first = i;
			continue;
		}
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

static bool take_key(struct grower *g, struct fy_event *ev, uint32_t at)
{
	struct frame *f = &g->frames[g->depth - 1];
	size_t len = 0;
	const char *text = ev->scalar.value ? fy_token_get_text(ev->scalar.value, &len) : NULL;
	if (!text)
		text = "";
	f->key_bad = !refuse_extras(g, ev->scalar.anchor, ev->scalar.tag, at);
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

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * A block ("|", ">") has the bytes of its lines, but for blanks. libfyaml 0.7.12 loses lines of
 * some
 * with odd blanks in them, and then tells more bytes than it wrote.
 */
static bool is_whole(const struct grower *g, struct fy_token *t, const char *text, size_t len)
{
	const struct fy_mark *from = fy_token_start_mark(t), *to = fy_token_end_mark(t);
	size_t at = from ? from->input_pos + g->skip : 0, end = to ? to->input_pos + g->skip : 0;
	if (end > g->y->len)
		end = g->y->len;
	for (size_t i = 0;; i++, at++) {
		while (i < len && is_blank(text[i]))
			i++;
		while (at < end && is_blank(g->y->text[at]))
			at++;
		if (i >= len || at >= end)
			return i >= len && at >= end;
		if (text[i] != g->y->text[at])
			return false;
	}
}

static bool take_scalar(struct grower *g, struct fy_event *ev)
{
	uint32_t at = at_of(g, ev);
	size_t len = 0;
	if (wants_key(g))
		return take_key(g, ev, at);
	struct fy_token *value = ev->scalar.value;
	const char *text = value ? fy_token_get_text(value, &len) : NULL;
	bool plain = !value || fy_token_scalar_style(value) == FYSS_PLAIN;
	if (!text)
		len = 0;
	struct yaml_node *n = node_add(g, plain && is_null(text, len) ? YAML_NULL : YAML_SCALAR, at);
	if (!n)
		return false;
	n->quoted = !plain;
	n->text = arena_strndup(&g->y->arena, text ? text : "", len);
	n->len = (uint32_t)len;
	n->bad |= !refuse_extras(g, ev->scalar.anchor, ev->scalar.tag, at);
	enum fy_scalar_style style = value ? fy_token_scalar_style(value) : FYSS_PLAIN;
	if ((style == FYSS_LITERAL || style == FYSS_FOLDED) && !is_whole(g, value, text, n->len))
		n->bad |= !yaml_fail_at(
		    g->y, at, "this block cannot be read whole: write the text in quotes");
	return root_is(g, n);
}

static bool open_node(struct grower *g, enum yaml_type type, struct fy_event *ev,
    struct fy_token *anchor, struct fy_token *tag)
{
	uint32_t at = at_of(g, ev);
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

static bool take_alias(struct grower *g, struct fy_event *ev)
{
	uint32_t at = at_sign(g, ev->alias.anchor, at_of(g, ev));
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

static bool take_event(struct grower *g, struct fy_event *ev)
{
	switch (ev->type) {
	case FYET_SCALAR:
		return take_scalar(g, ev);
	case FYET_ALIAS:
		return take_alias(g, ev);
	case FYET_MAPPING_START:
		return open_node(g, YAML_MAP, ev, ev->mapping_start.anchor, ev->mapping_start.tag);
	case FYET_SEQUENCE_START:
		return open_node(g, YAML_LIST, ev, ev->sequence_start.anchor, ev->sequence_start.tag);
	case FYET_MAPPING_END:
	case FYET_SEQUENCE_END:
		return close_node(g);
	case FYET_DOCUMENT_START:
		if (!g->root)
			return true;
		yaml_fail_at(g->y, at_of(g, ev), "a second document (---): one is taken");
		return stop(g);
	case FYET_NONE:
	case FYET_STREAM_START:
	case FYET_STREAM_END:
	case FYET_DOCUMENT_END:
		break;
	}
	return true;
}

/* ---- what libfyaml says ---- */

static uint32_t place_at(const struct grower *g, int line, int column)
{
	const struct yaml *y = g->y;
	size_t at = 0;
	for (int i = 1; i < line && at < y->len; i++) {
		const char *end = memchr(y->text + at, '\n', y->len - at);
		at = end ? (size_t)(end - y->text) + 1 : y->len;
	}
	for (int i = 1; i < column && at < y->len && y->text[at] != '\n'; i++) {
		uint32_t rune;
		size_t n = rune_decode(y->text + at, y->len - at, &rune);
		at += n ? n : 1;
	}
	return (uint32_t)at;
}

/*
 * The first line of the first report: "<where>:3:14: error: words". What it collects instead of
 * writing reports is not freed in every case (0.7.12), so it writes them here.
 */
static void note_report(struct fy_diag *diag, void *user, const char *text, size_t len)
{
	struct grower *g = user;
	size_t n = len < sizeof(g->said) ? len : sizeof(g->said) - 1;
	(void)diag;
	if (g->said[0] || !len)
		return;
	memcpy(g->said, text, n);
	g->said[n] = 0;
	g->said[strcspn(g->said, "\n")] = 0;
}

/* The number that ends before end, and the colon before it; -1: there is none. */
static int number_before(const char *begin, const char **end)
{
	const char *p = *end;
	while (p > begin && p[-1] >= '0' && p[-1] <= '9')
		p--;
	if (p == *end || p == begin || p[-1] != ':')
		return -1;
	int v = (int)strtol(p, NULL, 10);
	*end = p - 1;
	return v;
}

static void tell_syntax(struct grower *g)
{
	static const char mark[] = ": error: ";
	const char *words = strstr(g->said, mark), *end = words;
	int column = words ? number_before(g->said, &end) : -1;
	int line = column > 0 ? number_before(g->said, &end) : -1;
	if (line > 0)
		yaml_fail_at(g->y, place_at(g, line, column), "%s", words + sizeof(mark) - 1);
	else
		yaml_fail_at(g->y, (uint32_t)g->y->len, "this is not YAML");
}

static void grow_by(struct grower *g)
{
	struct fy_event *ev;
	while (!g->over && (ev = fy_parser_parse(g->parser))) {
		bool ended = ev->type == FYET_STREAM_END;
		take_event(g, ev);
		fy_parser_event_free(g->parser, ev);
		if (ended)
			return;
	}
	if (!g->over)
		tell_syntax(g);
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
	struct fy_diag_cfg dc;
	fy_diag_cfg_default(&dc);
	dc.fp = NULL;
	dc.output_fn = note_report;
	dc.user = &g;
	dc.level = FYET_ERROR;
	dc.show_position = true;
	dc.colorize = dc.show_type = dc.show_module = dc.show_source = false;
	struct fy_diag *diag = fy_diag_create(&dc);
	if (!diag)
		panic("no memory for YAML");
	struct fy_parse_cfg pc = { .flags = FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
		    FYPCF_DISABLE_RECYCLING,
		.diag = diag };
	g.parser = fy_parser_create(&pc);
	if (!g.parser || fy_parser_set_string(g.parser, y->text + g.skip, y->len - g.skip))
		panic("no memory for YAML");
	grow_by(&g);
	fy_parser_destroy(g.parser);
	fy_diag_unref(diag);
	/* What is read so far of a text that is no YAML says nothing about its keys. */
	if (y->errors_count && (g.over || g.depth))
		y->root = arena_zalloc(&y->arena, sizeof(*y->root));
	if (y->root->type != YAML_MAP)
		y->root->type = YAML_MAP;
}
