package checks

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/screen"
)

func sessionChecks() []Check {
	return []Check{
		{Name: "shell with a terminal", timeout: 30 * time.Second, run: checkShell},
		{Name: "terminal changes its size", timeout: 30 * time.Second, run: checkResize},
		{Name: "exit codes 0, 7, 255", timeout: 30 * time.Second, run: checkExitCodes},
		{Name: "signals", timeout: 30 * time.Second, run: checkSignals},
		{Name: "stderr apart from stdout, whole", timeout: 30 * time.Second, run: checkStderr},
		{Name: "output after the end of input", timeout: 30 * time.Second, run: checkHalfClose},
		{Name: "environment", timeout: 30 * time.Second, run: checkEnvironment},
		{Name: "60 sessions on one connection", timeout: 2 * time.Minute, run: checkSessions},
		{Name: "background process outlives it", timeout: 30 * time.Second, run: checkBackground},
	}
}

func terminal(session *ssh.Session) error {
	if err := session.RequestPty("xterm-256color", 24, 80, ssh.TerminalModes{}); err != nil {
		return failed("a terminal", err, "is /dev/pts mounted in the host?")
	}
	return nil
}

// checkShell types into the account's shell. The sum tells the shell's answer
// from the terminal's echo.
func checkShell(_ context.Context, v *visit) (string, error) {
	session, err := v.client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if err := terminal(session); err != nil {
		return "", err
	}
	var screen, none bytes.Buffer
	session.Stdout = &screen
	in, err := session.StdinPipe()
	if err != nil {
		return "", err
	}
	if err := session.Shell(); err != nil {
		return "", failed("a shell", err, "does the account's shell in /etc/passwd exist?")
	}
	io.WriteString(in, inShell(`echo sum$((40+2)) && tty && test -t 2 && exit 7`)+"\r")
	e, err := endOf(session.Wait(), &screen, &none)
	if err != nil || e.status != 7 || !strings.Contains(e.stdout, "sum42") || !strings.Contains(e.stdout, "/dev/") {
		return "", errors.Join(failed("a shell that reads what is typed", e, "do its start-up files ask something?"), err)
	}
	return "", nil
}

// checkResize reads the size again and again, as window-change and input have no
// order. It keeps the input open: after its end, sshd ignores window-change.
func checkResize(_ context.Context, v *visit) (string, error) {
	session, err := v.client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if err := terminal(session); err != nil {
		return "", err
	}
	if _, err := session.StdinPipe(); err != nil {
		return "", err
	}
	out, err := session.StdoutPipe()
	if err != nil {
		return "", err
	}
	const script = `stty size && until [ "$(stty size)" = "50 132" ]; do sleep 0.1 2>/dev/null || sleep 1; done && echo resized`
	if err := session.Start(inShell(script)); err != nil {
		return "", err
	}
	lines := bufio.NewReader(out)
	first, err := lines.ReadString('\n')
	if err != nil || strings.TrimSpace(first) != "24 80" {
		if !v.has("stty") {
			return "", failed("stty in the image", "none", "on Debian and Ubuntu: apt-get install coreutils")
		}
		return "", errors.Join(failed("24 80", screen.Quote(oneLine(first)), ""), err)
	}
	if err := session.WindowChange(50, 132); err != nil {
		return "", err
	}
	if line, err := lines.ReadString('\n'); err != nil || strings.TrimSpace(line) != "resized" {
		return "", errors.Join(failed("50 132", screen.Quote(oneLine(line)), ""), err)
	}
	return "", session.Wait()
}

func checkExitCodes(_ context.Context, v *visit) (string, error) {
	for _, status := range []int{0, 7, 255} {
		e, err := v.sh(fmt.Sprintf("exit %d", status), nil)
		if err != nil {
			return "", err
		}
		if e.status != status || e.signal != "" {
			return "", failed(fmt.Sprintf("exit status %d", status), e, "")
		}
	}
	return "", nil
}

// checkSignals has a process die by its own signal, and then one by the
// client's.
func checkSignals(_ context.Context, v *visit) (string, error) {
	e, err := v.sh("kill -TERM $$", nil)
	if err != nil {
		return "", err
	}
	if e.signal != "TERM" {
		return "", failed("death by SIGTERM", e, "")
	}
	session, err := v.client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if _, err := startAndRead(session, "echo ready; exec sleep 60"); err != nil {
		return "", err
	}
	ok, err := session.SendRequest("signal", true, ssh.Marshal(struct{ Name string }{"TERM"}))
	if err != nil {
		return "", err
	}
	if !ok && v.target.Route == labels.RouteSshd {
		return "", Skipped("this sshd passes no signals on: none does to root, nor before OpenSSH 7.9")
	}
	var none bytes.Buffer
	if e, err = endOf(session.Wait(), &none, &none); err == nil && e.signal != "TERM" {
		err = failed("death by the client's SIGTERM", e, "")
	}
	return "", err
}

