package rotation

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/serving"
	"github.com/berth-ssh/berth/state"
)

// box is hosts, by their names, whose sshds trust the user CAs that a gateway told them
// last.
type box struct {
	t     *testing.T
	dir   string // the gateway's state
	hosts map[string][]string

	full   string // the host that cannot be told
	silent error  // why the gateway does not answer
}

func newBox(t *testing.T) (*box, Keys) {
	t.Helper()
	b := &box{t: t, dir: filepath.Join(t.TempDir(), "state")}
	st := b.read()
	b.hosts = map[string][]string{"lab": st.UserCA().Trusted(), "master": st.UserCA().Trusted()}
	return b, Keys{st, b.tell}
}

// read is what a gateway reads now.
func (b *box) read() *state.State {
	b.t.Helper()
	st, err := state.Open(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	return st
}

func (b *box) tell(context.Context) (serving.TrustReport, error) {
	told := serving.TrustReport{Failed: map[string]string{}}
	if b.silent != nil {
		return told, b.silent
	}
	b.nobodyIsLockedOut("while hosts are told")
	for name := range b.hosts {
		if name == b.full {
			told.Failed[name] = "no space left"
			continue
		}
		b.hosts[name] = b.read().UserCA().Trusted()
		told.Trusting = append(told.Trusting, name)
	}
	return told, nil
}

// nobodyIsLockedOut fails the test where a host does not trust the user CA in use.
func (b *box) nobodyIsLockedOut(when string) {
	b.t.Helper()
	for name, trusted := range b.hosts {
		if inUse := b.read().UserCA().Trusted()[0]; !slices.Contains(trusted, inUse) {
			b.t.Errorf("%s: %s does not trust the user CA in use", when, name)
		}
	}
}

// What cannot be told of the next user CA, at any step, keeps the old one in use.
func TestAUserCAIsNotUsedBeforeEveryHostTrustsIt(t *testing.T) {
	for what, spoil := range map[string]func(*box){
		"the old user CA stays in use, since not every host trusts the next one:\nhost master: no space left": func(b *box) { b.full = "master" },
		"no answer": func(b *box) { b.silent = errors.New("no answer") },
	} {
		b, keys := newBox(t)
		spoil(b)
		if _, err := keys.BeginUserCA(t.Context()); err == nil || err.Error() != what {
			t.Errorf("begun: %v, want %s", err, what)
		}
		if _, err := keys.FinishUserCA(t.Context()); err == nil || err.Error() != what {
			t.Errorf("finished: %v, want %s", err, what)
		}
		b.nobodyIsLockedOut("when it was to be finished")
		if b.read().UserCA().Next == nil {
			t.Error("the next user CA is gone")
		}
	}
}

// A step may be taken again, or taken back, until the next user CA is used.
func TestAUserCATakesThePlaceOfTheOldOne(t *testing.T) {
	b, keys := newBox(t)
	old := b.read().UserCA().Trusted()[0]
	step := func(step func(context.Context) (Told, error)) (trusted []string) {
		t.Helper()
		if told, err := step(t.Context()); err != nil || told.NoGateway {
			t.Fatalf("%+v, %v", told, err)
		}
		if err := keys.state.ReadKeys(); err != nil {
			t.Fatal(err)
		}
		b.nobodyIsLockedOut("after a step")
		return b.hosts["lab"]
	}
	cancel := func(ctx context.Context) (Told, error) { return Told{}, keys.CancelUserCA(ctx) }
	step(keys.BeginUserCA)
	if trusted := step(cancel); !slices.Equal(trusted, []string{old}) {
		t.Errorf("taken back: %q is trusted, want %s", trusted, old)
	}
	both := step(keys.BeginUserCA)
	if again := step(keys.BeginUserCA); len(both) != 2 || !slices.Equal(again, both) {
		t.Errorf("begun: %q is trusted; again: %q", both, again)
	}
	if trusted := step(keys.FinishUserCA); !slices.Equal(trusted, both[1:]) {
		t.Errorf("finished: %q is trusted, want %q", trusted, both[1:])
	}
}

// A gateway that does not run reads the keys when it starts; one that does, and does not
// answer, goes on with the old ones, which is said.
func TestKeysAreRotatedWhereNoGatewayRuns(t *testing.T) {
	b, keys := newBox(t)
	b.silent = control.ErrNotRunning
	old := ssh.FingerprintSHA256(b.read().HostKey().PublicKey())
	begun, err := keys.BeginUserCA(t.Context())
	if err := errors.Join(err, keys.BeginHostKeys(t.Context(), time.Now().Add(time.Hour))); err != nil || !begun.NoGateway {
		t.Fatalf("begun: %+v, %v", begun, err)
	}
	finished, err := keys.FinishUserCA(t.Context())
	if err := errors.Join(err, keys.FinishHostKeys(t.Context())); err != nil || !finished.NoGateway {
		t.Fatalf("finished: %+v, %v", finished, err)
	}
	if now := b.read(); len(now.UserCA().Former) != 1 || ssh.FingerprintSHA256(now.HostKey().PublicKey()) == old {
		t.Error("the old keys are in use")
	}
	b.silent = errors.New("no answer")
	if err := keys.BeginHostKeys(t.Context(), time.Time{}); !errors.Is(err, b.silent) {
		t.Errorf("a gateway that does not answer: %v", err)
	}
}
