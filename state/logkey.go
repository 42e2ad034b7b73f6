package state

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

const (
	logKeyFile = "log_key"
	minLogKey  = 32 // bytes
)

// LogKey returns what the gateway keys the digests of names in its log with. It
// is made on first use and kept, so that one name has one digest.
func (s *State) LogKey() ([]byte, error) {
	path := filepath.Join(s.dir, logKeyFile)
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := writeNew(path, []byte(rand.Text()+rand.Text()), 0o600); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("log key: %w", err)
		}
		key, err = os.ReadFile(path)
	}
	if err == nil && len(key) < minLogKey {
		err = fmt.Errorf("%s is too short to be one; remove it and a new one is made", path)
	}
	if err != nil {
		return nil, fmt.Errorf("log key: %w", err)
	}
	return key, nil
}
