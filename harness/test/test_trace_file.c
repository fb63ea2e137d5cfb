/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Goal: files are read whole or not at all, and written so. Method: files that
 * are missing, empty, something else, packed, cut, damaged; disks that are
 * full; names that are links, devices or taken; traces of many blocks.
 */
#include <kalloc/flags.h>

#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cmocka.h>

#include "trace_test.h"

#define FIVE "kalab-trace 1\ncpus 2\nthreads 3\n0 m0 = kmalloc_create \"t\"\n"

/* Scratch files, all in one directory that the group fixture makes. */
static char scratch[] = "/tmp/kalab-trace-XXXXXX";

static int
make_scratch(void **state)
{
	(void)state;
	return (mkdtemp(scratch) == NULL ? -1 : chdir(scratch));
}

static int
remove_scratch(void **state)
{
	(void)state;
	return (chdir("/") != 0 || rmdir(scratch) != 0 ? -1 : 0);
}

static void
write_file(const char *name, const void *bytes, size_t size)
{
	FILE *fp = fopen(name, "w");

	assert_non_null(fp);
	assert_int_equal(fwrite(bytes, 1, size, fp), size);
	assert_int_equal(fclose(fp), 0);
}

static char *
read_file(const char *name, size_t *ret_size)
{
	FILE *fp = fopen(name, "r");
	const size_t cap = 1 << 16;
	char *bytes = malloc(cap);

	assert_non_null(fp);
	assert_non_null(bytes);
	*ret_size = fread(bytes, 1, cap - 1, fp);
	bytes[*ret_size] = '\0';
	assert_int_equal(fclose(fp), 0);
	return (bytes);
}

/* Opens and reads to the end; must fail with this line. */
static void
assert_open_fails(const char *name, const char *expected)
{
	struct trace_error error;
	struct trace_reader *r;
	struct trace_op op;
	char line[600];
	int got = -1;

	if (trace_reader_open(&r, name, &error) == 0) {
		while ((got = trace_reader_next(r, &op, &error)) > 0)
			;
		trace_reader_close(r);
	}
	assert_int_equal(got, -1);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line, expected);
}

/* The bytes as an .xz file's. */
static uint8_t *
pack(const void *bytes, size_t size, size_t *ret_size)
{
	const size_t cap = lzma_stream_buffer_bound(size);
	uint8_t *packed = malloc(cap);

	assert_non_null(packed);
	*ret_size = 0;
	assert_int_equal(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC64, NULL,
			     bytes, size, packed, ret_size, cap),
	    LZMA_OK);
	return (packed);
}

static void
assert_file_is(const char *name, const struct trace *expected)
{
	struct trace_error error;
	struct trace_reader *r;
	struct trace t;
	uint64_t done, total;

	assert_int_equal(trace_reader_open(&r, name, &error), 0);
	assert_int_equal(trace_load(&t, r, &error), 0);
	trace_reader_progress(r, &done, &total);
	assert_true(total == 0 || done == total);
	trace_reader_close(r);
	assert_true(trace_test_equal(&t, expected));
	trace_fini(&t);
}

/* A trace of many blocks; registers, header and strings cross them. */
static void
make_long(struct trace *ret_t)
{
	struct trace_op op = { .code = TRACE_OP_KMALLOC_CREATE };

	trace_init(ret_t);
	ret_t->header.threads = 7;
	ret_t->header.ndeviations = 4096;
	ret_t->header.deviation =
	    calloc(4096, sizeof(*ret_t->header.deviation));
	assert_non_null(ret_t->header.deviation);
	for (uint32_t i = 0; i < 4096; i++)
		ret_t->header.deviation[i] =
		    (struct trace_deviation) { i / 1000, i / 10, i * 1000000,
			    TRACE_DEVIATE_RUN, UINT16_MAX - i };
	op.arg[0] = trace_str_intern(&ret_t->header, "type", 4);
	assert_int_equal(trace_append(ret_t, &op), 0);
	for (uint32_t i = 0; i < 50000; i++) {
		op = (struct trace_op) { .code = TRACE_OP_KMALLOC,
			.thread = (uint16_t)(i % 7),
			.out = i < 20000 ? i : i * 7 % 20000,
			.arg = { (uint64_t)i << i % 48, 0, M_WAITOK, 0 } };
		assert_int_equal(trace_append(ret_t, &op), 0);
	}
	assert_int_equal(trace_canonicalize(ret_t), 0);
	trace_test_assert_valid(ret_t);
}

static void
assert_save_fails(const char *name, enum trace_form form, const struct trace *t,
    const char *expected)
{
	struct trace_error error;
	char line[600];

	assert_int_equal(trace_save(t, name, form, &error), -1);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line, expected);
}

