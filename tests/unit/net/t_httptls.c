/* The cases of t_http over TLS: the same server, the same bytes, a tunnel between. */
#include <signal.h>

#define HTTPSERVE_OVER_TLS
#define main plain_main
int plain_main(int argc, char **argv);
#include "tests/unit/net/t_http.c"
#undef main

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	clock_fake(1700000000000);
	serve(2, "127.0.0.1:0", 0);
	plain();
	keep_alive();
	pipelining();
	bodies();
	expect();
	streams();
	tap_ok(quiet_at_last(), "(quiet)");
	assets();
	long_heads();
	tap_ok(
	    metric_sum(M_TLS_1_3) > 10, "over TLS: %u handshakes", (unsigned)metric_sum(M_TLS_1_3));
	stop();
	return tap_done();
}
