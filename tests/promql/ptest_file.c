#include "tests/promql/ptest_file.h"

#include <stdlib.h>
#include <string.h>

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	if (!f)
		return NULL;
	char *text = NULL;
	size_t cap = 0;
	*len = 0;
	for (size_t n = 1; n > 0; *len += n) {
		if (cap - *len < 65536)
			text = mem_realloc(text, cap += 1 << 20);
		n = fread(text + *len, 1, cap - *len, f);
	}
	fclose(f);
	return text;
}

static void nothing(void *arg)
{
	(void)arg;
}

/* Every loop has had a turn: what it put off until the end of its turn is done. */
static void settle(struct team *team)
{
	for (int i = 0; i < 2; i++)
		for (unsigned j = 0; j < team_count(team); j++)
			team_run_on(team, j, nothing, NULL);
}

static enum err run_commands(const char *path, const struct ptest_file_opts *o, struct ptest_db *db,
    struct ptest_script *s, struct ptest_count *n, struct errbuf *eb)
{
	enum err e = ERR_OK;
	for (struct ptest_cmd *c = s->first; c && !e; c = c->next) {
		struct ptest_result r;
		if (c->verb == PTEST_CLEAR)
			e = ptest_db_clear(db, eb);
		else if (c->verb == PTEST_LOAD)
			e = ptest_db_load(db, c, eb);
		if (c->verb != PTEST_EVAL)
			continue;
		ptest_run_eval(o->db.team, db, c, &r);
		n->passed += r.passed;
		if (o->failed && !r.passed)
			o->failed(o->arg, c->line);
		if (o->verbose && !r.passed)
			fprintf(o->out, "%s%s:%u: %s: %s\n", o->prefix, path, c->line, r.mode,
			    r.reason);
	}
	return e;
}

struct ptest_count ptest_file_run(const char *path, const struct ptest_file_opts *o)
{
	struct ptest_count n = { 0 };
	struct ptest_script s;
	struct ptest_db *db = NULL;
	struct errbuf eb;
	size_t len;
	errbuf_init(&eb);
	char *text = slurp(path, &len);
	if (!text) {
		fprintf(o->out, "%s%s: cannot be read\n", o->prefix, path);
		n.broken = true;
		return n;
	}
	enum err e = ptest_script_read(&s, text, len, &eb);
	n.total = s.evals;
	if (!e)
		e = ptest_db_open(&o->db, &db, &eb);
	if (!e)
		e = run_commands(path, o, db, &s, &n, &eb);
	settle(o->db.team);
	if (!e && ptest_db_open_cursors(db))
		e = errbuf_set(
		    &eb, ERR_BUG, "%zu cursors were not closed", ptest_db_open_cursors(db));
	if (e) {
		fprintf(o->out, "%s%s: %s\n", o->prefix, path, eb.text);
		n.broken = true;
	}
	if (db)
		ptest_db_close(db);
	ptest_script_release(&s);
	mem_free(text);
	return n;
}
