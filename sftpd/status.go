package sftpd

import (
	"errors"
	"io"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"
)

// errOf says how OpenSSH's server calls an error.
func errOf(err error) (code uint32, text string) {
	var number unix.Errno
	switch errors.As(err, &number); {
	case err == nil:
		return 0, "Success"
	case errors.Is(err, io.EOF):
		return 1, "End of file"
	case errors.Is(err, errMalformed):
		return 5, "Bad message"
	case errors.Is(err, errNoUser):
		return 2, "no such user"
	}
	switch number {
	case unix.ENOENT, unix.ENOTDIR, unix.EBADF, unix.ELOOP:
		return 2, "No such file"
	case unix.EPERM, unix.EACCES, unix.EFAULT:
		return 3, "Permission denied"
	case unix.ENAMETOOLONG, unix.EINVAL:
		return 5, "Bad message"
	case unix.ENOSYS:
		return 8, "Operation unsupported"
	default:
		return 4, "Failure"
	}
}

// status is how a request ended (SSH_FXP_STATUS).
func status(err error) packet {
	code, text := errOf(err)
	return packet{kind: typeStatus, body: ssh.Marshal(struct {
		Code           uint32
		Text, Language string
	}{code, text, ""})}
}

// uninterrupted makes a system call again that a signal has cut short.
func uninterrupted(call func() error) error {
	err := call()
	for errors.Is(err, unix.EINTR) {
		err = call()
	}
	return err
}
