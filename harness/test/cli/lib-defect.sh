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
