package reload

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/hosts"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// files are a configuration whose one user has a key, and a gateway that was
// started with it.
type files struct {
	path     string
	key      ssh.PublicKey
	policies *auth.Policies
	given    []hosts.Entry // to the hosts
	*Reloader
}

func newFiles(t *testing.T) *files {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	f := &files{path: filepath.Join(t.TempDir(), "gateway.yaml")}
	if f.key, err = ssh.NewPublicKey(public); err != nil {
		t.Fatal(err)
	}
	f.write(t, "hosts: {lab: }", "")
	started, err := config.Load(f.path)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	f.policies = auth.NewPolicies(started.Policy)
	replace := func(next *auth.Policy, _ string) int {
		f.policies.Replace(next)
		return 0
	}
	f.Reloader = New(f.path, started, replace, func(next config.Config) { f.given = next.Hosts }, log)
	return f
}

func (f *files) write(t *testing.T, grants, more string) {
	t.Helper()
	key := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(f.key)))
	text := fmt.Sprintf("users:\n  dev: {keys: [%s], %s}\n%s\n", key, grants, more)
	if err := os.WriteFile(f.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// enters is the host that dev enters by the policy in force.
func (f *files) enters(t *testing.T) string {
	t.Helper()
	policy := f.policies.Current()
	who, err := policy.PublicKey("dev", f.key, netip.Addr{})
	if err != nil {
		return err.Error()
	}
	host, err := policy.Host(who, nil)
	if err != nil {
		return err.Error()
	}
	return host
}

func TestAReloadTakesAllOrNothing(t *testing.T) {
	f := newFiles(t)
	f.write(t, "hosts: {other: }", "hosts: {box: {route: local}}\nlisten: :22")
	report, err := f.Reload("test")
	if err != nil || report.Users != 1 || strings.Join(report.NeedsRestart, " ") != "listen" {
		t.Errorf("%+v, %v", report, err)
	}
	if f.enters(t) != "other" || len(f.given) != 1 {
		t.Errorf("dev enters %s, and the hosts are %v", f.enters(t), f.given)
	}
	f.write(t, "hosts: {third: }", "hosts: {box: {route: nowhere}}")
	if _, err := f.Reload("test"); err == nil || !strings.Contains(err.Error(), "gateway.yaml:3: unknown route") {
		t.Errorf("what is wrong: %v", err)
	}
	if f.enters(t) != "other" || len(f.given) != 1 {
		t.Errorf("what is wrong was taken: dev enters %s, and the hosts are %v", f.enters(t), f.given)
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Reload("test"); err == nil || f.enters(t) != "other" {
		t.Errorf("a file that is gone: %v, and dev enters %s", err, f.enters(t))
	}
}

// A key that changes back needs no restart any more.
func TestARestartIsNeededForWhatDiffersFromTheStart(t *testing.T) {
	f := newFiles(t)
	for more, want := range map[string]int{"keepalive: 1m": 1, "": 0} {
		f.write(t, "hosts: {lab: }", more)
		if report, err := f.Reload("test"); err != nil || len(report.NeedsRestart) != want {
			t.Errorf("%q: %+v, %v", more, report, err)
		}
	}
}

func TestASignalReloads(t *testing.T) {
	f := newFiles(t)
	ctx, cancel := context.WithCancel(t.Context())
	signals, ended := make(chan os.Signal, 1), make(chan struct{})
	go func() {
		defer close(ended)
		f.Run(ctx, signals)
	}()
	f.write(t, "hosts: {other: }", "")
	signals <- syscall.SIGHUP
	for deadline := time.Now().Add(10 * time.Second); f.enters(t) != "other"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
	cancel()
	<-ended
}

// A file that others may write is not taken, whatever is in it.
func TestAFileThatOthersMayWriteIsNotTaken(t *testing.T) {
	f := newFiles(t)
	f.write(t, "hosts: {other: }", "")
	if err := os.Chmod(f.path, fs.FileMode(0o666)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Reload("test"); err == nil || f.enters(t) != "lab" {
		t.Errorf("%v, and dev enters %s", err, f.enters(t))
	}
}
