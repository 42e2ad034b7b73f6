package session

import (
	"strings"
	"testing"
)

// The environment is a way to run code as somebody else: LD_PRELOAD and its
// kin never get through.
func TestTheClientsEnvironmentIsAnAllowList(t *testing.T) {
	for name, want := range map[string]bool{
		"LANG": true, "LC_ALL": true, "LC_CTYPE": true, "COLORTERM": true, "GIT_PROTOCOL": true,
		"LD_PRELOAD": false, "LD_LIBRARY_PATH": false, "BASH_ENV": false, "ENV": false, "PATH": false, "IFS": false,
		"PYTHONSTARTUP": false, "NODE_OPTIONS": false, "GLIBC_TUNABLES": false, "SSH_AUTH_SOCK": false, "HOME": false,
		"": false, "LC_A=B": false, "LC_A\x00": false, "LC_A\n": false, "LC_é": false, "lang": false,
		"LC_" + strings.Repeat("A", maxEnvName): false,
	} {
		if got := acceptEnv(name, "value"); got != want {
			t.Errorf("acceptEnv(%q) is %v", name, got)
		}
	}
	for _, value := range []string{"a\nb", "a\x00b", strings.Repeat("x", maxEnvValue+1)} {
		if acceptEnv("LANG", value) {
			t.Errorf("a value of %d bytes, %.10q, was accepted", len(value), value)
		}
	}
}

func TestTermIsNoPath(t *testing.T) {
	for term, want := range map[string]bool{
		"xterm-256color": true, "screen.xterm": true, "": true,
		"../../etc/passwd": false, "a b": false, "x\x1b": false, strings.Repeat("x", maxTerm+1): false,
	} {
		if validTerm(term) != want {
			t.Errorf("validTerm(%q) is %v", term, !want)
		}
	}
}