static void
assert_directory_has(const char *names)
{
	char command[128], got[256] = "";

	snprintf(command, sizeof(command), "ls -A | tr '\\n' ' '");
	FILE *fp = popen(command, "r");
	assert_non_null(fp);
	if (fgets(got, sizeof(got), fp) == NULL)
		got[0] = '\0';
	assert_int_equal(pclose(fp), 0);
	assert_string_equal(got, names);
}

static void
files_that_are_no_traces(void **state)
{
	(void)state;
	assert_open_fails(
	    "missing", "missing: cannot open: No such file or directory");
	assert_int_equal(mkdir("dir", 0700), 0);
	assert_open_fails("dir", "dir: is a directory, expected a trace");
	assert_int_equal(rmdir("dir"), 0);
	write_file("f", "", 0);
	assert_open_fails("f", "f: is empty, expected a trace");
	write_file("f",
	    "\x7f"
	    "ELF and more",
	    13);
	assert_open_fails("f",
	    "f:1:1: not a trace, expected \"kalab-trace 1\" in the first "
	    "line");
	write_file("f", "kalab-tra", 9);
	assert_open_fails("f",
	    "f:1:1: not a trace, expected \"kalab-trace 1\" in the first "
	    "line");
	write_file("f", "\x89PNG\r\n\x1a\n", 8);
	assert_open_fails("f",
	    "f: byte 0: not a trace, expected the magic of a binary trace");
	write_file("f", "\x89KAL\r\n\x1a\n\x02\0\0\0", 12);
	assert_open_fails(
	    "f", "f: byte 8: version 2 is not supported, expected 1");
	if (geteuid() != 0) {
		assert_int_equal(chmod("f", 0), 0);
		assert_open_fails("f", "f: cannot open: Permission denied");
	}
	assert_int_equal(unlink("f"), 0);
}

static void
packed_files(void **state)
{
	struct trace_error error;
	struct trace t, again;
	size_t size, packed_size;

	(void)state;
	trace_test_must_parse(all_ops, &t);
	for (int form = TRACE_TEXT; form <= TRACE_BINARY; form++) {
		char *bytes =
		    trace_test_bytes(&t, (enum trace_form)form, &size);
		uint8_t *packed = pack(bytes, size, &packed_size);

		write_file("x.xz", packed, packed_size);
		assert_file_is("x.xz", &t);
		assert_int_equal(
		    trace_test_parse(packed, packed_size, &again, &error), 0);
		assert_true(trace_test_equal(&t, &again));
		trace_fini(&again);
		/* Standard input. */
		const int saved = dup(STDIN_FILENO);
		const int fd = open("x.xz", O_RDONLY);
		assert_true(fd >= 0);
		assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
		assert_file_is("-", &t);
		assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
		close(saved);
		close(fd);
		/* Cut anywhere, it is an error. */
		for (size_t cut = 1; cut < packed_size; cut++) {
			if (trace_test_parse(packed, cut, &again, &error) == 0)
				fail_msg("cut at %zu is not noticed", cut);
		}
		/* Damaged anywhere but in the first byte (no xz then). */
		for (size_t i = 0; i < packed_size; i++) {
			packed[i] ^= 0x10;
			if (trace_test_parse(
				packed, packed_size, &again, &error) == 0)
				fail_msg("damage at %zu is not noticed", i);
			packed[i] ^= 0x10;
		}
		free(packed);
		free(bytes);
	}
	assert_int_equal(unlink("x.xz"), 0);
	trace_fini(&t);
}

static void
packed_files_tell_what_is_wrong(void **state)
{
	uint8_t *packed;
	size_t size;
	char text[64];

	(void)state;
	packed = pack("kalab-trace 1\nbad\n", 18, &size);
	write_file("x.xz", packed, size);
	assert_open_fails("x.xz",
	    "x.xz:2:1: unknown header line \"bad\", expected a header line "
	    "or a thread");
	free(packed);
	packed = pack("kalab-trace 1\n", 14, &size);
	write_file("x.xz", packed, size - 5);
	snprintf(text, sizeof(text),
	    "x.xz: byte %zu: xz data is truncated, expected more bytes",
	    size - 5);
	assert_open_fails("x.xz", text);
	write_file("x.xz", "\3757zXZ\0garbage, not at all xz", 28);
	assert_open_fails("x.xz",
	    "x.xz: byte 12: xz data is corrupt, expected an intact .xz "
	    "stream");
	free(packed);
	packed = pack("", 0, &size);
	write_file("x.xz", packed, size);
	assert_open_fails("x.xz", "x.xz: is empty, expected a trace");
	free(packed);
	assert_int_equal(unlink("x.xz"), 0);
}

