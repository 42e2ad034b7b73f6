package load

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// envReport names a Markdown file that keeps what the tests of an hour have found, for
// docs/performance.md; without it they only log it.
const envReport = "BERTH_SOAK_REPORT"

// report logs what a test has found, and keeps it instead of what the same test has
// found before.
func report(t *testing.T, format string, args ...any) {
	t.Helper()
	found := fmt.Sprintf(format, args...)
	t.Log(found)
	file := os.Getenv(envReport)
	if file == "" {
		return
	}
	before, _ := os.ReadFile(file) // there may be none
	begins := "- `" + t.Name() + "`, "
	kept := ""
	for line := range strings.Lines(string(before)) {
		if !strings.HasPrefix(line, begins) {
			kept += line
		}
	}
	kept += begins + time.Now().UTC().Format(time.DateOnly) + ": " + found + "\n"
	if err := os.WriteFile(file, []byte(kept), 0o644); err != nil {
		t.Error(err)
	}
}
