package foreign

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// builtIn is the sftp server for machines that have none, as a door.
const builtIn = "built-in"

// sftpTests are OpenSSH's tests of its client against a server that it starts
// itself.
const sftpTests = "sftp sftp-cmds sftp-badcmds sftp-batch sftp-glob sftp-perm"

// TestBuiltIn compares the sftp server for machines that have none with OpenSSH's,
// by OpenSSH's tests and those of pkg/sftp's client.
func TestBuiltIn(t *testing.T) {
	if !harness.Soaking() || !isChosen(builtIn, suiteNames...) {
		t.Skip("only in make soak and scripts/foreign, which set " + harness.EnvSoak)
	}
	table := &table{listed: readListed(t, "../../docs/clients.md")}
	t.Cleanup(func() { table.log(t) })
	dir := t.TempDir()
	ours := filepath.Join(dir, "sftp-server")
	harness.Write(t, ours, 0o755, fmt.Sprintf(builtInServer, harness.Program("gateway")))
	program, source := buildTests(t, dir, "github.com/pkg/sftp", "")
	made := map[string]string{}
	makeRegressKeys(t, made)
	for name, run := range map[string]func(server, at string) results{
		"openssh": func(server, at string) results {
			suite := copyRegress(t, filepath.Join(dir, "openssh-"+at), made)
			got := results{}
			for _, name := range strings.Fields(sftpTests) {
				got[name] = runRegressTest(t, suite, name, door{name: at, sshd: "/usr/sbin/sshd", port: harness.FreePort(t)}, server)
			}
			return got
		},
		"sftp": func(server, _ string) results { return runSftpClient(t, program, source, dir, server) },
	} {
		bare := run(opensshSftp, "bare")
		table.judge(t, row{suite: name, door: builtIn, got: run(ours, builtIn), bare: bare})
	}
}

// builtInServer is called as OpenSSH's is.
const builtInServer = `#!/bin/sh
case " $* " in
*" -R "*) exec %[1]s helper sftp --read-only ;;
*) exec %[1]s helper sftp ;;
esac
`
