#include "net/conn/peer.h"

#include <string.h>
#include <strings.h>

#define PEER_ARENA_BYTES 1024u

struct conn_peer *conn_peer_create(void)
{
	struct conn_peer *p = mem_zalloc(sizeof(*p));
	p->subject = p->common_name = p->issuer = "";
	p->_held = 1;
	arena_init(&p->_arena, PEER_ARENA_BYTES);
	return p;
}

struct conn_peer *conn_peer_hold(struct conn_peer *p)
{
	if (p)
		p->_held++;
	return p;
}

void conn_peer_drop(struct conn_peer *p)
{
	if (!p || --p->_held)
		return;
	arena_release(&p->_arena);
	mem_free(p);
}

/* Names of hosts have letters of either case. */
static bool same(const struct conn_san *s, const char *text)
{
	return s->kind == CONN_SAN_DNS ? !strcasecmp(s->value, text) : !strcmp(s->value, text);
}

bool conn_peer_has(const struct conn_peer *p, const char *san)
{
	for (size_t i = 0; i < p->san_count; i++)
		if (same(&p->sans[i], san))
			return true;
	return false;
}
