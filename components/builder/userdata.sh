#!/bin/sh
# Makes a machine the builder. cloud-init runs this text once an instance, at its
# first start; the installation, which may fail on a bad day, is a unit that is
# tried again until it has succeeded, at later starts too. A change of this text
# replaces the instance and its build cache: limits come with each run.
set -eu

# The watchdog comes first: it ends a machine whose installation fails, too.
cat >/usr/local/sbin/builder-watchdog <<'END'
@WATCHDOG@
END
cat >/usr/local/sbin/builder-setup <<'SETUP'
@SETUP@
SETUP
chmod 755 /usr/local/sbin/builder-watchdog /usr/local/sbin/builder-setup
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
cat >/etc/systemd/system/builder-setup.service <<'END'
[Unit]
ConditionPathExists=!/var/lib/builder-ready
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0
[Service]
Type=oneshot
ExecStart=/usr/local/sbin/builder-setup
StandardOutput=append:/var/log/builder-setup.log
Restart=on-failure
RestartSec=15
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable --now builder-watchdog.timer
systemctl enable builder-setup.service
systemctl start --no-block builder-setup.service
