package main

import (
	"cmp"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"berth/provision/compose"
	"berth/provision/migrate"
)

func importCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use:   "import",
		Short: "Make " + migrate.ComposeFile + " and " + migrate.GatewayFile + " of a compose file with ssh ports and passwords",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, err := migrate.Read(cmd.Context(), o.load)
			if err != nil {
				return err
			}
			if err := m.Write(); err != nil {
				return err
			}
			fmt.Fprint(cmd.OutOrStdout(), migrationTable(m))
			return nil
		},
	}
}

// migrationTable says how people came in, and how they come in now.
func migrationTable(m *migrate.Migration) string {
	rows := [][]string{{"PORT", "HOST", "BEFORE", "NOW"}}
	for _, l := range m.Logins {
		before := "-"
		if l.Port != "" {
			before = fmt.Sprintf("ssh -p %s %s@box", l.Port, l.Account)
		}
		rows = append(rows, []string{cmp.Or(l.Port, "-"), "+" + l.Host, before, fmt.Sprintf("ssh -p 2222 %s+%s@box", l.User, l.Host)})
	}
	text := table(rows)
	for _, note := range m.Notes {
		text += note + "\n"
	}
	here := func(name string) string { return compose.ShortPath(filepath.Join(m.Dir, name)) }
	return text + fmt.Sprintf("next: provision up -f %s, and gateway serve --config %s\n", here(migrate.ComposeFile), here(migrate.GatewayFile))
}
