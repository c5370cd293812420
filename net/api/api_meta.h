/*
 * api_meta - series, labels, label values, metadata ("HTTP API" of the Prometheus documentation).
 *
 * Items come sorted by their bytes. Metadata are those that writers sent, of all families.
 * Thread: the loop of the request.
 */
#ifndef NET_API_API_META_H
#define NET_API_API_META_H

#include "net/api/api.h"

void api_meta_series(struct req *r);
void api_meta_labels(struct req *r);
void api_meta_label_values(struct req *r);
void api_meta_metadata(struct req *r);
void api_meta_targets(struct req *r); /* /targets/metadata: nothing is scraped, so an empty list */

#endif
