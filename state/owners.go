package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const ownersDir = "owners"

// Owner returns the owner of a host name, or "" if it has none yet. An owner is
// described as in package labels (see Owner there).
func (s *State) Owner(host string) (string, error) {
	path, err := s.ownerFile(host)
	if err != nil {
		return "", err
	}
	owner, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(owner), err
}

// ClaimHost makes somebody the owner of a host name if it has none. It returns the
// owner.
func (s *State) ClaimHost(host, owner string) (string, error) {
	path, err := s.ownerFile(host)
	if err != nil {
		return "", err
	}
	if err := writeNew(path, []byte(owner), 0o600); err == nil || !errors.Is(err, fs.ErrExist) {
		return owner, err
	}
	return s.Owner(host)
}

// GiveHost makes somebody the owner of a host name, whoever owned it before.
func (s *State) GiveHost(host, owner string) error {
	if err := s.ForgetHost(host); err != nil {
		return err
	}
	_, err := s.ClaimHost(host, owner)
	return err
}

// ForgetHost removes the owner of a host name, so that the next container with that
// name becomes the owner.
func (s *State) ForgetHost(host string) error {
	path, err := s.ownerFile(host)
	if err != nil {
		return err
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// ownerFile returns the file with the owner of a name. A label may contain anything;
// a text that cannot be a file's name is no host's name.
func (s *State) ownerFile(host string) (string, error) {
	const longest = 64
	if host == "" || len(host) > longest || host[0] == '.' || filepath.Base(host) != host {
		return "", fmt.Errorf("%.64q is not a host's name", host)
	}
	dir := filepath.Join(s.dir, ownersDir)
	return filepath.Join(dir, host), os.MkdirAll(dir, 0o700)
}