static void
container_damage_has_an_offset(void **state)
{
	struct trace_error error;
	struct trace t;
	char line[600], *bytes;
	size_t size;

	(void)state;
	trace_test_must_parse(FIVE, &t);
	bytes = trace_test_bytes(&t, TRACE_BINARY, &size);
	trace_fini(&t);
	const size_t end = size - 20;
	const struct {
		size_t size, at;
		uint8_t flip;
		const char *error;
	} rows[] = {
		{ 5, 0, 0,
		    "test: byte 5: the file is truncated, expected a "
		    "version" },
		{ 14, 0, 0,
		    "test: byte 14: the file is truncated, expected "
		    "a block" },
		{ 20, 0, 0,
		    "test: byte 20: the file is truncated, expected "
		    "the rest of a block" },
		{ end, 0, 0,
		    "test: byte 32: the file is truncated, expected "
		    "a block" },
		{ size - 1, 0, 0,
		    "test: byte 51: the file is truncated, "
		    "expected the rest of the end block" },
		{ size, 3, 1,
		    "test: byte 0: not a trace, expected the magic "
		    "of a binary trace" },
		{ size, 8, 2,
		    "test: byte 8: version 3 is not supported, "
		    "expected 1" },
		{ size, 15, 1,
		    "test: byte 12: block length 16777224 is out "
		    "of range, expected 0..65536" },
		{ size, 17, 1,
		    "test: byte 12: the block is damaged, expected "
		    "another checksum" },
		{ size, end + 4, 1,
		    "test: byte 32: the end block is damaged, "
		    "expected another checksum" },
	};
	for (unsigned i = 0; i < COUNT(rows); i++) {
		bytes[rows[i].at] ^= (char)rows[i].flip;
		assert_int_equal(
		    trace_test_parse(bytes, rows[i].size, &t, &error), -1);
		bytes[rows[i].at] ^= (char)rows[i].flip;
		trace_error_format(&error, line, sizeof(line));
		assert_string_equal(line, rows[i].error);
	}
	free(bytes);
}

/* What a checksum alone does not find. */
static void
containers_end_where_they_say(void **state)
{
	struct trace_error error;
	struct trace t;
	char line[600], *bytes;
	size_t size;

	(void)state;
	trace_test_must_parse(FIVE, &t);
	bytes = trace_test_bytes(&t, TRACE_BINARY, &size);
	trace_fini(&t);
	const size_t end = size - 20;
	/* A total that is wrong under a checksum that is right. */
	bytes[end + 4] ^= 1;
	const XXH64_hash_t hash = XXH64(bytes + end + 4, 8, 1);
	for (unsigned i = 0; i < 8; i++)
		bytes[end + 12 + i] = (char)(hash >> 8 * i);
	assert_int_equal(trace_test_parse(bytes, size, &t, &error), -1);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(
	    line, "test: byte 32: the payload has 8 bytes, expected 9");
	free(bytes);
	trace_test_must_parse(FIVE, &t);
	bytes = trace_test_bytes(&t, TRACE_BINARY, &size);
	trace_fini(&t);
	char *longer = realloc(bytes, size + 1);
	assert_non_null(longer);
	longer[size] = 0;
	assert_int_equal(trace_test_parse(longer, size + 1, &t, &error), -1);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line,
	    "test: byte 52: bytes after the end block, expected the end of "
	    "the file");
	free(longer);
}

static void
long_traces_cross_blocks(void **state)
{
	struct trace_error error;
	struct trace t, again;
	size_t size;

	(void)state;
	make_long(&t);
	for (int form = TRACE_TEXT; form <= TRACE_BINARY; form++) {
		assert_int_equal(
		    trace_save(&t, "long", (enum trace_form)form, &error), 0);
		assert_file_is("long", &t);
		char *bytes =
		    trace_test_bytes(&t, (enum trace_form)form, &size);
		assert_true(size > 3 * 65536);
		assert_int_equal(
		    trace_test_parse(bytes, size, &again, &error), 0);
		assert_true(trace_test_equal(&t, &again));
		trace_fini(&again);
		size_t packed_size;
		uint8_t *packed = pack(bytes, size, &packed_size);
		assert_int_equal(
		    trace_test_parse(packed, packed_size, &again, &error), 0);
		assert_true(trace_test_equal(&t, &again));
		trace_fini(&again);
		free(packed);
		free(bytes);
	}
	assert_int_equal(unlink("long"), 0);
	trace_fini(&t);
}

