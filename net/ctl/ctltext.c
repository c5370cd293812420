#include "net/ctl/ctltext.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/num.h"

static void escaped(struct buf *out, const char *s, size_t len, bool quotes)
{
	for (size_t i = 0; i < len; i++) {
		char c = s[i];
		if (c == '\\' || c == '\n' || (c == '"' && quotes)) {
			buf_add_u8(out, '\\');
			c = c == '\n' ? 'n' : c;
		}
		buf_add_u8(out, (uint8_t)c);
	}
}

static void quoted(struct buf *out, const char *s, size_t len)
{
	buf_add_u8(out, '"');
	escaped(out, s, len, true);
	buf_add_u8(out, '"');
}

static void series(struct buf *out, struct labels ls)
{
	struct label_iter it = label_iter(ls);
	struct label l;
	uint32_t len = 0;
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	bool classic = name && label_metric_is_classic(name, len), any = false;
	if (classic)
		buf_add(out, name, len);
	if (name && !classic) {
		buf_add_u8(out, '{');
		quoted(out, name, len);
		any = true;
	}
	while (label_next(&it, &l)) {
		if (label_is_name(&l))
			continue;
		buf_add_u8(out, any ? ',' : '{');
		any = true;
		if (label_name_is_classic(l.name, l.name_len))
			buf_add(out, l.name, l.name_len);
		else
			quoted(out, l.name, l.name_len);
		buf_add_u8(out, '=');
		quoted(out, l.value, l.value_len);
	}
	if (any)
		buf_add_u8(out, '}');
	buf_add_u8(out, ' ');
}

static size_t fmt_seconds(int64_t ms, char *to)
{
	/* The float that is nearest to the text is nearest to the quotient. */
	if (ms < 0 || (int64_t)((double)ms / 1000.0 * 1000.0) == ms)
		return num_fmt_ts(ms, to);
	return (size_t)snprintf(to, NUM_FMT_MAX, "%" PRId64 ".%03d1", ms / 1000, (int)(ms % 1000));
}

void ctltext_rows(struct buf *out, bool openmetrics, struct labels ls,
    const struct sample_column *c, struct ctltext_left *left)
{
	size_t head = 0, start = out->len;
	char text[NUM_FMT_MAX];
	for (uint32_t i = 0; i < c->count; i++) {
		if (sample_is_no_float(c->v[i])) {
			if (c->h && c->h[i])
				left->histograms++;
			else
				left->stale++;
			continue;
		}
		if (!head) {
			series(out, ls);
			head = out->len - start;
		} else if (buf_reserve(out, head)) {
			/* the same bytes again, from within the buffer */
			memcpy(out->data + out->len, out->data + start, head);
			out->len += head;
		}
		buf_add(out, text, num_fmt_json(c->v[i], text));
		buf_add_u8(out, ' ');
		buf_add(out, text,
		    openmetrics ? fmt_seconds(c->t_ms[i], text) : num_fmt_i64(c->t_ms[i], text));
		buf_add_u8(out, '\n');
	}
}

void ctltext_family(
    struct buf *out, bool openmetrics, const char *name, const char *type, const char *help)
{
	size_t len = strlen(name);
	bool counter = !strcmp(type, "counter"), gauge = !strcmp(type, "gauge");
	if (!counter && !gauge)
		return;
	if (counter && openmetrics) {
		if (len <= 6 || strcmp(name + len - 6, "_total") != 0)
			return;
		len -= 6;
	}
	bool plain = label_metric_is_classic(name, len);
	for (int help_line = 0; help_line < 2; help_line++) {
		if (help_line && !(help && *help))
			return;
		buf_add_str(out, help_line ? "# HELP " : "# TYPE ");
		if (plain)
			buf_add(out, name, len);
		else
			quoted(out, name, len);
		buf_add_u8(out, ' ');
		if (help_line)
			escaped(out, help, strlen(help), openmetrics);
		else
			buf_add_str(out, type);
		buf_add_u8(out, '\n');
	}
}
