package checks

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/berth-ssh/berth/screen"
)

func entryChecks() []Check {
	return []Check{
		{Name: "login", timeout: 40 * time.Second, run: checkLogin, Gate: true},
		{Name: "nothing but the command's output", timeout: 30 * time.Second, run: checkQuiet, Gate: true},
		{Name: "a directory to write to", timeout: 30 * time.Second, run: checkDirectory},
		{Name: "a second connection, same host", timeout: 30 * time.Second, run: checkSecondConnection},
	}
}

const hello = "berth-selftest"

// checkLogin returns the gateway's own line if the host cannot be entered.
func checkLogin(_ context.Context, v *visit) (string, error) {
	e, err := v.sh("echo "+hello, nil)
	switch {
	case err != nil:
		return "", err
	case e.status == 255 && strings.HasPrefix(e.stderr, "berth: "):
		return "", errors.New(strings.TrimSpace(strings.TrimPrefix(e.stderr, "berth: ")))
	case !strings.Contains(e.stdout, hello):
		return "", failed("a shell that runs a command", e, "does the account's shell in /etc/passwd exist, and is there an sh?")
	}
	return "", nil
}

// checkQuiet finds start-up files that print something. This breaks scp, rsync,
// every IDE and the other checks.
func checkQuiet(_ context.Context, v *visit) (string, error) {
	e, err := v.sh("echo "+hello, nil)
	if err == nil && e.stdout+e.stderr != hello+"\n" {
		err = failed(hello, e, "let the start-up files of the account's shell (.bashrc, .zshenv, ...) print to terminals only")
	}
	return "", err
}

func checkDirectory(_ context.Context, v *visit) (string, error) {
	out, err := v.output(`mktemp -d "${TMPDIR:-/tmp}/berth-selftest-XXXXXX"`)
	if err != nil {
		return "", failed("a new directory in /tmp", err, "may the account write there, and is there space?")
	}
	v.there = strings.TrimSpace(out)
	return v.there, nil
}

// checkSecondConnection reads by a second connection what the first one wrote,
// which VS Code depends on.
func checkSecondConnection(ctx context.Context, v *visit) (string, error) {
	dir, err := v.directory()
	if err != nil {
		return "", err
	}
	if _, err := v.output("echo first >" + screen.Quote(dir+"/second")); err != nil {
		return "", err
	}
	second, err := v.enter(ctx)
	if err != nil {
		return "", err
	}
	out, err := second.output("cat " + screen.Quote(dir+"/second"))
	if err != nil || out != "first\n" {
		return "", errors.Join(failed("the first one's file", screen.Quote(out), "do several containers have this name?"), err)
	}
	return "", nil
}
