package change

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// What a grant leaves out, as people meet it with OpenSSH's own clients, on both
// mechanisms.
func TestGrantsAsClientsMeetThem(t *testing.T) {
	l := startLab(t)
	dir := t.TempDir()
	secret := filepath.Join(dir, "file")
	harness.Write(t, secret, 0o644, "content\n")
	at := func(host, grant string) harness.Target {
		l.put(t, l.guest(t, host+": "+grant))
		return harness.NewTarget(t, t.TempDir(), "guest", l.Gateway.Door("guest+"+host, l.guestKey))
	}
	relay := func(grant string) string { return "{accounts: " + l.SSHD.Login + ", " + grant + "}" }
	for host, grants := range map[string]func(string) string{"box": func(grant string) string { return "{" + grant + "}" }, "relay": relay} {
		t.Run(host, func(t *testing.T) {
			only := at(host, grants("restrict: yes, exec: [echo this]"))
			only.Want(t, "ssh h echo this", "this\n")
			refused := func(what string) harness.Result {
				return harness.Result{Stderr: "berth: " + what + " is not granted to guest on " + host + "\n", Exit: 255}
			}
			harness.Check(t, "another command", only.Run(t, "ssh h id"), refused(`the command "id"`))
			harness.Check(t, "two commands", only.Run(t, "ssh h 'echo this; id'"), refused(`the command "echo this; id"`))
			harness.Check(t, "a shell", only.Run(t, "ssh -T h </dev/null"), refused("a shell"))
			if got := only.Run(t, "sftp -b /dev/null h"); got.Exit == 0 || !strings.Contains(got.Stderr, `the subsystem "sftp" is not granted`) {
				t.Errorf("sftp: %+v", got)
			}
			if got := only.Run(t, "ssh -W "+l.SSHD.Address+" h </dev/null"); got.Exit == 0 || !strings.Contains(got.Stderr, "stdio forwarding failed") {
				t.Errorf("a forward: %+v", got)
			}
			if got := only.Run(t, "ssh -o ExitOnForwardFailure=yes -N -R 0:localhost:1 h"); got.Exit == 0 || !strings.Contains(got.Stderr, "remote port forwarding failed") {
				t.Errorf("a listener: %+v", got)
			}
		})
	}
	t.Run("read_only_sftp", func(t *testing.T) {
		to := at("box", "{restrict: yes, sftp: read-only}")
		to.Want(t, "echo get "+secret+" got | sftp -q -b - h >/dev/null && cat got", "content\n")
		for _, change := range []string{"put " + secret + " " + secret + ".2", "rm " + secret, "rename " + secret + " " + secret + ".2", "mkdir " + secret + ".d", "chmod 777 " + secret, "ln -s " + secret + " " + secret + ".3"} {
			if got := to.Run(t, "echo '"+change+"' | sftp -q -b - h"); got.Exit == 0 {
				t.Errorf("%s: %+v", change, got)
			}
		}
		if files, err := filepath.Glob(dir + "/*"); err != nil || len(files) != 1 || harness.Read(t, secret) != "content\n" {
			t.Errorf("something has changed: %q, %v", files, err)
		}
	})
	t.Run("sftp_in_a_directory", func(t *testing.T) {
		inside := filepath.Join(t.TempDir(), "inside")
		harness.Must(t, exec.Command("mkdir", inside))
		harness.Must(t, exec.Command("ln", "-s", secret, inside+"/absolute"))
		harness.Must(t, exec.Command("ln", "-s", "../../"+filepath.Base(dir)+"/file", inside+"/out"))
		to := at("box", "{restrict: yes, sftp: {directory: "+inside+"}}")
		to.Want(t, "echo mine >up && scp -q up h:/up && scp -q h:up down && cat down && scp -q -s h:/up again && cat again", "mine\nmine\n")
		to.Want(t, "echo -e 'cd /..\npwd\nls -1\nrename up moved\nmkdir /dir\ncd dir\npwd' | sftp -q -b - h | grep -v ^sftp", "Remote working directory: /\nabsolute\nout\nup\nRemote working directory: /dir\n")
		if harness.Read(t, inside+"/moved") != "mine\n" {
			t.Error("what was put is not in the directory")
		}
		for _, path := range []string{secret, "/absolute", "out", "../" + filepath.Base(dir) + "/file", "/../.." + secret} {
			if got := to.Run(t, "scp -q h:"+path+" got"); got.Exit == 0 {
				t.Errorf("%s is read: %+v", path, got)
			}
		}
		if got := to.Run(t, "scp -q -O h:"+secret+" got"); got.Exit == 0 {
			t.Errorf("by a command: %+v", got)
		}
	})
}
