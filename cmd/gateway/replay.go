package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"time"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/recording"
)

func newReplayCommand() *cobra.Command {
	path, speed, idle, cat := config.DefaultPath, 1.0, 2*time.Second, false
	command := &cobra.Command{
		Use:   "replay [FILE]",
		Short: "Show a recording of a terminal; without FILE, list them",
		Long: "Show what a terminal showed, as it was recorded; without FILE, list the recordings of\n" +
			"the directory that gateway.yaml names. What was shown is sent to your terminal as it\n" +
			"was, with every control sequence. With --cat the file is written as it is, an\n" +
			"asciicast, for other players:\n" +
			"berth-gateway replay --cat FILE | asciinema play -",
		Args: cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			out := command.OutOrStdout()
			if len(args) == 0 {
				return listRecordings(out, path)
			}
			file, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer file.Close()
			if cat {
				return recording.Cat(file, out)
			}
			if speed <= 0 {
				return errors.New("--speed must be more than 0")
			}
			ctx, stop := signal.NotifyContext(command.Context(), os.Interrupt)
			defer stop()
			return recording.Replay(ctx, file, out, speed, idle)
		},
	}
	command.Flags().StringVar(&path, "config", path, "configuration `file`")
	command.Flags().Float64Var(&speed, "speed", speed, "how many `times` as fast")
	command.Flags().DurationVar(&idle, "max-idle", idle, "the longest `pause`")
	command.Flags().BoolVar(&cat, "cat", cat, "write the asciicast instead")
	return command
}

func listRecordings(out io.Writer, path string) error {
	settings, err := config.Load(path)
	if err != nil {
		return err
	}
	if settings.Record.Dir == "" {
		return fmt.Errorf("nothing is recorded: %s has no section record", path)
	}
	all, err := recording.List(settings.Record.Dir)
	for _, kept := range all {
		fmt.Fprintf(out, "%s  %8s  %s\n", kept.Changed.Local().Format("2006-01-02 15:04"), units.HumanSize(float64(kept.Size)), filepath.Clean(kept.Path))
	}
	return err
}
