/*
 * ctl_export - samples of a server into a file (ctlexp_text.c) or into blocks (ctlexp_blocks.c).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/base/num.h"
#include "net/ctl/ctlcmds.h"
#include "net/ctl/ctlexp_priv.h"

static const struct {
	const char *name;
	enum form form;
	const char *ends[3];
} forms[] = {
	{ "openmetrics", FORM_OPENMETRICS, { ".om", ".openmetrics" } },
	{ "text", FORM_TEXT, { ".txt", ".prom" } },
	{ "jsonl", FORM_JSONL, { ".jsonl", ".json", ".ndjson" } },
	{ "csv", FORM_CSV, { ".csv" } },
	{ "blocks", FORM_BLOCKS, { NULL } },
};

const char *ctlexp_form(enum form form)
{
	return forms[form - 1].name;
}

int ctlexp_save(struct ctlexp *x, const char *place)
{
	ctlmark_set(x->mark, CTLWALK_KEY, place);
	ctlmark_set_num(x->mark, "samples", (int64_t)(x->before + x->samples));
	if (x->out)
		ctlmark_set_num(x->mark, "offset", ctlout_offset(x->out));
	return ctlmark_save(x->mark, &x->eb) ? ctl_fail(CTL_LOCAL, "%s", x->eb.text) : CTL_OK;
}

/* --- the command --- */

static bool ends_so(const char *s, size_t len, const char *end)
{
	size_t n = strlen(end);
	return len > n && !memcmp(s + len - n, end, n);
}

static int form_of(struct ctlexp *x, const char *format)
{
	size_t len;
	(void)ctlout_pack_of(x->path, &len);
	for (size_t i = 0; i < COUNT_OF(forms); i++) {
		if (format && !strcmp(format, forms[i].name))
			x->form = forms[i].form;
		for (size_t k = 0; !format && k < COUNT_OF(forms[i].ends) && forms[i].ends[k]; k++)
			if (ends_so(x->path, len, forms[i].ends[k]))
				x->form = forms[i].form;
	}
	if (x->form == FORM_NONE)
		return ctl_fail(CTL_USAGE,
		    format
		        ? "--format: \"%s\" is none of openmetrics, text, jsonl, csv, blocks"
		        : "\"%s\" does not end so that its form is known: --format openmetrics|text|jsonl|csv|blocks",
		    format ? format : x->path);
	if (x->form == FORM_BLOCKS && !strcmp(x->path, "-"))
		return ctl_fail(CTL_USAGE, "blocks need a directory");
	return CTL_OK;
}

static int way_of(const char *read, enum ctlsrc_way *way)
{
	*way = CTLSRC_AUTO;
	if (!read || !strcmp(read, "auto"))
		return CTL_OK;
	if (!strcmp(read, "remote-read"))
		*way = CTLSRC_READ;
	else if (!strcmp(read, "export"))
		*way = CTLSRC_LINES;
	else if (!strcmp(read, "query"))
		*way = CTLSRC_QUERY;
	else
		return ctl_fail(
		    CTL_USAGE, "--read: \"%s\" is none of auto, remote-read, export, query", read);
	return CTL_OK;
}

static int run(struct ctlexp *x, struct ctlprog *prog)
{
	struct ctlwalk w = { .windows = 0 };
	struct buf work;
	int64_t from_ms, to_ms;
	buf_init(&work);
	buf_printf(&work, "%s as %s%s%s to %s", ctlhttp_who(x->http), ctlexp_form(x->form),
	    x->columns ? " of " : "", x->columns ? x->columns : "", x->path);
	buf_add_u8(&work, 0);
	char *words = arena_strndup(&x->args.arena, (const char *)work.data, work.len);
	buf_clear(&work);
	ctlcopy_work(&work, &x->args, words);
	int status = ctlcopy_mark(&x->args, (const char *)work.data, x->http,
	    x->form == FORM_BLOCKS, &x->mark, &from_ms, &to_ms);
	buf_release(&work);
	if (status)
		return status;
	x->before = (uint64_t)ctlmark_get_num(x->mark, "samples", 0);
	ctlprog_begin(prog, "samples", 0, (double)x->before, x->args.quiet);
	w._o = (struct ctlwalk_opts){ .http = x->http,
		.src = x->src,
		.sels = x->args.sels,
		.sels_count = x->args.sels_count,
		.from_ms = from_ms,
		.to_ms = to_ms };
	status = x->form == FORM_BLOCKS ? ctlexp_blocks(x, &w, prog) : ctlexp_text(x, &w, prog);
	ctlwalk_close(&w);
	if (!status && ctlmark_done(x->mark, &x->eb))
		status = ctl_fail(CTL_LOCAL, "%s", x->eb.text);
	return status;
}

