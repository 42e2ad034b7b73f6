package cluster

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/pods"
)

const (
	// askTimeout is how long a question to a pod may take, so that one that does not
	// answer blocks nobody for long.
	askTimeout = 10 * time.Second

	// maxEnvironments is how much of the environments of a pod's processes is read.
	maxEnvironments = 8 << 20
)

const (
	environments = `cat /proc/[0-9]*/environ 2>/dev/null`
	toTerminals  = `for t in /dev/pts/[0-9]*; do [ -c "$t" ] && printf '\r\n%s\r\n' "$1" >"$t"; done`
)

// usersOf returns the users of a project's pods, by the pods' names: people whose
// processes run there, in a session or left behind by one. Each process has its
// person in BERTH_USER, which the gateway sets. Of a pod without a shell nothing is
// known.
func (n *Namespace) usersOf(ctx context.Context, o Observed, project string) map[string][]string {
	users := map[string][]string{}
	var lock sync.Mutex
	var all sync.WaitGroup
	for _, set := range o.Of(project) {
		pod := o.Pod(&set)
		if pod == nil || pod.Status.Phase != corev1.PodRunning {
			continue
		}
		all.Go(func() {
			if names := n.usersIn(ctx, pod); len(names) > 0 {
				lock.Lock()
				defer lock.Unlock()
				users[pod.Name] = names
			}
		})
	}
	all.Wait()
	return users
}

func (n *Namespace) usersIn(ctx context.Context, pod *corev1.Pod) []string {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	out := &limited{left: maxEnvironments}
	n.exec(ctx, pod.Name, kubernetes.ContainerOf(pod), remotecommand.StreamOptions{Stdout: out}, "sh", "-c", environments)
	var names []string
	for _, entry := range strings.Split(out.String(), "\x00") {
		if name, is := strings.CutPrefix(entry, labels.EnvUser+"="); is && name != "" {
			names = append(names, kubernetes.Line(name))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// limited keeps only the beginning of what is written to it.
type limited struct {
	bytes.Buffer
	left int
}

func (l *limited) Write(p []byte) (int, error) {
	kept := p[:min(len(p), l.left)]
	l.left -= len(kept)
	l.Buffer.Write(kept)
	return len(p), nil
}

// Tell writes a line to the terminals of the people who are on a host. It does
// nothing if the host has no shell or no terminals.
func (n *Namespace) Tell(ctx context.Context, pod, line string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	streams := remotecommand.StreamOptions{Stdout: io.Discard}
	n.exec(ctx, pod, pods.ContainerName, streams, "sh", "-c", toTerminals, "sh", kubernetes.Line(line))
}
