package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const (
	secretFile   = "provision_secret"
	unmarkedFile = "provision_unmarked"
	secretSize   = 32 // bytes
)

// Secret returns what provision keys its marks and digests with. It is made on first
// use, and never made anew.
func (s *State) Secret() ([]byte, error) {
	path := filepath.Join(s.dir, secretFile)
	secret, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeNew(path, []byte(rand.Text()+rand.Text()), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("secret of provision: %w", err)
		}
		secret, err = os.ReadFile(path)
	}
	if err == nil && len(secret) < secretSize {
		err = fmt.Errorf("%s is too short to be one", path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret of provision: %w", err)
	}
	return secret, nil
}

// Unmarked returns the ids of the containers that were there without a mark when
// provision first asked; first tells them, and is called that once.
func (s *State) Unmarked(first func() []string) ([]string, error) {
	path := filepath.Join(s.dir, unmarkedFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		ids := strings.Join(first(), "\n")
		if err := writeNew(path, []byte(ids), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
		text, err = os.ReadFile(path)
	}
	return strings.Fields(string(text)), err
}

// CheckOwner returns an error where a file or directory is of another account than
// root and the one that this process runs for: its owner could change it at will.
func CheckOwner(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	owner, known := info.Sys().(*syscall.Stat_t)
	if known && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("it belongs to uid %d, who could change it at will: chown root %s", owner.Uid, path)
	}
	return nil
}
