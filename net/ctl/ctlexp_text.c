/*
 * ctlexp_text - export into a file: a piece is some names over the whole range, so that what stands
 * in the file is in order of names.
 */
#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "net/ctl/ctlexp_priv.h"

#define SAVE_NS      UINT64_C(3000000000) /* between marks */
#define TEXT_GROUP   16u                  /* names of the first piece */
#define TEXT_SAMPLES 5000000u             /* of a piece, about */

static int text_window(void *own, const struct ctlwalk *w)
{
	(void)own;
	(void)w;
	return CTL_OK;
}

/* What the server knows of the family a name belongs to. */
static void tell_family(struct ctlexp *x, const char *name)
{
	struct buf *out = ctlout_buf(x->out);
	const json_t *about = NULL;
	char family[512];
	size_t len = strlen(name);
	about = json_array_get(json_object_get(x->meta, name), 0);
	if (!about && x->form == FORM_OPENMETRICS && len > 6 && len < sizeof(family) &&
	    !strcmp(name + len - 6, "_total")) {
		memcpy(family, name, len - 6);
		family[len - 6] = 0;
		about = json_array_get(json_object_get(x->meta, family), 0);
	}
	const char *type = json_string_value(json_object_get(about, "type"));
	const char *help = json_string_value(json_object_get(about, "help"));
	if (type)
		ctltext_family(out, x->form == FORM_OPENMETRICS, name, type, help);
}

static void family_of(struct ctlexp *x, struct labels ls)
{
	uint32_t len;
	const char *name = label_get(ls, LABEL_NAME, sizeof(LABEL_NAME) - 1, &len);
	if (!name || bytes_equal(name, len, x->family.data, x->family.len ? x->family.len - 1 : 0))
		return;
	buf_clear(&x->family);
	buf_add(&x->family, name, len);
	buf_add_u8(&x->family, 0);
	if (x->meta)
		tell_family(x, (const char *)x->family.data);
}

/* Series that a selector before this one has given are not given again. */
static bool was_given(const struct ctlexp *x, const struct ctlwalk *w, struct labels ls)
{
	for (size_t i = 0; i < w->sel; i++) {
		const struct ctlsel *s = &x->args.sels[i];
		if (matcher_labels(s->matchers + 1, s->count - 1, ls) == REX_YES)
			return true;
	}
	return false;
}

static int text_item(void *own, const struct ctlwalk *w, const struct ctlsrc_item *item)
{
	struct ctlexp *x = own;
	struct buf *out = ctlout_buf(x->out);
	const struct sample_column *c = &item->samples;
	if (was_given(x, w, item->labels))
		return CTL_OK;
	if (x->form == FORM_JSONL) {
		exportfmt_line(out, item->labels, c, 0, c->count);
	} else if (x->form == FORM_CSV) {
		exportfmt_rows(out, &x->csv, item->labels, c, 0, c->count);
	} else {
		family_of(x, item->labels);
		ctltext_rows(out, x->form == FORM_OPENMETRICS, item->labels, c, &x->left);
		return ctlout_flush_some(x->out);
	}
	for (uint32_t i = 0; i < c->count; i++) {
		bool hist = c->h && c->h[i];
		x->left.histograms += hist;
		x->left.stale += !hist && x->form == FORM_CSV && sample_is_stale(c->v[i]);
	}
	return ctlout_flush_some(x->out);
}

/* What is cut is on the disk before the mark says so. */
static int save_place(struct ctlexp *x)
{
	if (!x->place.len)
		return CTL_OK;
	x->saved_ns = clock_real_mono_ns();
	int status = ctlout_sync(x->out);
	if (!status)
		status = ctlexp_save(x, (const char *)x->place.data);
	buf_clear(&x->place);
	return status;
}

static int text_piece(void *own, const struct ctlwalk *w, const char *place)
{
	struct ctlexp *x = own;
	(void)w;
	int status = ctlout_cut(x->out);
	x->samples = ctlsrc_counts(x->src)->samples;
	if (status || !place || ctlout_is_stdout(x->out))
		return status;
	buf_clear(&x->place);
	buf_add(&x->place, place, strlen(place) + 1);
	return clock_real_mono_ns() - x->saved_ns < SAVE_NS ? CTL_OK : save_place(x);
}

static int text_back(void *own)
{
	struct ctlexp *x = own;
	buf_clear(&x->family);
	return ctlout_back(x->out);
}

