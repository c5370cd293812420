#include "tests/lib/tap.h"

#include "proto/jobpath.h"

static struct arena arena;

static void is(const char *path, const char *want)
{
	struct label_builder b;
	struct errbuf eb;
	struct buf out;
	errbuf_init(&eb);
	buf_init(&out);
	label_builder_init(&b, &arena);
	if (jobpath_labels(&b, path, strlen(path), &eb))
		buf_add_str(&out, eb.text);
	else
		label_text(&out, label_builder_done(&b));
	buf_add_u8(&out, 0);
	tap_is_str((const char *)out.data, want, "%s", path);
	buf_release(&out);
}

int main(void)
{
	arena_init(&arena, 4096);
	is("job/a", "{job=\"a\"}");
	is("job/a/instance/b c", "{instance=\"b c\", job=\"a\"}");
	is("job/a/instance/", "{job=\"a\"}");
	is("job@base64/YS9i", "{job=\"a/b\"}");
	is("job/x/path@base64/L3Zhci90bXA=", "{job=\"x\", path=\"/var/tmp\"}");
	is("job/x/path@base64/L3Zhci90bXA", "{job=\"x\", path=\"/var/tmp\"}");
	is("job/x/none@base64/=", "{job=\"x\"}");
	is("job/a/b/1/b/2", "{b=\"2\", job=\"a\"}");
	is("job/a/b", "the label b of the path has no value");
	is("job", "the label job of the path has no value");
	is("job/a//c", "a label of the path has no name");
	is("job/a/@base64/YQ", "a label of the path has no name");
	is("job/a/b@base64/!!", "the value of b is no base64url");
	is("job/\xff", "a label of the path is no UTF-8");
	is("job@base64/_w", "a label of the path is no UTF-8");
	is("", "{}");
	tap_ok(jobpath_is("job/", 4) && jobpath_is("job@base64/x", 12), "a path of a job");
	tap_ok(!jobpath_is("job", 3) && !jobpath_is("jobs/a", 6) && !jobpath_is("", 0), "others");
	arena_release(&arena);
	return tap_done();
}
