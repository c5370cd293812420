/*
 * front - what comes before the protocol of a connection.
 *
 *   accepted > PROXY header (from addresses that must send one) > TLS handshake > the host's open()
 *
 * A header is read to its last byte and not further, so that what stands behind it is left to TLS.
 * Who does not come through in time (LIMIT_HEADER_MS for the header, LIMIT_HANDSHAKE_MS for the
 * handshake), or not at all, is cut off and counted; a failed handshake leaves with its alert.
 *
 * Thread: the loop of the connection.
 */
#ifndef NET_CONN_FRONT_H
#define NET_CONN_FRONT_H

#include "net/conn/conn.h"

/* c was just made. header: a PROXY header must come. how is not needed afterwards. */
void front_begin(struct conn *c, const struct conn_how *how, bool header);

#endif
