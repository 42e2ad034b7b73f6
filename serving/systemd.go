package serving

import (
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/coreos/go-systemd/v22/activation"
	"github.com/coreos/go-systemd/v22/daemon"
)

// firstPassed is the first descriptor that a process is given besides its standard
// ones (SD_LISTEN_FDS_START of sd_listen_fds(3), and that of exec.Cmd's ExtraFiles).
const firstPassed = 3

// socketOfSystemd returns the socket on which systemd listens for this gateway
// (systemd.socket(5)); nil where there is none. passed says that [RunService] has passed
// the socket on, so that LISTEN_PID is not this process.
func socketOfSystemd(passed bool) (*net.TCPListener, error) {
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

// tellSystemd tells systemd a state of this service (sd_notify(3)). It does nothing if
// systemd did not start it.
func tellSystemd(state string, log *slog.Logger) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd not told", "state", state, "err", err)
	}
}
