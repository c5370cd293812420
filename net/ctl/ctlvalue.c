#include "net/ctl/ctlvalue.h"

#include <stdlib.h>

#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/base/num.h"
#include "net/ctl/ctlterm.h"

/* ---- words ---- */

static bool is_name(const char *s, bool colon)
{
	if (!*s || (*s >= '0' && *s <= '9'))
		return false;
	for (; *s; s++)
		if (!(*s == '_' || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') ||
		        (*s >= '0' && *s <= '9') || (colon && *s == ':')))
			return false;
	return true;
}

/* As PromQL reads it: escapes of Go. */
static void quoted(struct buf *out, const char *s, size_t len)
{
	buf_add_u8(out, '"');
	for (const char *end = s + len; s < end; s++) {
		if (*s == '"' || *s == '\\')
			buf_printf(out, "\\%c", *s);
		else if (*s == '\n')
			buf_add_str(out, "\\n");
		else if ((unsigned char)*s < 0x20 || *s == 0x7f)
			buf_printf(out, "\\x%02x", (unsigned char)*s);
		else
			buf_add_u8(out, (uint8_t)*s);
	}
	buf_add_u8(out, '"');
}

static const char *text_of(const json_t *j)
{
	const char *text = json_string_value(j);
	return text ? text : "";
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* __name__ first. */
static int by_name(const void *a, const void *b)
{
	const char *x = *(const char *const *)a, *y = *(const char *const *)b;
	bool first = !strcmp(x, "__name__"), second = !strcmp(y, "__name__");
	return first != second ? (int)second - (int)first : strcmp(x, y);
}

/* Names of an object, sorted. */
static const char **names_of(const json_t *object, size_t *count)
{
	const char **names = mem_array(NULL, json_object_size(object) + 1, sizeof(*names)), *key;
	json_t *value, *walk = json_incref((json_t *)(uintptr_t)object);
	*count = 0;
	json_object_foreach(walk, key, value) names[(*count)++] = key;
	json_decref(walk);
	qsort(names, *count, sizeof(*names), by_text);
	return names;
}

void ctlvalue_series(struct buf *out, const json_t *metric)
{
	const char *name = text_of(json_object_get(metric, "__name__"));
	size_t count, told = 0;
	const char **names = names_of(metric, &count);
	bool plain = is_name(name, true);
	if (plain)
		buf_add_str(out, name);
	if (!plain || count > 1)
		buf_add_u8(out, '{');
	if (*name && !plain) {
		quoted(out, name, strlen(name));
		told++;
	}
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(names[i], "__name__"))
			continue;
		buf_add_str(out, told++ ? ", " : "");
		if (is_name(names[i], false))
			buf_add_str(out, names[i]);
		else
			quoted(out, names[i], strlen(names[i]));
		buf_add_u8(out, '=');
		const json_t *value = json_object_get(metric, names[i]);
		quoted(out, text_of(value), json_string_length(value));
	}
	if (!plain || count > 1)
		buf_add_u8(out, '}');
	mem_free(names);
}

static void bucket(struct buf *out, const json_t *b)
{
	static const char opens[] = "([([", closes[] = "]))]";
	json_int_t rule = json_integer_value(json_array_get(b, 0));
	if (rule < 0 || rule > 3)
		rule = 0;
	buf_printf(out, " %c%s,%s%c:%s", opens[rule], text_of(json_array_get(b, 1)),
	    text_of(json_array_get(b, 2)), closes[rule], text_of(json_array_get(b, 3)));
}

void ctlvalue_sample(struct buf *out, const json_t *value)
{
	size_t i;
	json_t *b;
	if (!json_is_object(value)) {
		buf_add_str(out, text_of(value));
		return;
	}
	buf_printf(out, "count:%s sum:%s", text_of(json_object_get(value, "count")),
	    text_of(json_object_get(value, "sum")));
	json_array_foreach(json_object_get(value, "buckets"), i, b) bucket(out, b);
}

void ctlvalue_time(struct buf *out, const json_t *seconds)
{
	char text[64];
	double s = json_number_value(seconds);
	if (!(s > -62135596800.0 && s < 253402300800.0)) {
		buf_printf(out, "%.3f", s);
		return;
	}
	double ms = s * 1000;
	text[num_fmt_time((int64_t)(ms + (ms < 0 ? -0.5 : 0.5)), text)] = 0;
	buf_add_str(out, text);
}

