package session

import (
	"strings"
	"testing"
)

func TestTermIsNoPath(t *testing.T) {
	for said, want := range map[string]string{
		"xterm-256color": "xterm-256color", "screen.xterm": "screen.xterm", "": "",
		"../../etc/passwd": "dumb", "a b": "dumb", "x\x1b": "dumb", strings.Repeat("x", maxTerm+1): "dumb",
	} {
		if got := termOf(said); got != want {
			t.Errorf("termOf(%q) is %q", said, got)
		}
	}
}
