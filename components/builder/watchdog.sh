#!/bin/sh
# Powers the builder off when nobody has built on it for a while, and after a
# hard limit whatever happens: a run that is killed calls no hook. A timer starts
# this every minute. What it remembers lies in memory and is gone with the power;
# a run writes its own limits there.
set -eu
dir=${BUILDER_RUN:-/run/builder}
uptime=${BUILDER_UPTIME:-/proc/uptime}
minute=${BUILDER_MINUTE:-60} # in seconds; tests have shorter ones

IDLE_MINUTES=15
MAX_HOURS=4
mkdir -p "$dir"
# shellcheck disable=SC1091
[ ! -e "$dir/limits" ] || . "$dir/limits"

now=$(cut -d. -f1 "$uptime")
[ -s "$dir/first" ] || echo "$now" >"$dir/first"
# Every build and push comes over an ssh connection; who builds by hand on the
# machine itself has a docker command running.
if [ ! -s "$dir/busy" ] || pgrep -x docker >/dev/null || pgrep -f '^sshd(-session)?: builder' >/dev/null; then
    echo "$now" >"$dir/busy"
fi
idle=$(((now - $(cat "$dir/busy")) / minute))
up=$(((now - $(cat "$dir/first")) / minute))

if [ "$idle" -ge "$IDLE_MINUTES" ]; then
    echo "builder: nobody has built for $idle minutes: power off"
elif [ "$up" -ge $((MAX_HOURS * 60)) ]; then
    echo "builder: it runs for $up minutes, the limit: power off"
else
    exit 0
fi
systemctl poweroff
