/* kymobench report - pages of what other commands measured: HTML, Markdown, only its table. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bench/load/cmd.h"
#include "bench/load/report.h"
#include "bench/load/results.h"

#define FILES_MAX 16

struct reported {
	json_t *roots[FILES_MAX];
	size_t count;
};

static bool write_file(const char *path, const struct buf *page)
{
	FILE *f = strcmp(path, "-") ? fopen(path, "w") : stdout;
	bool good = f && fwrite(page->data, 1, page->len, f) == page->len;
	good = f && (f == stdout ? !fflush(f) : !fclose(f)) && good;
	if (!good)
		fprintf(stderr, "kymobench report: %s: %s\n", path, strerror(errno));
	return good;
}

static bool make_pages(const struct reported *r, const char *html, const char *md, const char *table)
{
	const json_t *const *roots = (const json_t *const *)r->roots;
	struct buf page;
	bool good = true;
	buf_init(&page);
	if (html) {
		report_html(roots, r->count, &page);
		good = write_file(html, &page);
	}
	buf_clear(&page);
	if (md && good) {
		report_md(roots, r->count, &page);
		good = write_file(md, &page);
	}
	buf_clear(&page);
	for (size_t i = 0; table && good && i < r->count; i++)
		report_md_table(roots[i], &page);
	if (table && good)
		good = write_file(table, &page);
	buf_release(&page);
	return good;
}

/* Files stand anywhere among the flags; they are taken out of argv. */
static int take_files(int argc, char **argv, const char **files, size_t *count)
{
	int kept = 0;
	for (int i = 0; i < argc; i++) {
		bool value = kept && argv[kept - 1][0] == '-' && argv[kept - 1][1] &&
		    !strchr(argv[kept - 1], '=');
		if ((argv[i][0] == '-' && argv[i][1]) || value) {
			argv[kept++] = argv[i];
			continue;
		}
		if (*count == FILES_MAX)
			return -1;
		files[(*count)++] = argv[i];
	}
	return kept;
}

int cmd_report(int argc, char **argv)
{
	const char *html = NULL, *md = NULL, *table = NULL, *files[FILES_MAX];
	struct reported r = { .count = 0 };
	size_t count = 0;
	int status = 0;
	const struct cmdline_arg args[] = {
		{ .name = "html",
		    .meta = "FILE",
		    .help = "one page with charts, which fetches nothing; - is stdout",
		    .text = &html },
		{ .name = "md", .meta = "FILE", .help = "the same as Markdown", .text = &md },
		{ .name = "table",
		    .meta = "FILE",
		    .help = "only the table of figures, as Markdown",
		    .text = &table },
	};
	int kept = take_files(argc, argv, files, &count);
	cmd_parse("report", kept < 0 ? 0 : kept, argv, args, COUNT_OF(args));
	if (kept < 0 || !count || (!html && !md && !table)) {
		fprintf(stderr,
		    "kymobench report: wanted are 1 to %d files of results, and --html, --md or --table; see --help\n",
		    FILES_MAX);
		return 2;
	}
	for (size_t i = 0; i < count && !status; i++) {
		struct errbuf eb;
		errbuf_init(&eb);
		if (results_load(files[i], &r.roots[i], &eb)) {
			fprintf(stderr, "kymobench report: %s\n", eb.text);
			status = 1;
		} else {
			r.count++;
		}
	}
	if (!status && !make_pages(&r, html, md, table))
		status = 1;
	for (size_t i = 0; i < r.count; i++)
		json_decref(r.roots[i]);
	return status;
}
