package helper

import (
	"strings"
	"testing"

	"github.com/berth-ssh/berth/helper/descriptors"
	"github.com/berth-ssh/berth/helper/messages"
)

func TestAnOlderHelperIsMetByDescriptors(t *testing.T) {
	hello := messages.Marshal(messages.TypeHello, messages.Hello{Major: 3, Nonce: "NONCE"}) // nothing of a minor version
	if err := meetHello(t, hello); err != nil {
		t.Error(err)
	}
	said, err := parseAnnouncement("berth-helper 7 12345 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ")
	if err != nil {
		t.Fatal(err)
	}
	if err := said.Version.CheckStreams(); err == nil || !strings.Contains(err.Error(), "3.0") {
		t.Errorf("a helper that knows no streams is asked for them: %v", err)
	}
}

func TestAHelperOfAnUnknownVersionIsRefused(t *testing.T) {
	for _, said := range []struct {
		hello messages.Hello
		words string
	}{
		{messages.Hello{Major: messages.Major, Nonce: "NONCE", Minor: []byte{0, 0, 0, messages.Minor + 1}}, "3.4"},
		{messages.Hello{Major: messages.Major + 1, Nonce: "NONCE"}, "4.0"},
		{messages.Hello{Major: messages.Major - 1, Nonce: "NONCE"}, "2.0"},
	} {
		err := meetHello(t, messages.Marshal(messages.TypeHello, said.hello))
		if err == nil || !strings.Contains(err.Error(), "version "+said.words) || !strings.Contains(err.Error(), "gateway 3.3") {
			t.Errorf("%+v: %v", said.hello, err)
		}
	}
	for _, line := range []string{"berth-helper 7 12345 3.4", "berth-helper 7 12345 4.0"} {
		said, err := parseAnnouncement(line)
		if err != nil || said.Version.CheckStreams() == nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

// meetHello returns the gateway's error after it was sent this hello.
func meetHello(t *testing.T, hello []byte) error {
	t.Helper()
	near, far, err := descriptors.NewPair(messages.MaxRequest)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	defer far.Close()
	helper, err := descriptors.FileSocket(far, messages.MaxRequest)
	if err != nil {
		t.Fatal(err)
	}
	defer helper.Close()
	if err := helper.Send(hello[0], struct {
		Body []byte `ssh:"rest"`
	}{hello[1:]}); err != nil {
		t.Fatal(err)
	}
	return expectHello(near, "NONCE")
}