static void tell_end(struct ctlexp *x, struct ctlprog *prog, int status)
{
	const struct ctlsrc_counts *n = ctlsrc_counts(x->src);
	snprintf(prog->more, sizeof(prog->more), "%s", "");
	if (x->form == FORM_BLOCKS)
		snprintf(prog->more, sizeof(prog->more), "%" PRIu64 " blocks", x->blocks);
	if (!x->args.quiet && n->samples)
		ctlprog_end(prog);
	if (!x->args.quiet && !status && !n->samples && !x->before)
		ctl_note("no samples: nothing of that is there within these times");
	ctlexp_text_left(x);
	if (n->left_histograms)
		ctl_note("%" PRIu64 " samples of native histograms do not come by %s: left out",
		    n->left_histograms, ctlsrc_way_name(ctlsrc_way(x->src)));
	if (n->left_series)
		ctl_note("%" PRIu64 " times a series was left out for its labels", n->left_series);
}

int ctl_export(int argc, char **argv)
{
	struct ctlhttp_access access = { 0 };
	struct ctlexp x = { .form = FORM_NONE };
	struct ctlprog prog;
	const char *format = NULL, *read = NULL, *block_range = NULL;
	double memory_mib = 256;
	const struct cmdline_arg args[] = {
		{ .name = "format",
		    .meta = "openmetrics|text|jsonl|csv|blocks",
		    .help = "of OUT (by its name)",
		    .text = &format },
		CTLCOPY_ARGS(x.args),
		{ .name = "read",
		    .meta = "auto|remote-read|export|query",
		    .help = "how the server is asked (auto: the first of these that it knows)",
		    .text = &read },
		{ .name = "columns",
		    .meta = "LIST",
		    .help = "of csv: label names, __value__, __timestamp__:unix_s|unix_ms|unix_ns|rfc3339 "
		            "(all labels, value, unix_ms)",
		    .text = &x.columns },
		{ .name = "block-range",
		    .meta = "DURATION",
		    .help = "of blocks: how long each is (2h)",
		    .text = &block_range },
		{ .name = "memory",
		    .meta = "MIB",
		    .help = "of blocks: held while they are written (256)",
		    .num = &memory_mib },
		{ .name = "overwrite", .help = "OUT may be there already", .flag = &x.overwrite },
		CTLHTTP_ARGS(access),
	};
	cmdline_parse(
	    &(struct cmdline){ .program = "kymoctl",
	        .command = "export",
	        .words = "OUT",
	        .help = "Samples of a server, of Kymo or any with remote read, into a file (.gz and .zst "
	                "are packed, - is stdout) or into a directory of blocks of Prometheus.",
	        .examples = "  kymoctl export --match '{job=\"node\"}' --start 7d node.om.gz\n"
	                    "  kymoctl export --format blocks --block-range 1d /var/lib/prometheus\n",
	        .args = args,
	        .args_count = COUNT_OF(args),
	        .words_min = 1,
	        .words_max = 1 },
	    argc, argv);
	enum ctlsrc_way way;
	errbuf_init(&x.eb);
	x.path = argv[0];
	x.memory_bytes = (size_t)(memory_mib * (1 << 20));
	x.block_ms = SAMPLE_RANGE_MS;
	if (block_range)
		x.block_ms =
		    (int64_t)(cmdline_duration_s("kymoctl", block_range, "block-range") * 1000);
	int status = ctlcopy_args_take(&x.args);
	if (!status)
		status = form_of(&x, format);
	if (!status)
		status = way_of(read, &way);
	if (!status && (x.block_ms < SAMPLE_RANGE_MS || x.block_ms % SAMPLE_RANGE_MS))
		status = ctl_fail(CTL_USAGE, "--block-range: not a multiple of 2h");
	ctl_catch();
	if (!status)
		status = ctlhttp_open(&access, &x.http);
	struct ctlsrc_opts src = { .http = x.http, .way = way, .packed = x.args.packed };
	if (!status)
		status = ctlsrc_open(&src, &x.src);
	if (!status) {
		ctlprog_begin(&prog, "samples", 0, 0, x.args.quiet);
		status = run(&x, &prog);
		tell_end(&x, &prog, status);
	}
	ctlout_close(x.out);
	json_decref(x.meta);
	ctlmark_close(x.mark);
	ctlsrc_close(x.src);
	ctlhttp_close(x.http);
	buf_release(&x.family);
	buf_release(&x.place);
	ctlcopy_args_release(&x.args);
	return status;
}
