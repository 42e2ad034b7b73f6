// Command gateway is one SSH port in front of every host on a box.
//
// This package has only its verbs, one in each file: flags, questions and tables. The
// work is done in the packages that they call.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/release"
)

func main() {
	if err := newCommand().ExecuteContext(context.Background()); err != nil {
		printError(os.Stderr, err)
		os.Exit(1)
	}
}

func newCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "berth-gateway",
		Short:         "One SSH port in front of every host on a box",
		Version:       release.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(newServeCommand(), newCheckCommand(), newReloadCommand(), newUpgradeCommand(), newServiceCommand(), newSessionsCommand(), newKickCommand(), newWallCommand(), newReplayCommand(), newForgetCommand(), newInitCommand(), newBackupCommand(), newRestoreCommand(), newHashPasswordCommand(), newTotpCommand(), newKeysCommand(), newDemoCommand(), newSelftestCommand(), newHelperCommand(), newFrontCommand(), release.NewManCommand())
	release.ShowUsage(root)
	return root
}

// printError prints an error after the program's name. Errors of a configuration are
// printed as they are: each begins with file and line, like those of a compiler.
func printError(w io.Writer, err error) {
	if lines, ok := errors.AsType[config.Errors](err); ok {
		fmt.Fprintln(w, lines)
		return
	}
	fmt.Fprintf(w, "gateway: %v\n", err)
}
