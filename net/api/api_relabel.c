#include "net/api/api_relabel.h"

#include <jansson.h>
#include <stdio.h>

#include "core/base/json.h"
#include "net/api/api.h"
#include "net/api/apierr.h"
#include "net/api/param.h"
#include "net/recv/inletconf.h"
#include "proto/promjson.h"

struct steps {
	struct buf *out;
	struct relabel_set *set;
	bool any, keep;
};

static void put_step(struct steps *s, const char *of, size_t index, const char *action)
{
	buf_printf(s->out, "%s{\"rule\":{\"of\":", s->any ? "," : "");
	json_str(s->out, of, strlen(of));
	if (action)
		buf_printf(s->out, ",\"index\":%zu,\"action\":\"%s\"", index, action);
	buf_add_str(s->out, "},\"output\":");
	promjson_labels(
	    s->out, s->keep ? relabel_set_done(s->set) : (struct labels){ .bytes = NULL });
	buf_printf(s->out, ",\"keep\":%s}", s->keep ? "true" : "false");
	s->any = true;
}

static void pair_step(struct steps *s, const struct hapair_rule *ha)
{
	size_t len = strlen(ha->replica_label);
	if (relabel_set_get(s->set, ha->cluster_label, strlen(ha->cluster_label)))
		relabel_set_del(s->set, ha->replica_label, len);
	put_step(s, "ha", 0, NULL);
}

static void external_step(struct steps *s, const struct inlet_way *way)
{
	for (uint32_t i = 0; i < way->external_count; i++) {
		const struct inlet_label *l = &way->external[i];
		if (l->wins || !relabel_set_get(s->set, l->name, l->name_len))
			relabel_set_put(s->set, l->name, l->name_len, l->value, l->value_len);
	}
	put_step(s, "external_labels", 0, NULL);
}

static void rule_steps(struct steps *s, const struct inlet_way *way, enum receiver receiver)
{
	char of[64];
	for (uint32_t i = 0; i < way->lists_count; i++) {
		const struct relabel *list = way->lists[i];
		if (way->list_of[i] == INLET_LIST_RECEIVER)
			snprintf(of, sizeof(of), "receivers.%s", receiver_name[receiver]);
		else
			snprintf(of, sizeof(of), "%s",
			    way->list_of[i] == INLET_LIST_TENANT ? "tenants" : "receivers");
		for (size_t j = 0; j < relabel_rules(list); j++) {
			s->keep = s->keep && relabel_apply_one(list, j, s->set) == RELABEL_KEPT &&
			    !relabel_set_empty(s->set);
			put_step(s, of, j, relabel_action_name[relabel_action_of(list, j)]);
		}
	}
}

/* False: it has answered. */
static bool read_labels(struct req *r, const char *text, size_t len, struct labels *out)
{
	json_error_t error;
	json_t *map = json_loadb(text, len, JSON_REJECT_DUPLICATES, &error), *value;
	const char *name;
	struct label_builder b;
	bool fine = json_is_object(map) && json_object_size(map) <= API_RELABEL_LABELS_MAX;
	label_builder_init(&b, &r->arena);
	json_object_foreach(map, name, value)
	{
		fine = fine && json_is_string(value) && *name;
		if (fine)
			label_builder_set(&b, arena_strndup(&r->arena, name, strlen(name)),
			    strlen(name),
			    arena_strndup(
			        &r->arena, json_string_value(value), json_string_length(value)),
			    json_string_length(value));
	}
	*out = label_builder_done(&b);
	json_decref(map);
	if (!fine)
		apierr_param(r, "labels", "it must be an object of texts in JSON, of 1000 at most");
	return fine;
}

static bool read_receiver(struct req *r, const struct urlq *q, enum receiver *out)
{
	size_t len;
	const char *name = urlq_get(q, "receiver", &len);
	*out = RECEIVER_REMOTE_WRITE;
	if (!name || !len)
		return true;
	for (unsigned i = 0; i < RECEIVERS; i++) {
		if (strlen(receiver_name[i]) == len && !memcmp(receiver_name[i], name, len)) {
			*out = (enum receiver)i;
			return true;
		}
	}
	apierr_param(r, "receiver", "there is none of this name");
	return false;
}

void api_relabel_steps(struct req *r)
{
	const struct recv_conf *recv = api_conf(r)->recv;
	struct urlq q;
	struct relabel_set set;
	struct labels ls;
	enum receiver receiver;
	size_t len;
	if (!param_parse(r, &q) || !read_receiver(r, &q, &receiver))
		return;
	const char *text = urlq_get(&q, "labels", &len);
	if (!text || !len) {
		apierr_jsonf(r, ERR_BADDATA, "no labels parameter provided");
		return;
	}
	if (!read_labels(r, text, len, &ls))
		return;
	if (!relabel_set_init(&set, &r->arena, ls)) {
		apierr_param(r, "labels", "they are not valid");
		return;
	}
	struct buf b;
	struct steps s = { .out = &b, .set = &set, .keep = true };
	buf_init(&b);
	promjson_begin(&b);
	buf_add_str(&b, "{\"steps\":[");
	if (recv && recv->inlet) {
		const struct inlet_way *way = inlet_way_of(recv->inlet, r->tenant, receiver);
		if (way->ha)
			pair_step(&s, way->ha);
		if (way->external_count)
			external_step(&s, way);
		rule_steps(&s, way, receiver);
	}
	buf_add_str(&b, "]}");
	promjson_end(&b, NULL, NULL);
	req_reply_buf(r, 200, "application/json", &b);
}
