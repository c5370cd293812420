/* store_card, store_card_history: what loop 0 knows of cardinality, copied for who asks. */
#include "storage/append/alarm.h"
#include "storage/marks.h"
#include "storage/store_priv.h"

static void row_copy(void *arg, const struct alarm_row *row)
{
	struct store_card_req *r = arg;
	r->rows = mem_array(r->rows, r->rows_count + 1, sizeof(*r->rows));
	r->rows[r->rows_count++] = *row;
}

static void at_home(struct mbox_msg *msg)
{
	struct store_card_req *r = CONTAINER_OF(msg, struct store_card_req, _msg);
	r->done(r);
}

static void look(struct mbox_msg *msg)
{
	struct store_card_req *r = CONTAINER_OF(msg, struct store_card_req, _msg);
	const struct store *st = r->_store;
	alarm_each(st->alarm, r->tenant, row_copy, r);
	r->hour = marks_copy(st->marks, r->tenant, MARKS_HOUR_MS);
	r->day = marks_copy(st->marks, r->tenant, 24 * MARKS_HOUR_MS);
	r->_msg.fn = at_home;
	loop_send(r->_from, &r->_msg);
}

void store_card(struct store *st, struct store_card_req *r)
{
	r->_from = loop_here();
	r->_store = st;
	r->rows = NULL;
	r->rows_count = 0;
	r->hour = r->day = NULL;
	r->_msg.fn = look;
	loop_send(st->shares[0]->loop, &r->_msg);
}

void store_card_release(struct store_card_req *r)
{
	mem_free(r->rows);
	marks_mark_free(r->hour);
	marks_mark_free(r->day);
	r->rows = NULL;
	r->hour = r->day = NULL;
}

void store_card_here(struct store *st, void (*fn)(void *arg, const struct alarm_row *row), void *arg)
{
	alarm_each(st->alarm, TENANT_NONE, fn, arg);
}

static void history_at_home(struct mbox_msg *msg)
{
	struct store_card_history_req *r = CONTAINER_OF(msg, struct store_card_history_req, _msg);
	r->done(r);
}

static void history_cut(struct mbox_msg *msg)
{
	struct store_card_history_req *r = CONTAINER_OF(msg, struct store_card_history_req, _msg);
	cardhist_cut(marks_history(r->_store->marks), r->tenant, r->kind, r->t_min_ms, r->t_max_ms,
	    r->step_ms, r->limit, &r->cut);
	r->every_ms = MARKS_EVERY_MS;
	r->_msg.fn = history_at_home;
	loop_send(r->_from, &r->_msg);
}

void store_card_history(struct store *st, struct store_card_history_req *r)
{
	r->_from = loop_here();
	r->_store = st;
	r->_msg.fn = history_cut;
	loop_send(st->shares[0]->loop, &r->_msg);
}

void store_card_cut_release(struct store_card_cut *c)
{
	mem_free(c->moments);
	mem_free(c->rows);
	mem_free(c->names);
	mem_free(c->texts);
	*c = (struct store_card_cut){ 0 };
}
