package checks

import (
	"strings"
	"testing"
)

func TestGlibcVersion(t *testing.T) {
	for said, want := range map[string]string{
		"glibc 2.36\n": "2.36",
		"ldd (Ubuntu GLIBC 2.31-0ubuntu9.16) 2.31\nCopyright": "2.31",
		"ldd (GNU libc) 2.28\n":                               "2.28",
		"glibc 2.27\n":                                        "glibc 2.27 is too old, it needs 2.28: ",
		"ldd (GNU libc) 2.17\nmore":                           "glibc 2.17 is too old",
		"musl libc (x86_64)\nVersion 1.2.5\n":                 "musl is not supported",
		"/lib/ld-musl-x86_64.so.1\n":                          "musl is not supported",
		"sh: getconf: not found\nldd: not found.":             "wanted glibc 2.28, got ",
		"": "wanted glibc 2.28, got ''",
	} {
		got, err := glibcVersion(said)
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) || (err == nil) != (got == want) {
			t.Errorf("%q: %q, want %q", said, got, want)
		}
	}
}
