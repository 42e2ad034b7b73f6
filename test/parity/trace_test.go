package parity

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// traces are orders that only a client can tell that sees every message
// (testdata/trace.py).
func traces(t *testing.T, to harness.Target) {
	python := harness.Paramiko(t)
	t.Run("a_session_ends_in_order", func(t *testing.T) {
		t.Parallel()
		order := regexp.MustCompile(`^yes data exit-status eof close\n$`)
		if to.Name == "sshd" { // it tells the status when it knows it
			order = regexp.MustCompile(`^yes (data |exit-status |eof )+close\n$`)
		}
		for _, input := range []string{"ended", "open"} {
			got := trace(t, to, python, "end", "INPUT="+input)
			if !order.MatchString(got) || strings.Count(got, "eof") != 1 || strings.Count(got, "exit-status") != 1 {
				t.Errorf("with input %s: %s", input, got)
			}
		}
	})
	t.Run("replies_keep_the_order_of_requests", func(t *testing.T) {
		t.Parallel()
		got := trace(t, to, python, "pipelined")
		output, replies, _ := strings.Cut(got, "\n")
		replies = strings.ReplaceAll(replies, "data ", "") // may come in between
		if output != "early xy" || !strings.HasPrefix(replies, "yes no no yes no no no no no yes no no ") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("forwarded_connection_comes_after_the_reply", func(t *testing.T) {
		t.Parallel()
		var ports []string
		for range harness.Load(10, 200) {
			ports = append(ports, harness.FreePort(t))
		}
		got := trace(t, to, python, "forwarded", "FAR_PORTS="+strings.Join(ports, " "))
		if got != strings.Repeat("yes open yes\n", len(ports)) {
			t.Errorf("got %s", got)
		}
	})
}

func trace(t *testing.T, to harness.Target, python, what string, env ...string) string {
	t.Helper()
	file, err := filepath.Abs("testdata/trace.py")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(to.Address)
	env = append(env, "HOST="+host, "PORT="+port, "LOGIN="+to.Login, "KEY="+to.Key, "PYTHONWARNINGS=ignore")
	got := to.Run(t, "exec "+python+" "+file+" "+what, env...)
	if got.Exit != 0 {
		t.Fatalf("exit %d, stderr %s", got.Exit, harness.Brief(got.Stderr))
	}
	return got.Stdout
}
