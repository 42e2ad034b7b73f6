package messages

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The version of the messages. Within one major version, messages and their fields
// never change. What a minor version adds is never sent to a helper of an older one.
//
//	3.0  machines on sockets
//	3.1  machines on streams: resize, break, part, take, caller
//	3.2  release is answered, once nothing more arrives; on streams: deliver
//	3.3  start with the account's rc
const (
	Major = 3
	Minor = 3
)

// Version is the version of the messages that a helper speaks.
type Version struct{ Major, Minor uint32 }

// Current returns the version that this program speaks.
func Current() Version { return Version{Major, Minor} }

func (v Version) String() string { return fmt.Sprintf("%d.%d", v.Major, v.Minor) }

// Check returns an error if this program does not know the version.
func (v Version) Check() error {
	if v.Major != Major || v.Minor > Minor {
		return fmt.Errorf("the helper in it speaks version %v of the helper's messages, and this gateway %v: one of the two is to be upgraded", v, Current())
	}
	return nil
}

// CheckStreams returns an error if this program does not know the version, or if the
// version has no machines on streams.
func (v Version) CheckStreams() error {
	if v == (Version{3, 0}) {
		return fmt.Errorf("the helper in it speaks version %v of the helper's messages, which needs descriptors to cross: it is to be upgraded", v)
	}
	return v.Check()
}

// Has reports whether a helper of this version knows the messages of a minor version.
func (v Version) Has(minor uint32) bool { return v.Major == Major && v.Minor >= minor }

// ParseVersion parses the version that a helper announces. A helper of 3.0 announces
// a host key instead.
func ParseVersion(text string) (Version, error) {
	if strings.HasPrefix(text, "ssh-") {
		return Version{3, 0}, nil
	}
	major, minor, _ := strings.Cut(text, ".")
	m, err := strconv.ParseUint(major, 10, 32)
	n, err2 := strconv.ParseUint(minor, 10, 32)
	return Version{uint32(m), uint32(n)}, errors.Join(err, err2)
}
