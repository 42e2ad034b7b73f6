package machine

import (
	"encoding/binary"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// openPty opens a pty with the requested size and modes.
func openPty(request Pty) (master, slave *os.File, err error) {
	blocking, slave, err := pty.Open()
	if err != nil {
		return nil, nil, err
	}
	defer blocking.Close()
	master, err = Pollable(blocking, "pty")
	if err != nil {
		slave.Close()
		return nil, nil, err
	}
	if err := setModes(slave, request.Modes); err != nil {
		master.Close()
		slave.Close()
		return nil, nil, err
	}
	SetSize(master, request.Size)
	return master, slave, nil
}

// env returns the variables that tell a process about its terminal.
func (p Pty) env(slave *os.File) []string {
	env := []string{"SSH_TTY=" + slave.Name()}
	if p.Term != "" {
		env = append(env, "TERM="+p.Term)
	}
	return env
}

// setModes applies encoded terminal modes (RFC 4254 §8): pairs of an opcode and a
// uint32, ended by 0 or by an opcode of 160 or more. It ignores modes that Linux does
// not have.
func setModes(tty *os.File, modes string) error {
	return WithFD(tty, func(fd int) error {
		termios, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err != nil {
			return err
		}
		for ; len(modes) >= 5 && modes[0] != 0 && modes[0] < 160; modes = modes[5:] {
			setMode(termios, modes[0], binary.BigEndian.Uint32([]byte(modes[1:5])))
		}
		return unix.IoctlSetTermios(fd, unix.TCSETS, termios)
	})
}

func setMode(t *unix.Termios, opcode byte, value uint32) {
	switch {
	case opcode == 129: // TTY_OP_OSPEED; a pty has one speed for both directions
		setSpeed(t, value)
	case opcode >= 128:
	case opcode >= 90:
		setFlag(&t.Cflag, cflag(opcode), value)
	case opcode >= 70:
		setFlag(&t.Oflag, oflag(opcode), value)
	case opcode >= 50:
		setFlag(&t.Lflag, lflag(opcode), value)
	case opcode >= 30:
		setFlag(&t.Iflag, iflag(opcode), value)
	default:
		if index, ok := controlChar(opcode); ok {
			t.Cc[index] = controlCharValue(value)
		}
	}
}

// setSpeed sets a speed, in bits per second, if Linux has a number for it. The pty
// does not become slower, but some programs show less on a slow terminal.
func setSpeed(t *unix.Termios, speed uint32) {
	number, isKnown := map[uint32]uint32{
		50: unix.B50, 75: unix.B75, 110: unix.B110, 134: unix.B134, 150: unix.B150, 200: unix.B200, 300: unix.B300,
		600: unix.B600, 1200: unix.B1200, 1800: unix.B1800, 2400: unix.B2400, 4800: unix.B4800, 9600: unix.B9600,
		19200: unix.B19200, 38400: unix.B38400, 57600: unix.B57600, 115200: unix.B115200, 230400: unix.B230400,
	}[speed]
	if isKnown {
		t.Cflag = t.Cflag&^unix.CBAUD | number
	}
}

func setFlag(flags *uint32, flag uint32, value uint32) {
	if value != 0 {
		*flags |= flag
	} else {
		*flags &^= flag
	}
}

// controlCharValue returns a control character in Linux's form: the RFC's 255, for a
// character that is off (RFC 4254 §8), becomes 0.
func controlCharValue(value uint32) uint8 {
	if value == 255 {
		return 0
	}
	return uint8(value)
}

func controlChar(opcode byte) (int, bool) {
	switch opcode {
	case 1:
		return unix.VINTR, true
	case 2:
		return unix.VQUIT, true
	case 3:
		return unix.VERASE, true
	case 4:
		return unix.VKILL, true
	case 5:
		return unix.VEOF, true
	case 6:
		return unix.VEOL, true
	case 7:
		return unix.VEOL2, true
	case 8:
		return unix.VSTART, true
	case 9:
		return unix.VSTOP, true
	case 10:
		return unix.VSUSP, true
	case 12:
		return unix.VREPRINT, true
	case 13:
		return unix.VWERASE, true
	case 14:
		return unix.VLNEXT, true
	case 16:
		return unix.VSWTC, true
	case 18:
		return unix.VDISCARD, true
	default:
		return 0, false
	}
}

func iflag(opcode byte) uint32 {
	switch opcode {
	case 30:
		return unix.IGNPAR
	case 31:
		return unix.PARMRK
	case 32:
		return unix.INPCK
	case 33:
		return unix.ISTRIP
	case 34:
		return unix.INLCR
	case 35:
		return unix.IGNCR
	case 36:
		return unix.ICRNL
	case 37:
		return unix.IUCLC
	case 38:
		return unix.IXON
	case 39:
		return unix.IXANY
	case 40:
		return unix.IXOFF
	case 41:
		return unix.IMAXBEL
	case 42:
		return unix.IUTF8
	default:
		return 0
	}
}

func lflag(opcode byte) uint32 {
	switch opcode {
	case 50:
		return unix.ISIG
	case 51:
		return unix.ICANON
	case 52:
		return unix.XCASE
	case 53:
		return unix.ECHO
	case 54:
		return unix.ECHOE
	case 55:
		return unix.ECHOK
	case 56:
		return unix.ECHONL
	case 57:
		return unix.NOFLSH
	case 58:
		return unix.TOSTOP
	case 59:
		return unix.IEXTEN
	case 60:
		return unix.ECHOCTL
	case 61:
		return unix.ECHOKE
	case 62:
		return unix.PENDIN
	default:
		return 0
	}
}

func oflag(opcode byte) uint32 {
	switch opcode {
	case 70:
		return unix.OPOST
	case 71:
		return unix.OLCUC
	case 72:
		return unix.ONLCR
	case 73:
		return unix.OCRNL
	case 74:
		return unix.ONOCR
	case 75:
		return unix.ONLRET
	default:
		return 0
	}
}

// cflag returns the flag of an opcode. It leaves out CS7 and CS8, which are two
// values of one field: a pty has eight bits.
func cflag(opcode byte) uint32 {
	switch opcode {
	case 92:
		return unix.PARENB
	case 93:
		return unix.PARODD
	default:
		return 0
	}
}
