package helper

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"testing"

	"berth/machine"
)

// recorded are messages of each kind.
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
		{"attach", typeAttach, nil},
		{"hello", typeHello, newHello("NONCE")},
		{"welcome", typeWelcome, nil},
		{"open", typeOpen, nil},
		{"start", typeStart, newStart(1, machine.Command{Kind: machine.Exec, Line: "true", Env: []string{"A=b", "C=d"}})},
		{"start on a pty", typeStart, newStart(2, machine.Command{Kind: machine.Shell, Pty: &machine.Pty{Term: "xterm", Size: size, Modes: "\x01\x00\x00\x00\x03\x00"}})},
		{"dial", typeDial, addressMessage{3, "tcp", "127.0.0.1:80"}},
		{"listen", typeListen, addressMessage{4, "unix", "/tmp/s"}},
		{"signal", typeSignal, signalMessage{1, "TERM"}},
		{"release", typeRelease, releaseMessage{4}},
		{"done", typeDone, doneMessage{4, "/tmp/s"}},
		{"failed", typeFailed, failedMessage{3, "refused"}},
		{"exited", typeExited, exitedMessage{1, "exit-status", "\x00\x00\x00\x07"}},
		{"arrived", typeArrived, arrivedMessage{4}},
		{"resize", typeResize, newResize(2, size)},
		{"break", typeBreak, breakMessage{2}},
		{"part", typePart, partMessage{1, 2}},
		{"take", typeTake, takeMessage{5, 6}},
		{"caller", typeCaller, callerMessage{6, "127.0.0.1:80"}},
	}
}

// recording reads the messages that testdata has of a version, by name.
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

// A field that is renamed, moved or added must not change what is said to
// helpers that run already, or by them.
func TestMessagesAreAsRecorded(t *testing.T) {
	want := recording(t, fmt.Sprintf("%d.%d", Major, Minor))
	for _, m := range recorded() {
		if got := marshal(m.kind, m.message); !bytes.Equal(got, want[m.name]) {
			t.Errorf("%s: %x, recorded as %x: what has changed needs a version of its own", m.name, got, want[m.name])
		}
		delete(want, m.name)
	}
	for name := range want {
		t.Errorf("%s is recorded, and is not tried", name)
	}
}

// What a version of the same major has said is still said and understood.
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

func TestAnOlderHelperIsMetByDescriptors(t *testing.T) {
	hello := recording(t, "3.0")["hello"]
	if err := meetHello(t, hello); err != nil {
		t.Error(err)
	}
	said, err := parseAnnouncement("berth-helper 7 12345 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ")
	if err != nil {
		t.Fatal(err)
	}
	if err := said.Version.checkStreams(); err == nil || !strings.Contains(err.Error(), "3.0") {
		t.Errorf("a helper that knows no streams is asked for them: %v", err)
	}
}

func TestAHelperOfAnUnknownVersionIsRefused(t *testing.T) {
	for _, said := range []struct {
		hello helloMessage
		words string
	}{
		{helloMessage{Major: Major, Nonce: "NONCE", Minor: []byte{0, 0, 0, Minor + 1}}, "3.2"},
		{helloMessage{Major: Major + 1, Nonce: "NONCE"}, "4.0"},
		{helloMessage{Major: Major - 1, Nonce: "NONCE"}, "2.0"},
	} {
		err := meetHello(t, marshal(typeHello, said.hello))
		if err == nil || !strings.Contains(err.Error(), "version "+said.words) || !strings.Contains(err.Error(), "gateway 3.1") {
			t.Errorf("%+v: %v", said.hello, err)
		}
	}
	for _, line := range []string{"berth-helper 7 12345 3.2", "berth-helper 7 12345 4.0"} {
		said, err := parseAnnouncement(line)
		if err != nil || said.Version.checkStreams() == nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// meetHello is a gateway that is said hello to.
func meetHello(t *testing.T, hello []byte) error {
	t.Helper()
	near, far, err := newPair(maxRequest)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	helper, err := newSocket(far, maxRequest)
	if err != nil {
		t.Fatal(err)
	}
	defer helper.Close()
	if _, err := helper.conn.Write(hello); err != nil {
		t.Fatal(err)
	}
	return near.expectHello("NONCE")
}
