package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// What is run before a session's shell or command, of which the first that is there
// counts (sshd(8), SSHRC). The account's is named from its home.
const (
	accountsRC = ".ssh/rc"
	machinesRC = "/etc/ssh/sshrc"
)

// afterRC is a program that first runs the account's or the machine's rc, if there is one.
// It stays the same process, so that signals reach both.
func (l *Local) afterRC(account Account, path string, argv []string) (string, []string) {
	if !isFile(filepath.Join(account.Home, accountsRC)) && !isFile(machinesRC) || unix.Access(path, unix.X_OK) != nil {
		return path, argv
	}
	before := append(append([]string{}, l.RC...), path)
	return before[0], append(before, argv...)
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// RunRC runs the rc of the working directory, or else the machine's, and then becomes the
// program. It returns only if that cannot be. How the rc ends changes nothing. It has
// nothing to read: it need not bring a display's authority anywhere, which sshd tells it.
func RunRC(path string, argv []string) error {
	rc := exec.Command("/bin/sh", machinesRC)
	if isFile(accountsRC) {
		rc = exec.Command(os.Getenv("SHELL"), "-c", "/bin/sh "+accountsRC)
	}
	rc.Stdout, rc.Stderr = os.Stdout, os.Stderr
	if err := rc.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "Could not run", rc, err)
	} else {
		rc.Wait()
	}
	return fmt.Errorf("%s: %w", path, unix.Exec(path, argv, os.Environ()))
}
