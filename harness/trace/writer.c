/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writer: operations to a stream, in either form.
 *
 * A regular file appears under its name only when it is complete: it is
 * written as NAME.tmp-PID and renamed on close. Whatever else a name means
 * (a device, a FIFO, "-" for standard output) is written to directly and
 * never removed.
 *
 * The header given is kept by reference: it may gain strings while operations
 * are written, as the header of a reader does when one trace is copied into
 * another. What else is in it is written at once.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trace_int.h"

#define TEMP_TRIES   100
#define COMMENT_LINE 1024u /* bytes of a comment's line, at most */

struct trace_writer {
	FILE *fp;
	bool fp_owned;
	enum trace_form form;
	const struct trace_header *header;
	struct trace__regmap map[TRACE_CLASS_COUNT];
	struct trace__encoder encoder;
	struct trace__bytes pending; /* text, or payload of the next block */
	uint64_t blocks, total;
	uint64_t nops;
	int error; /* errno of the first failure; EINVAL: a bad operation */
	char name[256]; /* for messages */
	char *target;	/* renamed to on close; NULL: written directly */
	char *temp;	/* written meanwhile */
};

static void
write_bytes(struct trace_writer *w, const void *bytes, size_t size)
{
	if (w->error != 0 || size == 0)
		return;
	errno = 0;
	if (fwrite(bytes, 1, size, w->fp) != size)
		w->error = errno != 0 ? errno : EIO;
}

static void
write_block(struct trace_writer *w, const uint8_t *payload, size_t size)
{
	uint8_t frame[8];

	write_bytes(w, frame, trace__frame_head(frame, size));
	write_bytes(w, payload, size);
	write_bytes(
	    w, frame, trace__frame_tail(frame, payload, size, w->blocks));
	w->blocks++;
	w->total += size;
}

/* Writes whole blocks of what is pending, and with all set, the rest. */
static void
flush_pending(struct trace_writer *w, bool all)
{
	struct trace__bytes *const b = &w->pending;
	size_t at = 0;

	if (w->form == TRACE_TEXT) {
		write_bytes(w, b->at, b->size);
		at = b->size;
	} else {
		for (; b->size - at >= TRACE__BLOCK_MAX; at += TRACE__BLOCK_MAX)
			write_block(w, b->at + at, TRACE__BLOCK_MAX);
		if (all && b->size > at) {
			write_block(w, b->at + at, b->size - at);
			at = b->size;
		}
	}
	if (at < b->size)
		memmove(b->at, b->at + at, b->size - at);
	b->size -= at;
}

static int
append(struct trace_writer *w, const void *bytes, size_t size)
{
	if (w->error == 0)
		w->error = trace__bytes_append(&w->pending, bytes, size);
	if (w->pending.size >= TRACE__BLOCK_MAX)
		flush_pending(w, false);
	if (w->error != 0) {
		errno = w->error;
		return (-1);
	}
	return (0);
}

static void
writer_free(struct trace_writer *w)
{
	if (w->fp_owned && w->fp != NULL)
		(void)fclose(w->fp);
	if (w->temp != NULL)
		(void)unlink(w->temp);
	for (unsigned i = 0; i < TRACE_CLASS_COUNT; i++)
		trace__regmap_fini(&w->map[i]);
	trace__encoder_fini(&w->encoder);
	trace__bytes_fini(&w->pending);
	free(w->target);
	free(w->temp);
	free(w);
}

static struct trace_writer *
writer_new(const char *name, enum trace_form form,
    const struct trace_header *header, struct trace_error *err)
{
	const char *wrong = trace__header_check(header);

	if (wrong != NULL) {
		trace_error_set(err, name, 0, TRACE__NOPOS,
		    "cannot write: invalid header, %s", wrong);
		return (NULL);
	}
	struct trace_writer *w = calloc(1, sizeof(*w));
	if (w == NULL) {
		trace__error_memory(err, name);
		return (NULL);
	}
	trace__name_cut(w->name, sizeof(w->name), name);
	w->form = form;
	w->header = header;
	w->encoder.header = header;
	return (w);
}

/* The header, once the stream is open. Frees the writer if it fails. */
static int
start(struct trace_writer *w, struct trace_writer **ret_w,
    struct trace_error *err)
{
	uint8_t frame[16];

	if (w->form == TRACE_TEXT) {
		w->error = trace__print_header(w->header, &w->pending);
	} else {
		write_bytes(w, frame, trace__frame_start(frame));
		if (w->error == 0)
			w->error = trace__encode_header(w->header, &w->pending);
	}
	if (w->error != 0) {
		trace__error_errno(err, w->name, "write", w->error);
		writer_free(w);
		return (-1);
	}
	*ret_w = w;
	return (0);
}

int
trace_writer_open_stream(struct trace_writer **ret_w, FILE *fp,
    enum trace_form form, const struct trace_header *header,
    struct trace_error *err)
{
	struct trace_writer *w = writer_new("stream", form, header, err);

	if (w == NULL)
		return (-1);
	w->fp = fp;
	return (start(w, ret_w, err));
}

