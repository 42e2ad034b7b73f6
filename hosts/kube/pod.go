package kube

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/labels"
)

// found is a container of a pod that is a host.
type found struct {
	namespace, name string // of the pod
	uid             string
	container       string // its name in the pod
	id              string // of the container's present run; "" while there is none

	host    string // from its label
	route   string
	account string
	labels  map[string]string // of the pod, all of them
	address string            // of the pod; "" while it has none
	node    string            // that the pod is on; "" while it has none
	person  string            // who enters it, as the cluster is told; "": the gateway itself

	running  bool
	lost     bool      // its node does not answer
	started  time.Time // zero if it does not run
	why      string    // why it does not run, for the person
	returns  bool      // it will probably run again soon, by itself
	before   ending    // how its previous run ended
	deletion deletion
}

// ending is how a run of a container ended.
type ending struct {
	at  time.Time // zero if there was none
	why string
}

// deletion describes the deletion of a pod that is about to end; otherwise it is the
// zero value.
type deletion struct {
	due time.Time // when it should have ended
	how string    // what happened to the pod, to be put after its name
}

// deleting reports whether the pod is about to end: it was deleted or evicted.
func (f found) deleting() bool { return !f.deletion.due.IsZero() }

// isOverdue reports whether the pod should have ended long ago, but its node has not
// confirmed that.
func (f found) isOverdue() bool {
	return f.deleting() && time.Since(f.deletion.due) > comingBack
}

// pod returns the pod's name for people: namespace/name.
func (f found) pod() string { return f.namespace + "/" + f.name }

// key returns something that nothing else can have: the id of the container's run, or
// else the pod's uid.
func (f found) key() string { return cmp.Or(f.id, f.uid) }

func foundIn(pod *corev1.Pod) found {
	f := found{
		namespace: pod.Namespace,
		name:      pod.Name,
		uid:       string(pod.UID),
		container: kubernetes.ContainerOf(pod),
		host:      pod.Labels[labels.Host],
		route:     cmp.Or(pod.Labels[labels.Route], labels.RouteExec),
		account:   pod.Labels[labels.Account],
		labels:    pod.Labels,
		address:   pod.Status.PodIP,
		node:      pod.Spec.NodeName,
		lost:      kubernetes.IsOfLostNode(pod),
	}
	if pod.DeletionTimestamp != nil {
		f.deletion = deletion{pod.DeletionTimestamp.Time, kubernetes.WhyDeleted(pod)}
	}
	f.readStatus(pod)
	return f
}

func (f *found) readStatus(pod *corev1.Pod) {
	i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == f.container })
	if i < 0 {
		f.why, f.returns = kubernetes.WhyNotStarted(pod, f.container)
		return
	}
	status := pod.Status.ContainerStatuses[i]
	_, f.id, _ = strings.Cut(status.ContainerID, "://")
	if last := status.LastTerminationState.Terminated; last != nil {
		f.before = ending{last.FinishedAt.Time, kubernetes.WhyTerminated(last)}
	}
	ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	switch state := status.State; {
	case pod.Status.Reason != "" && ended: // Evicted and the like
		f.why, f.returns = "was ended: "+kubernetes.Line(pod.Status.Reason+": "+pod.Status.Message), true
	case state.Running != nil && !ended:
		f.running, f.started = true, state.Running.StartedAt.Time
	case state.Terminated != nil:
		f.why = "is not running: " + kubernetes.WhyTerminated(state.Terminated)
		f.returns = !ended
	case state.Waiting != nil && f.before.why != "":
		f.why, f.returns = "is restarting, again and again: "+f.before.why, true
	default:
		f.why, f.returns = kubernetes.WhyNotStarted(pod, f.container)
	}
}
