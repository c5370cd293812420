#include "net/daemon/boot.h"

int main(int argc, char **argv)
{
	return boot_main(argc, argv);
}
