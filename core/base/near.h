/*
 * near - the known word nearest to a mistyped one, for error texts that teach ("unknown flag
 * --retenton, did you mean --retention?").
 * Distance: insert, delete, replace, swap of neighbours each cost one; a word is near when it needs
 * at most a third of its letters, and at least one.
 */
#ifndef CORE_BASE_NEAR_H
#define CORE_BASE_NEAR_H

#include "core/base/check.h"

/* NULL when none is near. word: at most 64 bytes count. */
const char *near_word(const char *word, size_t len, const char *const *known, size_t count);
unsigned near_distance(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
