package kubernetes

import (
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-ssh/berth/labels"
)

func TestWhyAPodHasNoNode(t *testing.T) {
	p := &corev1.Pod{}
	for message, want := range map[string]string{
		"0/2 nodes are available: 2 Insufficient nvidia.com/gpu. no new claims to deallocate, preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.": "waits for a node: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu.",
		"0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available.":                                                                                         "waits for a node: 0/1 nodes are available: 1 Insufficient cpu.",
		"Scheduling is blocked due to non-empty scheduling gates":                                                                                                                   "waits for a node: Scheduling is blocked due to non-empty scheduling gates",
	} {
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: message}}
		if got := WhyUnscheduled(p); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestWhatBecameOfAPodThatIsDeleted(t *testing.T) {
	for reason, want := range map[string]string{
		"":                       "was deleted",
		"EvictionByEvictionAPI":  "was evicted, as when its node is drained",
		"DeletionByTaintManager": "was evicted by a taint of its node, as when that does not answer",
		"DeletionByPodGC":        "was deleted with its node",
		"PreemptionByScheduler":  "had to make room for one of a higher priority",
		"TerminationByKubelet":   "was ended by its node: The node was low on resource: memory?.",
	} {
		p := &corev1.Pod{}
		if reason != "" {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: reason, Message: "The node was low on resource: memory\x1b."}}
		}
		if got := WhyDeleted(p); got != want {
			t.Errorf("%s: %q, not %q", reason, got, want)
		}
	}
}

// As an API server says it by either of its ways.
func TestASilentNodeIsToldFromAFailure(t *testing.T) {
	for said, silent := range map[string]bool{
		`Internal error occurred: error sending request: Post "https://10.98.1.2:10250/exec/a/b/c": dial tcp 10.98.1.2:10250: connect: connection refused`: true,
		"error dialing backend: dial tcp 10.98.1.2:10250: i/o timeout":                                                                                     true,
		"command terminated with exit code 1": false,
	} {
		if NodeIsSilent(errors.New(said)) != silent {
			t.Errorf("%s: %v", said, !silent)
		}
	}
}

func TestTheContainerIsTheAnnotationsOrElseTheFirst(t *testing.T) {
	p := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main"}, {Name: "other"}}}}
	for _, want := range []struct{ annotation, container string }{{"", "main"}, {defaultContainer, "other"}, {labels.Container, "main"}} {
		if want.annotation != "" {
			metav1.SetMetaDataAnnotation(&p.ObjectMeta, want.annotation, want.container)
		}
		if got := ContainerOf(p); got != want.container {
			t.Errorf("%q: %s", want.annotation, got)
		}
	}
}
