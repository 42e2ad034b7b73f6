package machine

import "strings"

const (
	sftpReadOnly = "sftp-read-only"
	sftpIn       = " in "
)

// SftpLimits are limits of an sftp session. Our own server enforces them, since the
// machine's may have been changed by anybody in it.
type SftpLimits struct {
	ReadOnly  bool   // it changes nothing
	Directory string // is all that it shows, as its /; "": everything
}

// Subsystem returns the name of the subsystem for sftp with these limits.
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

// ParseSftp returns the limits in a subsystem's name. ok is false if it is not sftp.
func ParseSftp(subsystem string) (limits SftpLimits, ok bool) {
	name, directory, _ := strings.Cut(subsystem, sftpIn)
	return SftpLimits{name == sftpReadOnly, directory}, name == Sftp || name == sftpReadOnly
}

// args returns the arguments of our own server.
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
