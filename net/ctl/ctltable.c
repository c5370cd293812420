#include "net/ctl/ctltable.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/json.h"
#include "core/base/mem.h"
#include "net/ctl/ctl.h"
#include "net/ctl/ctlterm.h"

enum ctltable_form ctltable_form_of(const char *text, const char *rest)
{
	if (!text || !strcmp(text, "table"))
		return CTLTABLE_TABLE;
	if (!strcmp(text, "csv"))
		return CTLTABLE_CSV;
	if (!strcmp(text, "json"))
		return CTLTABLE_JSON;
	exit(ctl_fail(CTL_USAGE, "--format: \"%s\" is not table, csv%s", text, rest));
}

enum ctltable_form ctltable_form(const char *text)
{
	return ctltable_form_of(text, " or json");
}

static void csv(FILE *out, const char *text, size_t len)
{
	if (!memchr(text, '"', len) && !memchr(text, ',', len) && !memchr(text, '\n', len) &&
	    !memchr(text, '\r', len)) {
		fwrite(text, 1, len, out);
		return;
	}
	fputc('"', out);
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '"')
			fputc('"', out);
		fputc(text[i], out);
	}
	fputc('"', out);
}

/* JSON has no word for what is no number (NaN, +Inf): those are strings. */
static bool plain_number(const char *text, size_t len)
{
	static const char digits[] = "0123456789";
	size_t i = len && text[0] == '-', whole = i;
	while (i < len && memchr(digits, text[i], 10))
		i++;
	if (i == whole || (text[whole] == '0' && i - whole > 1))
		return false;
	if (i < len && text[i] == '.') {
		size_t point = ++i;
		while (i < len && memchr(digits, text[i], 10))
			i++;
		if (i == point)
			return false;
	}
	if (i < len && (text[i] == 'e' || text[i] == 'E')) {
		i++;
		i += i < len && (text[i] == '+' || text[i] == '-');
		size_t point = i;
		while (i < len && memchr(digits, text[i], 10))
			i++;
		if (i == point)
			return false;
	}
	return i == len;
}

static void cell_out(struct ctltable *t, const char *text, size_t len)
{
	const struct ctltable_column *c = &t->columns[t->_at];
	if (t->form == CTLTABLE_CSV) {
		if (t->_at)
			fputc(',', t->out);
		csv(t->out, text, len);
		return;
	}
	struct buf b;
	buf_init(&b);
	buf_printf(&b, "%s", t->_at ? "," : t->_rows ? ",\n{" : "[\n{");
	json_str_raw(&b, c->name, strlen(c->name));
	buf_add_u8(&b, ':');
	if (c->number && plain_number(text, len))
		buf_add(&b, text, len);
	else
		json_str_raw(&b, text, len);
	if (t->_at + 1 == t->count)
		buf_add_u8(&b, '}');
	fwrite(b.data, 1, b.len, t->out);
	buf_release(&b);
}

void ctltable_begin(struct ctltable *t, FILE *out, enum ctltable_form form,
    const struct ctltable_column *columns, size_t count)
{
	*t = (struct ctltable){ .out = out, .form = form, .columns = columns, .count = count };
	buf_init(&t->_cells);
	if (form == CTLTABLE_JSON)
		return;
	for (size_t i = 0; i < count; i++)
		ctltable_cell(t, columns[i].name);
	t->_rows = 0;
}

void ctltable_cell_len(struct ctltable *t, const char *text, size_t len)
{
	if (t->form == CTLTABLE_TABLE) {
		buf_add(&t->_cells, &len, sizeof(len));
		buf_add(&t->_cells, text, len);
	} else {
		cell_out(t, text, len);
	}
	if (++t->_at < t->count)
		return;
	t->_at = 0;
	t->_rows++;
	if (t->form == CTLTABLE_CSV)
		fputs("\r\n", t->out);
}

void ctltable_cell(struct ctltable *t, const char *text)
{
	ctltable_cell_len(t, text, strlen(text));
}

void ctltable_cellf(struct ctltable *t, const char *fmt, ...)
{
	struct buf b;
	char text[512];
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	CHECK(n >= 0);
	if ((size_t)n < sizeof(text)) {
		ctltable_cell_len(t, text, (size_t)n);
		return;
	}
	buf_init(&b);
	buf_reserve(&b, (size_t)n + 1);
	va_start(ap, fmt);
	vsnprintf((char *)b.data, (size_t)n + 1, fmt, ap);
	va_end(ap);
	ctltable_cell_len(t, (const char *)b.data, (size_t)n);
	buf_release(&b);
}

static void table_out(const struct ctltable *t)
{
	size_t *widths = mem_zalloc((t->count + 1) * sizeof(*widths)), column = 0, len;
	for (size_t at = 0; at < t->_cells.len; at += len, column = (column + 1) % t->count) {
		memcpy(&len, t->_cells.data + at, sizeof(len));
		at += sizeof(len);
		size_t w = ctlterm_width((const char *)t->_cells.data + at, len);
		if (w > widths[column])
			widths[column] = w;
	}
	struct buf shown;
	buf_init(&shown);
	column = 0;
	for (size_t at = 0; at < t->_cells.len; at += len, column = (column + 1) % t->count) {
		memcpy(&len, t->_cells.data + at, sizeof(len));
		at += sizeof(len);
		const char *text = (const char *)t->_cells.data + at;
		bool last = column + 1 == t->count;
		buf_clear(&shown);
		if (last && !t->columns[column].number)
			ctlterm_text(&shown, text, len);
		else
			ctlterm_fit(&shown, text, len, widths[column], t->columns[column].number);
		buf_add_str(&shown, last ? "\n" : "  ");
		fwrite(shown.data, 1, shown.len, t->out);
	}
	buf_release(&shown);
	mem_free(widths);
}

void ctltable_end(struct ctltable *t)
{
	if (t->form == CTLTABLE_TABLE)
		table_out(t);
	else if (t->form == CTLTABLE_JSON)
		fputs(t->_rows ? "\n]\n" : "[]\n", t->out);
	buf_release(&t->_cells);
}
