package machine

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// The rc files that may be run before a session's shell or command; the first one
// that exists is used (sshd(8), SSHRC). The account's path is relative to its home.
const (
	accountsRC = ".ssh/rc"
	machinesRC = "/etc/ssh/sshrc"
)

// afterRC returns a command that first runs the account's or the machine's rc, if
// there is one, and then becomes argv. The process stays the same, so that signals
// reach both.
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

// RunRC runs the rc in the working directory, or else the machine's, and then
// replaces this process by the program. It returns only if that fails. The exit
// status of the rc is ignored. Its input is empty: unlike sshd's rc it need not store
// a display's authority.
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
