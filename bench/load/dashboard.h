/* dashboard - the queries that "compare" and "mixed" ask: bench/load/dashboard.txt, built in. */
#ifndef BENCH_LOAD_DASHBOARD_H
#define BENCH_LOAD_DASHBOARD_H

extern const char dashboard_text[];

#endif
