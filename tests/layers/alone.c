/* Linked with one room whole and the rooms below it: that it links at all is the test. */
#include <stdio.h>

int main(void)
{
	printf("ok 1 - this room links with only the rooms below it\n1..1\n");
	return 0;
}
