package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newDemoCommand() *cobra.Command {
	once := false
	command := &cobra.Command{
		Use:   "demo",
		Short: "Show the gateway at work, with two hosts made for it",
		Long: "Show the gateway at work: make two hosts, log in to both by key and by password,\n" +
			"copy files each way, and serve until Ctrl-C. All that it made is removed then.\n" +
			"The hosts are made of the image that BERTH_BASE_IMAGE names; without it, or\n" +
			"without a Docker engine, they are this machine itself.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			// A closed pipe ends the demo as Ctrl-C does: there is something to remove.
			ctx, stop := signal.NotifyContext(command.Context(),
				syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
			defer stop()
			err := runDemo(ctx, newScreen(command.OutOrStdout()), once)
			if err != nil && ctx.Err() != nil {
				return errors.New("the demo was interrupted")
			}
			return err
		},
	}
	command.Flags().BoolVar(&once, "once", once, "end after the transcript")
	return command
}

// runDemo is the demo, top to bottom. When it returns, nothing of it is left
// but images.
func runDemo(ctx context.Context, show *screen, once bool) (err error) {
	if err := checkDemoTools(); err != nil {
		return err
	}
	d, err := newDemo(show)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.remove()) }()

	remove, err := d.makeHosts(ctx)
	defer func() { err = errors.Join(err, remove()) }()
	if err != nil {
		return err
	}
	gateway, err := d.serve(ctx)
	if err != nil {
		return err
	}
	defer gateway.stop()

	for _, host := range d.hosts {
		if err := d.visit(ctx, host); err != nil {
			d.showLog()
			return err
		}
	}
	if once {
		return nil
	}
	d.invite()
	select {
	case <-ctx.Done():
		show.text("\n")
		return nil
	case <-gateway.ended:
		d.showLog()
		return errors.New("the gateway ended by itself")
	}
}

func checkDemoTools() error {
	var missing []string
	for _, tool := range []string{"ssh", "scp", "rsync"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the demo needs %s here; on Debian and Ubuntu: apt-get install openssh-client rsync", strings.Join(missing, ", "))
	}
	return nil
}

// invite says how to log in from elsewhere.
func (d *demo) invite() {
	d.show.text("\nThe gateway serves until Ctrl-C. Log in from another terminal, with the demo's key:\n\n")
	for _, host := range d.hosts {
		d.show.text("  ssh -F %s -p %s %s\n", d.file(sshConfigFile), d.port, host.login())
	}
	d.show.text("\nor with any client and the password %s\n\n", d.password)
}

// showLog shows the end of the gateway's log, where something failed.
func (d *demo) showLog() {
	text, err := os.ReadFile(d.file(logFile))
	if err != nil || len(text) == 0 {
		return
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	d.show.comment("the gateway's log ends with")
	for _, line := range lines[max(0, len(lines)-10):] {
		d.show.text("  %s\n", line)
	}
}
