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

// becomeAsked makes this process an account's, which a line of standard input names;
// an empty one leaves it what it is. It is for engines whose exec chooses no account:
// root may become any that the container has, and everybody else is only itself.
//
// The rest of the input is not read.
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

// maxName is more than the name of an account takes.
const maxName = 256

// readLine reads a line and nothing behind it.
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

// OnlyItself begins what a helper says that may not become another account.
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

// withoutThoseOfRoot leaves the groups that were given to the container as a whole, such
// as the one that may write to its volumes.
func withoutThoseOfRoot(groups []int) []int {
	root, err := machine.FindAccount("0")
	if err != nil {
		root.Groups = []int{0}
	}
	return slices.DeleteFunc(groups, func(group int) bool { return slices.Contains(root.Groups, group) })
}

// IsForEntrypoint reports whether a variable of a container was meant for its entrypoint
// alone: a password of another account, or what provision set.
func IsForEntrypoint(name string) bool {
	return strings.Contains(name, "PASSWORD") || strings.HasPrefix(name, "BERTH_")
}
