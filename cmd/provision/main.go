// Command provision creates the hosts behind the gateway: the containers of a compose
// file, with the limits and reservations in it, and without a published ssh port and
// the Docker socket.
//
// It reads what the files want (provision/compose), observes what exists, plans the
// steps between them (provision/plan), shows these, and carries them out one after
// the other (provision/apply). A second run finds nothing to do.
//
// This package has only its verbs, one in each file: flags, questions and tables.
// Those about hosts work on containers of a box and on pods of a cluster, which are
// the two targets (target.go).
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/release"
	"github.com/berth-ssh/berth/state"
)

var (
	errNoProject   = fmt.Errorf("%w, or a project with -p, or hosts", compose.ErrNoFile)
	errNothingDone = errors.New("nothing done") // the answer was no
	errInterrupted = errors.New("interrupted; what was done stays, and the next run goes on from there")
)

// options are the flags of every verb.
type options struct {
	load   compose.Options
	state  string
	box    string // by its name in gateway.yaml; "": this machine, or where docker goes
	config string

	cluster    string // by its name in gateway.yaml; "": hosts are containers of a box
	kubeconfig string // instead of the one in gateway.yaml
	namespace  string

	yes         bool
	planOptions plan.Options
	ignored     []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		if ctx.Err() != nil {
			err = errInterrupted
		}
		if ended, ok := errors.AsType[exitCode](err); ok {
			os.Exit(int(ended))
		}
		report(err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var o options
	root := &cobra.Command{
		Use:           "berth-provision",
		Short:         "Create the hosts behind the gateway, from compose files",
		Version:       release.Version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return o.checkCluster(cmd) }
	root.CompletionOptions.HiddenDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringArrayVarP(&o.load.Files, "file", "f", nil, "compose `file`, repeatable: later ones override the first (default compose.yaml or docker-compose.yml)")
	flags.StringVarP(&o.load.Project, "project-name", "p", "", "project `name` (default: that of the directory, as docker compose has it)")
	flags.StringArrayVar(&o.load.Profiles, "profile", nil, "compose `profile` whose services are wanted, too; repeatable")
	flags.StringArrayVar(&o.load.EnvFiles, "env-file", nil, "`file` of variables for the compose files, repeatable (default .env)")
	flags.StringVar(&o.box, "box", "", "`box` of gateway.yaml that the hosts are on (default: this machine)")
	flags.StringVar(&o.config, "config", config.DefaultPath, "the gateway's configuration `file`, which knows the boxes and clusters")
	flags.StringVar(&o.cluster, "cluster", "", "`cluster` of gateway.yaml that the hosts are pods of")
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` by which the cluster is reached (default: what gateway.yaml names)")
	flags.StringVar(&o.namespace, "namespace", "", "`namespace` of the pods (default: the one that gateway.yaml names, or that of the kubeconfig)")
	flags.StringVar(&o.state, "state", state.DefaultDir, "the gateway's state `directory`")
	flags.StringVar(&o.load.Base, "base", cmp.Or(os.Getenv("BERTH_BASE_IMAGE"), image.DefaultBase), "`image` on which host images are built; BERTH_BASE_IMAGE sets another default")
	flags.BoolVarP(&o.yes, "yes", "y", false, "do not ask before hosts are removed or recreated")
	root.AddCommand(planCommand(&o), upCommand(&o), downCommand(&o), psCommand(&o), gpusCommand(&o), metricsCommand(&o), doctorCommand(&o), importCommand(&o), reportCommand(),
		logsCommand(&o), execCommand(&o), buildCommand(&o), guardCommand(&o), release.NewManCommand())
	root.AddCommand(lifeCommands(&o)...)
	release.ShowUsage(root)
	return root
}

// report prints an error, which may have several lines.
func report(err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(os.Stderr, "provision: %s\n", strings.TrimRight(line, "\n"))
	}
}

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
