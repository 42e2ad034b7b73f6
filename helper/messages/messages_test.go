package messages

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/berth-ssh/berth/machine"
)

// recorded returns one message of each kind.
func recorded() []struct {
	name    string
	kind    byte
	message any
} {
	size := machine.Size{Columns: 80, Rows: 24, Width: 640, Height: 480}
	return []struct {
		name    string
		kind    byte
		message any
	}{
		{"attach", TypeAttach, nil},
		{"hello", TypeHello, NewHello("NONCE")},
		{"welcome", TypeWelcome, nil},
		{"open", TypeOpen, nil},
		{"start", TypeStart, NewStart(1, machine.Command{Kind: machine.Exec, Line: "true", Env: []string{"A=b", "C=d"}})},
		{"start on a pty", TypeStart, NewStart(2, machine.Command{Kind: machine.Shell, Pty: &machine.Pty{Term: "xterm", Size: size, Modes: "\x01\x00\x00\x00\x03\x00"}})},
		{"start with rc", TypeStart, NewStart(7, machine.Command{Kind: machine.Exec, Line: "true", UserRC: true})},
		{"dial", TypeDial, Address{3, "tcp", "127.0.0.1:80"}},
		{"listen", TypeListen, Address{4, "unix", "/tmp/s"}},
		{"signal", TypeSignal, Signal{1, "TERM"}},
		{"release", TypeRelease, Release{4}},
		{"done", TypeDone, Done{4, "/tmp/s"}},
		{"failed", TypeFailed, Failed{3, "refused"}},
		{"exited", TypeExited, Exited{1, "exit-status", "\x00\x00\x00\x07"}},
		{"arrived", TypeArrived, Arrived{4}},
		{"resize", TypeResize, NewResize(2, size)},
		{"break", TypeBreak, Break{2}},
		{"part", TypePart, Part{1, 2}},
		{"take", TypeTake, Take{5, 6}},
		{"caller", TypeCaller, Caller{6, "127.0.0.1:80"}},
		{"deliver", TypeDeliver, Deliver{1}},
	}
}

// recording reads the recorded messages of a version from testdata, by name.
func recording(t *testing.T, version string) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("testdata/messages-" + version + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, digits, found := strings.Cut(strings.TrimSpace(line), ": ")
		if strings.HasPrefix(line, "#") || !found {
			continue
		}
		if messages[name], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return messages
}

// A field that is renamed, moved or added must not change the messages to helpers
// that run already, or theirs.
func TestMessagesAreAsRecorded(t *testing.T) {
	want := recording(t, fmt.Sprintf("%d.%d", Major, Minor))
	for _, m := range recorded() {
		if got := Marshal(m.kind, m.message); !bytes.Equal(got, want[m.name]) {
			t.Errorf("%s: %x, recorded as %x: what has changed needs a version of its own", m.name, got, want[m.name])
		}
		delete(want, m.name)
	}
	for name := range want {
		t.Errorf("%s is recorded, and is not tried", name)
	}
}

// Messages of older versions with the same major number are still sent and
// understood.
func TestMessagesOfOlderVersionsStay(t *testing.T) {
	now := recording(t, fmt.Sprintf("%d.%d", Major, Minor))
	for minor := range Minor {
		for name, old := range recording(t, fmt.Sprintf("%d.%d", Major, minor)) {
			if name != "hello" && !bytes.Equal(now[name], old) {
				t.Errorf("%s was %x in %d.%d, and is %x", name, old, Major, minor, now[name])
			}
		}
	}
}

func TestWhatAHelperSaysIsPrintable(t *testing.T) {
	if got := Printable("no\x1b[2J\nway\x00" + strings.Repeat("x", 2*MaxText)); strings.ContainsAny(got, "\x1b\n\x00") || utf8.RuneCountInString(got) > MaxText {
		t.Errorf("got %q", got)
	}
}
