/*
 * md5 - the message digest of RFC 1321, for what has to agree with others: Prometheus spreads
 * targets by it (hashmod). It protects nothing.
 *
 * Thread: pure.
 */
#ifndef CORE_BASE_MD5_H
#define CORE_BASE_MD5_H

#include <stddef.h>
#include <stdint.h>

void md5(const void *data, size_t len, uint8_t out[16]);

#endif
