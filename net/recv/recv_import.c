#include "net/recv/recv_import.h"

#include "net/recv/recv.h"
#include "proto/importl.h"

static const struct recv_kind kind = {
	.receiver = RECEIVER_IMPORT,
	.decoder = &importl_decoder,
	.packs = RECV_ALL - RECV_SNAPPY_FRAMED,
	.reply = recv_reply_plain,
};

bool recv_import_before(struct req *r)
{
	return recv_before(r, &kind);
}

void recv_import(struct req *r)
{
	recv_write(r, &kind);
}
