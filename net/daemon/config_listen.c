/*
 * config_listen - the section listeners: addresses, and what is offered there.
 *
 *   listeners:
 *   - address: 0.0.0.0:9470
 */
#include "net/conn/listen.h"
#include "net/daemon/config.h"

static const struct yaml_row rows[] = {
	{ .key = "address",
	    .kind = YAML_TEXT,
	    .off = offsetof(struct config_listener, address),
	    .flags = YAML_NEEDED | YAML_START,
	    .shape = "HOST:PORT",
	    .help = "where to listen" },
};
const struct yaml_schema config_listener_schema = { .rows = rows,
	.count = COUNT_OF(rows),
	.size = sizeof(struct config_listener),
	.name_off = SIZE_MAX };
