# SPDX-License-Identifier: BSD-2-Clause
# For tests that need a kalab with a defect: sourced.

# The build that $KALAB is of; its objects are what the healthy part is.
BUILD=$(cd "$(dirname "$KALAB")/../.." && pwd)
[ -f "$BUILD/compile_commands.json" ] || skip "no build directory"

# defective NAME: makes NAME/kalab with the patch of corpus/defects, or with
# NAME.patch.
defective() {
	patch=$ROOT/corpus/defects/$1.patch
	[ -f "$patch" ] || patch=$1.patch
	python3 -B "$ROOT/ci/defect-build" "$ROOT" "$BUILD" "$patch" "$1"
}

# library NAME: makes NAME.lib/libkalloc.a with the patch of corpus/defects.
library() {
	python3 -B "$ROOT/ci/defect-build" "$ROOT" "$BUILD" \
	    "$ROOT/corpus/defects/$1.patch" "$1.lib" lib/libkalloc.a
}

# compile FILE.c PROGRAM LIBRARY: as that build was compiled.
compiler=
compile() {
	[ -n "$compiler" ] || compiler=$(python3 -c 'import json, shlex, sys
for c in json.load(open(sys.argv[1])):
	if c["output"].startswith("lib/libkalloc.a.p/"):
		w = shlex.split(c["command"])
		print(*w[:2 if w[0].endswith("ccache") else 1],
			*[x for x in w if x.startswith("-fsanitize")])
		break' "$BUILD/compile_commands.json")
	# shellcheck disable=SC2086
	$compiler -g -std=gnu17 -Wall -Wextra -Werror -I"$ROOT/lib/include" \
	    "$1" -o "$2" "$3" -pthread
}
