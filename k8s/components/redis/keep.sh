#!/bin/sh
# Keeps the last KEPT daily snapshots of the Redis whose data is in DATA, as snapshots/DAY.rdb. Redis writes each snapshot
# to a new file and renames it, so a link to the old one keeps it, and nothing is copied. To go back to a day: stop Redis,
# remove appendonlydir, and put the snapshot in the place of dump.rdb.
set -eu
trap 'exit 0' TERM
cd "$DATA"
mkdir -p snapshots
while :; do
    if [ -e dump.rdb ]; then
        day=snapshots/$(date -u -r dump.rdb +%F).rdb
        [ -e "$day" ] || ln dump.rdb "$day"
    fi
    # Days sort as their names do.
    count=$(find snapshots -name '*.rdb' | wc -l)
    find snapshots -name '*.rdb' | sort | head -n "$((count > KEPT ? count - KEPT : 0))" | xargs -r rm --
    sleep 600 &
    wait $!
done
