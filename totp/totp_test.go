package totp

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// RFC 6238, appendix B: the rows for SHA-1, of which six digits are used.
func TestCodesAreThoseOfTheRFC(t *testing.T) {
	secret := Secret("12345678901234567890")
	for at, want := range map[int64]string{59: "287082", 1111111109: "081804", 1111111111: "050471", 1234567890: "005924", 2000000000: "279037", 20000000000: "353130"} {
		if got := secret.Code(time.Unix(at, 0)); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	if got, want := secret.URI("box 1", "dev"), "otpauth://totp/box%201:dev?issuer=box+1&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// clock is a store's time.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func enroll(t *testing.T) (s *Store, secret Secret, recovery []string, now *clock) {
	t.Helper()
	s = New(filepath.Join(t.TempDir(), "totp"))
	now = &clock{time.Unix(1_900_000_000, 0)}
	s.now = now.now
	secret = NewSecret()
	recovery, err := s.Enroll("dev", secret, secret.Code(now.at), false)
	if err != nil {
		t.Fatal(err)
	}
	now.at = now.at.Add(5 * time.Minute)
	return s, secret, recovery, now
}

func TestCodesOfAStepBeforeAndAfter(t *testing.T) {
	for off, right := range map[int]bool{-2: false, -1: true, 0: true, 1: true, 2: false} {
		s, secret, _, now := enroll(t)
		if got := s.Spend("dev", secret.Code(now.at.Add(time.Duration(off)*stepLength))); got != right {
			t.Errorf("%+d steps: %v", off, got)
		}
	}
	s, secret, _, now := enroll(t)
	code := secret.Code(now.at)
	for _, wrong := range []string{"", "000000000000", code + "0", code[1:], "nobody"} {
		if s.Spend("dev", wrong) {
			t.Errorf("%q is right", wrong)
		}
	}
	if s.Spend("nobody", code) || s.Spend("../dev", "x") || !s.Spend("dev", " "+code[:3]+" "+code[3:]+" ") {
		t.Error("whose code is it?")
	}
}

// The attack: look over somebody's shoulder, and use the code once more; also
// after the gateway was restarted, and also the one of the step before.
func TestACodeIsUsedOnce(t *testing.T) {
	s, secret, recovery, now := enroll(t)
	code, earlier := secret.Code(now.at), secret.Code(now.at.Add(-stepLength))
	if !s.Spend("dev", code) {
		t.Fatal("the right code is wrong")
	}
	if !s.Spend("dev", strings.ToUpper(recovery[3])) {
		t.Fatal("the recovery code is wrong")
	}
	restarted := New(s.dir)
	restarted.now = now.now
	for _, store := range []*Store{s, restarted} {
		for _, used := range []string{code, earlier, recovery[3]} {
			if store.Spend("dev", used) {
				t.Errorf("%s is right again", used)
			}
		}
	}
	if !restarted.Spend("dev", recovery[4]) {
		t.Error("another recovery code is wrong")
	}
}

// The attack: the same code on many connections at once, or at two gateways.
func TestACodeIsUsedOnceByManyAtOnce(t *testing.T) {
	s, secret, _, now := enroll(t)
	other := New(s.dir)
	other.now = now.now
	var mu sync.Mutex
	var all sync.WaitGroup
	right := 0
	for i := range 8 {
		all.Go(func() {
			if []*Store{s, other}[i%2].Spend("dev", secret.Code(now.at)) {
				mu.Lock()
				right++
				mu.Unlock()
			}
		})
	}
	if all.Wait(); right != 1 {
		t.Errorf("right %d times", right)
	}
}

// The attack: with a stolen key, try codes until one is right.
func TestAfterManyWrongCodesNoneIsRight(t *testing.T) {
	s, secret, recovery, now := enroll(t)
	for range maxWrong {
		s.Spend("dev", "no code")
	}
	if s.Spend("dev", secret.Code(now.at)) || s.Spend("dev", recovery[0]) {
		t.Error("a code is right after too many wrong ones")
	}
	now.at = now.at.Add(wrongWindow)
	if !s.Spend("dev", secret.Code(now.at)) {
		t.Error("no code is ever right again")
	}
}

// The attack: guess with a stolen key over many connections at once, so that all codes are
// on their way before the first one is known to be wrong.
func TestManyWrongCodesAtOnceAreNoMoreThanOthers(t *testing.T) {
	s, _, _, _ := enroll(t)
	const atOnce = 3 * maxWrong
	var all sync.WaitGroup
	s.locked(func() error { // nobody's is judged until all are there
		for range atOnce {
			all.Go(func() { s.Spend("dev", "no code") })
		}
		stacks := make([]byte, 1<<20)
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
			if bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("unix.Flock(")) == atOnce {
				return nil
			}
		}
		t.Error("they do not come")
		return nil
	})
	all.Wait()
	if judged := len(s.wrong["dev"]); judged != maxWrong {
		t.Errorf("%d codes were judged, want %d", judged, maxWrong)
	}
}

func TestEnrolling(t *testing.T) {
	s, secret, recovery, now := enroll(t)
	if _, err := s.Enroll("dev", NewSecret(), "123456", false); err == nil || err.Error() != "dev has an authenticator already" {
		t.Error(err)
	}
	next := NewSecret()
	if _, err := s.Enroll("dev", next, secret.Code(now.at), true); err != ErrWrongCode {
		t.Error("enrolled without the code of the new secret:", err)
	}
	if _, err := s.Enroll("dev", next, next.Code(now.at), true); err != nil {
		t.Error(err)
	}
	if s.Spend("dev", next.Code(now.at)) || s.Spend("dev", secret.Code(now.at)) || s.Spend("dev", recovery[0]) {
		t.Error("a code that was used to enroll, or that is replaced, is right")
	}
	if err := s.Remove("dev"); err != nil || s.Has("dev") {
		t.Error("still there:", err)
	}
	if err := s.Remove("dev"); err == nil || err.Error() != "dev has no authenticator" {
		t.Error(err)
	}
}

func TestFilesAreTheOwnersAndHoldNoRecoveryCode(t *testing.T) {
	s, _, recovery, _ := enroll(t)
	info, err := os.Stat(s.file("dev"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(s.file("dev"))
	if err != nil {
		t.Fatal(err)
	}
	for _, code := range recovery {
		if strings.Contains(string(text), code) || strings.Contains(string(text), bare(code)) {
			t.Error("a recovery code is kept as it is")
		}
	}
	left, err := filepath.Glob(filepath.Join(s.dir, ".new-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left over: %v, %v", left, err)
	}
}
