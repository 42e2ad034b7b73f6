package helper

import (
	"os"
	"strconv"
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

const writeScript = `umask 077
for parent in /run /var/tmp /tmp /dev/shm "$HOME" /; do
	dir=$(mktemp -d "$parent/.berth-XXXXXX" 2>/dev/null) || continue
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
