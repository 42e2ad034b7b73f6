package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/pods"
)

// Observed is what is in a namespace.
type Observed struct {
	Namespace string
	Sets      []appsv1.StatefulSet           // also those that provision did not make
	Secrets   []corev1.Secret                // only those that provision made
	Claims    []corev1.PersistentVolumeClaim // also those that provision did not make
	Pods      []corev1.Pod                   // of every namespace that may be listed
	Users     map[string][]string            // the users of a pod of this namespace, by the pod's name
	Failures  map[string]string              // why a StatefulSet's pod cannot be created, by its name
}

// Set returns the StatefulSet of this name.
func (o Observed) Set(name string) (*appsv1.StatefulSet, bool) {
	i := slices.IndexFunc(o.Sets, func(s appsv1.StatefulSet) bool { return s.Name == name })
	if i < 0 {
		return nil, false
	}
	return &o.Sets[i], true
}

// Of returns the StatefulSets of a project, or of all projects if it is "", ordered
// by host.
func (o Observed) Of(project string) []appsv1.StatefulSet {
	all := slices.DeleteFunc(slices.Clone(o.Sets), func(s appsv1.StatefulSet) bool {
		of := s.Labels[labels.Project]
		return of == "" || project != "" && of != project
	})
	slices.SortFunc(all, func(a, b appsv1.StatefulSet) int { return cmp.Compare(HostOf(&a), HostOf(&b)) })
	return all
}

// Pod returns the pod of a StatefulSet; nil if there is none.
func (o Observed) Pod(set *appsv1.StatefulSet) *corev1.Pod {
	for i, p := range o.Pods {
		if p.Namespace == o.Namespace && p.Name == pods.PodOf(set.Name) {
			return &o.Pods[i]
		}
	}
	return nil
}

func (o Observed) claim(name string) (*corev1.PersistentVolumeClaim, bool) {
	i := slices.IndexFunc(o.Claims, func(c corev1.PersistentVolumeClaim) bool { return c.Name == name })
	if i < 0 {
		return nil, false
	}
	return &o.Claims[i], true
}

// secretsOf returns the Secrets of a service.
func (o Observed) secretsOf(project, service string) []corev1.Secret {
	return slices.DeleteFunc(slices.Clone(o.Secrets), func(s corev1.Secret) bool {
		return s.Labels[labels.Project] != project || s.Labels[labels.Service] != service
	})
}

// HostOf returns the host name of a StatefulSet that provision made.
func HostOf(set *appsv1.StatefulSet) string {
	return kubernetes.Line(cmp.Or(set.Labels[labels.Host], set.Name))
}

// isStopped reports whether somebody has stopped the host.
func isStopped(set *appsv1.StatefulSet) bool {
	return set.Spec.Replicas != nil && *set.Spec.Replicas == 0
}

// secretOf returns the Secret from which a StatefulSet's variables come; "" if it has
// none.
func secretOf(set *appsv1.StatefulSet) string {
	for _, c := range set.Spec.Template.Spec.Containers {
		for _, from := range c.EnvFrom {
			if from.SecretRef != nil {
				return from.SecretRef.Name
			}
		}
	}
	return ""
}

// State is the state of a host.
type State struct {
	Word  string // running, stopped, pending and the like
	Why   string // it is not running, or not ready; "" where there is nothing to say
	Stuck bool   // as far as is known, it will not come up by itself soon
	Ready bool
}

// StateOf returns the state of a StatefulSet's host.
func (o Observed) StateOf(set *appsv1.StatefulSet) State {
	pod := o.Pod(set)
	switch {
	case isStopped(set) && pod == nil:
		return State{Word: "stopped"}
	case isStopped(set) || pod != nil && pod.DeletionTimestamp != nil:
		return State{Word: "ending", Why: "its pod is ending"}
	case pod == nil && o.Failures[set.Name] != "":
		return State{Word: "pending", Why: "its pod cannot be made: " + o.Failures[set.Name], Stuck: true}
	case pod == nil:
		return State{Word: "starting", Why: "its pod is not made yet"}
	}
	if why := kubernetes.WhyUnscheduled(pod); why != "" && pod.Spec.NodeName == "" {
		return State{Word: "pending", Why: why + o.heldBy(why) + asks(pod), Stuck: true}
	}
	return podState(pod)
}

