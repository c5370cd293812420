/*
 * drain - the end of the server within DRAIN_MS_MAX: stop accepting, let what runs finish, tell the
 * other connections, end them, then sync and close the store.
 * Thread: main, while the team runs; afterwards no request is under way.
 */
#ifndef NET_DAEMON_DRAIN_H
#define NET_DAEMON_DRAIN_H

#include "net/api/api.h"
#include "net/http/srv.h"

/* of 30 s in all: five more for answers that were told to give up, the rest for the last sync */
#define DRAIN_MS_MAX 20000

void drain_connections(struct srv *srv, struct api *api);

#endif
