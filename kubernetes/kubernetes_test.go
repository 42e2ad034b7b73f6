package kubernetes

import (
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
