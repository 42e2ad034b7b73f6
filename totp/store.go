package totp

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/berth-ssh/berth/state"
)

// This many wrong codes of one person are judged within a window; after that every
// code counts as wrong until the window has passed. A person can try codes only after
// another proved step, so no stranger can lock anybody out.
const (
	maxWrong    = 10
	wrongWindow = 10 * time.Minute
)

var (
	// ErrEnrolled says that a person has a secret already.
	ErrEnrolled = errors.New("has an authenticator already")

	// ErrNotEnrolled says that a person has none.
	ErrNotEnrolled = errors.New("has no authenticator")

	// ErrWrongCode says that a code is not right, or was used.
	ErrWrongCode = errors.New("this is not the code of the moment")
)

// Store keeps what people have enrolled, each in a file of mode 0600. The secrets
// are not encrypted: the gateway must read them alone, and the key would lie
// beside them. A Store is safe for use by many at once, and so is the directory.
type Store struct {
	dir string
	now func() time.Time

	mu    sync.Mutex
	wrong map[string][]time.Time // by person, when the wrong codes came
}

// enrolled is a person's file.
type enrolled struct {
	Secret   Secret   `json:"secret"`
	Last     int64    `json:"last"`     // the step whose code was used last
	Recovery []string `json:"recovery"` // hashes of the codes that are left
}

// In is the store of a state directory.
func In(stateDir string) *Store { return New(filepath.Join(stateDir, "totp")) }

// New is the store in a directory, which is made when somebody enrolls.
func New(dir string) *Store {
	return &Store{dir: dir, now: time.Now, wrong: map[string][]time.Time{}}
}

// Has reports whether a person has enrolled.
func (s *Store) Has(user string) bool {
	_, err := os.Stat(s.file(user))
	return err == nil
}

// Enroll keeps a secret for a person, who shows by a code that the authenticator
// has it, and returns the codes that recover, which are kept as hashes only. If
// the person has a secret already, it is replaced if replace is set; else the
// error is [ErrEnrolled].
func (s *Store) Enroll(user string, secret Secret, code string, replace bool) (recovery []string, err error) {
	err = s.locked(func() error {
		if s.Has(user) && !replace {
			return fmt.Errorf("%s %w", user, ErrEnrolled)
		}
		e := enrolled{Secret: secret}
		if !e.spendCode(bare(code), s.now()) {
			return ErrWrongCode
		}
		recovery = newRecoveryCodes()
		for _, code := range recovery {
			e.Recovery = append(e.Recovery, hashOf(code))
		}
		return s.write(user, e)
	})
	if err != nil {
		return nil, err
	}
	return recovery, nil
}

// Remove forgets a person's secret and codes; the error is [ErrNotEnrolled] if
// there are none.
func (s *Store) Remove(user string) error {
	return s.locked(func() error {
		err := os.Remove(s.file(user))
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s %w", user, ErrNotEnrolled)
		}
		return err
	})
}

// Spend reports whether a code is valid for the person: the present one, the one
// before or after it, or a recovery code. A code is valid only once: its use is on
// disk before Spend returns, and if that fails, the code is not valid. Codes are
// judged one after the other, so that many at once cannot exceed the limit.
func (s *Store) Spend(user, code string) bool {
	right := false
	err := s.locked(func() error {
		if s.isLocked(user) {
			return nil
		}
		e, err := s.read(user)
		if err == nil && e.spend(bare(code), s.now()) {
			right = true
			return s.write(user, e)
		}
		s.failed(user)
		return err
	})
	return right && err == nil
}

func (e *enrolled) spend(code string, now time.Time) bool {
	if len(code) == digits {
		return e.spendCode(code, now)
	}
	hash := hashOf(code)
	i := slices.IndexFunc(e.Recovery, func(left string) bool { return subtle.ConstantTimeCompare([]byte(left), []byte(hash)) == 1 })
	if i < 0 {
		return false
	}
	e.Recovery = slices.Delete(e.Recovery, i, i+1)
	return true
}

// spendCode takes a step's code only where no code of it or of a later step was
// taken.
func (e *enrolled) spendCode(code string, now time.Time) bool {
	for step := stepOf(now) - skew; step <= stepOf(now)+skew; step++ {
		if step > e.Last && subtle.ConstantTimeCompare([]byte(e.Secret.code(step)), []byte(code)) == 1 {
			e.Last = step
			return true
		}
	}
	return false
}

// isLocked reports whether a person has shown too many wrong codes.
func (s *Store) isLocked(user string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong[user] = slices.DeleteFunc(s.wrong[user], func(at time.Time) bool { return s.now().Sub(at) >= wrongWindow })
	return len(s.wrong[user]) >= maxWrong
}

func (s *Store) failed(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong[user] = append(s.wrong[user], s.now())
}

func (s *Store) file(user string) string { return filepath.Join(s.dir, filepath.Base(user)+".json") }

// locked lets one process at a time, and one goroutine, change the directory.
func (s *Store) locked(change func() error) error {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(s.dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return err
	}
	return change()
}

func (s *Store) read(user string) (enrolled, error) {
	var e enrolled
	text, err := os.ReadFile(s.file(user))
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(text, &e); err != nil || len(e.Secret) == 0 {
		return enrolled{}, errors.New("not a file of a second factor")
	}
	return e, nil
}

// write replaces a person's file, whole or not at all.
func (s *Store) write(user string, e enrolled) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return state.Replace(s.file(user), text)
}
