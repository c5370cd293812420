/* Cases of t_http2 over TLS, where HTTP/2 is agreed on by ALPN: those that are about bytes. */
#include <signal.h>

#define HTTPSERVE_OVER_TLS
#define main plain_main
int plain_main(int argc, char **argv);
#include "tests/unit/net/t_http2.c"
#undef main

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	clock_fake(1700000000000);
	serve(0);
	plain();
	bodies();
	many();
	drop_by_drop();
	heads();
	tap_ok(metric_sum(M_TLS_1_3) > 5, "over TLS: %u handshakes", (unsigned)metric_sum(M_TLS_1_3));
	stop();
	return tap_done();
}
