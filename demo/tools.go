package demo

import (
	"context"
	"os/exec"
	"strings"
	"time"
)

// tools are the client programs of this machine that the demo can use. Where
// ssh or scp is not among them, the demo's own client does the same; see
// client.go.
type tools struct{ ssh, scp, rsync bool }

// findTools tries the programs out. An ssh that cannot be used here counts as
// none: not OpenSSH's, say, or run by an account that passwd does not have.
func (d *demo) findTools(ctx context.Context) tools {
	ctx, cancel := context.WithTimeout(ctx, toolTimeout)
	defer cancel()
	ssh := d.command(ctx, "ssh", "-F", d.file(sshConfigFile), "-G", address).Run() == nil
	_, scp := exec.LookPath("scp")
	return tools{
		ssh:   ssh,
		scp:   ssh && scp == nil,
		rsync: ssh && d.command(ctx, "rsync", "--version").Run() == nil,
	}
}

const toolTimeout = 10 * time.Second

// lacking says in one line what is different because a program is not here:
// which ones the demo's own client replaces, and what is left out. It is empty
// if all are here.
func (t tools) lacking() string {
	var said []string
	switch {
	case !t.ssh:
		said = append(said, "no ssh here: the demo's own client runs the ssh and scp commands")
	case !t.scp:
		said = append(said, "no scp here: the demo's own client runs the scp commands")
	}
	if !t.rsync {
		said = append(said, "rsync is left out")
	}
	if len(said) == 0 {
		return ""
	}
	return strings.Join(said, "; ") + " (on Debian: apt-get install openssh-client rsync)"
}

// copying names the ways to copy a file that the demo shows.
func (t tools) copying() string {
	if t.rsync {
		return "by scp and by rsync"
	}
	return "by scp"
}
