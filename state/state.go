// Package state stores Berth's state on disk: the gateway's host keys, the user CA
// that containers trust, the host keys pinned to containers, and the secret by which
// provision recognises what it has created.
//
// The directory is created at its first use, with mode 0700. Its keys and the secret
// are never replaced automatically: a client that has seen the host key must see it
// until it was told of the next one (see [State.RotateHostKeys]), and a container
// that trusts the user CA must keep trusting it. The private halves never leave the
// directory; containers get only the CA's public half.
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

// DefaultDir is the state directory unless the configuration names another one.
const DefaultDir = "/var/lib/berth"

const pinsDir = "pinned"

// State is an open state directory.
type State struct {
	dir   string
	given string // the directory of keys that are given, and only read; "": none, they are in dir

	mu       sync.Mutex // guards what was read last:
	hostKeys HostKeys
	userCA   UserCA
}

// Open opens the state directory. It creates the directory and missing keys. Two
// processes that open a new directory at once get the same keys.
func Open(dir string) (*State, error) { return OpenWithKeys(dir, "") }

// OpenWithKeys is Open with the gateway's own keys in another directory, which
// several gateways may share: they are only read there, never made, rotated or
// removed. "" stands for no such directory.
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

// makeKeys makes the missing keys that every gateway has, unless the keys are given.
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

// keysDir returns the directory of the gateway's own keys.
func (s *State) keysDir() string { return cmp.Or(s.given, s.dir) }

// Dir returns the path of the directory.
func (s *State) Dir() string { return s.dir }

// PinnedHostKeys returns the host keys that the container with this id must show;
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

// PinHostKeys stores the host keys of a container, for as long as a container with
// this id exists.
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

// ParsePublicKeys parses public keys, one on each line, as in a .pub file.
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

// Check returns the error that [Open] would return because of the directory's mode.
// It creates nothing; a directory that does not exist is no error.
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

// writeNew creates a file that must not exist yet, as a whole or not at all. It links
// a finished temporary file, which fails if another process was first.
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

// replace replaces a file that others may not read, as a whole or not at all.
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
