/*
 * strangers - paths of other servers that clients come with, and what is here instead.
 * Thread: pure.
 */
#ifndef NET_API_STRANGERS_H
#define NET_API_STRANGERS_H

#include <stddef.h>

/*
 * What a 404 says of this path (without the prefix); NULL: it is nobody's that we know. *ours: the
 * row that does it here, or NULL. See srv_opts.stranger.
 */
const char *strangers_say(const char *inside, size_t len, const char **ours);

#endif
