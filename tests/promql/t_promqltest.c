/*
 * Our own scripts (tests/promql) must pass whole, over one shard and over many, with sources that
 * answer at once and that do not.
 * Of the scripts of Prometheus (../shared/data/promqltest, when there) every eval must pass that
 * failing.txt does not list; one that is listed and passes is told.
 */
#include "tests/lib/tap.h"
#include "tests/lib/testlib.h"
#include "tests/promql/ptest_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#define FILES_MAX 100
#define LINES_MAX 2000 /* evals of a script */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static unsigned list(const char *dir, char **names)
{
	unsigned n = 0;
	DIR *d = opendir(dir);
	for (struct dirent *e; d && (e = readdir(d));) {
		size_t len = strlen(e->d_name);
		if (n < FILES_MAX && len > 5 && !strcmp(e->d_name + len - 5, ".test"))
			names[n++] = strdup(e->d_name);
	}
	if (d)
		closedir(d);
	qsort(names, n, sizeof(*names), by_name);
	return n;
}

static void own_scripts(struct ptest_file_opts *o)
{
	static const struct {
		unsigned shards, shaky;
	} ways[] = { { 1, 0 }, { 7, 0 }, { 3, 2 } };
	char dir[2048], path[4096], *names[FILES_MAX];
	snprintf(dir, sizeof(dir), "%s/tests/promql", testlib_src());
	unsigned n = list(dir, names), evals = 0, passed = 0;
	o->verbose = true;
	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		for (size_t w = 0; w < COUNT_OF(ways); w++) {
			o->db.shards = ways[w].shards;
			o->db.shaky = ways[w].shaky;
			struct ptest_count c = ptest_file_run(path, o);
			tap_ok(!c.broken && c.total && c.passed == c.total,
			    "%s: %u of %u pass over %u shards, %s", names[i], c.passed, c.total,
			    ways[w].shards, ways[w].shaky ? "with waits" : "at once");
			evals += w ? 0 : c.total;
			passed += w ? 0 : c.passed;
		}
		free(names[i]);
	}
	tap_ok(evals >= 150, "there are at least 150 evals of our own (%u)", evals);
	printf("promqltest: our own scripts %u/%u\n", passed, evals);
}

/* Lines of a script whose evals do not pass, in ascending order. */
struct lines {
	unsigned v[LINES_MAX], count;
};

static void add_line(void *arg, unsigned line)
{
	struct lines *l = arg;
	if (l->count < LINES_MAX)
		l->v[l->count++] = line;
}

/* failing.txt: the name of a script, then the lines of its evals that are known to fail. */
static void read_known(const char *name, struct lines *out)
{
	char path[4096], word[200];
	bool mine = false;
	snprintf(path, sizeof(path), "%s/tests/promql/failing.txt", testlib_src());
	FILE *f = fopen(path, "r");
	out->count = 0;
	while (f && fscanf(f, "%199s", word) == 1) {
		if (word[0] == '#')
			(void)!fscanf(f, "%*[^\n]");
		else if (word[0] >= '0' && word[0] <= '9' && mine)
			add_line(out, (unsigned)strtoul(word, NULL, 10));
		else if (word[0] < '0' || word[0] > '9')
			mine = strcmp(word, name) == 0;
	}
	if (f)
		fclose(f);
}

/* How many of a are not in b; the first ones are told. */
static unsigned missing(
    const struct lines *a, const struct lines *b, const char *name, const char *what)
{
	unsigned n = 0;
	for (unsigned i = 0; i < a->count; i++) {
		bool found = false;
		for (unsigned k = 0; k < b->count; k++)
			found = found || a->v[i] == b->v[k];
		if (!found && n++ < 20)
			tap_note("%s:%u %s", name, a->v[i], what);
	}
	return n;
}

static void shared_scripts(struct ptest_file_opts *o)
{
	char *found = testlib_shared("data/promqltest"), dir[2048], path[4096], *names[FILES_MAX];
	if (!found) {
		tap_skip("the scripts of Prometheus are not here");
		puts("promqltest: the scripts of Prometheus are not here (../shared/data/promqltest)");
		return;
	}
	snprintf(dir, sizeof(dir), "%s", found);
	unsigned n = list(dir, names);
	struct ptest_count sum = { 0 };
	static struct lines failed, known;
	o->failed = add_line;
	o->arg = &failed;
	o->verbose = false;
	o->db.shards = 3;
	o->db.shaky = 0;
	for (unsigned i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		failed.count = 0;
		read_known(names[i], &known);
		struct ptest_count c = ptest_file_run(path, o);
		unsigned new = missing(&failed, &known, names[i], "does not pass any more");
		(void)missing(&known, &failed, names[i], "passes now: take it off failing.txt");
		tap_ok(!c.broken && new == 0, "%s: %u of %u pass, all but those that are listed",
		    names[i], c.passed, c.total);
		printf("promqltest: %s %u/%u\n", names[i], c.passed, c.total);
		sum.passed += c.passed;
		sum.total += c.total;
		free(names[i]);
	}
	/* These lines, and the sum as the last one, are shown at the end of make check. */
	printf("promqltest: total %u/%u\n", sum.passed, sum.total);
	tap_ok(n > 0, "there are scripts of Prometheus");
}

int main(void)
{
	struct ptest_file_opts o = { .out = stdout, .prefix = "# " };
	struct team_opts to = { .loops = 2 };
	if (team_create(&to, &o.db.team) || team_start(o.db.team))
		return 99;
	own_scripts(&o);
	shared_scripts(&o);
	team_stop(o.db.team);
	team_free(o.db.team);
	return tap_done();
}
