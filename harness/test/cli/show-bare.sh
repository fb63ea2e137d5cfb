# SPDX-License-Identifier: BSD-2-Clause
# The trace alone: the identity on a canonical text but for comments, and text
# of any form.
for f in "$ROOT"/corpus/regressions/*.trace; do
	grep -v '^#' "$f" > plain.trace
	"$KALAB" show --bare "$f" | cmp - plain.trace
done
cat > a.trace <<'EOF'
kalab-trace 1   # a comment
threads 2
reserve 0 0

1 m7=kmalloc_create "a"
0 p3 = kmalloc 0x10 m7 0x2|ZERO
EOF
t show --bare a.trace
t show --bare --ops 1 a.trace
"$KALAB" show --bare a.trace > b.trace
"$KALAB" show --bare b.trace | cmp - b.trace
