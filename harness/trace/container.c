/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The container of the binary form in a file. Numbers are little endian.
 *
 *	magic    8 bytes  89 4b 41 4c 0d 0a 1a 0a
 *	version  u32      1
 *	block *  u32 length 1 .. 65536, payload, u64 XXH64(payload)
 *	end      u32 0, u64 bytes of payload in all, u64 XXH64(those 8 bytes)
 *
 * The seed of a hash is the number of its block, from 0, the end block
 * included: a block that is lost, doubled or moved is found as well as one
 * that is damaged. The magic is PNG's idea: the first byte is no text, and
 * transfers that change line ends or stop at a control-Z break it.
 */
#include <string.h>
#include <xxhash.h>

#include "trace_int.h"

static uint32_t
get32(const uint8_t *p)
{
	return ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24);
}

static uint64_t
get64(const uint8_t *p)
{
	return (get32(p) | (uint64_t)get32(p + 4) << 32);
}

static void
put32(uint8_t *p, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

static void
put64(uint8_t *p, uint64_t value)
{
	put32(p, (uint32_t)value);
	put32(p + 4, (uint32_t)(value >> 32));
}

static int
truncated(const struct trace__input *in, const char *expected,
    struct trace_error *err)
{
	trace_error_set(err, in->name, 0, in->end_at,
	    "the file is truncated, expected %s", expected);
	return (-1);
}

int
trace__blocks_open(
    struct trace__blocks *b, struct trace__input *in, struct trace_error *err)
{
	const size_t head = TRACE__MAGIC_SIZE + 4;

	*b = (struct trace__blocks) { .in = in };
	const int have = trace__input_need(in, head, err);
	if (have < 0)
		return (-1);
	const size_t left = (size_t)(in->end - in->p);
	if (memcmp(in->p, TRACE__MAGIC,
		left < TRACE__MAGIC_SIZE ? left : TRACE__MAGIC_SIZE) != 0) {
		trace_error_set(err, in->name, 0, 0,
		    "not a trace, expected the magic of a binary trace");
		return (-1);
	}
	if (have == 0)
		return (truncated(in, "a version", err));
	const uint32_t version = get32(in->p + TRACE__MAGIC_SIZE);
	if (version != TRACE_VERSION) {
		trace_error_set(err, in->name, 0, TRACE__MAGIC_SIZE,
		    "version %u is not supported, expected %d", version,
		    TRACE_VERSION);
		return (-1);
	}
	in->p += head;
	return (0);
}

/* The end block: its own hash, the total, and nothing behind it. */
static int
end_block(struct trace__blocks *b, struct trace_error *err)
{
	struct trace__input *const in = b->in;
	const uint64_t at = trace__input_offset(in);
	const int have = trace__input_need(in, 20, err);

	if (have < 0)
		return (-1);
	if (have == 0)
		return (truncated(in, "the rest of the end block", err));
	if (XXH64(in->p + 4, 8, b->index) != get64(in->p + 12)) {
		trace_error_set(err, in->name, 0, at,
		    "the end block is damaged, expected another checksum");
		return (-1);
	}
	const uint64_t total = get64(in->p + 4);
	if (total != b->total) {
		trace_error_set(err, in->name, 0, at,
		    "the payload has %llu bytes, expected %llu",
		    (unsigned long long)b->total, (unsigned long long)total);
		return (-1);
	}
	in->p += 20;
	const int more = trace__input_need(in, 1, err);
	if (more < 0)
		return (-1);
	if (more > 0) {
		trace_error_set(err, in->name, 0, at + 20,
		    "bytes after the end block, expected the end of the file");
		return (-1);
	}
	b->ended = true;
	return (0);
}

int
trace__blocks_next(struct trace__blocks *b, const uint8_t **ret_payload,
    size_t *ret_size, struct trace_error *err)
{
	struct trace__input *const in = b->in;

	if (b->ended)
		return (0);
	int have = trace__input_need(in, 4, err);
	if (have < 0)
		return (-1);
	if (have == 0)
		return (truncated(in, "a block", err));
	const uint64_t at = trace__input_offset(in);
	const uint32_t size = get32(in->p);
	if (size == 0)
		return (end_block(b, err));
	if (size > TRACE__BLOCK_MAX) {
		trace_error_set(err, in->name, 0, at,
		    "block length %u is out of range, expected 0..%u", size,
		    TRACE__BLOCK_MAX);
		return (-1);
	}
	have = trace__input_need(in, 4 + size + 8, err);
	if (have < 0)
		return (-1);
	if (have == 0)
		return (truncated(in, "the rest of a block", err));
	const uint8_t *payload = in->p + 4;
	if (XXH64(payload, size, b->index) != get64(payload + size)) {
		trace_error_set(err, in->name, 0, at,
		    "the block is damaged, expected another checksum");
		return (-1);
	}
	in->p += 4 + size + 8;
	b->index++;
	b->total += size;
	*ret_payload = payload;
	*ret_size = size;
	return (1);
}

size_t
trace__frame_start(uint8_t buf[16])
{
	memcpy(buf, TRACE__MAGIC, TRACE__MAGIC_SIZE);
	put32(buf + TRACE__MAGIC_SIZE, TRACE_VERSION);
	return (TRACE__MAGIC_SIZE + 4);
}

size_t
trace__frame_head(uint8_t buf[4], size_t size)
{
	TRACE__ASSERT(size >= 1);
	TRACE__ASSERT(size <= TRACE__BLOCK_MAX);
	put32(buf, (uint32_t)size);
	return (4);
}

size_t
trace__frame_tail(
    uint8_t buf[8], const void *payload, size_t size, uint64_t index)
{
	put64(buf, XXH64(payload, size, index));
	return (8);
}

size_t
trace__frame_end(uint8_t buf[20], uint64_t total, uint64_t index)
{
	put32(buf, 0);
	put64(buf + 4, total);
	put64(buf + 12, XXH64(buf + 4, 8, index));
	return (20);
}
