package machine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
)

// Account is a Unix account as in the machine's passwd file.
type Account struct {
	Name, Home, Shell string
}

// CurrentAccount returns the account that runs this program. If passwd does not have
// it, its name is its number, its home is $HOME, and its shell is the first one that
// exists.
func CurrentAccount() Account { return accountOf("/etc/passwd", os.Getuid()) }

func accountOf(passwd string, uid int) Account {
	account, found := lookupUID(passwd, uid)
	if !found {
		account = Account{Name: fmt.Sprint(uid), Home: os.Getenv("HOME"), Shell: firstShell()}
	}
	if account.Home == "" {
		account.Home = "/"
	}
	if account.Shell == "" { // passwd(5)
		account.Shell = bourneShell
	}
	return account
}

const bourneShell = "/bin/sh"

func firstShell() string {
	for _, shell := range []string{"/bin/bash", bourneShell} {
		if _, err := os.Stat(shell); err == nil {
			return shell
		}
	}
	return bourneShell
}

// lookupUID reads passwd(5) itself, since os/user does not return the shell.
func lookupUID(path string, uid int) (Account, bool) {
	field, found := findLine(path, 7, func(field []string) bool { return field[2] == strconv.Itoa(uid) })
	if !found {
		return Account{}, false
	}
	return Account{Name: field[0], Home: field[5], Shell: field[6]}, true
}

// findLine returns the first line, of a file such as passwd(5), that has this many
// fields and for which isIt is true.
func findLine(path string, fields int, isIt func(field []string) bool) ([]string, bool) {
	file, err := os.Open(path)
	if err != nil {
		return nil, false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		field := strings.Split(lines.Text(), ":")
		if len(field) == fields && isIt(field) {
			return field, true
		}
	}
	return nil, false
}

// Identity is an account as the kernel knows it.
type Identity struct {
	UID, GID int
	Groups   []int // all of its groups
	Home     string
}

// FindAccount finds an account of this machine by its name or number. The error's
// text is for people.
func FindAccount(nameOrUID string) (Identity, error) {
	return findAccount("/etc/passwd", "/etc/group", nameOrUID)
}

func findAccount(passwd, group, nameOrUID string) (Identity, error) {
	field, found := findLine(passwd, 7, func(field []string) bool { return field[0] == nameOrUID })
	if !found {
		field, found = findLine(passwd, 7, func(field []string) bool { return field[2] == nameOrUID })
	}
	if !found {
		return Identity{}, fmt.Errorf("%w %s", ErrNoAccount, nameOrUID)
	}
	uid, err := strconv.ParseUint(field[2], 10, 31)
	gid, err2 := strconv.ParseUint(field[3], 10, 31)
	if errors.Join(err, err2) != nil {
		return Identity{}, fmt.Errorf("its passwd says nothing sensible of %s", nameOrUID)
	}
	id := Identity{UID: int(uid), GID: int(gid), Groups: []int{int(gid)}, Home: field[5]}
	findLine(group, 4, func(line []string) bool {
		if number, err := strconv.ParseUint(line[2], 10, 31); err == nil && slices.Contains(strings.Split(line[3], ","), field[0]) {
			id.Groups = append(id.Groups, int(number))
		}
		return false
	})
	return id, nil
}

// ErrNoAccount is FindAccount's error for an account that does not exist.
var ErrNoAccount = errors.New("has no account")
