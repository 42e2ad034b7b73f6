package openid

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/state"
)

// store keeps who approved with which key: a directory with a file for each user.
type store struct {
	dir      string
	remember time.Duration
	now      func() time.Time
	mu       *sync.Mutex
}

// approvals are a user's file.
type approvals struct {
	Version int                 `json:"version"`
	ByKey   map[string]approval `json:"by_key"` // by the key's fingerprint
}

type approval struct {
	At     time.Time `json:"at"`
	Name   string    `json:"name"` // of who approved
	Groups []string  `json:"groups,omitempty"`
}

const version = 1

func storeIn(stateDir string, remember time.Duration) store {
	return store{filepath.Join(stateDir, "approvals"), remember, time.Now, &sync.Mutex{}}
}

// Remembered returns the person of a recent approval of this user with the key of
// this fingerprint.
func (s store) Remembered(user, key string) (auth.Person, bool) {
	kept, err := s.read(user)
	found, ok := kept.ByKey[key]
	if err != nil || !ok || !s.isFresh(found) {
		return auth.Person{}, false
	}
	return auth.Person{Name: found.Name, Groups: found.Groups}, true
}

// isFresh is false where the clock went back behind an approval: it may be of any age.
func (s store) isFresh(a approval) bool {
	age := s.now().Sub(a.At)
	return age >= 0 && age < s.remember
}

// Remember keeps that somebody approved as a user with a key, if that is wanted at
// all, and forgets what is too old.
func (s store) Remember(user, key string, person auth.Person) error {
	if s.remember == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, err := s.read(user)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	fresh := approvals{version, map[string]approval{key: {s.now(), person.Name, person.Groups}}}
	for other, a := range kept.ByKey {
		if other != key && s.isFresh(a) {
			fresh.ByKey[other] = a
		}
	}
	text, err := json.Marshal(fresh)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	return state.Replace(s.file(user), text)
}

func (s store) read(user string) (approvals, error) {
	var kept approvals
	text, err := os.ReadFile(s.file(user))
	if err != nil {
		return kept, err
	}
	if err := json.Unmarshal(text, &kept); err != nil || kept.Version != version {
		return approvals{}, fmt.Errorf("%s is not a file of approvals; remove it", s.file(user))
	}
	return kept, nil
}

func (s store) file(user string) string { return filepath.Join(s.dir, filepath.Base(user)+".json") }
