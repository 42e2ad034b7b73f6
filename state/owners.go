package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const ownersDir = "owners"

// Owner returns whose a host name is, or "" where it is nobody's yet. An owner is
// what package labels says of a container (see Owner there).
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

// ClaimHost makes a host name somebody's, unless it is somebody's already. It
// returns whose it is.
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

// GiveHost makes a host name somebody's, whoever had it.
func (s *State) GiveHost(host, owner string) error {
	if err := s.ForgetHost(host); err != nil {
		return err
	}
	_, err := s.ClaimHost(host, owner)
	return err
}

// ForgetHost makes a host name nobody's, so that the next container that carries
// it has it.
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

// ownerFile is where the owner of a name is kept. A label may hold anything; what
// cannot be a file's name is no host that anybody logs in to.
func (s *State) ownerFile(host string) (string, error) {
	const longest = 64
	if host == "" || len(host) > longest || host[0] == '.' || filepath.Base(host) != host {
		return "", fmt.Errorf("%.64q is not a host's name", host)
	}
	dir := filepath.Join(s.dir, ownersDir)
	return filepath.Join(dir, host), os.MkdirAll(dir, 0o700)
}
