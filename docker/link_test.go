package docker

import (
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// An address never becomes an option of ssh, nor more than a path of what it forwards.
func TestAttackByAnAddress(t *testing.T) {
	for _, address := range []string{
		"ssh://-oProxyCommand=id", "ssh://-l@a100", "ssh://", "ssh://dev:secret@a100", "ssh://a100?x", "ssh://a100#x",
		"ssh://a100/run/a:/etc/shadow", "ssh://a100/run/$HOME/s", "ssh://a100/run/%%h", "ssh://a100:port",
	} {
		if engine, err := Connect(Address{URL: address}); err == nil {
			t.Errorf("%s is taken", address)
			engine.Close()
		}
	}
}

// What ssh says is what a person is told, in one line.
func TestABoxThatSSHDoesNotReach(t *testing.T) {
	for name, c := range map[string]struct{ script, want string }{
		"refused": {"echo 'Warning: something' >&2\nprintf 'dev@a100: Permission denied (publickey).\\r\\n' >&2\nexit 255", "ssh dev@a100: dev@a100: Permission denied (publickey)."},
		"silent":  {"exit 255", "ssh dev@a100: its connection has ended"},
		"attack":  {"printf '\\033[2Jno\\n' >&2\nexit 255", "ssh dev@a100: ?[2Jno"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/sh\n"+c.script+"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
			t.Setenv("TMPDIR", t.TempDir())
			_, err := Dial(t.Context(), Address{URL: "ssh://dev@a100:2022"})
			_, ok := errors.AsType[*LinkError](err)
			if !ok || err.Error() != c.want {
				t.Errorf("%v, want %s", err, c.want)
			}
			if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
	t.Setenv("PATH", "")
	if _, err := Dial(t.Context(), Address{URL: "ssh://a100"}); err == nil || !strings.Contains(err.Error(), "there is no ssh command here") {
		t.Errorf("without ssh: %v", err)
	}
}

// What forwards has a name only until it is used: a program that ends at once, as soon as it
// has its answer, leaves nothing behind.
func TestATunnelLeavesNothingBehind(t *testing.T) {
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "ssh"), []byte("#!/bin/sh\n: >\"$1\"\necho up\nexec sleep 1000\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	for range 50 {
		dir := filepath.Join(t.TempDir(), "berth")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		tunnel, err := startTunnel(dir, filepath.Join(dir, "s"), []string{filepath.Join(dir, "s")})
		if err != nil {
			t.Fatal(err)
		}
		<-tunnel.up
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("left behind: %v", err)
		}
		tunnel.end()
	}
}

// An engine that is there and refuses is not said to be away: provision, init and check show
// whose fault it is.
func TestAnEngineThatRefusesIsNotSaidToBeAway(t *testing.T) {
	forbidding := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not for you\x1b[2J", http.StatusForbidden)
	}))
	t.Cleanup(forbidding.Close)
	untrusted := httptest.NewTLSServer(forbidding.Config.Handler)
	untrusted.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(untrusted.Close)
	certificates := harness.MakeCertificates(t)
	for address, want := range map[Address]string{
		{URL: "tcp://" + forbidding.Listener.Addr().String()}:                   "or a proxy before it, refuses: Error response from daemon: not for you?[2J",
		{URL: "tcp://" + untrusted.Listener.Addr().String(), TLS: certificates}: "is there, and a certificate is not accepted: ",
		{URL: "unix://" + filepath.Join(t.TempDir(), "none")}:                   "no Docker engine answers at unix://",
	} {
		if _, err := Dial(t.Context(), address); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %q", address.URL, err, want)
		}
	}
}
