/* table - results for people on a terminal: figures, what differs, what failed. Thread: one. */
#ifndef BENCH_LOAD_TABLE_H
#define BENCH_LOAD_TABLE_H

#include <jansson.h>
#include <stdio.h>

void table_print(const json_t *root, FILE *to);

#endif
