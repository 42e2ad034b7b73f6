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

// format is the number of the form in which this program keeps state. It is raised
// by a change that an older program cannot take. A program of format n takes states
// of n+1, too, which may only add to those of n: so one version back always works,
// and two gateways of neighbouring versions can share a state directory.
const format = 1

const formatFile = "format"

// checkFormat returns an error about a state that a much newer program has kept,
// and notes the format of this one where none or an older one is noted.
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
