package machine

import "strings"

const (
	sftpReadOnly = "sftp-read-only"
	sftpIn       = " in "
)

// SftpLimits are what sftp is held to: by a server of our own, since the machine's may be
// what somebody there has made of it.
type SftpLimits struct {
	ReadOnly  bool   // it changes nothing
	Directory string // is all that it shows, as its /; "": everything
}

// Subsystem is the name of the subsystem that is sftp with these limits.
func (l SftpLimits) Subsystem() string {
	name := Sftp
	if l.ReadOnly {
		name = sftpReadOnly
	}
	if l.Directory != "" {
		name += sftpIn + l.Directory
	}
	return name
}

// ParseSftp returns the limits of a subsystem that is sftp; ok is false for another one.
func ParseSftp(subsystem string) (limits SftpLimits, ok bool) {
	name, directory, _ := strings.Cut(subsystem, sftpIn)
	return SftpLimits{name == sftpReadOnly, directory}, name == Sftp || name == sftpReadOnly
}

// args are those of our own server.
func (l SftpLimits) args() []string {
	var args []string
	if l.ReadOnly {
		args = append(args, "--read-only")
	}
	if l.Directory != "" {
		args = append(args, "--directory", l.Directory)
	}
	return args
}
