package box

import (
	"strconv"
	"strings"

	"github.com/docker/go-units"
)

// CPUs is an amount of nano CPUs as people write it: 0.5, 4.
func CPUs(nano int64) string { return strconv.FormatFloat(float64(nano)/1e9, 'f', -1, 64) }

// Bytes is an amount of memory as people write it: 512MiB, 24GiB.
func Bytes(n int64) string { return units.BytesSize(float64(n)) }

// AtLeast reports whether a version of numbers and dots is the least one or
// later. One that is no such version is earlier.
func AtLeast(version, least string) bool {
	have, want := strings.Split(version, "."), strings.Split(least, ".")
	for i := range want {
		if i >= len(have) {
			return false
		}
		is, err := strconv.Atoi(have[i])
		ought, _ := strconv.Atoi(want[i])
		if err != nil || is < ought {
			return false
		}
		if is > ought {
			return true
		}
	}
	return true
}
