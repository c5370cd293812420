#include "net/daemon/flags_foreign.h"

#include <string.h>

#include "core/base/check.h"

/* Whole names, then beginnings that end in '*'; the first row that fits counts. */
/* clang-format off */
static const struct foreign {
	const char *name, *answer;
} rows[] = {
	{ "storage.tsdb.path", "kymod has --data-dir" },
	{ "storageDataPath", "kymod has --data-dir" },
	{ "storage.local.path", "kymod has --data-dir" },
	{ "storage.tsdb.retention.time", "kymod has --retention" },
	{ "storage.tsdb.retention", "kymod has --retention" },
	{ "retentionPeriod", "kymod has --retention" },
	{ "storage.tsdb.retention.size", "kymod has --retention.size" },
	{ "storage.tsdb.retention.percentage", "kymod has --retention.size, in bytes" },
	{ "retention.maxDiskSpaceUsageBytes", "kymod has --retention.size" },
	{ "storage.tsdb.out-of-order-time-window", "kymod has --out-of-order-window" },
	{ "storage.minFreeDiskSpaceBytes", "kymod has --storage.min-free" },
	{ "storage.tsdb.wal-segment-size", "kymod has --wal.share, when rounds to files start" },
	{ "storage.tsdb.head-chunks-write-queue-size", "kymod has --wal.share, when rounds to files start" },
	{ "inmemoryDataFlushInterval", "kymod has --wal.sync and --wal.sync-interval" },
	{ "storage.tsdb.wal-compression", "its files are kymod's own, there is nothing to set" },
	{ "storage.tsdb.wal-compression-type", "its files are kymod's own, there is nothing to set" },
	{ "storage.tsdb.min-block-duration", "its files are kymod's own, there is nothing to set" },
	{ "storage.tsdb.max-block-duration", "its files are kymod's own, there is nothing to set" },
	{ "storage.tsdb.no-lockfile", "its files are kymod's own, there is nothing to set" },
	{ "storage.tsdb.allow-overlapping-blocks", "its files are kymod's own, there is nothing to set" },
	{ "agent", "kymod is a server; an agent writes to it" },
	{ "config.file", "kymod has --config, a file of its own form (--print-config)" },
	{ "web.listen-address", "kymod has --listen" },
	{ "httpListenAddr", "kymod has --listen" },
	{ "web.enable-remote-write-receiver", "Remote Write is always taken, at /api/v1/write" },
	{ "web.enable-otlp-receiver", "OTLP is taken without it, at /api/v1/otlp/v1/metrics (receivers.otlp)" },
	{ "opentsdbListenAddr", "kymod takes Remote Write 1.0 only, at /api/v1/write" },
	{ "opentsdbHTTPListenAddr", "kymod takes Remote Write 1.0 only, at /api/v1/write" },
	{ "graphiteListenAddr", "kymod takes Remote Write 1.0 only, at /api/v1/write" },
	{ "influxListenAddr", "kymod takes Remote Write 1.0 only, at /api/v1/write" },
	{ "tls", "kymod has tls of listeners in its configuration file (--config), or --web.config.file" },
	{ "tlsCertFile", "kymod has tls of listeners in its configuration file (--config), or --web.config.file" },
	{ "tlsKeyFile", "kymod has tls of listeners in its configuration file (--config), or --web.config.file" },
	{ "httpAuth.username", "kymod has identities in its configuration file (--config), or --web.config.file" },
	{ "httpAuth.password", "kymod has identities in its configuration file (--config), or --web.config.file" },
	{ "web.max-connections-per-client", "kymod has --web.max-connections-per-address" },
	{ "web.read-timeout", "kymod has nothing like it" },
	{ "web.cors.origin", "kymod has nothing like it" },
	{ "web.page-title", "kymod has nothing like it" },
	{ "web.user-assets", "kymod has nothing like it" },
	{ "web.console.templates", "kymod has nothing like it" },
	{ "web.console.libraries", "kymod has nothing like it" },
	{ "web.max-notifications-subscribers", "kymod has nothing like it" },
	{ "http.pathPrefix", "kymod has --web.route-prefix" },
	{ "search.logSlowQueryDuration", "kymod has --log.slow-queries" },
	{ "search.maxQueryDuration", "kymod has --query.timeout" },
	{ "search.maxExportDuration", "kymod has --query.timeout" },
	{ "search.maxConcurrentRequests", "kymod has --query.max-concurrency" },
	{ "search.maxQueueDuration", "kymod has --query.timeout, waiting included, and --query.max-queued" },
	{ "search.maxSamplesPerQuery", "kymod has --query.max-samples" },
	{ "search.maxMemoryPerQuery", "kymod has --query.max-memory" },
	{ "search.maxUniqueTimeseries", "kymod has --query.max-memory" },
	{ "search.maxSamplesPerSeries", "kymod has --query.max-memory" },
	{ "search.maxQueryLen", "kymod has --query.max-text" },
	{ "search.maxSeries", "kymod has --query.max-items" },
	{ "search.maxTagKeys", "kymod has --query.max-items" },
	{ "search.maxTagValues", "kymod has --query.max-items" },
	{ "search.maxLabelsAPISeries", "kymod has --query.max-items" },
	{ "search.maxPointsPerTimeseries", "a range has 11,000 steps at most, as with Prometheus" },
	{ "search.maxStalenessInterval", "kymod has --query.lookback-delta" },
	{ "search.maxLookback", "kymod has --query.lookback-delta" },
	{ "search.setLookbackToStep", "kymod has --query.lookback-delta" },
	{ "query.staleness-delta", "kymod has --query.lookback-delta" },
	{ "maxLabelsPerTimeseries", "kymod has --limits.labels-per-series" },
	{ "maxLabelNameLen", "kymod has --limits.label-name-bytes" },
	{ "maxLabelValueLen", "kymod has --limits.label-value-bytes" },
	{ "maxInsertRequestSize", "kymod has --limits.body-bytes" },
	{ "maxConcurrentInserts", "kymod has --web.max-inflight-bytes" },
	{ "insert.maxQueueDuration", "kymod has --web.max-inflight-bytes" },
	{ "storage.maxHourlySeries", "kymod has --limits.series-total" },
	{ "storage.maxDailySeries", "kymod has --limits.series-total" },
	{ "memory.allowedPercent", "kymod goes by the memory that its cgroup has (systemd: MemoryMax, docker: --memory)" },
	{ "memory.allowedBytes", "kymod goes by the memory that its cgroup has (systemd: MemoryMax, docker: --memory)" },
	{ "auto-gomemlimit.ratio", "kymod goes by the memory that its cgroup has (systemd: MemoryMax, docker: --memory)" },
	{ "auto-gomaxprocs", "kymod has --loops" },
	{ "loggerLevel", "kymod has --log.level" },
	{ "loggerFormat", "kymod has --log.format" },
	{ "selfScrapeInterval", "kymod has --no-self-metrics; it records its own counters every 5 s" },
	{ "dedup.minScrapeInterval", "kymod keeps every sample; identical repeats count once" },
	{ "snapshotAuthKey", "kymod makes snapshots for identities with the role admin, with --web.enable-admin-api" },
	{ "deleteAuthKey", "kymod deletes series for identities with the role admin, with --web.enable-admin-api" },
	{ "reloadAuthKey", "kymod has identities with the role admin, see identities in --print-config" },
	{ "metricsAuthKey", "kymod has identities with the role admin, see identities in --print-config" },
	{ "flagsAuthKey", "kymod has identities in its configuration file (--config), or --web.config.file" },
	{ "pprofAuthKey", "kymod gives no profiles" },
	{ "envflag.enable", "kymod reads no flags from the environment" },
	{ "envflag.prefix", "kymod reads no flags from the environment" },
	{ "storage.remote.*", "kymod answers remote read under the limits of queries (--query.*); it forwards no samples" },
	{ "storage.agent.*", "kymod is a server; an agent writes to it" },
	{ "storage.tsdb.*", "its files are kymod's own, there is nothing to set" },
	{ "alertmanager.*", "kymod evaluates no rules: vmalert does, against its query API" },
	{ "rules.alert.*", "kymod evaluates no rules: vmalert does, against its query API" },
	{ "promscrape.*", "kymod does not scrape: an agent (Prometheus, vmagent) writes to it" },
	{ "config.*", "kymod has --config, a file of its own form (--print-config)" },
	{ "scrape.*", "kymod does not scrape: an agent (Prometheus, vmagent) writes to it" },
	{ "search.*", "kymod has nothing like it; --help tells what queries have" },
	{ "rules.*", "kymod evaluates no rules: vmalert does, against its query API" },
	{ "rule.*", "kymod evaluates no rules: vmalert does, against its query API" },
};
/* clang-format on */

const char *flags_foreign(const char *name, size_t len)
{
	for (size_t i = 0; i < COUNT_OF(rows); i++) {
		size_t n = strlen(rows[i].name);

		if (rows[i].name[n - 1] == '*' ? len >= n - 1 && !memcmp(rows[i].name, name, n - 1)
		                               : len == n && !memcmp(rows[i].name, name, n))
			return rows[i].answer;
	}
	return NULL;
}
