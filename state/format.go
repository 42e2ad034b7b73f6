package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// format is the number of the form in which this program keeps state. It is raised by
// a change that an older program could not read. A program of format n also accepts
// states of n+1, which may only add to those of n: so going back by one version
// always works, and two gateways of neighbouring versions can share a state
// directory.
const format = 1

const formatFile = "format"

// checkFormat returns an error for the state of a much newer program. If the state
// has no format, or an older one, it records this program's.
func checkFormat(dir string) error {
	path := filepath.Join(dir, formatFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	found := 0 // as before there were formats
	if err == nil {
		if found, err = strconv.Atoi(strings.TrimSpace(string(text))); err != nil {
			return fmt.Errorf("%s is not the number of a format; bring it back from a backup", path)
		}
	}
	switch {
	case found > format+1:
		return fmt.Errorf("state directory %s is of format %d, which a newer Berth has written; this one knows up to %d: install the newer one again", dir, found, format+1)
	case found >= format:
		return nil
	}
	return replace(path, fmt.Sprintln(format))
}
