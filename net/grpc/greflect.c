#include "net/grpc/greflect.h"

#include <string.h>

#include "net/grpc/gsrv_priv.h"
#include "proto/gen/reflection_v1.pb-c.h"
#include "proto/pbscan.h"
#include "proto/services.h"

/* Numbers of fields of FileDescriptorSet and what is in it (google/protobuf/descriptor.proto). */
#define SET_FILE       1u
#define NAME           1u /* of everything but a package */
#define FILE_PACKAGE   2u
#define FILE_MESSAGE   4u
#define FILE_ENUM      5u
#define FILE_SERVICE   6u
#define MESSAGE_FIELD  2u
#define MESSAGE_NESTED 3u
#define MESSAGE_ENUM   4u
#define MESSAGE_ONEOF  8u
#define PART           2u /* a method of a service, a value of an enum */
#define SERVICES_MAX   32u

typedef Grpc__Reflection__V1__ServerReflectionRequest Ask;
typedef Grpc__Reflection__V1__ServerReflectionResponse Answer;

/* ---- descriptors ---- */

struct piece {
	const uint8_t *data;
	size_t len;
};

/* The next field of this number in *rest; false: no more. */
static bool piece_next(struct piece *rest, uint64_t number, struct piece *out)
{
	const uint8_t *p = rest->data, *end = p + rest->len;
	struct pbscan_field f;
	while (p < end && pbscan_next(&p, end, &f)) {
		if (f.number != number || f.wire != PBSCAN_BYTES)
			continue;
		*out = (struct piece){ f.data, f.len };
		*rest = (struct piece){ p, (size_t)(end - p) };
		return true;
	}
	return false;
}

static struct piece piece_first(struct piece in, uint64_t number)
{
	struct piece out = { (const uint8_t *)"", 0 };
	(void)piece_next(&in, number, &out);
	return out;
}

static bool piece_is(struct piece p, const char *s, size_t len)
{
	return p.len == len && !memcmp(p.data, s, len);
}

/* What of s stands behind "head."; NULL: it does not begin with that. */
static const char *behind(const char *s, struct piece head)
{
	bool begins = !strncmp(s, (const char *)head.data, head.len) && s[head.len] == '.';
	return begins ? s + head.len + 1 : NULL;
}

/* Has one of the fields of this number this name? */
static bool names(struct piece in, uint64_t number, const char *s)
{
	for (struct piece p; piece_next(&in, number, &p);)
		if (piece_is(piece_first(p, NAME), s, strlen(s)))
			return true;
	return false;
}

/* Is it s, or s one of its parts? Enums and services. */
static bool has_part(struct piece p, const char *s)
{
	struct piece name = piece_first(p, NAME);
	const char *rest = behind(s, name);
	return piece_is(name, s, strlen(s)) || (rest && names(p, PART, rest));
}

static bool any_has_part(struct piece in, uint64_t number, const char *s)
{
	for (struct piece p; piece_next(&in, number, &p);)
		if (has_part(p, s))
			return true;
	return false;
}

static bool message_has(struct piece m, const char *s)
{
	struct piece name = piece_first(m, NAME), all = m;
	const char *rest = behind(s, name);
	if (piece_is(name, s, strlen(s)))
		return true;
	if (!rest)
		return false;
	if (names(m, MESSAGE_FIELD, rest) || names(m, MESSAGE_ONEOF, rest) ||
	    any_has_part(m, MESSAGE_ENUM, rest))
		return true;
	for (struct piece p; piece_next(&all, MESSAGE_NESTED, &p);)
		if (message_has(p, rest)) /* as deep as our schemas are */
			return true;
	return false;
}

static bool file_has(struct piece file, const char *symbol)
{
	const char *s = behind(symbol, piece_first(file, FILE_PACKAGE));
	struct piece all = file;
	if (!s)
		return false;
	if (any_has_part(file, FILE_SERVICE, s) || any_has_part(file, FILE_ENUM, s))
		return true;
	for (struct piece p; piece_next(&all, FILE_MESSAGE, &p);)
		if (message_has(p, s))
			return true;
	return false;
}

const uint8_t *greflect_file_of(const char *symbol, size_t *len)
{
	struct piece all = { services_set, services_set_len };
	for (struct piece file; piece_next(&all, SET_FILE, &file);) {
		if (file_has(file, symbol)) {
			*len = file.len;
			return file.data;
		}
	}
	return NULL;
}

const uint8_t *greflect_file_named(const char *name, size_t *len)
{
	struct piece all = { services_set, services_set_len };
	for (struct piece file; piece_next(&all, SET_FILE, &file);) {
		if (piece_is(piece_first(file, NAME), name, strlen(name))) {
			*len = file.len;
			return file.data;
		}
	}
	return NULL;
}

/* ---- answers ---- */

