package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestTheLogHasAFormAndALevel(t *testing.T) {
	for _, tt := range []struct {
		logging
		terminal bool
		want     string
	}{
		{logging{form: "auto", level: "info"}, true, "level=INFO msg=two a=1\n"},
		{logging{form: "auto", level: "info"}, false, `"level":"INFO","msg":"two","a":1}` + "\n"},
		{logging{form: "json", level: "info"}, true, `"msg":"two","a":1}` + "\n"},
		{logging{form: "text", level: "debug"}, false, "level=DEBUG msg=one\n"},
		{logging{form: "text", level: "warn", verbose: true}, false, "level=DEBUG msg=one\n"},
		{logging{form: "text", level: "error"}, false, ""},
		{logging{form: "xml", level: "info"}, false, "--log xml: text, json and auto are known"},
		{logging{form: "text", level: "loud"}, false, "--log-level loud: debug, info, warn and error are known"},
	} {
		var out bytes.Buffer
		log, err := tt.to(&out, tt.terminal)
		if err != nil {
			if err.Error() != tt.want {
				t.Errorf("%+v: %v", tt, err)
			}
			continue
		}
		log.Debug("one")
		log.Info("two", "a", 1)
		if !strings.Contains(out.String(), tt.want) || tt.want == "" && out.Len() > 0 {
			t.Errorf("%+v: got %q", tt, out.String())
		}
	}
}

// The attack: what a client says of itself writes on the terminal of whoever reads the log.
func TestTheLogWritesNothingElseOnATerminal(t *testing.T) {
	for _, form := range []string{"text", "json"} {
		var out bytes.Buffer
		logged := logging{form: form, level: "info"}
		log, err := logged.to(&out, false)
		if err != nil {
			t.Fatal(err)
		}
		log.Info("logged in", "client", "SSH-2.0-x\u009b31m\x1b[2J\x7f\u202e\xff")
		for _, b := range out.Bytes() {
			if b != '\n' && (b < 0x20 || b >= 0x7f) {
				t.Fatalf("%s: byte %#x in %q", form, b, out.String())
			}
		}
	}
}
