/*
 * gossip - what all loops know of newest times (storage/newest.h) becomes the same: one
 * message walks over them, every GOSSIP_EVERY_MS, takes what each knows and leaves what it has
 * heard.
 *
 * Slices tell the loops they visit at once; a loop without rows of a class would never hear that
 * its time goes on, and would keep what retention takes elsewhere.
 * Thread: made and freed on the main thread, started and stopped on loop 0, where the message
 * rests. Memory: own.
 */
#ifndef STORAGE_APPEND_GOSSIP_H
#define STORAGE_APPEND_GOSSIP_H

#include "core/base/check.h"

#define GOSSIP_EVERY_MS 5000u

struct share;
struct gossip;
/* shares: of all loops; they outlive it. */
struct gossip *gossip_create(struct share **shares, unsigned loops);
void gossip_free(struct gossip *g);
void gossip_start(struct gossip *g);
void gossip_stop(struct gossip *g);
/* on its way; after gossip_stop it comes home once more */
bool gossip_busy(const struct gossip *g);

#endif
