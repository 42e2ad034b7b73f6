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

// Run follows the pods of all namespaces until ctx ends. An API server that does not
// answer is tried again and again.
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

// follow lists the pods with labels and watches them from there on; where a watch
// breaks, it goes on from what it has seen, or lists again.
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

// view is what the source is told of a namespace; it is where the client puts the pods.
type view struct {
	source    *Source
	namespace string
	first     func() // the namespace was asked for the first time, whatever the answer
	said      string // what the cluster does instead of answering; "" while it answers
}

// answered keeps whether the API server answers about the namespace. It is called by
// one goroutine at a time.
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

// Add is told of a pod.
func (v *view) Add(object any) error { return v.Update(object) }

// Update is told what a pod is now.
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

// Delete is told that a pod is gone.
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

// Replace is told of all pods there are.
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

// Resync has nothing to do again.
func (v *view) Resync() error { return nil }

// changed takes note of a host that has come or changed; of one that has gone where the
// name is empty.
func (s *Source) changed(host string) {
	if host != "" {
		s.claim(host)
	}
	if s.seen != nil {
		s.seen()
	}
}
