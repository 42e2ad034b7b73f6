package machine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// X11 is the network of displays (see [Machine]).
const X11 = "x11"

const (
	// The first display is sshd's default (X11DisplayOffset).
	firstDisplay = 10
	lastDisplay  = 1009

	displayPort = 6000 // port of display 0
)

// familyWild is an address family, in an authority file, that matches every display.
const familyWild = 0xffff

// Authority returns an entry of an authority file (xauth(1), libXau's Xauth.h) that
// matches every display.
func Authority(protocol string, cookie []byte) []byte {
	entry := binary.BigEndian.AppendUint16(nil, familyWild)
	for _, field := range []string{"", "", protocol, string(cookie)} { // address, display, name, data
		entry = binary.BigEndian.AppendUint16(entry, uint16(len(field)))
		entry = append(entry, field...)
	}
	return entry
}

// listenDisplay listens for X clients of this machine at the first free display, and
// writes their authority to a file of its own. So it needs no xauth, and does not
// change ~/.Xauthority. The listener's address has the display's number and the
// file's path.
func listenDisplay(authority string) (net.Listener, error) {
	for display := firstDisplay; display <= lastDisplay; display++ {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", displayPort+display))
		if err != nil {
			continue
		}
		dir, err := privateDir()
		if err != nil {
			listener.Close()
			return nil, err
		}
		file := filepath.Join(dir, "xauthority")
		if err := os.WriteFile(file, []byte(authority), 0o600); err != nil {
			listener.Close()
			os.RemoveAll(dir)
			return nil, err
		}
		return displayListener{listener, display, file}, nil
	}
	return nil, errors.New("no display is free")
}

type displayListener struct {
	net.Listener
	display int
	file    string
}

func (l displayListener) Addr() net.Addr {
	return &net.UnixAddr{Net: X11, Name: fmt.Sprintf("%d %s", l.display, l.file)}
}

func (l displayListener) Close() error {
	return errors.Join(l.Listener.Close(), os.RemoveAll(filepath.Dir(l.file)))
}
