package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/people"
)

// The attack: a client's version writes on the terminal of the owner who looks who is on.
func TestSessionsWriteNothingElseOnTheTerminal(t *testing.T) {
	const client = "SSH-2.0-x\u009b31m\x1b[2J\x7f\u202e\xff"
	all := []people.Connection{{ID: "A", Person: "dev", Client: client}}
	for name, show := range map[string]func(*strings.Builder) error{
		"table": func(out *strings.Builder) error { return showSessions(out, all) },
		"json":  func(out *strings.Builder) error { return showSessionsJSON(out, all) },
	} {
		var out strings.Builder
		if err := show(&out); err != nil {
			t.Fatal(err)
		}
		for _, b := range []byte(out.String()) {
			if b != '\n' && (b < 0x20 || b >= 0x7f) {
				t.Fatalf("%s: byte %#x in %q", name, b, out.String())
			}
		}
		var read []people.Connection
		if name == "json" && (json.Unmarshal([]byte(out.String()), &read) != nil || read[0].Client != strings.ToValidUTF8(client, "\ufffd")) {
			t.Errorf("json: %q", out.String())
		}
	}
}
