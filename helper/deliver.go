package helper

import (
	"os"
	"strconv"
)

// SelfPath is this program's own file, even where it was replaced meanwhile.
const SelfPath = "/proc/self/exe"

// WriteCommand is the command that writes its standard input, of which the size is
// given, to a file in a directory of its own that may be executed there, and prints
// the path: the helper, which then removes both (see [Run]). Where it finds no such
// directory, or gets another size, it leaves nothing. A file for all may be executed
// by other accounts than the one that writes it, once the helper has become one.
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

// OpenSelf opens this program's own file, and says how large it is.
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
