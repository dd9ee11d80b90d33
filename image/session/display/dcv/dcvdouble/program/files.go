package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// wrapper is a program's script in /usr/bin: DCV's are shell scripts that start the
// program and wait for it. That they set up its libraries is inferred.
const wrapper = `#!/bin/bash
# A double of DCV's own wrapper: starts the program and waits for it.
here="$(dirname "$(readlink -f "$0")")"
args=()
for a in "$@"; do [ "$a" = -d ] || args+=("$a"); done
"$here/../lib/x86_64-linux-gnu/dcv/%s" "${args[@]}" &
wait $!
`

// xdcv starts the X server of a virtual session: Xtigervnc or Xvfb.
const xdcv = `#!/bin/sh
# A double of Xdcv: a virtual session's X server, rendered by software.
for x in Xtigervnc Xvfb; do
    command -v $x >/dev/null || continue
    [ $x = Xtigervnc ] && more="-SecurityTypes None -rfbport -1"
    exec $x "$@" $more -nolisten tcp -noreset
done
echo "Xdcv: neither Xtigervnc nor Xvfb is installed" >&2
exit 1
`

const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>DCV double</title>
<h1>Double of Amazon DCV</h1>
<p>This page stands for DCV's web client. It shows no picture.</p>
<p id="state" role="status">connecting</p>
<script>
const state = document.getElementById("state")
const socket = new WebSocket(new URL("ws", location.href.split(/[?#]/)[0]).href.replace(/^http/, "ws"))
socket.onopen = () => socket.send(JSON.stringify({
  sessionId: location.hash.slice(1), authToken: new URLSearchParams(location.search).get("authToken")}))
socket.onmessage = m => { state.textContent = JSON.parse(m.data).says }
socket.onclose = e => { state.textContent = e.reason || "The connection has been closed" }
</script>
</html>
`

// busPolicy lets DCV's account own its name on the system's bus.
const busPolicy = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <policy user="dcv"><allow own="com.nicesoftware.DcvServer"/></policy>
  <policy user="root"><allow own="com.nicesoftware.DcvServer"/><allow own="com.nicesoftware.DcvSessionLauncher"/></policy>
</busconfig>
`

// A file is a text, or this program itself if it has none.
type file struct {
	path string
	text string
	mode os.FileMode
}

// packages are the files of each package, at the paths of the real ones.
var packages = map[string][]file{
	"nice-dcv-server": {
		{programs + "/dcv", "", 0o755},
		{programs + "/dcvserver", "", 0o755},
		{programs + "/dcvsessionlauncher", "", 0o755},
		// That the real one has this bit is inferred: it asks PAM, as dcvserver, which
		// is not root.
		{programs + "/dcvpamhelper", "", 0o755 | os.ModeSetuid},
		{"/usr/bin/dcv", fmt.Sprintf(wrapper, "dcv"), 0o755},
		{"/usr/bin/dcvserver", fmt.Sprintf(wrapper, "dcvserver"), 0o755},
		{"/usr/bin/dcvsessionlauncher", fmt.Sprintf(wrapper, "dcvsessionlauncher"), 0o755},
		{"/etc/dcv/dcv.conf", "[connectivity]\n#web-port=8443\n", 0o644},
		{"/etc/dcv/default.perm", "[groups]\n\n[aliases]\n\n[permissions]\n%owner% allow builtin\n", 0o644},
		{"/etc/pam.d/dcv", "auth required pam_unix.so\naccount required pam_unix.so\n", 0o644},
		{"/etc/dbus-1/system.d/com.nicesoftware.DcvServer.conf", busPolicy, 0o644},
	},
	"nice-dcv-web-viewer": {{"/usr/share/dcv/www/index.html", page, 0o644}},
	"nice-xdcv":           {{"/usr/bin/Xdcv", xdcv, 0o755}},
	"nice-dcv-gl":         {{"/usr/share/doc/nice-dcv-gl/README", "A double of DCV-GL: nothing is in it.\n", 0o644}},
}

// lay lays out a package: "lay PACKAGE ROOT".
func lay(args []string) error {
	if len(args) != 3 || args[0] != "lay" || packages[args[1]] == nil {
		return fmt.Errorf("usage: lay PACKAGE ROOT, not %q", strings.Join(args, " "))
	}
	self, err := os.ReadFile(executable())
	if err != nil {
		return err
	}
	for _, f := range packages[args[1]] {
		path := filepath.Join(args[2], f.path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		content := []byte(f.text)
		if f.text == "" {
			content = self
		}
		if err := os.WriteFile(path, content, f.mode); err != nil {
			return err
		}
	}
	return nil
}
