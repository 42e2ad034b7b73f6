// Package state is what a box keeps on disk for Berth: the gateway's host key,
// the user CA that containers trust, the host keys pinned to containers, and the
// secret by which provision knows what it made.
//
// The directory is made on first use, mode 0700, and neither its keys nor the secret are ever made
// anew by themselves: a client that has seen the host key must see it until it was told
// of the next one (see [State.RotateHostKeys]), and a container that trusts the user CA
// must go on trusting it. The private halves never leave the directory; containers get
// the CA's public half only.
package state

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
)

// DefaultDir is where state is kept unless the configuration says otherwise.
const DefaultDir = "/var/lib/berth"

const pinsDir = "pinned"

// State is an open state directory.
type State struct {
	dir   string
	given string // the directory of keys that are given, and only read; "": none, they are in dir

	mu       sync.Mutex // as they were read last:
	hostKeys HostKeys
	userCA   UserCA
}

// Open opens the state directory, creating it and the keys it lacks. Two
// processes that open a new directory at once get the same keys.
func Open(dir string) (*State, error) { return OpenWithKeys(dir, "") }

// OpenWithKeys is Open where the gateway's own keys lie in another directory, which several
// gateways may have: they are read there and never made, rotated or removed. "" is none.
func OpenWithKeys(dir, keys string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := CheckOwner(dir); err != nil {
		return nil, fmt.Errorf("state directory %s: %w", dir, err)
	}
	if err := refuseOpenToOthers(dir); err != nil {
		return nil, err
	}
	if err := checkFormat(dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, pinsDir), 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &State{dir: dir, given: keys}
	if err := s.makeKeys(); err != nil {
		return nil, err
	}
	if err := s.ReadKeys(); err != nil {
		return nil, err
	}
	return s, nil
}

// makeKeys makes the keys that every gateway has, where they are missing and none are
// given.
func (s *State) makeKeys() error {
	if s.given != "" {
		return CheckKeys(s.given)
	}
	for _, file := range []keyFile{s.hostKeyFiles()[0], s.userCAFile()} {
		if _, err := file.loadOrMake(); err != nil {
			return err
		}
	}
	return nil
}

// keysDir is where the gateway's own keys lie.
func (s *State) keysDir() string { return cmp.Or(s.given, s.dir) }

// Dir is the path of the directory.
func (s *State) Dir() string { return s.dir }

// PinnedHostKeys are the host keys that the container with this id must show;
// none if it was never seen.
func (s *State) PinnedHostKeys(containerID string) ([]ssh.PublicKey, error) {
	text, err := os.ReadFile(s.pinFile(containerID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return ParsePublicKeys(text)
}

// PinHostKeys remembers the host keys of a container for ever: for as long as
// a container with this id exists.
func (s *State) PinHostKeys(containerID string, keys []ssh.PublicKey) error {
	var text []byte
	for _, key := range keys {
		text = append(text, ssh.MarshalAuthorizedKey(key)...)
	}
	return writeNew(s.pinFile(containerID), text, 0o600)
}

// ForgetHostKeys drops the pin of a container that no longer exists.
func (s *State) ForgetHostKeys(containerID string) error {
	err := os.Remove(s.pinFile(containerID))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *State) pinFile(containerID string) string {
	return filepath.Join(s.dir, pinsDir, filepath.Base(containerID))
}

// ParsePublicKeys reads public keys, one a line, as in a .pub file.
func ParsePublicKeys(text []byte) ([]ssh.PublicKey, error) {
	var keys []ssh.PublicKey
	for rest := text; len(strings.TrimSpace(string(rest))) > 0; {
		key, _, _, next, err := ssh.ParseAuthorizedKey(rest)
		if err != nil {
			return nil, fmt.Errorf("public key %d: %w", len(keys)+1, err)
		}
		keys, rest = append(keys, key), next
	}
	return keys, nil
}

// Check returns the error that [Open] would return for the mode of the
// directory. It creates nothing; a directory that does not exist is right.
func Check(dir string) error {
	err := refuseOpenToOthers(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func refuseOpenToOthers(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("state directory: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("state directory %s is not a directory", dir)
	}
	if open := info.Mode().Perm() & 0o077; open != 0 {
		return fmt.Errorf("state directory %s is open to others (mode %04o): chmod 0700 %s", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// writeNew writes a file that must not exist yet, whole or not at all: a link
// to a finished temporary file fails where another process was first.
func writeNew(path string, content []byte, mode fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	err = errors.Join(err, tmp.Chmod(mode), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Link(tmp.Name(), path)
}

// replace writes a file that others may not read, whole or not at all.
func replace(path, content string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
