/*
 * greflect - server reflection ("GRPC Server Reflection Protocol" of the gRPC documentation):
 * tools ask which services there are, and for the files that describe them.
 *
 * Its handlers answer message by message and keep nothing. What a table of methods names is listed;
 * what is described stands in proto/services.h. No message of ours has extensions.
 * Thread: the loop of the call.
 */
#ifndef NET_GRPC_GREFLECT_H
#define NET_GRPC_GREFLECT_H

#include "net/grpc/gsrv.h"
#include "proto/gen/reflection_v1.pb-c.h"

void greflect_message(struct gcall *c, const void *msg, size_t len);
void greflect_end(struct gcall *c);
void greflect_room(struct gcall *c);
#define GREFLECT_METHOD(version)                                                                   \
 {                                                                                                 \
  .path = "/grpc.reflection." version ".ServerReflection/ServerReflectionInfo", .kind = GSRV_BIDI, \
  .in_max = GREFLECT_ASK_MAX, .in = &grpc__reflection__v1__server_reflection_request__descriptor,  \
  .message = greflect_message, .room = greflect_room, .end = greflect_end                          \
 }
#define GREFLECT_ASK_MAX 4096u /* names are short */

/*
 * The FileDescriptorProto that has this symbol ("a.b.Service", "a.b.Service.Method",
 * "a.b.Message.field"), or has this name; NULL: none.
 */
const uint8_t *greflect_file_of(const char *symbol, size_t *len);
const uint8_t *greflect_file_named(const char *name, size_t *len);

#endif
