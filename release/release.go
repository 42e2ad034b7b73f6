// Package release is what a released program says about itself: its version,
// its man pages, and how its commands are called.
package release

import (
	"fmt"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/berth-ssh/berth/patches"
)

// Version is what --version prints of this program: the module's version, the
// commit where the build knew it, and whether x/crypto lacks our edits.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	facts := []string{info.GoVersion}
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			facts = append(facts, "commit "+short(setting.Value))
		case setting.Key == "vcs.modified" && setting.Value == "true":
			facts = append(facts, "modified")
		}
	}
	if !patches.Applied() {
		facts = append(facts, "x/crypto unpatched")
	}
	return fmt.Sprintf("%s (%s)", info.Main.Version, strings.Join(facts, ", "))
}

// short is a commit as people know it.
func short(revision string) string { return revision[:min(len(revision), 12)] }

// NewManCommand makes the hidden command that writes the man pages of a program:
// one for each of its commands, made from their help. Their date is
// SOURCE_DATE_EPOCH, or else today.
func NewManCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man DIRECTORY",
		Short:  "Write the man pages into a directory",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := command.Root()
			root.DisableAutoGenTag = true // each page would end with the date
			return doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "Berth", Manual: "Berth"}, args[0])
		},
	}
}

// ShowUsage has each command of a program end a complaint about its arguments with how
// it is called; cobra only counts them.
func ShowUsage(root *cobra.Command) {
	for _, command := range root.Commands() {
		ShowUsage(command)
		check := command.Args
		if check == nil {
			continue
		}
		command.Args = func(called *cobra.Command, args []string) error {
			if err := check(called, args); err != nil {
				return fmt.Errorf("%w; usage: %s", err, called.UseLine())
			}
			return nil
		}
	}
}
