package kube

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/printable"
)

// DefaultContainer is the annotation by which kubectl chooses a container; ours goes
// before it.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// found is a container of a pod that is a host.
type found struct {
	namespace, name string // of the pod
	uid             string
	container       string // its name in the pod
	id              string // of the container's present run; "" while there is none

	host    string // its label
	route   string
	account string
	labels  map[string]string // of the pod, all of them
	owner   string            // what the pod is of: a StatefulSet and the like, or itself
	address string            // of the pod; "" while it has none

	running  bool
	deleting bool      // somebody has deleted the pod, and it is about to end
	started  time.Time // zero while it does not run
	why      string    // it is not running: for the person
	returns  bool      // it is likely to run again soon, by itself
	before   ending    // how its last run ended that is over
}

// ending is how a run of a container ended.
type ending struct {
	at  time.Time // zero where there was none
	why string
}

// pod is how a person finds it: namespace/name.
func (f found) pod() string { return f.namespace + "/" + f.name }

// key is what nobody else can have: the run of a container, or else the pod.
func (f found) key() string { return cmp.Or(f.id, f.uid) }

// maxWhy is how much is shown of what a cluster says, in runes.
const maxWhy = 300

func foundIn(pod *corev1.Pod) found {
	f := found{
		namespace: pod.Namespace,
		name:      pod.Name,
		uid:       string(pod.UID),
		container: containerOf(pod),
		host:      pod.Labels[labels.Host],
		route:     cmp.Or(pod.Labels[labels.Route], labels.RouteExec),
		account:   pod.Labels[labels.Account],
		labels:    pod.Labels,
		owner:     "pod " + pod.Name,
		address:   pod.Status.PodIP,
		deleting:  pod.DeletionTimestamp != nil,
	}
	for _, owner := range pod.OwnerReferences {
		if owner.Controller != nil && *owner.Controller {
			f.owner = owner.Kind + " " + owner.Name
		}
	}
	f.readStatus(pod)
	return f
}

// containerOf is the name of the container that is the host.
func containerOf(pod *corev1.Pod) string {
	for _, annotation := range []string{labels.Container, defaultContainer} {
		if name := pod.Annotations[annotation]; name != "" {
			return name
		}
	}
	if len(pod.Spec.Containers) == 0 {
		return ""
	}
	return pod.Spec.Containers[0].Name
}

func (f *found) readStatus(pod *corev1.Pod) {
	i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == f.container })
	if i < 0 {
		f.why, f.returns = whyNotStarted(pod, f.container)
		return
	}
	status := pod.Status.ContainerStatuses[i]
	_, f.id, _ = strings.Cut(status.ContainerID, "://")
	if last := status.LastTerminationState.Terminated; last != nil {
		f.before = ending{last.FinishedAt.Time, whyTerminated(last)}
	}
	ended := pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
	switch state := status.State; {
	case pod.Status.Reason != "" && ended: // Evicted and the like
		f.why, f.returns = "was ended: "+line(pod.Status.Reason+": "+pod.Status.Message), true
	case state.Running != nil && !ended:
		f.running, f.started = true, state.Running.StartedAt.Time
	case state.Terminated != nil:
		f.why = "is not running: " + whyTerminated(state.Terminated)
		f.returns = !ended
	case state.Waiting != nil && f.before.why != "":
		f.why, f.returns = "is restarting, again and again: "+f.before.why, true
	default:
		f.why, f.returns = whyNotStarted(pod, f.container)
	}
}

// whyNotStarted says why a pod's container has not run yet, and whether it is likely to
// run soon.
func whyNotStarted(pod *corev1.Pod, container string) (why string, soon bool) {
	isIt := func(c corev1.Container) bool { return c.Name == container }
	if !slices.ContainsFunc(pod.Spec.Containers, isIt) {
		return fmt.Sprintf("has no container %s, which its annotation names", line(container)), false
	}
	if pod.Status.Reason != "" && pod.Status.Phase == corev1.PodFailed {
		return "was ended: " + line(pod.Status.Reason+": "+pod.Status.Message), true
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "waits for a node: " + line(c.Message), false
		}
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if waiting := s.State.Waiting; waiting != nil && waiting.Message != "" {
			return "cannot start: " + line(waiting.Reason+": "+waiting.Message), false
		}
	}
	return "is starting", true
}

func whyTerminated(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason == "OOMKilled":
		return "it was killed at its limit of memory"
	case t.Signal != 0:
		return fmt.Sprintf("its command was ended by signal %d", t.Signal)
	case t.Message != "":
		return fmt.Sprintf("its command ended with code %d: %s", t.ExitCode, line(t.Message))
	}
	return fmt.Sprintf("its command ended with code %d", t.ExitCode)
}

func line(text string) string { return printable.Line(text, maxWhy) }
