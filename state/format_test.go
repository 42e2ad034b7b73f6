package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// One version back works; what a much newer one has written is not touched.
func TestStateHasAFormat(t *testing.T) {
	for found, want := range map[string]string{
		"":    "1\n", // before there were formats
		"1\n": "1\n",
		"2\n": "2\n",
		"3\n": "is of format 3, which a newer Berth has written; this one knows up to 2",
		"x\n": "is not the number of a format",
	} {
		dir := filepath.Join(t.TempDir(), "state")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "format")
		if found != "" {
			harness.Write(t, path, 0o600, found)
		}
		_, err := Open(dir)
		if err != nil && !strings.Contains(err.Error(), want) || err == nil && harness.Read(t, path) != want {
			t.Errorf("of %q: %v, and %q", found, err, harness.Read(t, path))
		}
		if _, made := os.Stat(filepath.Join(dir, "user_ca")); err != nil && made == nil {
			t.Errorf("of %q: keys were made", found)
		}
	}
}
