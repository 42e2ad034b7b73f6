package serving

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// StandFor runs this program with these arguments, a gateway, and is what systemd
// takes for it. It passes SIGHUP on; told to stop, it has the gateway let nobody in
// any more (SIGUSR2) and returns, while that goes on with its connections. It passes on
// the socket that systemd listens on, if it does. Where
// the gateway ends by itself with an error, this process ends with its exit code.
func StandFor(args []string) error {
	got := make(chan os.Signal, 8)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	program, err := os.Executable()
	if err != nil {
		return err
	}
	sockets := activation.Files(true)
	if len(sockets) > 0 {
		args = append(args, "--socket-passed")
	}
	gateway := exec.Command(program, args...)
	gateway.Stdin, gateway.Stdout, gateway.Stderr, gateway.ExtraFiles = os.Stdin, os.Stdout, os.Stderr, sockets
	err = gateway.Start()
	closeAll(sockets)
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- gateway.Wait() }()
	return standFor(gateway.Process, got, ended)
}

// standFor passes signals on to the gateway, and returns when that has ended, or
// goes on without this process.
func standFor(gateway *os.Process, got <-chan os.Signal, ended <-chan error) error {
	for {
		select {
		case signal := <-got:
			if signal != syscall.SIGHUP {
				return gateway.Signal(syscall.SIGUSR2)
			}
			gateway.Signal(signal)
		case err := <-ended:
			if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
				os.Exit(max(exited.ExitCode(), 1)) // it has said why
			}
			return err
		}
	}
}
