package checks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/screen"
)

// visit is a connection to the host. It ends with the context it was made with.
type visit struct {
	*Run
	client    *ssh.Client
	exchanges atomic.Int32 // of keys
}

func (r *Run) enter(ctx context.Context) (*visit, error) {
	return r.enterWith(ctx, ssh.Config{})
}

func (r *Run) enterWith(ctx context.Context, config ssh.Config) (*visit, error) {
	key, err := ssh.NewSignerFromKey(r.target.Key)
	if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	raw, err := dialer.DialContext(ctx, "tcp", r.target.Address)
	if err != nil {
		return nil, err
	}
	context.AfterFunc(ctx, func() { raw.Close() })
	v := &visit{Run: r}
	conn, channels, requests, err := ssh.NewClientConn(raw, r.target.Address, &ssh.ClientConfig{
		Config:          config,
		User:            r.target.User,
		Auth:            []ssh.AuthMethod{ssh.PublicKeys(key)},
		HostKeyCallback: v.checkHostKey,
	})
	if err != nil {
		return nil, fmt.Errorf("no login: %w", err)
	}
	v.client = ssh.NewClient(conn, channels, requests)
	return v, nil
}

// checkHostKey is called in each exchange of keys.
func (v *visit) checkHostKey(address string, remote net.Addr, key ssh.PublicKey) error {
	v.exchanges.Add(1)
	return ssh.FixedHostKey(v.target.HostKey)(address, remote, key)
}

// directory is where a check may write in the host.
func (v *visit) directory() (string, error) {
	if v.there == "" {
		return "", Skipped("there is no directory to write to")
	}
	return v.there, nil
}

// ended is how a command in the host ended.
type ended struct {
	stdout, stderr string
	status         int
	signal         string // that it died of
}

func (e ended) String() string {
	text := fmt.Sprintf("exit status %d", e.status)
	if e.signal != "" {
		text = "death by SIG" + e.signal
	}
	if e.stdout != "" {
		text += fmt.Sprintf(", %q", oneLine(e.stdout))
	}
	if e.stderr != "" {
		text += fmt.Sprintf(" and on stderr %q", oneLine(e.stderr))
	}
	return text
}

// sh runs a script in the host and waits for its end.
func (v *visit) sh(script string, input io.Reader) (ended, error) {
	session, err := v.client.NewSession()
	if err != nil {
		return ended{}, err
	}
	defer session.Close()
	var stdout, stderr bytes.Buffer
	session.Stdin, session.Stdout, session.Stderr = input, &stdout, &stderr
	return endOf(session.Run(inShell(script)), &stdout, &stderr)
}

// output is what a script prints that must succeed.
func (v *visit) output(script string) (string, error) {
	e, err := v.sh(script, nil)
	if err != nil {
		return "", err
	}
	if e.status != 0 || e.signal != "" {
		return "", errors.New(e.String())
	}
	return e.stdout, nil
}

// has says whether the image has a program.
func (v *visit) has(program string) bool {
	e, err := v.sh("command -v "+program, nil)
	return err == nil && e.status == 0
}

// inShell returns a command line that has the same meaning in every account's
// shell. The shell replaces itself by the sh that runs the script.
func inShell(script string) string { return "exec sh -c " + screen.Quote(script) }

// endOf reads how a session ended from what waiting for it returned.
func endOf(err error, stdout, stderr fmt.Stringer) (ended, error) {
	e := ended{stdout: stdout.String(), stderr: stderr.String()}
	if exit, ok := errors.AsType[*ssh.ExitError](err); ok {
		e.status, e.signal = exit.ExitStatus(), exit.Signal()
		return e, nil
	}
	return e, err
}
