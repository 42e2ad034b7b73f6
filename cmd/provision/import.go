package main

import (
	"bufio"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/migrate"
)

func importCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "import",
		Short: "Write " + migrate.ComposeFile + " and " + migrate.GatewayFile + " from a compose file with ssh ports and passwords",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := migrate.Read(cmd.Context(), o.load)
			if err != nil {
				return err
			}
			if isTerminal(os.Stdin) {
				askNames(cmd, m)
			}
			file, err := composeFileOf(cmd, m, o.yes)
			if err != nil {
				return err
			}
			if err := m.Write(file); err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), migrationTable(m, file))
			return nil
		},
	}
}

// askNames asks for the name of each user, until it is a valid one.
func askNames(cmd *cobra.Command, m *migrate.Migration) {
	answers := bufio.NewScanner(cmd.InOrStdin())
	var taken []string
	m.NameUsers(func(u migrate.User) string {
		for {
			fmt.Fprintf(cmd.ErrOrStderr(), "Who has the password of %s on %s? [%s] ", u.Account, strings.Join(u.Hosts, ", "), u.Name)
			if !answers.Scan() {
				return u.Name
			}
			name := cmp.Or(strings.TrimSpace(answers.Text()), u.Name)
			err := migrate.CheckName(name, taken)
			if err == nil {
				taken = append(taken, name)
				return name
			}
			fmt.Fprintln(cmd.ErrOrStderr(), err)
		}
	})
}

// composeFileOf returns the name of the new compose file: the one that commands find
// without -f. If the old file has that name, it is renamed after the user has agreed.
func composeFileOf(cmd *cobra.Command, m *migrate.Migration, yes bool) (string, error) {
	if m.From != migrate.ComposeFile {
		if _, err := os.Stat(filepath.Join(m.Dir, migrate.ComposeFile)); err == nil {
			return migrate.SecondFile, nil // another file has that name
		}
		return migrate.ComposeFile, nil
	}
	aside := strings.TrimSuffix(m.From, ".yaml") + ".old.yaml"
	if !yes && !agrees(cmd, fmt.Sprintf("Rename %s to %s, so that the new one is found without -f?", m.From, aside)) {
		return migrate.SecondFile, nil
	}
	return migrate.ComposeFile, m.Rename(aside)
}

// agrees asks a question if there is a terminal, and reports whether the answer was
// yes.
func agrees(cmd *cobra.Command, question string) bool {
	if !isTerminal(os.Stdin) {
		return false
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s [y/N] ", question)
	var answer string
	fmt.Fscanln(cmd.InOrStdin(), &answer) // no answer means no
	return strings.EqualFold(answer, "y") || strings.EqualFold(answer, "yes")
}

// migrationTable returns a table of the former and the new logins.
func migrationTable(m *migrate.Migration, composeFile string) string {
	hosts := map[string]int{} // number of hosts by user
	for _, l := range m.Logins {
		hosts[l.User]++
	}
	rows := [][]string{{"PORT", "HOST", "BEFORE", "NOW"}}
	for _, l := range m.Logins {
		before := "-"
		if l.Port != "" {
			before = fmt.Sprintf("ssh -p %s %s@box", l.Port, l.Account)
		}
		rows = append(rows, []string{cmp.Or(l.Port, "-"), "+" + l.Host, before, fmt.Sprintf("ssh -p 2222 %s@box", login(l, hosts[l.User]))})
	}
	text := table(rows)
	for _, note := range m.Notes {
		text += note + "\n"
	}
	here := func(name string) string { return compose.ShortPath(filepath.Join(m.Dir, name)) }
	command := ""
	if dir := here("."); dir != "." || composeFile != migrate.ComposeFile {
		command = " -f " + here(composeFile)
	}
	return text + fmt.Sprintf("next:\n  berth-provision plan%s\n  berth-provision up%s\n  install -D -m 600 %s /etc/berth/gateway.yaml && berth-gateway check && berth-gateway serve\n",
		command, command, here(migrate.GatewayFile))
}

// login returns the login to type: a user with one host need not name it.
func login(l migrate.Login, hosts int) string {
	if hosts == 1 {
		return l.User
	}
	return l.User + "+" + l.Host
}
