package kubernetes

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/printable"
)

// defaultContainer is the annotation by which kubectl chooses a container; ours goes
// before it.
const defaultContainer = "kubectl.kubernetes.io/default-container"

// maxSaid is how much is shown of what a cluster says, in runes.
const maxSaid = 300

// Line is what a cluster says, fit to be shown: one line, and not a long one.
func Line(text string) string { return printable.Line(text, maxSaid) }

// ContainerOf is the name of the container of a pod that is the host: the one that an
// annotation names, or else the first.
func ContainerOf(pod *corev1.Pod) string {
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

// WhyUnscheduled says in the scheduler's words why a pod has no node; "" where it has
// one, or was not tried yet.
func WhyUnscheduled(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return "waits for a node: " + Line(withoutPreemption(c.Message))
		}
	}
	return ""
}

// withoutPreemption returns a scheduler's message without what it says of pods that it
// might end for this one.
func withoutPreemption(message string) string {
	for _, more := range []string{" no new claims to deallocate", " preemption: "} {
		message, _, _ = strings.Cut(message, more)
	}
	return message
}

// WhyNotStarted says why a pod's container has not run yet, and whether it is likely to
// run soon.
func WhyNotStarted(pod *corev1.Pod, container string) (why string, soon bool) {
	isIt := func(c corev1.Container) bool { return c.Name == container }
	if !slices.ContainsFunc(pod.Spec.Containers, isIt) {
		return fmt.Sprintf("has no container %s, which its annotation names", Line(container)), false
	}
	if pod.Status.Reason != "" && pod.Status.Phase == corev1.PodFailed {
		return "was ended: " + Line(pod.Status.Reason+": "+pod.Status.Message), true
	}
	if why := WhyUnscheduled(pod); why != "" {
		return why, false
	}
	for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if waiting := s.State.Waiting; waiting != nil && waiting.Message != "" {
			return "cannot start: " + Line(waiting.Reason+": "+waiting.Message), false
		}
	}
	return "is starting", true
}

// What the condition of a pod names as the cause of a deletion, where no constant of the
// API's own does.
const (
	byEviction = "EvictionByEvictionAPI"
	byTaint    = "DeletionByTaintManager"
	byLostNode = "DeletionByPodGC"
)

// WhyDeleted says what became of a pod that is being deleted, to follow its name.
func WhyDeleted(pod *corev1.Pod) string {
	for _, c := range pod.Status.Conditions {
		if c.Type != corev1.DisruptionTarget || c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Reason {
		case byEviction:
			return "was evicted, as when its node is drained"
		case byTaint:
			return "was evicted by a taint of its node, as when that does not answer"
		case byLostNode:
			return "was deleted with its node"
		case corev1.PodReasonPreemptionByScheduler:
			return "had to make room for one of a higher priority"
		case corev1.PodReasonTerminationByKubelet:
			return "was ended by its node: " + Line(c.Message)
		}
	}
	return "was deleted"
}

// IsOfLostNode reports whether a pod's node does not answer: the cluster calls a pod not
// ready then whose containers are.
func IsOfLostNode(pod *corev1.Pod) bool {
	is := func(condition corev1.PodConditionType, status corev1.ConditionStatus) bool {
		return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == condition && c.Status == status })
	}
	return len(pod.Spec.ReadinessGates) == 0 && is(corev1.PodReady, corev1.ConditionFalse) && is(corev1.ContainersReady, corev1.ConditionTrue)
}

// WhyTerminated says how a container's run ended.
func WhyTerminated(t *corev1.ContainerStateTerminated) string {
	switch {
	case t.Reason == "OOMKilled":
		return "it was killed at its limit of memory"
	case t.Signal != 0:
		return fmt.Sprintf("its command was ended by signal %d", t.Signal)
	case t.Message != "":
		return fmt.Sprintf("its command ended with code %d: %s", t.ExitCode, Line(t.Message))
	}
	return fmt.Sprintf("its command ended with code %d", t.ExitCode)
}
