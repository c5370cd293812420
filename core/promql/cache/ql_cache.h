/*
 * ql_cache - results of range queries, kept while nothing that they were made of has changed.
 *
 * It is the front of queries (struct ql_front): a query that it creates looks what is kept under
 * its
 * key, takes the steps that are still so, evaluates those that are missing, and keeps the whole.
 *
 *   ql_create > CREATED: parsed and planned as any other, so that errors are the same
 *   ql_start  > the number of now (source.h) > what is kept > which of its steps are still so
 *             > all                 the answer is what is kept, as it is: nothing is copied
 *             > some                one or two stretches of steps are evaluated, one after the
 *                                   other, and joined with it
 *             > few, or none        all is evaluated
 *             > the result is kept, with the number of now
 *
 * Key: tenants, text, step, start modulo step, look-back, step of subqueries, features; and first
 * and last step where the expression depends on them (ql_reach.h). One result for each key: the
 * last
 * that was asked for.
 * (1) An answer has the very bits that an evaluation would have: a kept step is used when no change
 *     has a larger number than it in all times that the step reads. Results with warnings of
 *     storage
 *     are not kept.
 * (2) Notes. Those that hold wherever there is a value go along; a result with others is used as a
 *     whole only.
 * (3) The answer counts against the limits of its query as an evaluated one would: points, and the
 *     bytes that it makes. What is kept is the hoard's (core/rt/hoard.h), while it is read, too.
 * (4) Nobody gets what another tenant's query has made, nor learns whether it did: keys have the
 *     tenants, and room is shared fairly.
 * Statistics are those of what was evaluated now; who wants those of the whole asks without a
 * front.
 *
 * Thread: ql_cache_create and free alone, when no query is left; the rest on any loop.
 */
#ifndef CORE_PROMQL_CACHE_QL_CACHE_H
#define CORE_PROMQL_CACHE_QL_CACHE_H

#include "core/promql/ql.h"

struct ql_cache;
struct ql_cache *ql_cache_create(uint64_t max_bytes);
void ql_cache_free(struct ql_cache *c);
struct ql_front *ql_cache_front(struct ql_cache *c);
uint64_t ql_cache_bytes(struct ql_cache *c); /* held now */

#endif
