package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"text/tabwriter"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/people"
	"github.com/berth-ssh/berth/printable"
)

// watchEvery is how often --watch asks again.
const watchEvery = 2 * time.Second

func newSessionsCommand() *cobra.Command {
	path, asJSON, watch := config.DefaultPath, false, false
	command := &cobra.Command{
		Use:   "sessions",
		Short: "Show who is connected",
		Long: "Show who is connected: each connection with its person, host and account, where it\n" +
			"comes from, for how long nothing was sent (IDLE), its open sessions, its open\n" +
			"connections through forwards, and the bytes on the wire from the client (UP) and to\n" +
			"it (DOWN). People who came before an upgrade are among them. Run it as root or as\n" +
			"the gateway's account.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			out := command.OutOrStdout()
			show := showSessions
			if asJSON {
				show = showSessionsJSON
			}
			for {
				err := askSessions(command.Context(), config.StateDir(path), func(all []people.Connection) error {
					if watch && !asJSON && isTerminal(out) {
						fmt.Fprint(out, "\x1b[H\x1b[2J") // to the top of an empty screen
					}
					return show(out, all)
				})
				if err != nil || !watch {
					return err
				}
				select {
				case <-command.Context().Done():
					return nil
				case <-time.After(watchEvery):
				}
			}
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`, for its state directory")
	command.Flags().BoolVar(&asJSON, "json", asJSON, "print one JSON list")
	command.Flags().BoolVarP(&watch, "watch", "w", watch, "show it again every 2 seconds; with --json, a list a line")
	return command
}

// askSessions shows who is connected. If one gateway does not answer, it shows those
// of the others, and returns the error.
func askSessions(ctx context.Context, stateDir string, show func([]people.Connection) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all, err := people.Ask(ctx, stateDir)
	if err != nil && len(all) == 0 {
		return err
	}
	return errors.Join(show(all), err)
}

func showSessionsJSON(out io.Writer, all []people.Connection) error {
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", printable.ASCII(text))
	return err
}

func showSessions(out io.Writer, all []people.Connection) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CONN\tPERSON\tHOST\tACCOUNT\tROUTE\tFROM\tSINCE\tIDLE\tSESSIONS\tFORWARDS\tUP\tDOWN\tCLIENT")
	for _, c := range all {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%s\n",
			c.ID, c.Person, shown(c.Host), shown(c.Account), shown(c.Route), shown(c.From), c.Since.Local().Format("2 Jan 15:04"),
			time.Duration(c.Idle)*time.Second, c.Sessions, c.Forwards, units.HumanSize(float64(c.Up)), units.HumanSize(float64(c.Down)), shown(c.Client))
	}
	return w.Flush()
}

// shown returns a cell of a table, made safe for a terminal.
func shown(cell string) string {
	if cell == "" {
		return "-"
	}
	return printable.Line(cell, math.MaxInt)
}

func isTerminal(out io.Writer) bool {
	file, isFile := out.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}
