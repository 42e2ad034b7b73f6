package helper

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/berth-ssh/berth/machine"
)

// becomeAsked reads an account's name from the first line of standard input and
// changes this process to that account. An empty line changes nothing. The rest of
// the input is not read.
//
// It is for engines whose exec cannot choose an account. Root may change to every
// account of the container; any other account can only stay itself.
func becomeAsked(in io.Reader) error {
	name, err := readLine(in)
	if err != nil {
		return fmt.Errorf("no account on standard input: %w", err)
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); IsForEntrypoint(name) {
			os.Unsetenv(name)
		}
	}
	if name == "" {
		return nil
	}
	return become(name)
}

// maxName is longer than the name of any account.
const maxName = 256

// readLine reads one line, and no byte after it.
func readLine(in io.Reader) (string, error) {
	var line []byte
	for b := make([]byte, 1); len(line) < maxName; {
		if _, err := io.ReadFull(in, b); err != nil {
			return "", err
		}
		if b[0] == '\n' {
			return string(line), nil
		}
		line = append(line, b[0])
	}
	return "", errors.New("a line too long")
}

// OnlyItself is how the error of a helper begins that may not change to another
// account.
const OnlyItself = "is only entered"

func become(name string) error {
	to, err := machine.FindAccount(name)
	if err != nil {
		return err
	}
	now := os.Getuid()
	if now == to.UID {
		return nil
	}
	if now != 0 {
		return fmt.Errorf("%s as %s: an exec in it chooses no account, and only root could become %s", OnlyItself, machine.CurrentAccount().Name, name)
	}
	groups := to.Groups
	if given, err := syscall.Getgroups(); err == nil {
		groups = append(groups, withoutThoseOfRoot(given)...)
	}
	slices.Sort(groups)
	groups = slices.Compact(groups)
	if err := errors.Join(syscall.Setgroups(groups), syscall.Setgid(to.GID), syscall.Setuid(to.UID)); err != nil {
		return fmt.Errorf("cannot become %s: %w", name, err)
	}
	return os.Setenv("HOME", to.Home)
}

// withoutThoseOfRoot returns the groups without those that root has. What is left was
// given to the container as a whole, such as the group that may write to its volumes.
func withoutThoseOfRoot(groups []int) []int {
	root, err := machine.FindAccount("0")
	if err != nil {
		root.Groups = []int{0}
	}
	return slices.DeleteFunc(groups, func(group int) bool { return slices.Contains(root.Groups, group) })
}

// IsForEntrypoint reports whether a container's environment variable is meant for its
// entrypoint only: a password of another account, or a variable that provision set.
func IsForEntrypoint(name string) bool {
	return strings.Contains(name, "PASSWORD") || strings.HasPrefix(name, "BERTH_")
}
