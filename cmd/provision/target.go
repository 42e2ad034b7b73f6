package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/berth-ssh/berth/provision/plan"
)

// target is where the hosts of a project are. Its methods are the verbs for both
// kinds of hosts: see the file of each verb.
type target interface {
	show(*cobra.Command) error // plan
	up(*cobra.Command) error
	down(cmd *cobra.Command, names []string, withVolumes bool) error
	ps(*cobra.Command) error
	logs(cmd *cobra.Command, name string, o logOptions) error
	life(cmd *cobra.Command, verb plan.Op, names []string) error // start, stop, restart
	hostNames(context.Context) ([]string, error)
}

// onBox is hosts that are containers of a box's engine; onCluster is hosts that are
// pods in a cluster's namespace.
type (
	onBox     struct{ options }
	onCluster struct{ options }
)

func (o options) target() target {
	if o.isOnCluster() {
		return onCluster{o}
	}
	return onBox{o}
}

func (o options) isOnCluster() bool { return o.cluster != "" || o.kubeconfig != "" }

// checkCluster refuses verbs and flags that make sense only for a box.
func (o options) checkCluster(cmd *cobra.Command) error {
	if !o.isOnCluster() {
		if o.namespace != "" {
			return fmt.Errorf("--namespace is one of a cluster: say which with --cluster")
		}
		return nil
	}
	verbs := []string{"plan", "up", "down", "ps", "logs", "start", "stop", "restart"}
	if !slices.Contains(verbs, cmd.Name()) && !strings.HasPrefix(cmd.Name(), cobra.ShellCompRequestCmd) {
		return fmt.Errorf("%s is about a box, and --cluster names none; of a cluster there are %s", cmd.Name(), strings.Join(verbs, ", "))
	}
	if o.box != "" {
		return fmt.Errorf("hosts are on a box or on a cluster: --box or --cluster")
	}
	for _, flag := range []string{"fresh", "upgrade", "ignore"} {
		if cmd.Flags().Changed(flag) {
			return fmt.Errorf("--%s is about containers of a box; leave it out", flag)
		}
	}
	return nil
}
