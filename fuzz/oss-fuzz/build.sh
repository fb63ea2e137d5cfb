#!/bin/bash -eu
# SPDX-License-Identifier: BSD-2-Clause
# Builds the fuzz targets for OSS-Fuzz, ClusterFuzzLite, or whoever keeps their
# contract: compilers and flags in CC, CXX, CFLAGS, CXXFLAGS, the engine in
# LIB_FUZZING_ENGINE, sources in $SRC/kalab. Leaves in $OUT for each target
# fuzz_NAME, its seeds (_seed_corpus.zip), its options, and dictionaries for
# those that read text.
cd "$SRC/kalab"

# Seeds and dictionary are made by a program of an ordinary build.
if [ ! -f "$WORK/plain/build.ninja" ]; then
	CFLAGS='' CXXFLAGS='' LDFLAGS='' meson setup "$WORK/plain" \
	    --buildtype=release -Dtests=disabled
fi
CFLAGS='' CXXFLAGS='' LDFLAGS='' ninja -C "$WORK/plain" fuzz-seeds

# A directory for each set of flags: one may be asked for after another.
build=$WORK/build-${FUZZING_ENGINE:-libfuzzer}-${SANITIZER:-address}
rm -rf "$build"
link=
for flag in $LIB_FUZZING_ENGINE; do
	link="$link${link:+,}'$flag'"
done
meson setup "$build" --buildtype=plain -Dtests=disabled -Dfuzzing=external \
    "-Dfuzzing_link=[$link]"
ninja -C "$build" fuzzers

for exe in "$build"/fuzz/fuzz_*; do
	name=$(basename "$exe")
	if [ ! -f "$exe" ] || [ ! -x "$exe" ] || [ "$name" = fuzz_empty ]; then
		continue
	fi
	cp "$exe" "$OUT/$name"
	rm -f "$OUT/${name}_seed_corpus.zip"
	python3 - "$WORK/plain/fuzz/seeds-${name#fuzz_}" \
	    "$OUT/${name}_seed_corpus.zip" <<'PYTHON'
import os, sys, zipfile
with zipfile.ZipFile(sys.argv[2], "w", zipfile.ZIP_DEFLATED) as archive:
    for name in sorted(os.listdir(sys.argv[1])):
        archive.write(os.path.join(sys.argv[1], name), name)
PYTHON
	cp fuzz/oss-fuzz/default.options "$OUT/$name.options"
done
"$WORK/plain/fuzz/mkseeds" dict "$OUT/fuzz_parser.dict"
cp fuzz/oss-fuzz/fuzz_import.dict "$OUT/"
