#include "net/recv/inlet.h"

#include "net/api/api.h"

static void stored(struct sink_req *s)
{
	struct inlet *i = CONTAINER_OF(s, struct inlet, req);
	i->done(i);
}

void inlet_append(struct api *a, struct inlet *i)
{
	i->req.done = stored;
	sink_append(a->sink, &i->req);
}
