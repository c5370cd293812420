/*
 * api_card - cardinality: what a tenant has most of, how it has grown, what explodes now.
 *
 *   /api/v1/cardinality                figures of now, of an hour and of a day ago, and explosions
 *   /api/v1/cardinality/explosions     what explodes, or did within a day (storage/append/alarm.h)
 *   /api/v1/cardinality/label_names    the labels with most values     | as in Grafana Mimir
 *   /api/v1/cardinality/label_values   values of labels by series      | ("Cardinality" of its
 *   /api/v1/cardinality/active_series  the series of a selector        | HTTP API documentation)
 *
 * Figures of the first are exact, but where "about": true says so: values of a label that has very
 * many are an estimate, within 2 %; where a tenant has more pairs of names and values than there is
 * room to count (storage/store.h: STORE_STATS_PART), those of small ones may be too low, and "upTo"
 * says what they are at most. "below" says what a name that is not listed has at most.
 * The last three look at the series of a selector that have samples since CARD_ACTIVE_MS, or in the
 * range that is given; what they hold is the ticket's. They are exact or an error, never cut.
 * Thread: the loop of the request; series are counted on a worker.
 */
#ifndef NET_API_API_CARD_H
#define NET_API_API_CARD_H

#include "net/api/api.h"

#define CARD_ACTIVE_MS   1200000
#define CARD_LIMIT_USUAL 20
#define CARD_LIMIT_MOST  500
#define CARD_NAMES_MOST  64u /* labels of one question */

/* Of a row: that it is not exact, and how much it may be. */
void card_about_put(struct buf *b, const struct store_top *t);

void api_card(struct req *r);
void api_card_explosions(struct req *r);
void api_card_label_names(struct req *r);
void api_card_label_values(struct req *r);
void api_card_active_series(struct req *r);

#endif
