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

// Secret returns the key of provision's marks and digests. It is made at its first
// use, and never replaced.
func (s *State) Secret() ([]byte, error) {
	return secret("secret of provision", filepath.Join(s.dir, secretFile), "bring it back from a backup")
}

// LogKey returns the key of the digests of names in the gateway's log. It is made at
// its first use and kept, so that a name always has the same digest.
func (s *State) LogKey() ([]byte, error) {
	if s.given != "" {
		return readSecret("log key", filepath.Join(s.given, logKeyFile), "berth-gateway keys secret prints all that are needed")
	}
	return secret("log key", filepath.Join(s.dir, logKeyFile), "remove it and a new one is made")
}

// secret returns the content of a file, which it creates at the first use. Two
// processes that do so at once get the same content. cure is what to do about a
// broken file.
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

// Unmarked returns the ids of the containers that had no mark when provision asked
// for the first time. first returns them, and is called only that one time.
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

// CheckOwner returns an error if a file or directory belongs neither to root nor to
// the account for which this process runs: its owner could change it at any time.
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
