package main

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// newServiceCommand is what the unit of systemd starts. systemd ends a service
// before it starts it again, so the process that it knows must not be the one that
// has people's connections. This one starts the gateway and has nothing: when it is
// told to stop, it tells the gateway to let nobody in any more, and ends. The
// gateway goes on with its connections, and the one that is started next takes
// the socket from it.
func newServiceCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "service [flags of serve]",
		Short:              "Serve, as a service whose restart cuts nobody",
		Hidden:             true,
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			got := make(chan os.Signal, 8)
			signal.Notify(got, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
			program, err := os.Executable()
			if err != nil {
				return err
			}
			serving := exec.Command(program, append([]string{"serve", "--take-over", "--service"}, args...)...)
			serving.Stdin, serving.Stdout, serving.Stderr = os.Stdin, os.Stdout, os.Stderr
			if err := serving.Start(); err != nil {
				return err
			}
			ended := make(chan error, 1)
			go func() { ended <- serving.Wait() }()
			return standFor(serving.Process, got, ended)
		},
	}
}

// standFor passes signals on to the gateway, and returns when that has ended, or
// goes on without this process.
func standFor(serving *os.Process, got <-chan os.Signal, ended <-chan error) error {
	for {
		select {
		case signal := <-got:
			if signal != syscall.SIGHUP {
				return serving.Signal(syscall.SIGUSR2)
			}
			serving.Signal(signal)
		case err := <-ended:
			if exited := (*exec.ExitError)(nil); errors.As(err, &exited) {
				os.Exit(max(exited.ExitCode(), 1)) // it has said why
			}
			return err
		}
	}
}
