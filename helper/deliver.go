package helper

import (
	"io"
	"os"
	"path"
	"strconv"
	"strings"
)

// SelfPath leads to this program's own file, even after it was replaced on disk.
const SelfPath = "/proc/self/exe"

// WriteCommand returns a command that writes the helper into a container. It reads
// size bytes from its standard input, writes them to an executable file in a new
// directory, and prints the file's path. The helper removes both when it starts (see
// [Options]). If no directory allows executable files, or if the input has another
// size, the command fails and leaves nothing behind.
//
// With forAll, every account may execute the file, not only the one that writes it:
// the helper then changes to another account.
func WriteCommand(size int64, forAll bool) []string {
	mode := "700"
	if forAll {
		mode = "755"
	}
	return []string{"sh", "-c", writeScript, "sh", strconv.FormatInt(size, 10), mode}
}

// writtenPrefix begins the name of the directory in which a helper is written.
const writtenPrefix = ".berth-"

const writeScript = `umask 077
for parent in /run /var/tmp /tmp /dev/shm "$HOME" /; do
	dir=$(mktemp -d "$parent/` + writtenPrefix + `XXXXXX" 2>/dev/null) || continue
	if printf '#!/bin/sh\n' >"$dir/try" && chmod 700 "$dir/try" && "$dir/try" 2>/dev/null; then
		rm -f "$dir/try"
		cat >"$dir/helper" && [ "$(wc -c <"$dir/helper")" -eq "$1" ] && chmod "$2" "$dir/helper" && echo "$dir/helper" && exit 0
		rm -rf "$dir"
		exit 1 # what was read is gone
	fi
	rm -rf "$dir"
done
echo 'no directory to put an executable file in' >&2
exit 1`

// maxPath is more than the path of a helper takes that was written.
const maxPath = 4 << 10

// ReadWritten returns the path that [WriteCommand] prints; "" where it prints none, since it
// failed. It reads until the command's output ends.
func ReadWritten(out io.Reader) string {
	printed, err := io.ReadAll(io.LimitReader(out, maxPath))
	written := strings.TrimSpace(string(printed))
	if err != nil || !path.IsAbs(written) {
		return ""
	}
	return written
}

// RemoveCommand returns a command that removes what [WriteCommand] wrote, for a helper
// that did not start; nil where the path, which the container says, is not of that kind.
func RemoveCommand(written string) []string {
	dir := path.Dir(written)
	if !strings.HasPrefix(path.Base(dir), writtenPrefix) {
		return nil
	}
	return []string{"rm", "-rf", dir}
}

// OpenSelf opens this program's own file and returns it with its size in bytes.
func OpenSelf() (file *os.File, size int64, err error) {
	file, err = os.Open(SelfPath)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, err
	}
	return file, info.Size(), nil
}
