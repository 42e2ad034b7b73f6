package sshconn

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// The attack: a name or value that two programs read differently. sshd ends the name
// BERTH_USER\0 at its NUL, and would take its value for the gateway's.
func TestWhatIsReadInTwoWaysIsNoEnvironment(t *testing.T) {
	for _, name := range []string{
		"", "BERTH_USER", "BERTH_USER\x00", "BERTH_USER\x00x", "BERTH_", "BERTH_USER ", "\x00BERTH_USER", "BERTH_USER=bob\x00",
		"LC_A=B", "LC_A\x00", "LC_A\n", "LC_é", "LC_/../x", "LC_.", " LANG", strings.Repeat("A", maxEnvName+1),
	} {
		if env, ok := AcceptEnv(ssh.Marshal(EnvRequest{name, "value"})); ok {
			t.Errorf("name %q is accepted as %+v", name, env)
		}
	}
	for _, value := range []string{"a\nb", "a\x00b", "\n", strings.Repeat("x", maxEnvValue+1)} {
		if _, ok := AcceptEnv(ssh.Marshal(EnvRequest{"LANG", value})); ok {
			t.Errorf("a value of %d bytes, %.10q, is accepted", len(value), value)
		}
	}
	whole := ssh.Marshal(EnvRequest{"LANG", "C"})
	for _, payload := range [][]byte{nil, whole[:len(whole)-1], append(whole[:len(whole):len(whole)], 'x')} {
		if _, ok := AcceptEnv(payload); ok {
			t.Errorf("%q is accepted", payload)
		}
	}
	for _, want := range []EnvRequest{{"LANG", "C"}, {"LC_ALL", ""}, {"EDITOR", "vi -e '$x' ü"}, {"_A9", "x"}} {
		if got, ok := AcceptEnv(ssh.Marshal(want)); !ok || got != want {
			t.Errorf("%+v is read as %+v, %v", want, got, ok)
		}
	}
}

// The attack: a variable that makes a program run other code, such as LD_PRELOAD.
func TestTheClientsEnvironmentIsAnAllowList(t *testing.T) {
	for name, want := range map[string]bool{
		"LANG": true, "LC_ALL": true, "LC_CTYPE": true, "COLORTERM": true, "GIT_PROTOCOL": true,
		"LD_PRELOAD": false, "LD_LIBRARY_PATH": false, "BASH_ENV": false, "ENV": false, "PATH": false, "IFS": false,
		"PYTHONSTARTUP": false, "NODE_OPTIONS": false, "GLIBC_TUNABLES": false, "SSH_AUTH_SOCK": false, "HOME": false,
		"lang": false,
	} {
		if got := IsListedEnv(name); got != want {
			t.Errorf("IsListedEnv(%q) is %v", name, got)
		}
	}
}
