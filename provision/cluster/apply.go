package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/pods"
	"github.com/berth-ssh/berth/provision/progress"
)

// Executor carries out plans in a namespace.
type Executor struct {
	Namespace *Namespace
	Progress  *progress.Progress
}

// Apply carries out a plan's steps in order. Its error names the step that failed.
// Completed steps stay, and the next run goes on from there.
func (e *Executor) Apply(ctx context.Context, p Plan) error {
	for _, a := range p.Actions {
		e.Progress.Begin(a.Task())
		err := e.carryOut(ctx, a)
		e.Progress.End(err == nil)
		if err != nil {
			return fmt.Errorf("%s: %w", a.Task(), err)
		}
	}
	return nil
}

func (e *Executor) carryOut(ctx context.Context, a Action) error {
	n := e.Namespace
	switch a.Kind {
	case plan.KindVolume:
		return e.onClaim(ctx, a)
	case plan.KindSecret:
		if a.Op == plan.OpRemove {
			return n.remove(ctx, resourceSecrets, a.Name, a.Secret.UID)
		}
		return n.create(ctx, resourceSecrets, a.Secret)
	}
	switch a.Op {
	case plan.OpCreate:
		if err := e.awaitEnd(ctx, resourceSets, a.Name, graceOf(a.Set)); err != nil {
			return err
		}
		return n.create(ctx, resourceSets, a.Set)
	case plan.OpRemove:
		return e.removeSet(ctx, a.Set)
	case plan.OpRecreate:
		if !a.Whole {
			return n.change(ctx, resourceSets, a.Name, a.Set)
		}
		if err := e.removeSet(ctx, a.Set); err != nil {
			return err
		}
		return n.create(ctx, resourceSets, asNew(a.Set))
	}
	return n.change(ctx, resourceSets, a.Name, a.Set)
}

func (e *Executor) onClaim(ctx context.Context, a Action) error {
	switch a.Op {
	case plan.OpCreate:
		if err := e.awaitEnd(ctx, resourceVolumes, a.Name, 0); err != nil {
			return err
		}
		return e.Namespace.create(ctx, resourceVolumes, a.Claim)
	case plan.OpRemove:
		if err := e.Namespace.remove(ctx, resourceVolumes, a.Name, a.Claim.UID); err != nil {
			return err
		}
		return e.awaitEnd(ctx, resourceVolumes, a.Name, 0)
	}
	return e.Namespace.change(ctx, resourceVolumes, a.Name, a.Claim)
}

// asNew returns a StatefulSet without the fields that the API server has filled in.
func asNew(set *appsv1.StatefulSet) *appsv1.StatefulSet {
	fresh := set.DeepCopy()
	fresh.ObjectMeta = metav1.ObjectMeta{Name: set.Name, Labels: set.Labels, Annotations: set.Annotations}
	fresh.Status = appsv1.StatefulSetStatus{}
	return fresh
}

// removeSet removes a StatefulSet, and returns when its pod is gone, too.
func (e *Executor) removeSet(ctx context.Context, set *appsv1.StatefulSet) error {
	if err := e.Namespace.remove(ctx, resourceSets, set.Name, set.UID); err != nil {
		return err
	}
	if err := e.awaitEnd(ctx, resourceSets, set.Name, graceOf(set)); err != nil {
		return err
	}
	return e.awaitEnd(ctx, resourcePods, pods.PodOf(set.Name), graceOf(set))
}

const (
	poll = 300 * time.Millisecond

	// endPatience is how long an object's removal may take in addition to its pod's
	// time to end. A node that does not answer keeps a pod until somebody declares it
	// gone.
	endPatience = time.Minute
)

// graceOf returns how long a StatefulSet's pod has to end by itself.
func graceOf(set *appsv1.StatefulSet) time.Duration {
	if grace := set.Spec.Template.Spec.TerminationGracePeriodSeconds; grace != nil {
		return time.Duration(*grace) * time.Second
	}
	return 0
}

// awaitEnd waits until no object of this name exists. It waits for grace, and a
// minute more.
func (e *Executor) awaitEnd(ctx context.Context, resource, name string, grace time.Duration) error {
	limit := endPatience + grace
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("it has not ended within %v (kubectl -n %s describe %s %s says why)", limit, e.Namespace.Name, resource, name))
	defer cancel()
	for {
		there, err := e.Namespace.isThere(ctx, resource, name)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil || !there:
			return err
		}
		e.Progress.Say("waits for the end of the one that is there")
		if !pause(ctx) {
			return context.Cause(ctx)
		}
	}
}

// pause waits until it is time to ask again. It returns false if ctx ends before.
func pause(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(poll):
		return true
	}
}

// CarryOut starts, stops or restarts a host. pod is the host's pod, or nil.
func (e *Executor) CarryOut(ctx context.Context, verb plan.Op, set *appsv1.StatefulSet, pod *corev1.Pod) error {
	switch {
	case verb == plan.OpStop:
		return e.stop(ctx, set)
	case verb == plan.OpStart || isStopped(set):
		return e.scale(ctx, set, 1)
	case pod == nil:
		return nil
	}
	return e.Namespace.remove(ctx, resourcePods, pod.Name, pod.UID) // the cluster makes it again
}