/* Creates NAME.tmp-PID, or NAME.tmp-PID-N if a dead process left that one. */
static int
open_temp(struct trace_writer *w, mode_t mode)
{
	const size_t size = strlen(w->target) + 48;
	int fd = -1;

	w->temp = malloc(size);
	if (w->temp == NULL)
		return (-1);
	for (int i = 0; i < TEMP_TRIES && fd < 0; i++) {
		if (i == 0)
			snprintf(w->temp, size, "%s.tmp-%ld", w->target,
			    (long)getpid());
		else
			snprintf(w->temp, size, "%s.tmp-%ld-%d", w->target,
			    (long)getpid(), i);
		fd = open(
		    w->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
		if (fd < 0 && errno != EEXIST)
			break;
	}
	if (fd < 0) {
		const int error = errno;

		free(w->temp); /* not ours to remove */
		w->temp = NULL;
		errno = error;
	}
	return (fd);
}

/* A descriptor, or -1 and errno. */
static int
open_name(struct trace_writer *w, const char *name)
{
	struct stat st = { 0 };
	const bool exists = stat(name, &st) == 0;

	if (exists && S_ISDIR(st.st_mode)) {
		errno = EISDIR;
		return (-1);
	}
	if (exists && !S_ISREG(st.st_mode))
		return (open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY));
	/* Through a symbolic link: what it leads to is replaced, not it. */
	w->target = exists ? realpath(name, NULL) : strdup(name);
	if (w->target == NULL)
		return (-1);
	const int fd = open_temp(w, 0666);
	if (fd >= 0 && exists)
		(void)fchmod(fd, st.st_mode & 07777);
	return (fd);
}

int
trace_writer_open(struct trace_writer **ret_w, const char *name,
    enum trace_form form, const struct trace_header *header,
    struct trace_error *err)
{
	const bool is_stdout = strcmp(name, "-") == 0;
	struct trace_writer *w =
	    writer_new(is_stdout ? "standard output" : name, form, header, err);

	if (w == NULL)
		return (-1);
	if (is_stdout) {
		w->fp = stdout;
		return (start(w, ret_w, err));
	}
	const int fd = open_name(w, name);
	if (fd >= 0)
		w->fp = fdopen(fd, "w");
	if (w->fp == NULL) {
		trace__error_errno(err, w->name, "create", errno);
		if (fd >= 0)
			(void)close(fd);
		writer_free(w);
		return (-1);
	}
	w->fp_owned = true;
	return (start(w, ret_w, err));
}

int
trace_writer_op(struct trace_writer *w, const struct trace_op *op)
{
	char text[TRACE__OP_TEXT_MAX];
	uint8_t *const bytes = (uint8_t *)text;
	struct trace_op copy = *op;
	size_t size;

	_Static_assert(TRACE__OP_BYTES_MAX <= TRACE__OP_TEXT_MAX, "too small");
	if (w->error == 0) {
		w->nops++;
		w->error = trace__op_check(w->header, &copy);
	}
	if (w->error == 0)
		w->error = trace__op_rename(w->map, &copy);
	if (w->error != 0) {
		errno = w->error;
		return (-1);
	}
	if (w->form == TRACE_TEXT) {
		size = trace__print_op(w->header, &copy, text, sizeof(text));
		TRACE__ASSERT(size + 1 < sizeof(text));
		text[size++] = '\n';
	} else {
		size = trace__encode_op(&w->encoder, &copy, bytes);
		if (size == 0)
			w->error = ENOMEM;
	}
	return (append(w, text, size));
}

int
trace_writer_comment(struct trace_writer *w, const char *text)
{
	const char *const end = text + strlen(text);

	if (w->form != TRACE_TEXT)
		return (0);
	do {
		char line[COMMENT_LINE + 8] = "#";
		size_t n = 1;

		for (; text < end && *text != '\n' && n < COMMENT_LINE;) {
			const size_t utf8 = trace__utf8_length(text, end);
			const size_t size = utf8 > 0 ? utf8 : 1;

			if (n == 1)
				line[n++] = ' ';
			memcpy(line + n, text, size);
			if (utf8 == 0 && (*text < 0x20 || *text > 0x7e))
				line[n] = '?';
			n += size;
			text += size;
		}
		line[n++] = '\n';
		if (append(w, line, n) != 0)
			return (-1);
		if (text < end && *text == '\n')
			text++;
	} while (text < end);
	return (0);
}

/* Ends the stream and moves the file to its place; errors to w->error. */
static void
finish(struct trace_writer *w)
{
	uint8_t frame[20];

	if (w->error == 0)
		flush_pending(w, true);
	if (w->form == TRACE_BINARY)
		write_bytes(
		    w, frame, trace__frame_end(frame, w->total, w->blocks));
	errno = 0;
	if (fflush(w->fp) != 0 && w->error == 0)
		w->error = errno != 0 ? errno : EIO;
	if (w->fp_owned && fclose(w->fp) != 0 && w->error == 0)
		w->error = errno;
	w->fp = NULL;
	if (w->temp == NULL || w->error != 0)
		return;
	if (rename(w->temp, w->target) != 0) {
		w->error = errno;
		return;
	}
	free(w->temp); /* nothing to remove any more */
	w->temp = NULL;
}

int
trace_writer_close(struct trace_writer *w, struct trace_error *err)
{
	if (w == NULL)
		return (0);
	finish(w);
	const int error = w->error;
	if (error == EINVAL)
		trace_error_set(err, w->name, 0, TRACE__NOPOS,
		    "cannot write: operation %llu is not valid",
		    (unsigned long long)w->nops);
	else if (error != 0)
		trace__error_errno(err, w->name, "write", error);
	writer_free(w);
	if (error != 0)
		errno = error;
	return (error != 0 ? -1 : 0);
}
