/*
 * results - what a run of kymobench measured, as JSON in memory and in a file.
 *
 *   {"kymobench": 1, "command": "compare", "arguments": "...", "started": "2026-01-02T03:04:05Z",
 *    "seconds": 170.2, "machine": {"cpu": "...", ...},
 *    "servers": [{"name": "kymod", "version": "...", "command": "...", "promise": "..."}],
 *    "figures": [{"id": "rw1_grouped_100000", "group": "Writes", "title": "...",
 *                 "unit": "samples/CPU-s", "better": "more",
 *                 "servers": [{"name": "kymod", "values": [4.1e6, null], "median": 4.1e6,
 *                              "min": ..., "max": ..., "notes": ["..."], "apart": "why",
 *                              "ratio": {"median": 6.1, "min": 5.9, "max": 6.4, "pairs": 3}}]}],
 *    "queries": [{"query": "...", "equal": false, "difference": "...",
 *                 "servers": [{"name": "kymod", "ms": 1.2, "cpu_ms": 1.1}]}],
 *    "lines": [{"title": "...", "unit": "bytes",
 *               "servers": [{"name": "kymod", "points": [[0, 1], [1, 5]]}]}],
 *    "problems": ["..."]}
 *
 * The first server is the one that others are compared with; a ratio says how often it is better
 * than this one, round by round, and null stands for a round that failed. A row that stands apart
 * was not measured under the others' conditions, as it says: nothing is compared with it.
 *
 * Thread: one. Memory: jansson's counts. A file may be anybody's: results_load checks every shape
 * and size that the rest relies on.
 */
#ifndef BENCH_LOAD_RESULTS_H
#define BENCH_LOAD_RESULTS_H

#include <jansson.h>

#include "core/base/buf.h"
#include "core/base/err.h"

#define RESULTS_BYTES_MAX   (64u << 20)
#define RESULTS_FIGURES_MAX 1000u /* and as many queries, lines, problems */
#define RESULTS_SERVERS_MAX 16u
#define RESULTS_VALUES_MAX  100000u

json_t *results_new(const char *command, int argc, char **argv);
void results_server(
    json_t *root, const char *name, const char *version, const char *command, const char *promise);
/* better: "more" or "less". The figure belongs to root. */
json_t *results_figure(json_t *root, const char *id, const char *group, const char *title,
    const char *unit, const char *better);
void results_value(json_t *figure, const char *server, double value); /* NaN: it failed */
void results_note(json_t *figure, const char *server, const char *text);
/* No ratio is made of this server's row; why stands beside its figure. The first reason stays. */
void results_apart(json_t *figure, const char *server, const char *why);
/* One point of a line over time; the line comes into being with its first one. */
void results_point(json_t *root, const char *title, const char *unit, const char *server,
    double t_s, double value);
void results_problem(json_t *root, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Medians, spreads and ratios of all figures. */
void results_close(json_t *root, double seconds);

/* Asked before the work: false, with the reason, when out (NULL, "-" too) cannot be written. */
bool results_writable(const char *out, struct errbuf *eb);
MUST_CHECK enum err results_save(const json_t *root, const char *path, struct errbuf *eb);
/*
 * A file of this form, or the lines that "kymobench write" or "soak" print, of which figures of one
 * server are made. ERR_IO, ERR_TOOBIG, ERR_BADDATA with what is wrong and where.
 */
MUST_CHECK enum err results_load(const char *path, json_t **out, struct errbuf *eb);
MUST_CHECK enum err results_parse(
    const char *text, size_t len, const char *path, json_t **out, struct errbuf *eb);

json_t *results_of_lines(const char *bytes, size_t len, const char *path); /* NULL: no such lines */

/* For readers: never NULL, never out of shape. */
const char *results_text(const json_t *o, const char *key);         /* "" when there is none */
double results_number(const json_t *o, const char *key);            /* NaN when there is none */
const json_t *results_of(const json_t *figure, const char *server); /* its row, or NULL */
/* "4.71 M", "1.2 ms", "3.4 GiB": three digits, for people. "-" for NaN. */
#define RESULTS_HUMAN_MAX 48
void results_human(double v, const char *unit, char out[RESULTS_HUMAN_MAX]);
void results_human_ratio(double v, char out[RESULTS_HUMAN_MAX]); /* "8.2x" */

#endif
