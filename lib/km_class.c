/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Size classes (KM-3): 64 of them, granularity 8 below 128, 16 below 256, 32
 * below 512, 64 below 1024, 128 below 2048, 256 below 4096, 512 up to 8192.
 * km_class_of[size] is the class of a size; of 0, the class that has no chunks.
 * A byte for every size, not for every eighth: two instructions less in kmalloc. test_kmalloc checks both tables against the rule.
 */
#include "kmalloc_int.h"

/* clang-format off */
const uint16_t km_class_size[KM_CLASSES] = {
	8, 16, 24, 32, 40, 48, 56, 64,
	72, 80, 88, 96, 104, 112, 120, 128,
	144, 160, 176, 192, 208, 224, 240, 256,
	288, 320, 352, 384, 416, 448, 480, 512,
	576, 640, 704, 768, 832, 896, 960, 1024,
	1152, 1280, 1408, 1536, 1664, 1792, 1920, 2048,
	2304, 2560, 2816, 3072, 3328, 3584, 3840, 4096,
	4608, 5120, 5632, 6144, 6656, 7168, 7680, 8192,
};

#define R4(x)    x, x, x, x
#define R8(x)    R4(x), R4(x)
#define R16(x)   R8(x), R8(x)
#define R32(x)   R16(x), R16(x)
#define R64(x)   R32(x), R32(x)
#define R128(x)  R64(x), R64(x)
#define R256(x)  R128(x), R128(x)
#define R512(x)  R256(x), R256(x)

const uint8_t km_class_of[KA_KMALLOC_MAX + 1] = {
	KM_CLASS_NONE,
	R8(0), R8(1), R8(2), R8(3), R8(4), R8(5),
	R8(6), R8(7), R8(8), R8(9), R8(10), R8(11),
	R8(12), R8(13), R8(14), R8(15), R16(16), R16(17),
	R16(18), R16(19), R16(20), R16(21), R16(22), R16(23),
	R32(24), R32(25), R32(26), R32(27), R32(28), R32(29),
	R32(30), R32(31), R64(32), R64(33), R64(34), R64(35),
	R64(36), R64(37), R64(38), R64(39), R128(40), R128(41),
	R128(42), R128(43), R128(44), R128(45), R128(46), R128(47),
	R256(48), R256(49), R256(50), R256(51), R256(52), R256(53),
	R256(54), R256(55), R512(56), R512(57), R512(58), R512(59),
	R512(60), R512(61), R512(62), R512(63),
};
/* clang-format on */
