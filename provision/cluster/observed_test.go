package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHowAHostIsDoing(t *testing.T) {
	_, have := lab(t, "image: a")
	status := func(change func(*corev1.ContainerStatus, *corev1.Pod)) State {
		o := have
		o.Pods = []corev1.Pod{*have.Pods[0].DeepCopy()}
		change(&o.Pods[0].Status.ContainerStatuses[0], &o.Pods[0])
		return o.StateOf(&o.Sets[0])
	}
	waiting := func(reason, message string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
	}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}
	for _, c := range []struct {
		what   string
		change func(*corev1.ContainerStatus, *corev1.Pod)
		want   State
	}{
		{"nothing", func(*corev1.ContainerStatus, *corev1.Pod) {}, State{Word: "running", Ready: true}},
		{"not ready", func(s *corev1.ContainerStatus, _ *corev1.Pod) { s.Ready = false }, State{Word: "running", Why: "its healthcheck does not succeed yet"}},
		{"the node is gone", func(_ *corev1.ContainerStatus, p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }, State{Word: "unknown", Why: "its node node1 does not answer"}},
		{"deleted", func(_ *corev1.ContainerStatus, p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, State{Word: "ending", Why: "its pod is ending"}},
		{"ended", func(s *corev1.ContainerStatus, _ *corev1.Pod) { s.State = ended }, State{Word: "restarting", Why: "its command ended with code 3", Stuck: true}},
		{"in a loop", func(s *corev1.ContainerStatus, _ *corev1.Pod) {
			s.State, s.LastTerminationState = waiting("CrashLoopBackOff", "back-off"), ended
		}, State{Word: "restarting", Why: "its command ended with code 3", Stuck: true}},
		{"no image", func(s *corev1.ContainerStatus, _ *corev1.Pod) {
			s.State = waiting("ImagePullBackOff", "no such image\x1b[2J")
		}, State{Word: "pending", Why: "cannot start: ImagePullBackOff: no such image?[2J", Stuck: true}},
		{"pulling", func(s *corev1.ContainerStatus, _ *corev1.Pod) { s.State = waiting("ContainerCreating", "") }, State{Word: "starting", Why: "is starting"}},
	} {
		if got := status(c.change); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.what, got, c.want)
		}
	}
	have.Pods, have.Failures = nil, map[string]string{"lab-master": "exceeded quota: few"}
	if got, want := have.StateOf(&have.Sets[0]), (State{Word: "pending", Why: "its pod cannot be made: exceeded quota: few", Stuck: true}); got != want {
		t.Errorf("forbidden: %+v", got)
	}
	*have.Sets[0].Spec.Replicas = 0
	if got, want := have.StateOf(&have.Sets[0]), (State{Word: "stopped"}); got != want {
		t.Errorf("stopped: %+v", got)
	}
}

// The attack: a file claims another project's host as its own, so that the other's
// pod would belong to both.
func TestAttackByLabelsOfAnotherProject(t *testing.T) {
	want, _ := lab(t, "image: a, labels: {berth.project: other, berth.service: theirs, berth.host: theirs}")
	on := want.Hosts[0].Set.Spec.Template.Labels
	if on["berth.project"] != "lab" || on["berth.service"] != "master" || on["berth.host"] != "master" {
		t.Errorf("%v", on)
	}
}