// stop stops a host: its StatefulSet has no pod until it is started again. Its volumes
// stay.
func (e *Executor) stop(ctx context.Context, set *appsv1.StatefulSet) error {
	if err := e.scale(ctx, set, 0); err != nil {
		return err
	}
	return e.awaitEnd(ctx, resourcePods, pods.PodOf(set.Name), graceOf(set))
}

func (e *Executor) scale(ctx context.Context, set *appsv1.StatefulSet, replicas int32) error {
	scaled := set.DeepCopy()
	scaled.Spec.Replicas = &replicas
	return e.Namespace.change(ctx, resourceSets, set.Name, scaled)
}

const (
	// readyTimeout is how long a host may take to come up: pulling an image of tens
	// of gigabytes takes minutes.
	readyTimeout = 15 * time.Minute

	// stuckPatience is how long a host must look stuck before it is reported: the
	// scheduler and the node try again.
	stuckPatience = 10 * time.Second

	settleTime = time.Second // a command that fails at once has ended by then
)

// WaitReady returns when every host of these StatefulSets runs, or will not come up
// by itself. Its error has a line for each that does not run, with the reason.
func (e *Executor) WaitReady(ctx context.Context, names []string) error {
	limit, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	var errs []error
	began := time.Now()
	for _, name := range names {
		e.Progress.Begin("wait for " + name)
		err := e.waitFor(ctx, limit, name, began)
		e.Progress.End(err == nil)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// waitFor waits for one host.
func (e *Executor) waitFor(ctx, limit context.Context, name string, began time.Time) error {
	var readySince time.Time
	for {
		o, set, err := e.look(ctx, name)
		if err != nil {
			return err
		}
		s := o.StateOf(set)
		current := s.Ready && isCurrent(set, o.Pod(set))
		switch {
		case !current:
			readySince = time.Time{}
		case readySince.IsZero():
			readySince = time.Now()
		case time.Since(readySince) > settleTime:
			return nil
		}
		if s.Stuck && time.Since(began) > stuckPatience || limit.Err() != nil && ctx.Err() == nil {
			if all, err := e.Namespace.pods(ctx); err == nil { // all pods, to find who holds what is missing
				o.Pods = all
				s = o.StateOf(set)
			}
			return fmt.Errorf("%s: %s%s", HostOf(set), s.Why, e.outlook(ctx, o.Pod(set)))
		}
		e.Progress.Say(s.Why)
		if !pause(ctx) {
			return ctx.Err()
		}
	}
}

// isCurrent reports whether a pod was made from a StatefulSet's present template.
func isCurrent(set *appsv1.StatefulSet, pod *corev1.Pod) bool {
	return set.Status.ObservedGeneration >= set.Generation && pod.Labels[appsv1.StatefulSetRevisionLabel] == set.Status.UpdateRevision
}

// look returns the present state of one StatefulSet.
func (e *Executor) look(ctx context.Context, name string) (Observed, *appsv1.StatefulSet, error) {
	n := e.Namespace
	o := Observed{Namespace: n.Name, Failures: map[string]string{}}
	var set appsv1.StatefulSet
	if err := explain(n.apps.Get().Namespace(n.Name).Resource(resourceSets).Name(name).Do(ctx).Into(&set)); err != nil {
		return o, nil, err
	}
	var pod corev1.Pod
	err := n.core.Get().Namespace(n.Name).Resource(resourcePods).Name(pods.PodOf(name)).Do(ctx).Into(&pod)
	switch {
	case apierrors.IsNotFound(err):
		o.Failures[name] = n.failure(ctx, &set)
	case err != nil:
		return o, nil, explain(err)
	default:
		o.Pods = []corev1.Pod{pod}
	}
	return o, &set, nil
}

// outlook returns what else to say about a host that does not come up, besides the
// reason.
func (e *Executor) outlook(ctx context.Context, pod *corev1.Pod) string {
	if pod != nil && pod.Spec.NodeName == "" {
		return "; it starts by itself when there is room"
	}
	return e.lastWords(ctx, pod)
}

// lastWords returns, after a colon, the last line that a container wrote before it
// ended; "" if it wrote none or never ran.
func (e *Executor) lastWords(ctx context.Context, pod *corev1.Pod) string {
	if pod == nil || len(pod.Status.ContainerStatuses) == 0 {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status := pod.Status.ContainerStatuses[0]
	if status.State.Terminated == nil && status.LastTerminationState.Terminated == nil {
		return ""
	}
	const lines, bytes = int64(1), int64(4 << 10)
	logs, err := e.Namespace.Logs(ctx, pod.Name, corev1.PodLogOptions{
		Container: kubernetes.ContainerOf(pod), Previous: status.State.Terminated == nil, TailLines: new(lines), LimitBytes: new(bytes),
	})
	if err != nil {
		return ""
	}
	defer logs.Close()
	text, _ := io.ReadAll(logs)
	if line := strings.TrimSpace(string(text)); line != "" {
		return ": " + printable.Line(line, 200)
	}
	return ""
}
