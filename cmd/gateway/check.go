package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/control"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/hosts/configured"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/people"
	"github.com/berth-ssh/berth/printable"
)

// maxCause is how much is shown of the reason why an engine or cluster does not
// answer, in runes.
const maxCause = 500

func newCheckCommand() *cobra.Command {
	path, who, host := config.DefaultPath, "", ""
	command := &cobra.Command{
		Use:   "check",
		Short: "Show the problems of the configuration, each with its line, or what a user may do",
		Long: "Show the problems of the configuration, gateway.yaml and users.d/*.yaml beside\n" +
			"it, each with its line. Then look at this machine: the mode of the state\n" +
			"directory, whether the port is free, whether the directory and the OpenID\n" +
			"provider answer, which of the granted hosts exist now, and who has to wait after\n" +
			"too many wrong passwords. Warnings do not change the exit code.\n\n" +
			"With --who and --host it says instead what a user may do on a host, and which\n" +
			"line says so; it exits with 1 if the user may not enter the host. It asks the\n" +
			"directory for the user's groups, if gateway.yaml has an account for that.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			if (who == "") != (host == "") {
				return errors.New("--who and --host go together: berth-gateway check --who dev --host master")
			}
			if who != "" {
				return explain(command.Context(), command.OutOrStdout(), settings, who, host)
			}
			return check(command, path, settings)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().StringVar(&who, "who", "", "say what this `user` may do on the host")
	command.Flags().StringVar(&host, "host", "", "the `host`, for --who")
	return command
}

func check(command *cobra.Command, path string, settings config.Config) error {
	if err := warn(command.ErrOrStderr(), path, settings); err != nil {
		return err
	}
	for _, silent := range askServices(command.Context(), settings) {
		fmt.Fprintf(command.ErrOrStderr(), "%s: warning: %v\n", path, silent)
	}
	fmt.Fprintf(command.OutOrStdout(), "%s: ok, %s, %s in the file\n", path, count(len(settings.Users), "user"), count(len(settings.Hosts), "host"))
	if err := showHosts(command.Context(), command.OutOrStdout(), command.ErrOrStderr(), settings); err != nil {
		fmt.Fprintf(command.ErrOrStderr(), "%s: warning: the hosts were not looked up: %v\n", path, err)
	}
	if err := showPenalties(command.Context(), command.OutOrStdout(), settings.State); err != nil {
		fmt.Fprintf(command.ErrOrStderr(), "%s: warning: whom the gateway slows down is not known: %v\n", path, err)
	}
	return nil
}

// showPenalties prints the sources whose passwords the running gateway slows down, if
// any.
func showPenalties(ctx context.Context, w io.Writer, stateDir string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	penalties, err := people.AskPenalties(ctx, stateDir)
	if errors.Is(err, control.ErrNotRunning) || err == nil && len(penalties) == 0 {
		return nil
	}
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "\nSLOWED DOWN\tFAILURES\tA PASSWORD EVERY")
	for _, p := range penalties {
		fmt.Fprintf(rows, "%s\t%.0f\t%.2f s\n", p.Source, p.Failures, p.Gap)
	}
	return errors.Join(err, rows.Flush())
}

// explain prints what a user may do on a host. If the host exists now, its project
// and labels count, too.
func explain(ctx context.Context, w io.Writer, settings config.Config, user, name string) error {
	found, err := configured.Look(ctx, settings.HostSettings(), []string{name})
	if err != nil {
		return err
	}
	there := found.Hosts[name]
	who, err := identify(ctx, settings, user)
	if err != nil {
		return err
	}
	rows, err := settings.Explain(who, asHost(name, there))
	if err != nil && there.Err != nil {
		return fmt.Errorf("%w; and by its name alone: the host %s", err, now(there))
	}
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(table, "%s\t%s\n", row.What, row.Answer)
	}
	fmt.Fprintf(table, "now\t%s\n", now(there))
	return table.Flush()
}

// warn prints what serve would accept, but is probably not intended. It returns an
// error that would stop serve.
func warn(w io.Writer, path string, settings config.Config) error {
	warnings, err := settings.CheckHere()
	if err != nil {
		return err
	}
	for _, warning := range settings.Warnings {
		fmt.Fprintln(w, warning)
	}
	for _, warning := range warnings {
		fmt.Fprintf(w, "%s: warning: %s\n", path, warning)
	}
	for _, user := range withoutCodes(settings) {
		fmt.Fprintf(w, "%s: warning: user %s must show a code to log in, and has no authenticator; run: berth-gateway totp %s\n", path, user, user)
	}
	return nil
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// showHosts prints each granted host, who may enter it, and whether it exists now;
// and each pattern, project or label that matches no host. It waits some seconds for
// the engine.
func showHosts(ctx context.Context, w, warnings io.Writer, settings config.Config) error {
	granted := settings.Granted()
	if len(granted) == 0 {
		return nil
	}
	var names []string
	for host := range granted {
		if auth.CheckName(host) == nil {
			names = append(names, host)
		}
	}
	looked, err := configured.Look(ctx, settings.HostSettings(), names)
	if err != nil {
		return err
	}
	for _, silence := range looked.Silent {
		fmt.Fprintf(warnings, "warning: %s %s: %s\n", silence.Who, silence.What(), printable.Line(silence.Cause.Error(), maxCause))
	}
	found := looked.Hosts
	rows := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(rows, "\nHOST\tUSERS\tNOW")
	for _, name := range slices.Sorted(maps.Keys(found)) {
		users, lines := settings.WhoMayEnter(asHost(name, found[name]))
		for _, line := range lines {
			delete(granted, line.Hosts)
			if line.LimitsSftp() && found[name].Route == labels.RouteSshd {
				fmt.Fprintf(warnings, "%s: warning: host %s of route sshd does not hold to sftp that is read-only or in a directory, and is not entered by this grant\n", line.Line, name)
			}
		}
		if len(users) > 0 {
			fmt.Fprintf(rows, "%s\t%s\t%s\n", name, strings.Join(users, ", "), now(found[name]))
		}
	}
	for _, pattern := range slices.Sorted(maps.Keys(granted)) {
		fmt.Fprintf(rows, "%s\t%s\tno host\n", pattern, strings.Join(granted[pattern], ", "))
	}
	return rows.Flush()
}

func asHost(name string, found configured.Found) auth.Host {
	return auth.Host{Name: name, Exact: found.Exact, Box: found.Box, Account: found.Account, Project: found.Project, Labels: found.Labels}
}

// now describes in a few words what a host's name means now.
func now(found configured.Found) string {
	why := (*hosts.Unreachable)(nil)
	switch {
	case errors.As(found.Err, &why):
		return why.Why
	case found.Err != nil:
		return found.Err.Error()
	case found.Container != "":
		return fmt.Sprintf("route %s, container %.12s", found.Route, found.Container)
	}
	return "route " + found.Route
}
