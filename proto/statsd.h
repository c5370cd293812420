/*
 * statsd - packets of StatsD and DogStatsD to samples, one after another, without memory.
 *
 *   line    name:values|type[|field...]                  several values: 1:2:3, of all types but s
 *           name:value|type[|@rate]:value|type...        several samples of one name, without |#
 *           _e{5,4}:title|text...                        an event
 *           _sc|name|status...                           a service check
 *   type    c g s ms h d
 *   field   @rate  #tag:value,tag  T<seconds>  c:<container>  e:<external data>  card:<cardinality>
 *           others are left alone
 *   name    name  name,tag=value  name#tag=value  name[tag=value]
 *
 * Lines end with LF or with the packet; a CR before it is dropped, empty lines are nothing. What is
 * wrong is told as STATSD_BAD, and reading goes on behind it: with the next value where only a
 * value was wrong, else with the next line. Numbers are finite, a rate is above 0 and at most 1 (0
 * counts as 1, as statsd_exporter has it).
 *
 * Sources: "StatsD Metric Types" of etsy/statsd, "DogStatsD datagram format" of Datadog's
 * documentation, the README of prometheus/statsd_exporter.
 * Thread: pure. Memory: pieces point into the packet. Any bytes are safe. Cost: about 50 ns a line.
 */
#ifndef PROTO_STATSD_H
#define PROTO_STATSD_H

#include <stdbool.h>
#include <stdint.h>

enum statsd_type {
	STATSD_COUNTER,
	STATSD_GAUGE,
	STATSD_SET,
	STATSD_TIMER,        /* ms: milliseconds */
	STATSD_HISTOGRAM,    /* h */
	STATSD_DISTRIBUTION, /* d */
	STATSD_TYPES
};
enum statsd_style { /* how tags are told */
	STATSD_NO_TAGS,
	STATSD_DOG,     /* |#tag:value,solo */
	STATSD_INFLUX,  /* name,tag=value */
	STATSD_LIBRATO, /* name#tag=value */
	STATSD_SIGNALFX /* name[tag=value] */
};
enum statsd_bad {
	STATSD_FINE,
	STATSD_BAD_LINE, /* no name, no colon or no type */
	STATSD_BAD_UTF8,
	STATSD_BAD_TYPE,
	STATSD_BAD_VALUE,
	STATSD_BAD_RATE,
	STATSD_BAD_TIME,
	STATSD_BAD_TAGS, /* of two styles, or with several samples */
	STATSD_BADS
};
extern const char *const statsd_bad_text[STATSD_BADS]; /* "the type is none of c, g, ..." */

struct statsd_piece {
	const char *s;
	uint32_t len;
};
struct statsd_sample {
	enum statsd_type type;
	enum statsd_style style;
	bool change;                        /* the value has a sign */
	struct statsd_piece id;             /* what stands before the colon: name and its tags */
	struct statsd_piece name, name_end; /* name_end: behind the bracket of SIGNALFX */
	struct statsd_piece tags;           /* without #, [ or the like */
	struct statsd_piece text;           /* the value as it stands there; of a set its member */
	double value;                       /* of all but sets */
	double rate;                        /* 1: none is told */
	int64_t t_s;                        /* of counters and gauges; 0: none is told */
	struct statsd_piece container, external, card;
};
struct statsd_reader {
	struct statsd_sample sample;      /* with STATSD_SAMPLE */
	enum statsd_bad bad;              /* with STATSD_BAD */
	struct statsd_piece line;         /* the one at hand, whole */
	const char *_p, *_end;            /* what is left of the packet */
	const char *_value, *_values_end; /* what is left of the values at hand; NULL: nothing */
	const char *_group;               /* the next sample of the line; NULL: none */
	bool _tagged;                     /* the line has |# */
};
enum statsd_got {
	STATSD_END, /* of the packet */
	STATSD_SAMPLE,
	STATSD_EVENT,
	STATSD_CHECK,
	STATSD_BAD
};
void statsd_reader_init(struct statsd_reader *r, const char *packet, uint32_t len);
enum statsd_got statsd_next(struct statsd_reader *r);
/* Is a line begun that has more samples, so that the next one needs no line feed? */
static inline bool statsd_in_line(const struct statsd_reader *r)
{
	return r->_value || r->_group;
}

/* A tag; one of DogStatsD without a value is solo. */
struct statsd_tag {
	struct statsd_piece name, value;
	bool solo;
};
struct statsd_tags {
	const char *_p, *_end;
	char _between;
	bool _dog;
	uint32_t bad; /* without a name, or without a value where one must be: left out */
};
struct statsd_tags statsd_tags(const struct statsd_sample *s);
bool statsd_tag_next(struct statsd_tags *t, struct statsd_tag *out);

#endif
