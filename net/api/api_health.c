#include "net/api/api_health.h"

#include "net/api/api_grpc.h"
#include "proto/gen/health.pb-c.h"

typedef Grpc__Health__V1__HealthCheckRequest Ask;
typedef Grpc__Health__V1__HealthCheckResponse Answer;
typedef Grpc__Health__V1__HealthCheckResponse__ServingStatus Status;
#define STOPPING     "the server is stopping"
#define STATUS(name) GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name

struct watch {
	struct list_link link; /* in api_loop.watches */
	struct gcall *call;
	bool known;
	Status told;
};

static Status status_of(const struct api_loop *l)
{
	return l->phase == API_READY ? STATUS(SERVING) : STATUS(NOT_SERVING);
}

static void tell(struct gcall *c, Status s)
{
	Answer a;
	grpc__health__v1__health_check_response__init(&a);
	a.status = s;
	(void)gcall_send(c, &a.base); /* a few bytes, seldom */
}

static bool is_known(const Ask *ask)
{
	return !ask->service[0] || api_grpc_has(ask->service);
}

void api_health_check(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	const Ask *ask = msg;
	if (!is_known(ask)) {
		gcall_finish(c, GRPC_NOT_FOUND, "unknown service %.200s", ask->service);
		return;
	}
	tell(c, status_of(api_loop_of(c->req)));
	gcall_finish(c, GRPC_OK, NULL);
}

/* Once: it is told nothing more, however long its client takes to read. */
static void finish(struct watch *w, enum grpc_status s, const char *text)
{
	if (list_empty(&w->link))
		return;
	list_del(&w->link);
	gcall_finish(w->call, s, "%s", text);
}

void api_health_watch(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	struct api_loop *l = api_loop_of(c->req);
	struct watch *w = arena_zalloc(&c->req->arena, sizeof(*w));
	w->call = c;
	w->known = is_known(msg);
	w->told = w->known ? status_of(l) : STATUS(SERVICE_UNKNOWN);
	list_add_tail(&l->watches, &w->link);
	c->own = w;
	tell(c, w->told);
	if (l->phase == API_STOPPING)
		finish(w, GRPC_UNAVAILABLE, STOPPING);
}

void api_health_cancelled(struct gcall *c)
{
	finish(c->own, GRPC_CANCELLED, "");
}

void api_health_done(struct gcall *c)
{
	struct watch *w = c->own;
	if (w)
		list_del(&w->link);
}

void api_health_phase(struct api_loop *l)
{
	Status now = status_of(l);
	LIST_EACH_SAFE(link, next, &l->watches) {
		struct watch *w = CONTAINER_OF(link, struct watch, link);
		if (w->known && w->told != now)
			tell(w->call, now);
		if (w->known)
			w->told = now;
		if (l->phase != API_STOPPING)
			continue;
		finish(w, GRPC_UNAVAILABLE, STOPPING);
	}
}
