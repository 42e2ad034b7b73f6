package machine

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Account is a Unix account as the machine's passwd file tells it.
type Account struct {
	Name, Home, Shell string
}

// CurrentAccount is the account this program runs as. One that is missing
// from passwd goes by its number, has the HOME it was given, and the first
// shell there is.
func CurrentAccount() Account {
	uid := os.Getuid()
	account, found := lookupUID("/etc/passwd", uid)
	if !found {
		account = Account{Name: fmt.Sprint(uid), Home: os.Getenv("HOME")}
	}
	if account.Home == "" {
		account.Home = "/"
	}
	if account.Shell == "" {
		account.Shell = firstShell()
	}
	return account
}

func firstShell() string {
	for _, shell := range []string{"/bin/bash", "/bin/sh"} {
		if _, err := os.Stat(shell); err == nil {
			return shell
		}
	}
	return "/bin/sh"
}

// lookupUID reads passwd(5) itself: os/user does not tell the shell.
func lookupUID(path string, uid int) (Account, bool) {
	file, err := os.Open(path)
	if err != nil {
		return Account{}, false
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		field := strings.Split(lines.Text(), ":")
		if len(field) == 7 && field[2] == strconv.Itoa(uid) {
			return Account{Name: field[0], Home: field[5], Shell: field[6]}, true
		}
	}
	return Account{}, false
}
