/*
 * ui - the web page: its files, packed into the program (net/ui/uipack.h), and the page around
 * them.
 *
 *   ui_create > ui_reply_page, ui_reply_file (any number of times, any loop) > ui_free
 *
 * All paths of views answer the same page (index.html); what is seen is up to its modules. It holds
 * no data, so anybody may have it, also while the server starts. Files are at
 * `ui/<revision>/<name>`: the revision is a hash of all of them, so that what was fetched from one
 * is kept for ever and never mixed with files of another version. The page names them relative to
 * its own path, so neither --web.route-prefix nor a proxy before us has to be known.
 * Every answer has a Content-Security-Policy that allows nothing but these files and this server.
 * Fields that --web.config.file sets for all answers (http_server_config.headers) win over ours.
 * Memory: some 10 KiB; files are not copied. Thread: create and free: one; read only between.
 */
#ifndef NET_UI_UI_H
#define NET_UI_UI_H

#include "net/http/req.h"

#define UI_REVISION_LEN 16u

struct ui;
struct ui *ui_create(void);
void ui_free(struct ui *u);
const char *ui_revision(const struct ui *u); /* UI_REVISION_LEN hexadecimal digits */
/*
 * The page. depth: how many folders its path lies below that of the view (0: "query", 1:
 * "help/first-steps"), UI_DEPTH_MAX at most.
 */
#define UI_DEPTH_MAX 1u
void ui_reply_page(const struct ui *u, struct req *r, unsigned depth);
/* A file, named by r->param: "<revision>/<name>". 404 for others, and those of other versions. */
void ui_reply_file(const struct ui *u, struct req *r);

#endif
