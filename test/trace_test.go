package test

import (
	"net"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// traces are orders that only a client can tell that sees every message
// (testdata/trace.py).
func (to target) traces(t *testing.T) {
	python := paramiko(t)
	t.Run("a_session_ends_in_order", func(t *testing.T) {
		t.Parallel()
		order := regexp.MustCompile(`^yes data exit-status eof close\n$`)
		if to.name == "sshd" { // it tells the status when it knows it
			order = regexp.MustCompile(`^yes (data |exit-status |eof )+close\n$`)
		}
		for _, input := range []string{"ended", "open"} {
			got := to.trace(t, python, "end", "INPUT="+input)
			if !order.MatchString(got) || strings.Count(got, "eof") != 1 || strings.Count(got, "exit-status") != 1 {
				t.Errorf("with input %s: %s", input, got)
			}
		}
	})
	t.Run("replies_keep_the_order_of_requests", func(t *testing.T) {
		t.Parallel()
		got := to.trace(t, python, "pipelined")
		output, replies, _ := strings.Cut(got, "\n")
		if output != "early xy" || !strings.HasPrefix(replies, "yes no no yes no no no no no yes no no ") {
			t.Errorf("got %s", got)
		}
	})
	t.Run("forwarded_connection_comes_after_the_reply", func(t *testing.T) {
		t.Parallel()
		got := to.trace(t, python, "forwarded", "FAR_PORT="+freePort(t))
		if got != strings.Repeat("yes open yes\n", 10) {
			t.Errorf("got %s", got)
		}
	})
}

func (to target) trace(t *testing.T, python, what string, env ...string) string {
	t.Helper()
	file, err := filepath.Abs("testdata/trace.py")
	if err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(to.address)
	env = append(env, "HOST="+host, "PORT="+port, "LOGIN="+to.login, "KEY="+to.key, "PYTHONWARNINGS=ignore")
	got := to.run(t, "exec "+python+" "+file+" "+what, env...)
	if got.exit != 0 {
		t.Fatalf("exit %d, stderr %s", got.exit, brief(got.stderr))
	}
	return got.stdout
}