static int text_window_end(void *own, const struct ctlwalk *w, const char *place)
{
	(void)own;
	(void)w;
	(void)place;
	return CTL_OK;
}

static const struct ctlcopy_sink text_sink = { text_window, text_item, text_piece, text_back,
	text_window_end };

/* CSV without --columns: all labels that the server knows. */
static int find_columns(struct ctlexp *x)
{
	struct buf form, text;
	json_t *labels;
	const json_t *label;
	size_t i;
	buf_init(&form);
	buf_init(&text);
	for (i = 0; i < x->args.sels_count; i++) {
		buf_clear(&text);
		ctlsel_text(&text, &x->args.sels[i]);
		ctlhttp_param_len(&form, "match[]", (const char *)text.data, text.len);
	}
	int status = ctlhttp_json(x->http, "POST", "/api/v1/labels", &form, &labels);
	buf_clear(&text);
	buf_add_str(&text, "__name__");
	json_array_foreach(labels, i, label)
	{
		const char *s = json_string_value(label);
		if (!s || !strcmp(s, "__name__"))
			continue;
		buf_add_u8(&text, ',');
		exportfmt_csv_text(&text, s, strlen(s));
	}
	buf_add_str(&text, ",__value__,__timestamp__:unix_ms");
	if (!status)
		x->columns = arena_strndup(&x->args.arena, (const char *)text.data, text.len);
	json_decref(labels);
	buf_release(&form);
	buf_release(&text);
	return status;
}

static int csv_begin(struct ctlexp *x, int64_t from)
{
	const char *kept = ctlmark_get(x->mark, "columns");
	int status = CTL_OK;
	if (from && kept)
		x->columns = arena_strndup(&x->args.arena, kept, strlen(kept));
	if (!x->columns)
		status = find_columns(x);
	if (status)
		return status;
	if (exportfmt_csv_parse(&x->args.arena, x->columns, strlen(x->columns), &x->csv, &x->eb))
		return ctl_fail(CTL_USAGE, "--columns: %s", x->eb.text);
	ctlmark_set(x->mark, "columns", x->columns);
	if (!from) {
		buf_add_str(ctlout_buf(x->out), x->columns);
		buf_add_u8(ctlout_buf(x->out), '\n');
	}
	return CTL_OK;
}

void ctlexp_text_left(const struct ctlexp *x)
{
	if (x->left.histograms)
		ctl_note(
		    "%" PRIu64
		    " samples of native histograms have no form in %s: left out; blocks have them",
		    x->left.histograms, ctlexp_form(x->form));
	if (x->left.stale)
		ctl_note("%" PRIu64
		         " stale markers have no form in %s: left out; jsonl and blocks have them",
		    x->left.stale, ctlexp_form(x->form));
}

int ctlexp_text(struct ctlexp *x, struct ctlwalk *w, struct ctlprog *prog)
{
	size_t len;
	int64_t from = ctlmark_get(x->mark, CTLWALK_KEY) ? ctlmark_get_num(x->mark, "offset", 0) : 0;
	int64_t had = from;
	int status =
	    ctlout_open(x->path, ctlout_pack_of(x->path, &len), x->overwrite, &from, &x->out);
	if (!status && had && !from) {
		ctl_note("%s.part is not what the mark says: from the start", x->path);
		ctlmark_set(x->mark, CTLWALK_KEY, NULL);
	}
	if (!status && x->form == FORM_CSV)
		status = csv_begin(x, from);
	if (status)
		return status;
	if ((x->form == FORM_OPENMETRICS || x->form == FORM_TEXT) &&
	    ctlhttp_json(x->http, "GET", "/api/v1/metadata", NULL, &x->meta))
		ctl_note("types and help texts are not told then");
	struct ctlwalk_opts o = w->_o;
	o.group = TEXT_GROUP;
	o.samples = TEXT_SAMPLES;
	ctlwalk_open(w, &o, x->mark);
	x->saved_ns = clock_real_mono_ns();
	status = ctlcopy_run(w, x->src, &text_sink, x, prog);
	if (status && status != CTL_LOCAL && save_place(x))
		ctl_note("what was written since the last mark is written again");
	if (!status && x->form == FORM_OPENMETRICS)
		buf_add_str(ctlout_buf(x->out), "# EOF\n");
	return status ? status : ctlout_finish(x->out);
}
