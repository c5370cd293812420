#include "core/base/mantext.h"

void mantext(struct buf *out, const char *s)
{
	bool begins = true;
	for (; *s; s++) {
		if (begins && (*s == '.' || *s == '\''))
			buf_add_str(out, "\\&");
		if (*s == '\\')
			buf_add_str(out, "\\e");
		else if (*s == '-')
			buf_add_str(out, "\\-");
		else
			buf_add_u8(out, (uint8_t)*s);
		begins = *s == '\n';
	}
}
