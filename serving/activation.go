package serving

import (
	"fmt"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
)

// firstPassed is the first descriptor that a process is given besides its standard
// ones (SD_LISTEN_FDS_START of sd_listen_fds(3), and that of exec.Cmd's ExtraFiles).
const firstPassed = 3

// activated returns the socket that systemd listens on for this process (a socket
// unit, systemd.socket(5)), or nil where it has none. passed says that the process
// which systemd knows has passed the socket on, so that this one's number is not
// that of LISTEN_PID.
func activated(passed bool) (*net.TCPListener, error) {
	files := activation.Files(true)
	if passed {
		files = []*os.File{os.NewFile(firstPassed, "socket")}
	}
	if len(files) == 0 {
		return nil, nil
	}
	defer closeAll(files)
	if len(files) > 1 {
		return nil, fmt.Errorf("systemd passes %d sockets, and a gateway has one port: the socket unit should have one ListenStream=", len(files))
	}
	listener, err := net.FileListener(files[0])
	if err != nil {
		return nil, fmt.Errorf("what systemd passes is no socket that listens: %w", err)
	}
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		listener.Close()
		return nil, fmt.Errorf("systemd listens on %s, and a gateway on a TCP port: the socket unit should have ListenStream=2222, say", listener.Addr())
	}
	return tcp, nil
}

func closeAll(files []*os.File) {
	for _, file := range files {
		file.Close()
	}
}
