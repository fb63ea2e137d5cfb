# SPDX-License-Identifier: BSD-2-Clause
# Caches as each of the allocators; maps that are none.
f=$ROOT/harness/test/data/import-excerpt.txt.xz
for kind in uma objcache mpipe zinit kmalloc; do
	"$KALAB" import --from ftrace --map "*=$kind" -o $kind.kt "$f" \
	    2> report || exit 1
	"$KALAB" show --bare $kind.kt | cut -d ' ' -f 2- |
	    sed 's/^[a-z]*[0-9]* = //' | grep '^[a-z_]* .*[a-z][0-9]' |
	    cut -d ' ' -f 1 | sort | uniq -c | sed "s/^ */$kind /"
	"$KALAB" replay --twice $kind.kt | grep -o 'clean: [0-9]* operations'
done
"$KALAB" import --from ftrace --map 'f[!x]l*=objcache' --map '*_struct=zinit' \
    --map 'names_cache=mpipe' --map '*=kmalloc' "$f" 2> report |
    grep -e objcache_create -e zinit -e mpipe_init
cat report
t import --from ftrace --map bio "$f"
t import --from ftrace --map =uma "$f"
t import --from ftrace --map 'a[b=uma' "$f"
t import --from ftrace --map 'a\=uma' "$f"
t import --from ftrace --map a=slab "$f"
t import --from ftrace --map a=uma --map b= "$f"
t import --from ftrace --map
