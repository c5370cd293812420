/* yaml_priv - a text under reading, as the files of core/base/yaml share it. Thread: one. */
#ifndef CORE_BASE_YAML_PRIV_H
#define CORE_BASE_YAML_PRIV_H

#include "core/base/yaml.h"

struct yaml_error {
	uint32_t at;
	bool whole; /* of the file: no place */
	const char *sentence;
};
struct yaml {
	const char *name, *text;
	char *loaded; /* the text, when it is ours */
	size_t len;
	struct arena arena;
	struct yaml_keep *keep;
	struct yaml_node *root;
	size_t nodes;
	struct yaml_error errors[YAML_ERRORS_MAX];
	size_t errors_count; /* more than there is room for: not kept */
};
/* Would one more error be told in full? */
static inline bool yaml_has_room(const struct yaml *y)
{
	return y->errors_count < YAML_ERRORS_MAX;
}
/* "query.max_samples" of a node into out; "" of the root. */
size_t yaml_path(const struct yaml_node *n, char *out, size_t size);
/* At a byte, without a path. Always false. */
bool yaml_fail_at(struct yaml *y, uint32_t at, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool yaml_fail_whole(struct yaml *y, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Reads the text into y->root. */
void yaml_grow(struct yaml *y);

#endif
