package serving

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/activation"
)

// RunService runs this program with these arguments, which make it a gateway, as the
// process that systemd knows as the service. It passes on SIGHUP, and the socket of a
// socket unit. When it is told to stop, it has the gateway accept no more connections
// (SIGUSR2) and returns, while the gateway goes on with those that it has. If the gateway
// fails, this process exits with its code.
func RunService(args []string) error {
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
	return passSignals(gateway.Process, got, ended)
}

// passSignals passes signals on to the gateway, and returns when that has ended, or
// goes on without this process.
func passSignals(gateway *os.Process, got <-chan os.Signal, ended <-chan error) error {
	for {
		select {
		case signal := <-got:
			if signal != syscall.SIGHUP {
				return gateway.Signal(syscall.SIGUSR2)
			}
			gateway.Signal(signal)
		case err := <-ended:
			if exited, ok := errors.AsType[*exec.ExitError](err); ok {
				os.Exit(max(exited.ExitCode(), 1)) // it has said why
			}
			return err
		}
	}
}