// asks describes the nodes that a pod can run on, by the labels that it demands; ""
// if it can run on every node.
func asks(pod *corev1.Pod) string {
	var wanted []string
	for key, value := range pod.Spec.NodeSelector {
		wanted = append(wanted, key+"="+value)
	}
	slices.Sort(wanted)
	if a := pod.Spec.Affinity; a != nil && a.NodeAffinity != nil && a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution != nil {
		for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
			for _, e := range term.MatchExpressions {
				wanted = append(wanted, fmt.Sprintf("%s %s %s", e.Key, e.Operator, strings.Join(e.Values, ",")))
			}
		}
	}
	if len(wanted) == 0 {
		return ""
	}
	return "; it asks for a node with " + kubernetes.Line(strings.Join(wanted, " and "))
}

// hopeless has the reasons for which a container waits and that do not go away by
// themselves.
const hopeless = "ImagePullBackOff ErrImageNeverPull InvalidImageName CreateContainerConfigError CreateContainerError RunContainerError CrashLoopBackOff"

// podState returns the state of a pod that was assigned to a node.
func podState(pod *corev1.Pod) State {
	name := kubernetes.ContainerOf(pod)
	i := slices.IndexFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		why, _ := kubernetes.WhyNotStarted(pod, name)
		return State{Word: "starting", Why: why}
	}
	s := pod.Status.ContainerStatuses[i]
	last := s.LastTerminationState.Terminated
	switch waiting := s.State.Waiting; {
	case s.State.Running != nil && s.Ready && isReady(pod):
		return State{Word: "running", Ready: true}
	case s.State.Running != nil && s.Ready:
		return State{Word: "unknown", Why: "its node " + kubernetes.Line(pod.Spec.NodeName) + " does not answer"}
	case s.State.Running != nil:
		return State{Word: "running", Why: "its healthcheck does not succeed yet"}
	case s.State.Terminated != nil:
		return State{Word: "restarting", Why: kubernetes.WhyTerminated(s.State.Terminated), Stuck: true}
	case waiting != nil && waiting.Reason == "CrashLoopBackOff" && last != nil:
		return State{Word: "restarting", Why: kubernetes.WhyTerminated(last), Stuck: true}
	case waiting != nil && slices.Contains(strings.Fields(hopeless), waiting.Reason):
		return State{Word: "pending", Why: "cannot start: " + kubernetes.Line(waiting.Reason+": "+waiting.Message), Stuck: true}
	}
	why, _ := kubernetes.WhyNotStarted(pod, name)
	return State{Word: "starting", Why: why}
}

// isReady reports whether a pod is ready according to its node. If the node does not
// answer, the cluster sets the pod to not ready.
func isReady(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// HasRun reports whether anything may have been written in a pod.
func HasRun(pod *corev1.Pod) bool {
	return pod != nil && slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
	})
}

// heldBy returns who holds the device plugins' resources that the scheduler finds too
// few of; "" for everything else.
func (o Observed) heldBy(why string) string {
	text := ""
	for _, name := range lacking(why) {
		var holders []string
		for _, pod := range o.Pods {
			if n := held(pod, name); n > 0 {
				holders = append(holders, fmt.Sprintf("%s (%d, %s)", o.holder(pod), n, kubernetes.Line(pod.Spec.NodeName)))
			}
		}
		slices.Sort(holders)
		text += "; " + name + ": held by " + cmp.Or(strings.Join(holders, ", "), "nobody that is seen from here")
	}
	return text
}

// lacking returns the device plugins' resources of which, according to a message of
// the scheduler, there are too few.
func lacking(message string) []string {
	var names []string
	for _, part := range strings.Split(message, "Insufficient ")[1:] {
		name, _, _ := strings.Cut(part, " ")
		name = strings.TrimRight(name, ".,;")
		if strings.Contains(name, "/") && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// held returns how many of a resource a pod holds: from its assignment to a node
// until it has ended.
func held(pod corev1.Pod, name string) (n int64) {
	if pod.Spec.NodeName == "" || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return 0
	}
	for _, c := range pod.Spec.Containers {
		amount := c.Resources.Requests[corev1.ResourceName(name)]
		n += amount.Value()
	}
	return n
}

func (o Observed) holder(pod corev1.Pod) string {
	where := ""
	if pod.Namespace != o.Namespace {
		where = " of namespace " + pod.Namespace
	}
	if host, project := pod.Labels[labels.Host], pod.Labels[labels.Project]; host != "" && project != "" {
		return fmt.Sprintf("host %s of project %s%s", kubernetes.Line(host), kubernetes.Line(project), where)
	}
	return "pod " + pod.Name + where
}

// nextSecret returns the name of a service's next Secret: the StatefulSet's name and
// a number, one more than the last.
func nextSecret(set string, have []corev1.Secret) string {
	last := 0
	for _, s := range have {
		if n, err := strconv.Atoi(strings.TrimPrefix(s.Name, set+"-")); err == nil {
			last = max(last, n)
		}
	}
	return set + "-" + strconv.Itoa(last+1)
}
