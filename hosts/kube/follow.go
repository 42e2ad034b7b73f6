package kube

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/berth-ssh/berth/labels"
)

const (
	minBackoff = time.Second / 2
	maxBackoff = 5 * time.Second
)

// Run follows the pods of all namespaces until ctx ends. It tries again and again if
// the API server does not answer.
func (s *Source) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, namespace := range s.namespaces {
		s.asked.Add(1)
		all.Go(func() { s.follow(ctx, namespace) })
	}
	go func() {
		s.asked.Wait()
		close(s.synced)
	}()
	all.Wait()
}

// follow lists the pods with labels and then watches them. When a watch breaks, it
// goes on after the last change, or lists again.
func (s *Source) follow(ctx context.Context, namespace string) {
	v := &view{source: s, namespace: namespace}
	v.first = sync.OnceFunc(s.asked.Done)
	defer v.first()
	pods := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.LabelSelector = labels.Host
			all, err := s.api.list(ctx, namespace, options)
			v.answered(ctx, err)
			return all, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.LabelSelector = labels.Host
			watching, err := s.api.watch(ctx, namespace, options)
			v.answered(ctx, err)
			return watching, err
		},
	}
	backoff := &wait.Backoff{Duration: minBackoff, Cap: maxBackoff, Steps: 1 << 30, Factor: 2, Jitter: 0.5}
	cache.NewReflectorWithOptions(pods, &corev1.Pod{}, v, cache.ReflectorOptions{Name: "pods", Backoff: backoff}).RunWithContext(ctx)
}

// view receives the pods of a namespace from the client.
type view struct {
	source    *Source
	namespace string
	first     func() // called when the namespace has been asked for the first time, whatever the answer was
	said      string // what the cluster does instead of answering; "" while it answers
}

// answered records whether the API server answers about the namespace. It must not be
// called concurrently.
func (v *view) answered(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	said := v.source.known.setSilent(v.namespace, err)
	switch {
	case said == v.said:
	case said == "":
		v.source.log.Info("cluster answers again", "namespace", v.namespace)
	default:
		v.source.log.Warn("cluster "+said+"; hosts in pods are not found until it answers", "namespace", v.namespace, "err", err)
	}
	v.said = said
	if err != nil {
		v.first()
	}
}

// Add receives a pod.
func (v *view) Add(object any) error { return v.Update(object) }

// Update receives the present state of a pod.
func (v *view) Update(object any) error {
	pod, isPod := object.(*corev1.Pod)
	if !isPod {
		return fmt.Errorf("a %T where pods are watched", object)
	}
	f := foundIn(pod)
	v.source.known.remember(f)
	v.source.changed(f.host)
	return nil
}

// Delete receives a pod that is gone.
func (v *view) Delete(object any) error {
	if last, isLast := object.(cache.DeletedFinalStateUnknown); isLast {
		object = last.Obj
	}
	if pod, isPod := object.(*corev1.Pod); isPod {
		v.source.known.forget(string(pod.UID))
		v.source.changed("")
	}
	return nil
}

// Replace receives all pods that exist.
func (v *view) Replace(objects []any, _ string) error {
	var all []found
	for _, object := range objects {
		if pod, isPod := object.(*corev1.Pod); isPod {
			all = append(all, foundIn(pod))
		}
	}
	v.source.known.replace(v.namespace, all)
	for _, f := range all {
		v.source.changed(f.host)
	}
	v.source.changed("")
	v.first()
	return nil
}

// Resync does nothing.
func (v *view) Resync() error { return nil }

// changed handles a host that has come or changed, or, if the name is empty, one that
// has gone.
func (s *Source) changed(host string) {
	if host != "" {
		s.claim(host)
	}
	if s.seen != nil {
		s.seen()
	}
}
