#include "bench/load/dashboard.h"

const char dashboard_text[] =
    "# The query mix of the first bar: over kymobench's page (node_exporter shape), range queries.\n"
    "sum by (mode) (rate(node_cpu_seconds_total[5m]))\n"
    "sum(node_cpu_seconds_total)\n"
    "node_filesystem_avail_bytes / on (instance, device, mountpoint) node_filesystem_size_bytes\n"
    "max_over_time(node_cpu_seconds_total[5m])\n"
    "avg by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m]))\n"
    "instant: topk(5, sum by (instance) (rate(node_network_receive_bytes_total[5m])))\n"
    "instant: count({__name__=~\"node_.+\"})\n";