const char **ctlvalue_names(const json_t *objects, const char *inside, size_t *count)
{
	json_t *all = json_object(), *o, *value;
	const char *key;
	size_t i;
	json_array_foreach(objects, i, o)
	{
		json_object_foreach(inside ? json_object_get(o, inside) : o, key, value)
		{
			if (!json_object_get(all, key))
				json_object_set_new(all, key, json_null());
		}
	}
	/* The keys of all go with it: those of the objects stay. */
	const char **names = mem_array(NULL, json_object_size(all) + 1, sizeof(*names));
	*count = 0;
	json_array_foreach(objects, i, o)
	{
		json_object_foreach(inside ? json_object_get(o, inside) : o, key, value)
		{
			if (json_object_get(all, key)) {
				json_object_del(all, key);
				names[(*count)++] = key;
			}
		}
	}
	json_decref(all);
	qsort(names, *count, sizeof(*names), by_name);
	return names;
}

/* ---- results ---- */

static void rows_json(FILE *out, const json_t *list)
{
	size_t i;
	json_t *o;
	fputc('[', out);
	json_array_foreach(list, i, o)
	{
		fputs(i ? ",\n" : "\n", out);
		json_dumpf(o, out, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
	}
	fputs(i ? "\n]" : "]", out);
}

static void cell_of(struct ctltable *t, struct buf *b)
{
	ctltable_cell_len(t, b->len ? (const char *)b->data : "", b->len);
	buf_clear(b);
}

/* A table with a column for each label, and more of them behind. */
struct wide {
	struct ctltable t;
	struct ctltable_column *columns;
	const char **names;
	size_t count;
};

static void wide_begin(
    struct wide *w, FILE *out, const json_t *objects, const char *inside, bool samples)
{
	w->names = ctlvalue_names(objects, inside, &w->count);
	w->columns = mem_array(NULL, w->count + 2, sizeof(*w->columns));
	for (size_t i = 0; i < w->count; i++)
		w->columns[i] = (struct ctltable_column){ .name = w->names[i] };
	size_t all = w->count;
	if (samples) {
		w->columns[all++] = (struct ctltable_column){ .name = "time" };
		w->columns[all++] = (struct ctltable_column){ .name = "value", .number = true };
	}
	if (all)
		ctltable_begin(&w->t, out, CTLTABLE_CSV, w->columns, all);
}

static void wide_labels(struct wide *w, const json_t *metric)
{
	for (size_t i = 0; i < w->count; i++)
		ctltable_cell(&w->t, text_of(json_object_get(metric, w->names[i])));
}

static void wide_end(struct wide *w, bool any)
{
	if (any)
		ctltable_end(&w->t);
	mem_free(w->names);
	mem_free(w->columns);
}

static void wide_sample(struct wide *w, const json_t *metric, const json_t *pair)
{
	struct buf b;
	buf_init(&b);
	wide_labels(w, metric);
	ctlvalue_time(&b, json_array_get(pair, 0));
	cell_of(&w->t, &b);
	ctlvalue_sample(&b, json_array_get(pair, 1));
	cell_of(&w->t, &b);
	buf_release(&b);
}

/* Samples of a series in the order of time: floats and histograms are two lists of an answer. */
struct merge {
	const json_t *lists[2];
	size_t at[2];
};

static const json_t *next_sample(struct merge *m)
{
	const json_t *a = json_array_get(m->lists[0], m->at[0]);
	const json_t *b = json_array_get(m->lists[1], m->at[1]);
	if (!a && !b)
		return NULL;
	bool second = !a ||
	    (b && json_number_value(json_array_get(b, 0)) < json_number_value(json_array_get(a, 0)));
	m->at[second]++;
	return second ? b : a;
}

static struct merge samples_of(const json_t *series)
{
	struct merge m = { .lists = { json_object_get(series, "values"),
		               json_object_get(series, "histograms") } };
	return m;
}

static const json_t *one_of(const json_t *series)
{
	const json_t *pair = json_object_get(series, "value");
	return pair ? pair : json_object_get(series, "histogram");
}

static void vector_table(FILE *out, const json_t *result)
{
	static const struct ctltable_column columns[] = { { "series", false }, { "value", true } };
	struct ctltable t;
	struct buf b;
	size_t i;
	json_t *s;
	buf_init(&b);
	ctltable_begin(&t, out, CTLTABLE_TABLE, columns, COUNT_OF(columns));
	json_array_foreach(result, i, s)
	{
		ctlvalue_series(&b, json_object_get(s, "metric"));
		cell_of(&t, &b);
		ctlvalue_sample(&b, json_array_get(one_of(s), 1));
		cell_of(&t, &b);
	}
	ctltable_end(&t);
	buf_release(&b);
}

static void matrix_table(FILE *out, const json_t *result)
{
	struct buf b, shown;
	size_t i;
	json_t *s;
	buf_init(&b);
	buf_init(&shown);
	json_array_foreach(result, i, s)
	{
		ctlvalue_series(&b, json_object_get(s, "metric"));
		ctlterm_text(&shown, (const char *)b.data, b.len);
		fprintf(out, "%s%.*s\n", i ? "\n" : "", (int)shown.len, (const char *)shown.data);
		struct merge m = samples_of(s);
		for (const json_t *pair; (pair = next_sample(&m));) {
			buf_clear(&b);
			ctlvalue_time(&b, json_array_get(pair, 0));
			buf_add_str(&b, "  ");
			ctlvalue_sample(&b, json_array_get(pair, 1));
			buf_clear(&shown);
			ctlterm_text(&shown, (const char *)b.data, b.len);
			fprintf(out, "  %.*s\n", (int)shown.len, (const char *)shown.data);
		}
		buf_clear(&b);
		buf_clear(&shown);
	}
	buf_release(&b);
	buf_release(&shown);
}

static void samples_csv(FILE *out, const json_t *result, bool matrix)
{
	struct wide w;
	size_t i;
	json_t *s;
	wide_begin(&w, out, result, "metric", true);
	json_array_foreach(result, i, s)
	{
		const json_t *metric = json_object_get(s, "metric");
		if (!matrix) {
			wide_sample(&w, metric, one_of(s));
			continue;
		}
		struct merge m = samples_of(s);
		for (const json_t *pair; (pair = next_sample(&m));)
			wide_sample(&w, metric, pair);
	}
	wide_end(&w, true);
}

static void single(FILE *out, const json_t *pair, enum ctltable_form form)
{
	struct wide w;
	json_t *none = json_array();
	struct buf b;
	buf_init(&b);
	if (form == CTLTABLE_CSV) {
		wide_begin(&w, out, none, NULL, true);
		wide_sample(&w, NULL, pair);
		wide_end(&w, true);
	} else {
		const char *text = text_of(json_array_get(pair, 1));
		ctlterm_text(&b, text, strlen(text));
		fprintf(out, "%.*s\n", (int)b.len, b.len ? (const char *)b.data : "");
	}
	buf_release(&b);
	json_decref(none);
}

bool ctlvalue_show(FILE *out, const json_t *data, enum ctltable_form form)
{
	const char *type = text_of(json_object_get(data, "resultType"));
	const json_t *result = json_object_get(data, "result");
	bool vector = !strcmp(type, "vector"), matrix = !strcmp(type, "matrix");
	if (!json_is_array(result) ||
	    (!vector && !matrix && strcmp(type, "scalar") != 0 && strcmp(type, "string") != 0))
		return false;
	if (form == CTLTABLE_JSON) {
		fprintf(out, "{\"resultType\":\"%s\",\"result\":", type);
		if (vector || matrix)
			rows_json(out, result);
		else
			json_dumpf(result, out, JSON_COMPACT | JSON_REAL_PRECISION(15));
		fputs("}\n", out);
	} else if (!vector && !matrix) {
		single(out, result, form);
	} else if (form == CTLTABLE_CSV) {
		samples_csv(out, result, matrix);
	} else if (vector) {
		vector_table(out, result);
	} else {
		matrix_table(out, result);
	}
	return true;
}

bool ctlvalue_sets(FILE *out, const json_t *sets, enum ctltable_form form)
{
	struct buf b, shown;
	struct wide w;
	size_t i;
	json_t *set;
	if (!json_is_array(sets))
		return false;
	if (form == CTLTABLE_JSON) {
		rows_json(out, sets);
		fputc('\n', out);
		return true;
	}
	if (form == CTLTABLE_CSV) {
		wide_begin(&w, out, sets, NULL, false);
		json_array_foreach(sets, i, set) wide_labels(&w, set);
		wide_end(&w, w.count > 0);
		return true;
	}
	buf_init(&b);
	buf_init(&shown);
	json_array_foreach(sets, i, set)
	{
		ctlvalue_series(&b, set);
		ctlterm_text(&shown, (const char *)b.data, b.len);
		buf_add_u8(&shown, '\n');
		fwrite(shown.data, 1, shown.len, out);
		buf_clear(&b);
		buf_clear(&shown);
	}
	buf_release(&b);
	buf_release(&shown);
	return true;
}
