package keysource

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/berth-ssh/berth/state"
)

// Cache is a directory with a file for each source. It is only read and written by
// the gateway's own account.
type Cache struct{ dir string }

// In is the cache in a state directory, which is made when something is kept.
func In(stateDir string) Cache { return Cache{filepath.Join(stateDir, "keys")} }

// Kept are a source's keys as they were fetched.
type Kept struct {
	Version int       `json:"version"`
	URL     string    `json:"url"`
	Changed time.Time `json:"changed"` // when they were first fetched so
	Keys    []string  `json:"keys"`    // lines of an authorized_keys file
}

const version = 1

// Keys are the keys that are kept of a source. The error is [fs.ErrNotExist] where
// none were fetched yet.
func (c Cache) Keys(source Source) (Kept, error) {
	var kept Kept
	text, err := os.ReadFile(c.File(source))
	if err != nil {
		return kept, err
	}
	if err := json.Unmarshal(text, &kept); err != nil || kept.Version != version || kept.URL != source.URL {
		return Kept{}, fmt.Errorf("%s is not a file of fetched keys; remove it", c.File(source))
	}
	return kept, nil
}

// File is where a source's keys are kept, also before they are.
func (c Cache) File(source Source) string {
	sum := sha256.Sum256([]byte(source.URL))
	return filepath.Join(c.dir, hex.EncodeToString(sum[:8])+".json")
}

// keep replaces a source's file, whole or not at all.
func (c Cache) keep(source Source, keys []string, now time.Time) error {
	text, err := json.Marshal(Kept{version, source.URL, now, keys})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(c.dir, 0o700); err != nil {
		return err
	}
	return state.Replace(c.File(source), text)
}
