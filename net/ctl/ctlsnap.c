#include "net/ctl/ctlsnap.h"

#include <stdio.h>
#include <string.h>

int ctlsnap_list(struct ctlhttp *http, json_t **list)
{
	int status = ctlhttp_json(http, "GET", "/api/v1/admin/tsdb/snapshots", NULL, list);
	return status ? status : ctlhttp_shape(http, *list, JSON_ARRAY);
}

int ctlsnap_find(struct ctlhttp *http, const char *name, struct ctlsnap *out, bool *there)
{
	json_t *list = NULL, *one;
	size_t i;
	*there = false;
	int status = ctlsnap_list(http, &list);
	json_array_foreach(list, i, one)
	{
		const char *have = json_string_value(json_object_get(one, "name"));
		const char *path = json_string_value(json_object_get(one, "path"));
		if (!have || !path || strcmp(have, name) != 0 || !snapshot_name_parse(name, NULL))
			continue;
		*there = true;
		(void)snprintf(out->name, sizeof(out->name), "%s", name);
		(void)snprintf(out->path, sizeof(out->path), "%s", path);
	}
	json_decref(list);
	return status;
}

int ctlsnap_make(struct ctlhttp *http, bool skip_head, struct ctlsnap *out)
{
	struct buf form;
	json_t *data = NULL;
	buf_init(&form);
	if (skip_head)
		ctlhttp_param(&form, "skip_head", "true");
	int status = ctlhttp_json(http, "POST", "/api/v1/admin/tsdb/snapshot", &form, &data);
	buf_release(&form);
	if (status)
		return status;
	const char *name = json_string_value(json_object_get(data, "name"));
	bool there = name && snapshot_name_parse(name, NULL);
	if (there)
		(void)snprintf(out->name, sizeof(out->name), "%s", name);
	json_decref(data);
	if (!there)
		return ctl_fail(CTL_REFUSED, "the server's answer names no snapshot");
	char made[SNAPSHOT_NAME_MAX];
	memcpy(made, out->name, sizeof(made));
	status = ctlsnap_find(http, made, out, &there);
	if (!status && !there)
		status = ctl_fail(
		    CTL_REFUSED, "the server has made snapshot %s, and does not list it", made);
	return status;
}

int ctlsnap_drop(struct ctlhttp *http, const char *name)
{
	char path[sizeof("/api/v1/admin/tsdb/snapshots/") + SNAPSHOT_NAME_MAX];
	CHECK(snapshot_name_parse(name, NULL));
	(void)snprintf(path, sizeof(path), "/api/v1/admin/tsdb/snapshots/%s", name);
	struct ctlhttp_call call = { .method = "DELETE", .path = path };
	ctlhttp_begin(http, &call);
	ctlhttp_wait(http, &call);
	int status = ctlhttp_outcome(&call);
	ctlhttp_call_release(&call);
	return status;
}
