/*
 * services - the descriptors of our gRPC services, as the compiler of schemas gave them: a
 * google.protobuf.FileDescriptorSet ("Self-describing Messages" of the Protocol Buffers
 * documentation), made into C when the program is built.
 */
#ifndef PROTO_SERVICES_H
#define PROTO_SERVICES_H

#include <stddef.h>

extern const unsigned char services_set[];
extern const size_t services_set_len;

#endif
