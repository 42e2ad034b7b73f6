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
	logKeyFile   = "log_key"
	unmarkedFile = "provision_unmarked"
	secretSize   = 32 // bytes
)

// Secret returns what provision keys its marks and digests with. It is made on first
// use, and never replaced.
func (s *State) Secret() ([]byte, error) {
	return secret("secret of provision", filepath.Join(s.dir, secretFile), "bring it back from a backup")
}

// LogKey returns what the gateway keys the digests of names in its log with. It
// is made on first use and kept, so that one name has one digest.
func (s *State) LogKey() ([]byte, error) {
	if s.given != "" {
		return readSecret("log key", filepath.Join(s.given, logKeyFile), "berth-gateway keys secret prints all that are needed")
	}
	return secret("log key", filepath.Join(s.dir, logKeyFile), "remove it and a new one is made")
}

// secret returns what a file holds. It makes the file on first use; of two processes
// that do so at once, both get the same. cure is what to do about one that is broken.
func secret(what, path, cure string) ([]byte, error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := writeNew(path, []byte(rand.Text()+rand.Text()), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	return readSecret(what, path, cure)
}

func readSecret(what, path, cure string) ([]byte, error) {
	secret, err := os.ReadFile(path)
	if err == nil && len(secret) < secretSize {
		err = fmt.Errorf("%s is too short to be one; %s", path, cure)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
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
