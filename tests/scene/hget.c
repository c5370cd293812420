/*
 * hget - requests with the client of net/client, for scenes.
 *
 *   hget [option]... METHOD URL [BODY]
 * Options: --ca FILE, --cert FILE --key FILE, --no-verify, --name NAME (asked for in TLS), --hosts
 * FILE, --proxy URL, --env (proxies of the environment), --redirects N, --retries N, --public,
 * --h2, --ms N (whole), --times N (one after the other), --at-once N, --max BYTES, --field
 * NAME:VALUE. Prints a line of JSON for each: err, text, status, version, bytes, hash, tries,
 * fields.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/hash.h"
#include "core/base/json.h"
#include "core/base/mem.h"
#include "core/rt/team.h"
#include "net/client/hclient.h"
#include "net/client/resolveconf.h"
#include "net/client/tlscli.h"

#define FIELDS_MAX 16

static struct hclient_opts opts;
static struct tlscli_conf tls_conf;
static const char *hosts;
static struct hclient_field fields[FIELDS_MAX];
static struct hclient_req req = { .fields = fields };
static unsigned times = 1, at_once = 1, begun, ended;
static struct hclient *client;
static int done_pipe[2];

static void begin(void);

static void on_done(void *own, const struct hclient_end *end)
{
	(void)own;
	struct buf out;
	const struct buf *b = end->body;
	buf_init(&out);
	buf_printf(&out, "{\"err\":\"%s\",\"text\":", end->err ? err_text(end->err) : "");
	json_str(&out, end->text, strlen(end->text));
	buf_printf(&out,
	    ",\"status\":%d,\"version\":%u,\"bytes\":%zu,\"tries\":%u,\"body\":", end->head.status,
	    end->head.version, b ? b->len : 0, end->tries);
	json_str(&out, b ? (const char *)b->data : "", b && b->len < 2000 ? b->len : 0);
	buf_printf(&out, ",\"fields\":{");
	for (size_t i = 0; i < end->head.field_count; i++) {
		buf_printf(&out, i ? "," : "");
		json_str(&out, end->head.fields[i].name, end->head.fields[i].name_len);
		buf_printf(&out, ":");
		json_str(&out, end->head.fields[i].value, end->head.fields[i].value_len);
	}
	buf_printf(&out, "},\"conns\":%zu}\n", hclient_conns(client));
	fwrite(out.data, 1, out.len, stdout);
	buf_release(&out);
	ended++;
	if (begun < times)
		begin();
	else if (ended == times)
		hclient_free(client);
	if (ended == times && write(done_pipe[1], "", 1) != 1)
		abort();
}

static void begin(void)
{
	begun++;
	hclient_fetch(client, &req);
}

static void start(void *arg)
{
	struct errbuf *eb = arg;
	if (hclient_create(loop_here(), &opts, &client, eb)) {
		fprintf(stderr, "hget: %s\n", eb->text);
		exit(2);
	}
	req.done = on_done;
	for (unsigned i = 0; i < at_once && i < times; i++)
		begin();
}

static bool flag(const char *name)
{
	if (!strcmp(name, "--no-verify"))
		tls_conf.no_verify = true;
	else if (!strcmp(name, "--env"))
		opts.proxy = HCLIENT_PROXY_ENV;
	else if (!strcmp(name, "--public"))
		opts.rule = HCLIENT_PUBLIC;
	else if (!strcmp(name, "--h2"))
		req.h2_only = true;
	else
		return false;
	return true;
}

static void add_field(char *v)
{
	char *colon = strchr(v, ':');
	if (!colon || req.field_count == FIELDS_MAX)
		exit(2);
	*colon = 0;
	fields[req.field_count++] = (struct hclient_field){ .name = v, .value = colon + 1 };
}

static void option(const char *name, char *v)
{
	unsigned n = (unsigned)strtoul(v, NULL, 10);
	if (!strcmp(name, "--ca"))
		tls_conf.ca_file = v;
	else if (!strcmp(name, "--cert"))
		tls_conf.cert_file = v;
	else if (!strcmp(name, "--key"))
		tls_conf.key_file = v;
	else if (!strcmp(name, "--name"))
		opts.tls_name = v;
	else if (!strcmp(name, "--hosts"))
		hosts = v;
	else if (!strcmp(name, "--proxy")) {
		opts.proxy = HCLIENT_PROXY_URL;
		opts.proxy_url = v;
	} else if (!strcmp(name, "--redirects"))
		opts.redirects = n;
	else if (!strcmp(name, "--retries"))
		opts.retries = n;
	else if (!strcmp(name, "--ms"))
		opts.whole_ms = n;
	else if (!strcmp(name, "--max"))
		opts.answer_max = n;
	else if (!strcmp(name, "--times"))
		times = n;
	else if (!strcmp(name, "--at-once"))
		at_once = n;
	else if (!strcmp(name, "--field"))
		add_field(v);
	else {
		fprintf(stderr, "hget: unknown option %s\n", name);
		exit(2);
	}
}

static void arguments(int argc, char **argv)
{
	int i = 1;
	for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
		if (flag(argv[i]))
			continue;
		if (i + 1 == argc)
			exit(2);
		option(argv[i], argv[i + 1]);
		i++;
	}
	if (argc - i < 2)
		exit(2);
	req.method = argv[i];
	req.url = argv[i + 1];
	if (argc - i > 2) {
		req.body = argv[i + 2];
		req.body_len = strlen(argv[i + 2]);
	}
}

int main(int argc, char **argv)
{
	static struct errbuf eb;
	struct resolve_conf *conf = NULL;
	struct tlscli *tls = NULL;
	struct team *team;
	char byte;
	hclient_opts_usual(&opts);
	opts.proxy = HCLIENT_PROXY_NONE;
	arguments(argc, argv);
	if (resolveconf_load(NULL, hosts, &conf, &eb) || tlscli_load(&tls_conf, &tls, &eb)) {
		printf("{\"err\":\"settings\",\"text\":\"%s\"}\n", eb.text);
		resolveconf_free(conf);
		return 1;
	}
	opts.resolve = conf;
	opts.tls = tls;
	if (pipe(done_pipe) || team_create(&(struct team_opts){ .loops = 1 }, &team) ||
	    team_start(team))
		return 2;
	team_run_on(team, 0, start, &eb);
	if (read(done_pipe[0], &byte, 1) != 1)
		return 2;
	team_stop(team);
	team_free(team);
	tlscli_free(tls);
	resolveconf_free(conf);
	return 0;
}
