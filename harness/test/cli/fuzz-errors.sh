# SPDX-License-Identifier: BSD-2-Clause
# Campaigns that cannot be: one line, status 2, nothing lost.
t fuzz
t fuzz one two
t fuzz --engine both --engine other dir
t fuzz --target ../up dir
t fuzz --target '' dir
t fuzz --jobs 0 dir
t fuzz --time 1m dir
t fuzz --name host1 dir
t fuzz --target none --bin bin dir | sed 's, in bin:[^ ]*:, in BIN:,'
mkdir bin
printf '#!/bin/sh\necho cannot begin\nexit 3\n' > bin/fuzz_bad_libfuzzer
chmod +x bin/fuzz_bad_libfuzzer
t fuzz --target bad --bin bin dir
printf '#!/bin/sh\necho "not sound" >&2\nkill -SEGV $$\n' > bin/fuzz_bad_libfuzzer
t fuzz --target bad --bin bin dir
# It begins, and ends as soon as it is to fuzz.
cat > bin/fuzz_bad_libfuzzer <<'END'
#!/bin/sh
case $1 in
-*) echo "no coverage here"; exit 1 ;;
esac
END
t fuzz --target bad --bin bin --jobs 1 dir | sed 's/^[0-9]* s, .*/FIGURES/'
# A directory that cannot be, and one that cannot be written.
: > file
t fuzz --target bad --bin bin file/dir
t fuzz --target bad --bin bin /proc/self/campaign
# A database that is none, and one of something else.
mkdir other
echo "this is no database, and longer than the sixteen bytes of one" \
    > other/campaign.db
t fuzz --target bad --bin bin other
cat other/campaign.db
mkdir third
python3 -c 'import sqlite3
d = sqlite3.connect("third/campaign.db")
d.execute("create table mine (a)")
d.commit()'
t fuzz --target bad --bin bin third
# Two at one directory.
flock dir/lock "$KALAB" fuzz --target bad --bin bin dir
echo "status $?"
