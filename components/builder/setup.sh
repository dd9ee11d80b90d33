#!/bin/sh
# Installs what a builder has: Docker, and the login of ssh through SSM. It may be
# run again after it has failed anywhere.
set -eu
root=${BUILDER_ROOT:-} # tests have another

# All that differs by distribution. SSM's agent is part of AL2023.
# shellcheck disable=SC1091
. "$root/etc/os-release"
case $ID in
#              installs                          what             the ssh daemon
amzn)   set -- 'dnf install --assumeyes'         docker           sshd ;;
debian) set -- 'apt-get install --quiet=2 --yes' docker.io        ssh ;;
*)      echo "builder: the distribution $ID is not known" >&2; exit 1 ;;
esac

# The cache may take half of the disk; Docker's own limit is a tenth, less than
# one large game.
mkdir -p "$root/etc/docker"
half=$(($(df --block-size=1M --output=size "$root/var/lib" | tail -n 1) / 2))
echo "{\"builder\": {\"gc\": {\"enabled\": true, \"defaultKeepStorage\": \"${half}MB\"}}}" >"$root/etc/docker/daemon.json"
$1 "$2"
systemctl enable --now docker

# The login knows only the keys that a run gives it, which lie in memory. A
# connection whose other end has died is closed after two minutes.
id builder >/dev/null 2>&1 || useradd --create-home --shell /bin/sh --groups docker builder
cat >"$root/etc/ssh/sshd_config.d/10-builder.conf" <<'END'
PasswordAuthentication no
ClientAliveInterval 30
ClientAliveCountMax 4
Match User builder
AuthorizedKeysFile /run/builder/authorized_keys
AuthorizedKeysCommand none
END
systemctl restart "$3"
touch "$root/var/lib/builder-ready"