#define ASKED(what) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##what
#define GIVEN(what)                                                                                \
 GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##what##_RESPONSE

/* An answer and what it may point to. */
struct reply {
	Answer a;
	Grpc__Reflection__V1__FileDescriptorResponse files;
	Grpc__Reflection__V1__ExtensionNumberResponse numbers;
	Grpc__Reflection__V1__ListServiceResponse list;
	Grpc__Reflection__V1__ErrorResponse error;
	ProtobufCBinaryData file;
	Grpc__Reflection__V1__ServiceResponse service[SERVICES_MAX], *services[SERVICES_MAX];
};

static void refuse(struct reply *r, enum grpc_status s, const char *text)
{
	grpc__reflection__v1__error_response__init(&r->error);
	r->error.error_code = (int32_t)s;
	r->error.error_message = (char *)(uintptr_t)text;
	r->a.message_response_case = GIVEN(ERROR);
	r->a.error_response = &r->error;
}

static void give_file(struct reply *r, const uint8_t *file, size_t len)
{
	if (!file) {
		refuse(r, GRPC_NOT_FOUND, "not found");
		return;
	}
	grpc__reflection__v1__file_descriptor_response__init(&r->files);
	r->file = (ProtobufCBinaryData){ len, (uint8_t *)(uintptr_t)file };
	r->files.file_descriptor_proto = &r->file;
	r->files.n_file_descriptor_proto = 1;
	r->a.message_response_case = GIVEN(FILE_DESCRIPTOR);
	r->a.file_descriptor_response = &r->files;
}

static bool is_listed(const struct reply *r, const char *name, size_t len)
{
	for (size_t i = 0; i < r->list.n_service; i++)
		if (!strncmp(r->service[i].name, name, len) && !r->service[i].name[len])
			return true;
	return false;
}

/* What stands before the second slash of the methods' paths, once each. */
static void give_list(struct reply *r, const struct gsrv *g, struct arena *arena)
{
	grpc__reflection__v1__list_service_response__init(&r->list);
	r->list.service = r->services;
	for (size_t i = 0; i < g->count && r->list.n_service < SERVICES_MAX; i++) {
		const char *name = g->methods[i].path + 1;
		size_t len = strcspn(name, "/"), n = r->list.n_service;
		if (is_listed(r, name, len))
			continue;
		grpc__reflection__v1__service_response__init(&r->service[n]);
		r->service[n].name = arena_strndup(arena, name, len);
		r->services[n] = &r->service[n];
		r->list.n_service++;
	}
	r->a.message_response_case = GIVEN(LIST_SERVICES);
	r->a.list_services_response = &r->list;
}

static void give_extensions(struct reply *r, char *type)
{
	size_t len;
	if (!greflect_file_of(type, &len)) {
		refuse(r, GRPC_NOT_FOUND, "not found");
		return;
	}
	grpc__reflection__v1__extension_number_response__init(&r->numbers);
	r->numbers.base_type_name = type;
	r->a.message_response_case = GIVEN(ALL_EXTENSION_NUMBERS);
	r->a.all_extension_numbers_response = &r->numbers;
}

static void answer(struct reply *r, const Ask *ask, const struct gsrv *g, struct arena *arena)
{
	size_t len = 0;
	const uint8_t *file;
	switch ((int)ask->message_request_case) {
	case ASKED(FILE_BY_FILENAME):
		file = greflect_file_named(ask->file_by_filename, &len);
		give_file(r, file, len);
		break;
	case ASKED(FILE_CONTAINING_SYMBOL):
		file = greflect_file_of(ask->file_containing_symbol, &len);
		give_file(r, file, len);
		break;
	case ASKED(FILE_CONTAINING_EXTENSION):
		give_file(r, NULL, 0);
		break;
	case ASKED(ALL_EXTENSION_NUMBERS_OF_TYPE):
		give_extensions(r, ask->all_extension_numbers_of_type);
		break;
	case ASKED(LIST_SERVICES):
		give_list(r, g, arena);
		break;
	default:
		refuse(r, GRPC_INVALID_ARGUMENT, "nothing was asked");
	}
}

void greflect_message(struct gcall *c, const void *msg, size_t len)
{
	(void)len;
	struct reply r = { 0 };
	const Ask *ask = msg;
	grpc__reflection__v1__server_reflection_response__init(&r.a);
	r.a.valid_host = ask->host;
	r.a.original_request = (Ask *)(uintptr_t)ask;
	answer(&r, ask, c->_p->g, &c->_p->arena);
	if (gcall_send(c, &r.a.base))
		gcall_next(c);
}

void greflect_end(struct gcall *c)
{
	gcall_finish(c, GRPC_OK, NULL);
}

void greflect_room(struct gcall *c)
{
	gcall_next(c);
}
