/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bytes of a file, of standard input or of memory, unpacked if they are xz.
 *
 * Memory that is not packed is the window itself, nothing is copied. All else
 * goes through one buffer: filling moves what is left to its front and reads
 * behind it. The buffer holds the most that a consumer keeps while it asks
 * for more (a block of the container or a line) and a good read besides.
 */
#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace_int.h"

#define BUF_SIZE      ((size_t)4 * TRACE__BLOCK_MAX)
#define XZ_MEMORY     (256ull << 20) /* for a decoder; xz -9 needs 65 MiB */
#define XZ_MAGIC      "\3757zXZ\0"
#define XZ_MAGIC_SIZE 6u

_Static_assert(BUF_SIZE >= 2 * TRACE__FRAME_MAX, "a frame must fit");
_Static_assert(BUF_SIZE >= 2 * TRACE__LINE_MAX, "a line must fit");

struct trace__xz {
	lzma_stream stream;
	bool raw_eof;
	uint8_t *raw; /* packed bytes of a file; NULL for memory */
};

/* Reads once: bytes, 0 at the end, -1 and an error. */
static ssize_t
read_raw(
    struct trace__input *in, uint8_t *buf, size_t size, struct trace_error *err)
{
	ssize_t got;

	do {
		got = read(in->fd, buf, size);
	} while (got < 0 && errno == EINTR);
	if (got < 0) {
		trace__error_errno(err, in->name, "read", errno);
		return (-1);
	}
	in->raw_done += (uint64_t)got;
	return (got);
}

static int
xz_error(const struct trace__input *in, lzma_ret ret, struct trace_error *err)
{
	const uint64_t at = in->xz->stream.total_in;

	switch (ret) {
	case LZMA_MEM_ERROR:
		trace__error_memory(err, in->name);
		break;
	case LZMA_BUF_ERROR:
		trace_error_set(err, in->name, 0, at,
		    "xz data is truncated, expected more bytes");
		break;
	case LZMA_MEMLIMIT_ERROR:
		trace_error_set(err, in->name, 0, at,
		    "xz data needs too much memory, expected at most %u MiB",
		    (unsigned)(XZ_MEMORY >> 20));
		break;
	case LZMA_OPTIONS_ERROR:
		trace_error_set(err, in->name, 0, at,
		    "xz data has unknown options, expected xz 5 or older");
		break;
	default:
		trace_error_set(err, in->name, 0, at,
		    "xz data is corrupt, expected an intact .xz stream");
		break;
	}
	return (-1);
}

/* Unpacks into [buf, buf + size): at least a byte, 0 at the end, or -1. */
static ssize_t
read_xz(
    struct trace__input *in, uint8_t *buf, size_t size, struct trace_error *err)
{
	struct trace__xz *const xz = in->xz;
	lzma_stream *const s = &xz->stream;

	s->next_out = buf;
	s->avail_out = size;
	while (s->avail_out == size) {
		if (s->avail_in == 0 && !xz->raw_eof) {
			const ssize_t got =
			    read_raw(in, xz->raw, BUF_SIZE, err);

			if (got < 0)
				return (-1);
			s->next_in = xz->raw;
			s->avail_in = (size_t)got;
			xz->raw_eof = got == 0;
		}
		const lzma_ret ret =
		    lzma_code(s, xz->raw_eof ? LZMA_FINISH : LZMA_RUN);
		if (ret == LZMA_STREAM_END) {
			in->eof = true;
			break;
		}
		if (ret != LZMA_OK)
			return (xz_error(in, ret, err));
		if (in->fd < 0)
			in->raw_done = s->total_in;
	}
	return ((ssize_t)(size - s->avail_out));
}

int
trace__input_fill(struct trace__input *in, struct trace_error *err)
{
	if (in->eof)
		return (0);
	const size_t kept = (size_t)(in->end - in->p);
	TRACE__ASSERT(kept < BUF_SIZE);
	if (kept > 0)
		memmove(in->buf, in->p, kept);
	in->p = in->buf;
	in->end = in->buf + kept;
	const ssize_t got = in->xz != NULL ?
	    read_xz(in, in->buf + kept, BUF_SIZE - kept, err) :
	    read_raw(in, in->buf + kept, BUF_SIZE - kept, err);
	if (got < 0)
		return (-1);
	if (got == 0)
		in->eof = true;
	in->end += got;
	in->end_at += (uint64_t)got;
	return (got > 0);
}

