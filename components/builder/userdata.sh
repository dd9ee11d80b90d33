#!/bin/sh
# What makes a machine the builder, once, at its first start. A change of this
# text replaces the instance and its build cache: limits come with each run.
set -eu

# All that differs by distribution. SSM's agent is part of AL2023.
. /etc/os-release
case $ID in
#              installs                          what             the ssh daemon
amzn)   set -- 'dnf install --assumeyes'         docker           sshd ;;
debian) set -- 'apt-get install --quiet=2 --yes' docker.io        ssh ;;
*)      echo "builder: the distribution $ID is not known" >&2; exit 1 ;;
esac

# The watchdog comes first: it ends a machine whose set-up failed, too.
cat >/usr/local/sbin/builder-watchdog <<'END'
@WATCHDOG@
END
chmod 755 /usr/local/sbin/builder-watchdog
cat >/etc/systemd/system/builder-watchdog.service <<'END'
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/builder-watchdog
END
cat >/etc/systemd/system/builder-watchdog.timer <<'END'
[Timer]
OnActiveSec=1min
OnUnitActiveSec=1min
[Install]
WantedBy=timers.target
END
systemctl daemon-reload
systemctl enable --now builder-watchdog.timer

# The cache may take half of the disk; Docker's own limit is a tenth, less than
# one large game.
mkdir -p /etc/docker
half=$(($(df --block-size=1M --output=size /var/lib | tail -n 1) / 2))
echo "{\"builder\": {\"gc\": {\"enabled\": true, \"defaultKeepStorage\": \"${half}MB\"}}}" >/etc/docker/daemon.json
$1 $2
systemctl enable --now docker

# The login of ssh through SSM knows only the keys that a run gives it, which lie
# in memory. A connection whose other end has died is closed after two minutes.
useradd --create-home --shell /bin/sh --groups docker builder
cat >/etc/ssh/sshd_config.d/10-builder.conf <<'END'
PasswordAuthentication no
ClientAliveInterval 30
ClientAliveCountMax 4
Match User builder
AuthorizedKeysFile /run/builder/authorized_keys
AuthorizedKeysCommand none
END
systemctl restart "$3"
touch /var/lib/builder-ready
