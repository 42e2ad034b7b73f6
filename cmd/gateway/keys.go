package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

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
			"--known-hosts it prints the line for a known_hosts file instead, for the name by\n" +
			"which people reach the box; give it to them and ssh asks nobody. Run it as the\n" +
			"gateway's account.",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(path)
			if err != nil {
				return err
			}
			st, err := openMade(settings.State)
			if err != nil {
				return err
			}
			if name != "" {
				_, port, _ := net.SplitHostPort(settings.Listen) // checked
				address := knownhosts.Normalize(net.JoinHostPort(name, port))
				fmt.Fprintln(command.OutOrStdout(), knownhosts.Line([]string{address}, st.HostKey().PublicKey()))
				return nil
			}
			return showKeys(command.OutOrStdout(), st)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().StringVar(&name, "known-hosts", "", "print the line of a known_hosts file, for a box of this `name`")
	return command
}

// openMade opens a state directory that a gateway has made, and makes none.
func openMade(dir string) (*state.State, error) {
	if err := state.Check(dir); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "ssh_host_ed25519_key")); err != nil {
		return nil, fmt.Errorf("%s has no keys yet; the gateway makes them when it first starts", dir)
	}
	return state.Open(dir)
}

func showKeys(out io.Writer, st *state.State) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range []struct {
		what string
		key  ssh.PublicKey
	}{{"host key", st.HostKey().PublicKey()}, {"user CA", st.UserCA().PublicKey()}} {
		fmt.Fprintf(table, "%s\t%s\t%s\n", row.what, ssh.FingerprintSHA256(row.key), strings.TrimPrefix(row.key.Type(), "ssh-"))
	}
	return table.Flush()
}
