package session

import (
	"strings"
	"testing"
)

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
