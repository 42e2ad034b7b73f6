package gateway

import (
	"bytes"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/berth-ssh/berth/state"

	"golang.org/x/crypto/ssh"
)

func openState(t *testing.T) *state.State {
	t.Helper()
	st, err := state.Open(filepath.Join(t.TempDir(), "state"))
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// stateKeys returns an option that makes a gateway show the keys of a state
// directory.
func stateKeys(st *state.State) func(*Server) {
	return func(s *Server) {
		s.HostKeys = func(others bool) (HostKeys, error) {
			keys, err := st.HostKeys(others)
			return HostKeys{Key: keys.Key, Others: keys.Others, Next: keys.Next}, err
		}
	}
}

// told is a client that is logged in, with what it was told of the gateway's keys.
type told struct {
	ssh.Conn
	shown ssh.PublicKey
	keys  [][]byte // the announced ones
}

// hear logs in as a client that accepts these kinds of host keys, or all if none are
// given.
func (g *testGateway) hear(t *testing.T, login string, kinds ...string) told {
	t.Helper()
	raw, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(10 * time.Second))
	var h told
	conn, channels, requests, err := ssh.NewClientConn(raw, "", &ssh.ClientConfig{
		User: login, Auth: []ssh.AuthMethod{ssh.PublicKeys(g.dev)}, HostKeyAlgorithms: kinds,
		HostKeyCallback: func(_ string, _ net.Addr, key ssh.PublicKey) error {
			h.shown = key
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Conn = conn
	go func() {
		for asked := range channels {
			asked.Reject(ssh.Prohibited, "")
		}
	}()
	request := <-requests
	go ssh.DiscardRequests(requests)
	if request == nil || request.Type != hostKeysRequest || request.WantReply {
		t.Fatalf("the first request is %+v, want %s without an answer", request, hostKeysRequest)
	}
	h.keys = split(t, request.Payload)
	return h
}

// split parses a sequence of strings (RFC 4251 §5).
func split(t *testing.T, data []byte) (all [][]byte) {
	t.Helper()
	for len(data) > 0 {
		var next struct {
			One  []byte
			Rest []byte `ssh:"rest"`
		}
		if err := ssh.Unmarshal(data, &next); err != nil {
			t.Fatal(err)
		}
		all, data = append(all, next.One), next.Rest
	}
	return all
}

func stringsOf(all ...[]byte) (data []byte) {
	for _, one := range all {
		data = append(data, ssh.Marshal(struct{ One []byte }{one})...)
	}
	return data
}

// isProved asks for proofs of keys, as a client does that wants to store them, and
// reports whether all proofs are valid.
func (h told) isProved(t *testing.T, keys ...[]byte) bool {
	t.Helper()
	ok, answer, err := h.SendRequest(proveRequest, true, stringsOf(keys...))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return false
	}
	proofs := split(t, answer)
	if len(proofs) != len(keys) {
		t.Fatalf("%d proofs of %d keys", len(proofs), len(keys))
	}
	for i, key := range keys {
		public, err := ssh.ParsePublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		var signature ssh.Signature
		signed := stringsOf([]byte(proveRequest), h.SessionID(), key)
		if err := errors.Join(ssh.Unmarshal(proofs[i], &signature), public.Verify(signed, &signature)); err != nil {
			t.Errorf("of %s: %v", public.Type(), err)
			return false
		}
		if wants := h.shown.Type(); wants == ssh.KeyAlgoRSA && public.Type() == ssh.KeyAlgoRSA && signature.Format != ssh.KeyAlgoRSASHA256 {
			t.Errorf("signed by %s, but the key that was shown by %s", signature.Format, ssh.KeyAlgoRSASHA256)
		}
	}
	return true
}

// A client is told of all keys, also of the next ones, and gets each of them proved:
// at a host that the gateway serves, at one with its own sshd, and when it is
// refused.
func TestClientsAreToldOfTheHostKeysAndHaveThemProved(t *testing.T) {
	st := openState(t)
	if _, err := st.HostKeys(true); err != nil { // makes keys of all kinds
		t.Fatal(err)
	}
	if err := st.RotateHostKeys(time.Time{}); err != nil {
		t.Fatal(err)
	}
	keys, err := st.ReadHostKeys()
	if err != nil {
		t.Fatal(err)
	}
	var want [][]byte
	for _, key := range slices.Concat([]ssh.Signer{keys.Key}, keys.Others, keys.Next) {
		want = append(want, key.PublicKey().Marshal())
	}
	g := startGateway(t, atMachine(newFakeMachine(echoes)), stateKeys(st))
	for _, login := range []string{"dev+lab", "dev+vault"} {
		for _, kind := range []string{ssh.KeyAlgoED25519, ssh.KeyAlgoRSASHA256} {
			h := g.hear(t, login, kind)
			if len(want) != 6 || !slices.EqualFunc(h.keys, want, bytes.Equal) {
				t.Errorf("%s: told of %d keys, want these %d", login, len(h.keys), len(want))
			}
			if !h.isProved(t, h.keys...) {
				t.Errorf("%s by %s: not proved", login, kind)
			}
		}
	}
	if !bytes.Equal(g.hear(t, "dev+lab", ssh.KeyAlgoED25519).shown.Marshal(), want[0]) {
		t.Error("the next key is shown already")
	}
}

// The attack: make the gateway sign for a key that is not its own, or sign without
// end.
func TestOnlyTheGatewaysKeysAreProvedAndOnce(t *testing.T) {
	g := startGateway(t, atMachine(newFakeMachine(echoes)))
	own, other := g.HostKey.PublicKey().Marshal(), newSigner(t).PublicKey().Marshal()
	for name, keys := range map[string][][]byte{"none": nil, "another": {other}, "one of them another": {own, other}, "one twice": {own, own}, "no key": {{}}} {
		h := g.hear(t, "dev+lab")
		if h.isProved(t, keys...) {
			t.Errorf("%s: proved", name)
		}
		if h.isProved(t, own) {
			t.Errorf("%s: asked once more, and answered", name)
		}
	}
	h := g.hear(t, "dev+lab")
	if ok, _, err := h.SendRequest(proveRequest, true, []byte{0, 0, 1}); ok || err != nil {
		t.Errorf("no strings: %v, %v", ok, err)
	}
	h = g.hear(t, "dev+lab")
	if !h.isProved(t, own) || h.isProved(t, own) {
		t.Error("not once")
	}
}

// Tera Term before 2.73 ends its connection when it is told of keys.
func TestWhoCannotBeToldOfKeysIsNot(t *testing.T) {
	for version, cannot := range map[string]bool{
		"SSH-2.0-TTSSH/2.72 Win32": true, "SSH-2.0-TTSSH/1.5.4 Win32": true,
		"SSH-2.0-TTSSH/2.91 Win32": false, "SSH-2.0-OpenSSH_9.2p1": false, "SSH-2.0-PuTTY_Release_0.78": false,
	} {
		if got := cannotBeTold([]byte(version)); got != cannot {
			t.Errorf("%s: %v", version, got)
		}
	}
}
