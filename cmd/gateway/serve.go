package main

import (
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/logqueue"
	"github.com/berth-ssh/berth/serving"
)

// defaultDrain is the time that connections get to end. It is shorter than the time
// after which systemd and docker stop kill the gateway.
const defaultDrain = 8 * time.Second

const (
	// stopPatience is how long everything may take after the drain. It is more than
	// connections, which are cut then, and their hosts need.
	stopPatience = 1900 * time.Millisecond

	// logPatience is how long the log's reader may take to read the last lines.
	logPatience = 100 * time.Millisecond
)

func newServeCommand() *cobra.Command {
	logged, options := logging{form: logAuto, level: "info"}, serving.Options{Path: config.DefaultPath, Drain: defaultDrain}
	command := &cobra.Command{
		Use:   "serve",
		Short: "Serve every host on one SSH port",
		Long: "Serve every host that gateway.yaml and the engine know on one SSH port, until SIGTERM\n" +
			"or Ctrl-C. SIGHUP, or berth-gateway reload, reads the configuration again. As a\n" +
			"service: systemctl enable --now berth-gateway",
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			pauses := make(chan os.Signal, 1)
			signal.Notify(pauses, syscall.SIGUSR2)
			options.Pauses = pauses
			hangUps := make(chan os.Signal, 1)
			queue := logqueue.New(os.Stderr)
			defer queue.Close(logPatience)
			log, err := logged.to(queue, isTerminal(os.Stderr))
			if err != nil {
				return err
			}
			exit := func() {
				queue.Close(logPatience)
				os.Exit(1)
			}
			hangUp := func() {
				select {
				case hangUps <- syscall.SIGHUP:
				default: // one is waiting already
				}
			}
			ctx, stop := serving.Signals{Log: log, Patience: options.Drain + stopPatience, Exit: exit, Reload: hangUp}.Handle(command.Context())
			defer stop()
			settings, err := config.Load(options.Path)
			if err != nil {
				return err
			}
			options.Front = append([]string{"front"}, logged.args()...)
			return serving.Run(ctx, settings, options, hangUps, log)
		},
	}
	command.Flags().StringVar(&options.Path, "config", options.Path, "configuration `file`")
	command.Flags().DurationVar(&options.Drain, "drain", options.Drain, "how much `time` connections have to end after SIGTERM")
	logged.flags(command.Flags())
	command.Flags().BoolVar(&options.TakeOver, "take-over", false, "take the place of the gateway that runs with this configuration, if there is one: that one accepts no more connections, and ends none")
	command.Flags().BoolVar(&options.IsService, "service", false, "")
	command.Flags().BoolVar(&options.SocketPassed, "socket-passed", false, "")
	for _, ours := range []string{"service", "socket-passed"} {
		command.Flags().MarkHidden(ours)
	}
	return command
}