int
trace__input_need(struct trace__input *in, size_t size, struct trace_error *err)
{
	TRACE__ASSERT(size < BUF_SIZE);
	while ((size_t)(in->end - in->p) < size) {
		const int more = trace__input_fill(in, err);

		if (more <= 0)
			return (more);
	}
	return (1);
}

/* Puts the unpacker behind the window if that begins like an .xz file. */
static int
xz_detect(struct trace__input *in, struct trace_error *err)
{
	const int known = trace__input_need(in, XZ_MAGIC_SIZE, err);

	if (known <= 0)
		return (known);
	if (memcmp(in->p, XZ_MAGIC, XZ_MAGIC_SIZE) != 0)
		return (0);
	uint8_t *const unpacked = malloc(BUF_SIZE);
	struct trace__xz *const xz = calloc(1, sizeof(*xz));
	if (unpacked == NULL || xz == NULL) {
		free(unpacked);
		free(xz);
		trace__error_memory(err, in->name);
		return (-1);
	}
	xz->stream = (lzma_stream)LZMA_STREAM_INIT;
	xz->stream.next_in = in->p;
	xz->stream.avail_in = (size_t)(in->end - in->p);
	xz->raw_eof = in->eof;
	xz->raw = in->buf;
	in->xz = xz;
	in->buf = unpacked;
	in->p = in->end = in->buf;
	in->end_at = 0;
	in->eof = false;
	if (in->fd < 0)
		in->raw_done = 0;
	const lzma_ret ret =
	    lzma_stream_decoder(&xz->stream, XZ_MEMORY, LZMA_CONCATENATED);
	if (ret != LZMA_OK)
		return (xz_error(in, ret, err));
	return (0);
}

static int
open_fd(struct trace__input *in, const char *name, struct trace_error *err)
{
	struct stat st = { 0 };

	if (strcmp(name, "-") == 0)
		in->fd = STDIN_FILENO;
	else
		in->fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	in->fd_owned = in->fd >= 0 && strcmp(name, "-") != 0;
	if (in->fd < 0 || fstat(in->fd, &st) != 0) {
		trace__error_errno(err, in->name, "open", errno);
		return (-1);
	}
	if (S_ISDIR(st.st_mode)) {
		trace_error_set(err, in->name, 0, TRACE__NOPOS,
		    "is a directory, expected a trace");
		return (-1);
	}
	if (S_ISREG(st.st_mode))
		in->raw_total = (uint64_t)st.st_size;
	in->buf = malloc(BUF_SIZE);
	if (in->buf == NULL) {
		trace__error_memory(err, in->name);
		return (-1);
	}
	in->p = in->end = in->buf;
	return (0);
}

int
trace__input_open(
    struct trace__input *in, const char *name, struct trace_error *err)
{
	*in = (struct trace__input) { .fd = -1 };
	trace__name_cut(in->name, sizeof(in->name),
	    strcmp(name, "-") == 0 ? "standard input" : name);
	if (open_fd(in, name, err) != 0 || xz_detect(in, err) != 0) {
		trace__input_fini(in);
		return (-1);
	}
	return (0);
}

int
trace__input_open_mem(struct trace__input *in, const char *name,
    const void *bytes, size_t size, struct trace_error *err)
{
	if (bytes == NULL)
		bytes = "";
	*in = (struct trace__input) {
		.fd = -1,
		.eof = true,
		.p = bytes,
		.end = (const uint8_t *)bytes + size,
		.end_at = size,
		.raw_done = size,
		.raw_total = size,
	};
	trace__name_cut(in->name, sizeof(in->name), name);
	if (xz_detect(in, err) != 0) {
		trace__input_fini(in);
		return (-1);
	}
	return (0);
}

void
trace__input_fini(struct trace__input *in)
{
	if (in->xz != NULL) {
		lzma_end(&in->xz->stream);
		free(in->xz->raw);
		free(in->xz);
	}
	free(in->buf);
	if (in->fd_owned)
		(void)close(in->fd);
	*in = (struct trace__input) { .fd = -1 };
}
