package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/state"
)

func newKeysCommand() *cobra.Command {
	path, name := config.DefaultPath, ""
	command := &cobra.Command{
		Use:   "keys",
		Short: "Show the fingerprints of the gateway's own keys",
		Long: "Show the fingerprints of the gateway's own keys: of the host key, which clients\n" +
			"ask about at the first login, and of the user CA, which containers trust. With\n" +
			"--known-hosts it prints lines for people's known_hosts files instead, with the name\n" +
			"by which they reach the box; with these lines ssh does not ask at the first login.\n" +
			"Run it as the gateway's account.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			st, err := openMade(settings)
			if err != nil {
				return err
			}
			if name != "" {
				return showKnownHosts(command.OutOrStdout(), settings.Listen, name, st)
			}
			return showKeys(command.OutOrStdout(), st)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().StringVar(&name, "known-hosts", "", "print the lines of a known_hosts file, for a box of this `name`")
	command.AddCommand(newRotateCommand(), newSecretCommand())
	return command
}

// openMade opens a state directory that a gateway has created. It does not create
// one.
func openMade(settings config.Config) (*state.State, error) {
	dir := settings.State
	if err := state.Check(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "ssh_host_ed25519_key")); err != nil && settings.Keys == "" {
		return nil, fmt.Errorf("%s has no keys yet; the gateway makes them when it first starts", dir)
	}
	return state.OpenWithKeys(dir, settings.Keys)
}

// showKnownHosts prints the known_hosts lines for the gateway's present and next
// keys.
func showKnownHosts(out io.Writer, listen, name string, st *state.State) error {
	keys, err := st.HostKeys(false)
	if err != nil {
		return err
	}
	_, port, _ := net.SplitHostPort(listen) // valid: it was checked
	address := knownhosts.Normalize(net.JoinHostPort(name, port))
	for _, key := range slices.Concat([]ssh.Signer{keys.Key}, keys.Others, keys.Next) {
		fmt.Fprintln(out, knownhosts.Line([]string{address}, key.PublicKey()))
	}
	return nil
}

func showKeys(out io.Writer, st *state.State) error {
	keys, err := st.HostKeys(false)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(what string, key ssh.PublicKey) {
		fmt.Fprintf(table, "%s\t%s\t%s\n", what, ssh.FingerprintSHA256(key), strings.TrimPrefix(key.Type(), "ssh-"))
	}
	for _, key := range slices.Concat([]ssh.Signer{keys.Key}, keys.Others) {
		row("host key", key.PublicKey())
	}
	for _, next := range keys.Next {
		row("next host key"+from(keys.At), next.PublicKey())
	}
	ca := st.UserCA()
	row("user CA", ca.Key.PublicKey())
	if ca.Next != nil {
		row("next user CA", ca.Next.PublicKey())
	}
	return table.Flush()
}

// from says when a key will replace another one.
func from(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.Local().Format(", from 2006-01-02 15:04")
}
