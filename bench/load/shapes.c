#include "bench/load/shapes.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"

static struct shape *add(struct shapes *s)
{
	if (!(s->count & (s->count - 1))) { /* at 0, 1, 2, 4, ... it doubles */
		struct shape *list = arena_array(&s->arena, 2 * s->count + 1, sizeof(*list));
		if (s->count)
			memcpy(list, s->list, s->count * sizeof(*list));
		s->list = list;
	}
	struct shape *x = &s->list[s->count++];
	*x = (struct shape){ 0 };
	return x;
}

static char *copy(struct shapes *s, const char *text)
{
	return arena_strndup(&s->arena, text, strlen(text));
}

static void add_line(struct shapes *s, char *line)
{
	size_t n = strlen(line);
	while (n && strchr("\r\n \t", line[n - 1]))
		line[--n] = 0;
	line += strspn(line, " \t");
	if (!*line || *line == '#')
		return;
	struct shape *x = add(s);
	x->name = copy(s, line);
	x->instant = !strncmp(line, "instant:", 8);
	x->expr = x->instant ? x->name + 8 + strspn(x->name + 8, " ") : x->name;
}

static enum err add_object(struct shapes *s, const json_t *o, struct errbuf *eb)
{
	const char *name = json_string_value(json_object_get(o, "name"));
	const char *expr = json_string_value(json_object_get(o, "expr"));
	double range_s = json_number_value(json_object_get(o, "range_s"));
	double step_s = json_number_value(json_object_get(o, "step_s"));

	if (!expr)
		return errbuf_set(eb, ERR_BADDATA, "query %zu has no \"expr\"", s->count + 1);
	if (range_s < 0 || (range_s > 0 && !(step_s > 0)))
		return errbuf_set(eb, ERR_BADDATA,
		    "query %zu: range_s %g with step_s %g, a range needs a step", s->count + 1,
		    range_s, step_s);
	struct shape *x = add(s);
	x->expr = copy(s, expr);
	x->name = name ? copy(s, name) : x->expr;
	x->own = true;
	x->instant = range_s <= 0;
	x->range_s = range_s;
	x->step_s = step_s;
	return ERR_OK;
}

static enum err add_json(struct shapes *s, const struct buf *text, struct errbuf *eb)
{
	json_error_t why;
	json_t *all = json_loadb((const char *)text->data, text->len, 0, &why);
	enum err e = ERR_OK;

	if (!all)
		return errbuf_set(eb, ERR_BADDATA, "line %d: %s", why.line, why.text);
	for (size_t i = 0; i < json_array_size(all) && !e; i++)
		e = add_object(s, json_array_get(all, i), eb);
	json_decref(all);
	return e;
}

static enum err read_all(const char *path, struct buf *out, struct errbuf *eb)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "r") : stdin;
	char piece[4096];
	size_t n;

	if (!f)
		return errbuf_set(eb, ERR_IO, "%s", strerror(errno));
	while ((n = fread(piece, 1, sizeof(piece), f)) > 0)
		buf_add(out, piece, n);
	if (f != stdin)
		fclose(f);
	return ERR_OK;
}

enum err shapes_load(const char *path, struct shapes *out, struct errbuf *eb)
{
	struct buf text;

	*out = (struct shapes){ .count = 0 };
	arena_init(&out->arena, 16 << 10);
	buf_init(&text);
	enum err e = read_all(path, &text, eb);
	buf_add_u8(&text, 0);
	char *in = (char *)text.data + strspn((char *)text.data, " \t\r\n");
	if (!e && *in == '[') {
		text.len--;
		e = add_json(out, &text, eb);
	} else if (!e) {
		for (char *line; (line = strsep(&in, "\n"));)
			add_line(out, line);
	}
	buf_release(&text);
	if (e)
		shapes_free(out);
	return e;
}

void shapes_free(struct shapes *s)
{
	arena_release(&s->arena);
	*s = (struct shapes){ .count = 0 };
}
