package machine

import (
	"os"

	"golang.org/x/sys/unix"
)

// SetSize sets a terminal's size; the process in its foreground gets SIGWINCH.
func SetSize(pty *os.File, size Size) error {
	return WithFD(pty, func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{
			Row: uint16(size.Rows), Col: uint16(size.Columns),
			Xpixel: uint16(size.Width), Ypixel: uint16(size.Height),
		})
	})
}

// SendBreak sends a break (RFC 4335) to a terminal.
func SendBreak(pty *os.File) error {
	return WithFD(pty, func(fd int) error { return unix.IoctlSetInt(fd, unix.TCSBRK, 0) })
}
