#include "core/promql/run/ql_run.h"

#include <stdio.h>

#include "core/rt/job.h"

bool ql_tick(struct ql_run *x, uint64_t values)
{
	uint64_t work = x->_work + values + 16;
	x->_work = work < QL_TICK ? (uint32_t)work : 0;
	return work >= QL_TICK && job_should_yield();
}

enum ql_did ql_fail(struct ql_run *x, enum err e)
{
	x->err = e;
	return QL_FAILED;
}

enum ql_did ql_failf(struct ql_run *x, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	x->err = errbuf_vset(x->eb, ERR_EXECUTION, fmt, ap);
	va_end(ap);
	return QL_FAILED;
}

void ql_run_at_end(struct ql_run *x, void (*fn)(void *arg), void *arg)
{
	struct ql_cleanup *c = arena_alloc(x->arena, sizeof(*c));
	*c = (struct ql_cleanup){ .next = x->cleanups, .fn = fn, .arg = arg };
	x->cleanups = c;
}

void ql_run_clean(struct ql_run *x)
{
	for (; x->cleanups; x->cleanups = x->cleanups->next)
		x->cleanups->fn(x->cleanups->arg);
}

struct ql_col *ql_run_col(struct ql_run *x, struct ql_vec *v, struct labels ls, uint32_t n)
{
	x->err = ql_charge(&x->budget, n, x->eb);
	if (x->err)
		return NULL;
	struct ql_col *c = ql_vec_add(x->arena, v);
	ql_col_init(x->arena, c, ls, label_hash(ls), n);
	return c;
}

bool ql_run_reserve(struct ql_run *x, struct ql_vec *v, uint32_t count)
{
	if (count <= v->cap)
		return true;
	x->err = ql_room(&x->budget, (uint64_t)count * sizeof(*v->cols), x->eb);
	if (!x->err)
		ql_vec_reserve(x->arena, v, count);
	return !x->err;
}

bool ql_run_tab(struct ql_run *x, struct ql_tab *t, uint32_t count)
{
	if ((x->err = ql_room(&x->budget, ql_tab_bytes(count), x->eb)))
		return false;
	ql_tab_init(t, x->arena);
	ql_tab_reserve(t, count);
	return true;
}

void ql_run_drop_name(struct ql_run *x, struct ql_col *c)
{
	if (x->names == QL_NAMES_DROP_LATE) {
		c->drop_name = true;
		return;
	}
	struct labels ls = ql_labels_drop_name(x->arena, c->ls);
	if (ls.len != c->ls.len) {
		c->ls = ls;
		c->hash = label_hash(ls);
	}
}
