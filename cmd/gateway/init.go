package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/setup"
)

// initOptions are the flags of init.
type initOptions struct {
	path   string
	wanted setup.Wanted
	yes    bool
}

func newInitCommand() *cobra.Command {
	o := initOptions{path: config.DefaultPath}
	command := &cobra.Command{
		Use:   "init",
		Short: "Write the first gateway.yaml, from what runs on this box",
		Long: "Write the first gateway.yaml, from what runs on this box: you, with your public\n" +
			"keys, may enter every container that runs now. It shows what it found and asks\n" +
			"before it writes. It never replaces a file that somebody wrote.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			return o.run(command.Context(), command.InOrStdin(), command.OutOrStdout())
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.path, "config", o.path, "the `file` to write")
	flags.StringVar(&o.wanted.User, "user", "", "the first user's `name` (default: you)")
	flags.StringArrayVar(&o.wanted.Keys, "key", nil, "a public key or a `file` with one; may be repeated (default: those in the user's ~/.ssh)")
	flags.StringArrayVar(&o.wanted.Hosts, "host", nil, "only this `host`; may be repeated (default: all)")
	flags.StringVar(&o.wanted.Listen, "listen", "", "`address` for clients (default :2222)")
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask")
	return command
}

func (o initOptions) run(ctx context.Context, in io.Reader, out io.Writer) error {
	if err := setup.CanWrite(o.path); err != nil {
		return err
	}
	plan, notLooked, err := setup.Find(ctx, o.wanted)
	if notLooked != nil {
		fmt.Fprintf(out, "no containers: %v\n", notLooked)
	}
	if err != nil {
		return err
	}
	showPlan(out, plan)
	if gpus, err := box.ReadInventory(ctx); err == nil && len(gpus.GPUs) > 0 {
		fmt.Fprintf(out, "%s here: berth-provision gives each to one host\n", count(len(gpus.GPUs), "GPU"))
	}
	if err := o.confirm(in, out); err != nil {
		return err
	}
	if err := setup.Write(o.path, plan); err != nil {
		return err
	}
	return o.next(out, plan)
}

func showPlan(out io.Writer, plan setup.Plan) {
	fmt.Fprintf(out, "user %s\n", plan.User)
	for _, key := range plan.Keys {
		fmt.Fprintf(out, "  key  %s %s\n", key.Fingerprint(), cmp.Or(key.From, "given"))
	}
	for _, c := range plan.Containers {
		note := ""
		if c.SSHPort != "" {
			note = ", which also has ssh on port " + c.SSHPort
		}
		fmt.Fprintf(out, "  host %s: container %s%s\n", c.Host, c.Name, note)
	}
	if len(plan.Containers) == 0 {
		fmt.Fprintln(out, "  no host: no container runs here")
	}
}

func (o initOptions) confirm(in io.Reader, out io.Writer) error {
	if o.yes {
		return nil
	}
	if file, ok := in.(*os.File); !ok || !term.IsTerminal(int(file.Fd())) {
		return errors.New("there is no terminal to ask at; add --yes to write the file")
	}
	fmt.Fprintf(out, "Write %s? [Y/n] ", o.path)
	answer, err := bufio.NewReader(in).ReadString('\n')
	if answer = strings.ToLower(strings.TrimSpace(answer)); err != nil || answer != "" && answer != "y" && answer != "yes" {
		return errors.New("nothing written")
	}
	return nil
}

// next prints what is left to do, and the command that logs in.
func (o initOptions) next(out io.Writer, plan setup.Plan) error {
	settings, err := config.Load(o.path)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote %s\n", o.path)
	if err := warn(out, o.path, settings); err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(settings.Listen)
	if err != nil {
		return err
	}
	host := "HOST"
	if len(plan.Containers) > 0 {
		host = plan.Containers[0].Host
	}
	fmt.Fprintf(out, "\nnow start the gateway, and log in:\n  %s\n  ssh -p %s %s+%s@%s\n", o.startLine(), port, plan.User, host, thisBox())
	if slices.ContainsFunc(plan.Containers, func(c setup.Container) bool { return c.SSHPort != "" }) {
		fmt.Fprintln(out, "to keep the old passwords: berth-provision import makes users of those in a compose file")
	}
	return nil
}

func (o initOptions) startLine() string {
	_, systemd := os.Stat("/run/systemd/system")
	_, unit := os.Stat("/usr/lib/systemd/system/berth-gateway.service")
	switch {
	case o.path != config.DefaultPath:
		return "sudo berth-gateway serve --config " + o.path
	case systemd == nil && unit == nil:
		return "sudo systemctl enable --now berth-gateway"
	}
	return "sudo berth-gateway serve"
}

// thisBox returns a name or address of this box: its host name if that resolves here,
// or else its first address that is not a loopback.
func thisBox() string {
	name, err := os.Hostname()
	if err == nil {
		if _, err := net.LookupHost(name); err == nil {
			return name
		}
	}
	addresses, _ := net.InterfaceAddrs() // without any, localhost is used
	for _, address := range addresses {
		if net, ok := address.(*net.IPNet); ok && net.IP.IsGlobalUnicast() {
			return net.IP.String()
		}
	}
	return "localhost"
}