func checkStderr(_ context.Context, v *visit) (string, error) {
	const size = 3 << 20
	e, err := v.sh(fmt.Sprintf("head -c %d /dev/zero >&2; echo out; exit 3", size), nil)
	if err != nil {
		return "", err
	}
	if len(e.stderr) != size || e.stdout != "out\n" || e.status != 3 {
		got := fmt.Sprintf("%d bytes, %q and exit status %d", len(e.stderr), oneLine(e.stdout), e.status)
		return "", failed(fmt.Sprintf("%d bytes on stderr, \"out\" and exit status 3", size), got, "")
	}
	return "", nil
}

func checkHalfClose(_ context.Context, v *visit) (string, error) {
	sent := strings.Repeat("berth\n", 100_000)
	e, err := v.sh("cat; sleep 0.2 2>/dev/null || sleep 1; echo end; exit 5", strings.NewReader(sent))
	if err != nil {
		return "", err
	}
	if e.stdout != sent+"end\n" || e.status != 5 {
		got := fmt.Sprintf("%d bytes and exit status %d", len(e.stdout), e.status)
		return "", failed(fmt.Sprintf("%d bytes and exit status 5", len(sent)+len("end\n")), got, "")
	}
	return "", nil
}

// environmentScript prints what the client set, and the directories of the
// container's own PATH that are not in this one. Only some accounts may read
// the environment of the container's first process.
const environmentScript = `echo "$LC_BERTH/$LD_PRELOAD"
tr '\0' '\n' 2>/dev/null </proc/1/environ | sed -n 's/^PATH=//p' | tr : '\n' | while read -r dir; do
	case ":$PATH:" in *":$dir:"*) ;; *) echo "$dir" ;; esac
done`

func checkEnvironment(_ context.Context, v *visit) (string, error) {
	session, err := v.client.NewSession()
	if err != nil {
		return "", err
	}
	defer session.Close()
	if errors.Join(session.Setenv("LANG", "C.UTF-8"), session.Setenv("LC_BERTH", "set")) != nil {
		return "", failed("LANG and LC_* to be accepted", "a refusal", "in its sshd_config: AcceptEnv LANG LC_*")
	}
	session.Setenv("LD_PRELOAD", "/nowhere/berth.so") // to be refused
	out, err := session.Output(inShell(environmentScript))
	if err != nil {
		return "", err
	}
	variables, missing, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	switch {
	case strings.Contains(variables, "/nowhere"):
		return "", failed("LD_PRELOAD to be refused", "a process that has it", "in its sshd_config: AcceptEnv LANG LC_* alone")
	case !strings.HasPrefix(variables, "set/"):
		return "", failed("LC_BERTH=set", screen.Quote(variables), "in its sshd_config: AcceptEnv LANG LC_*")
	case missing != "" && v.target.InContainer:
		return "", failed("the image's PATH", "one without "+oneLine(missing), "do the account's start-up files set another?")
	}
	return "", nil
}

// checkSessions has them all open at once before the first one ends.
func checkSessions(_ context.Context, v *visit) (string, error) {
	const count = 60
	var inputs [count]io.Writer
	var sessions [count]*ssh.Session
	for i := range count {
		session, err := v.client.NewSession()
		if err != nil {
			return "", failed(fmt.Sprintf("%d sessions", count), fmt.Sprintf("%d, then: %v", i, err), "an sshd needs MaxSessions 100 in its sshd_config")
		}
		defer session.Close()
		sessions[i] = session
		if inputs[i], err = session.StdinPipe(); err != nil {
			return "", err
		}
		if err := session.Start(inShell(fmt.Sprintf("read line; exit %d", i))); err != nil {
			return "", err
		}
	}
	for _, in := range inputs {
		io.WriteString(in, "end\n")
	}
	var none bytes.Buffer
	for i, session := range sessions {
		e, err := endOf(session.Wait(), &none, &none)
		if err != nil || e.status != i {
			return "", errors.Join(failed(fmt.Sprintf("exit status %d", i), e, ""), err)
		}
	}
	return "", nil
}

// checkBackground leaves a process behind, as VS Code leaves its server. The
// container may have no init that reaps zombies, so a zombie counts as dead.
func checkBackground(ctx context.Context, v *visit) (string, error) {
	pid, err := v.output(`trap '' HUP; sleep 60 </dev/null >/dev/null 2>&1 & echo $!`)
	if err != nil {
		return "", err
	}
	pid = strings.TrimSpace(pid)
	v.client.Close()
	v.client.Wait()
	second, err := v.enter(ctx)
	if err != nil {
		return "", err
	}
	state, err := second.output("sleep 0.5 2>/dev/null || sleep 1; sed -n 's/^State:[^A-Z]*//p' /proc/" + pid + "/status; kill " + pid)
	if err != nil || !strings.HasPrefix(state, "S") {
		return "", failed("a process that lives on", cmp.Or(oneLine(state), "one that is gone"), "an IDE would lose its server with every connection")
	}
	return "", nil
}