static void
full_disks_are_noticed(void **state)
{
	struct trace_error error;
	struct trace_writer *w;
	struct trace t;

	(void)state;
	make_long(&t);
	for (int form = TRACE_TEXT; form <= TRACE_BINARY; form++)
		assert_save_fails("/dev/full", (enum trace_form)form, &t,
		    "/dev/full: cannot write: No space left on device");
	assert_int_equal(access("/dev/full", F_OK), 0);
	/* On close, if everything fits the buffers. */
	trace_fini(&t);
	trace_init(&t);
	for (int form = TRACE_TEXT; form <= TRACE_BINARY; form++) {
		assert_int_equal(trace_writer_open(&w, "/dev/full",
				     (enum trace_form)form, &t.header, &error),
		    0);
		assert_int_equal(trace_writer_close(w, &error), -1);
		assert_int_equal(errno, ENOSPC);
		/* A stream stays open, so its buffer must be flushed. */
		FILE *fp = fopen("/dev/full", "w");
		assert_non_null(fp);
		assert_int_equal(trace_writer_open_stream(&w, fp,
				     (enum trace_form)form, &t.header, &error),
		    0);
		assert_int_equal(trace_writer_close(w, &error), -1);
		assert_int_equal(errno, ENOSPC);
		(void)fclose(fp);
	}
	assert_int_equal(trace_save(&t, "/dev/null", TRACE_TEXT, &error), 0);
	trace_fini(&t);
}

static void
writers_replace_files_whole(void **state)
{
	struct trace_error error;
	struct trace_writer *w;
	struct trace t;
	struct trace_op op = { .code = TRACE_OP_QUIESCE };
	size_t size;
	char line[600];

	(void)state;
	trace_test_must_parse(all_ops, &t);
	write_file("f", "old", 3);
	assert_int_equal(chmod("f", 0640), 0);
	assert_int_equal(symlink("f", "link"), 0);
	/* A failed write leaves the old file and nothing else. */
	assert_int_equal(
	    trace_writer_open(&w, "f", TRACE_TEXT, &t.header, &error), 0);
	assert_int_equal(trace_writer_op(w, &op), 0);
	op.thread = 3;
	assert_int_equal(trace_writer_op(w, &op), -1);
	assert_int_equal(errno, EINVAL);
	op.thread = 2;
	assert_int_equal(trace_writer_op(w, &op), -1);
	assert_int_equal(trace_writer_close(w, &error), -1);
	trace_error_format(&error, line, sizeof(line));
	assert_string_equal(line, "f: cannot write: operation 2 is not valid");
	char *bytes = read_file("f", &size);
	assert_string_equal(bytes, "old");
	free(bytes);
	assert_directory_has("f link ");
	/* Through the link, with the mode of the old file. */
	assert_int_equal(trace_save(&t, "link", TRACE_TEXT, &error), 0);
	assert_directory_has("f link ");
	bytes = read_file("f", &size);
	assert_string_equal(bytes, all_ops);
	free(bytes);
	struct stat st;
	assert_int_equal(lstat("f", &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(lstat("link", &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	/* A file of the temporary name is nobody's to remove. */
	snprintf(line, sizeof(line), "f.tmp-%ld", (long)getpid());
	write_file(line, "mine", 4);
	assert_int_equal(trace_save(&t, "f", TRACE_BINARY, &error), 0);
	assert_file_is("f", &t);
	bytes = read_file(line, &size);
	assert_string_equal(bytes, "mine");
	free(bytes);
	assert_int_equal(unlink(line), 0);
	assert_int_equal(unlink("link"), 0);
	assert_int_equal(unlink("f"), 0);
	assert_save_fails("none/f", TRACE_TEXT, &t,
	    "none/f: cannot create: No such file or directory");
	assert_save_fails(".", TRACE_TEXT, &t,
	    ".: cannot create: Is a "
	    "directory");
	t.header.reserve_interrupt = 33;
	assert_save_fails("f", TRACE_TEXT, &t,
	    "f: cannot write: invalid header, interrupt reserve is more than "
	    "the system reserve");
	assert_directory_has("");
	trace_fini(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_that_are_no_traces),
		cmocka_unit_test(packed_files),
		cmocka_unit_test(packed_files_tell_what_is_wrong),
		cmocka_unit_test(container_damage_has_an_offset),
		cmocka_unit_test(containers_end_where_they_say),
		cmocka_unit_test(long_traces_cross_blocks),
		cmocka_unit_test(full_disks_are_noticed),
		cmocka_unit_test(writers_replace_files_whole),
	};

	return (cmocka_run_group_tests_name(
	    "trace_file", tests, make_scratch, remove_scratch));
}
