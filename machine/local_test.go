package machine

import (
	"io"
	"strings"
	"testing"
)

// output is what a command of this machine says.
func output(t *testing.T, l *Local, command Command) (stdout, stderr string) {
	t.Helper()
	process, err := l.Start(command)
	if err != nil {
		t.Fatal(err)
	}
	defer process.Close()
	process.Stdin.Close()
	out, _ := io.ReadAll(process.Stdout) // a terminal ends with an error
	if process.Stderr != nil {
		said, err := io.ReadAll(process.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		stderr = string(said)
	}
	<-process.Exit
	return string(out), stderr
}

func TestAHomeThatCannotBeEntered(t *testing.T) {
	for home, why := range map[string]string{"/nonesuch": "No such file or directory", "/bin/sh": "Not a directory"} {
		l := &Local{Account: func() Account { return Account{Name: "dev", Home: home, Shell: "/bin/sh"} }}
		stdout, stderr := output(t, l, Command{Kind: Exec, Line: "pwd"})
		if want := "Could not chdir to home directory " + home + ": " + why + "\n"; stdout != "/\n" || stderr != want { // sshd's words
			t.Errorf("%s: stdout %q, stderr %q", home, stdout, stderr)
		}
	}
}

// Of a variable that is there twice, some programs take the first, and some the last.
func TestTermIsTheClients(t *testing.T) {
	l := &Local{Account: func() Account { return Account{Name: "dev", Home: "/", Shell: "/bin/sh"} }, Env: []string{"TERM=images", "SSH_TTY=images"}}
	for said, want := range map[string]string{"clients": "clients", "": "images"} {
		stdout, _ := output(t, l, Command{Kind: Exec, Line: `tr '\0' '\n' </proc/$$/environ | grep ^TERM=`, Pty: &Pty{Term: said}})
		if strings.TrimSpace(stdout) != "TERM="+want {
			t.Errorf("a client with TERM %q: %q", said, stdout)
		}
	}
}
