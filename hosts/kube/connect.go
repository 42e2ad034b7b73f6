package kube

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/kubernetes"
)

// api is a client of a cluster's API server, for pods.
type api struct {
	config     *rest.Config
	pods       rest.Interface
	parameters runtime.ParameterCodec
}

// connect reads where the cluster is. It makes no request.
func connect(c hosts.Cluster) (api, []string, error) {
	config, own, err := kubernetes.Load(c.Kubeconfig, c.Context, "berth-gateway")
	if err != nil {
		return api{}, nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	namespaces := c.Namespaces
	if len(namespaces) == 0 {
		namespaces = []string{own}
	}
	a, err := newAPI(config)
	if err != nil {
		return api{}, nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	return a, namespaces, nil
}

func newAPI(config *rest.Config) (api, error) {
	pods, parameters, err := kubernetes.Client(config, corev1.SchemeGroupVersion, corev1.AddToScheme)
	return api{config, pods, parameters}, err
}

func (a api) list(ctx context.Context, namespace string, options metav1.ListOptions) (*corev1.PodList, error) {
	var all corev1.PodList
	err := a.pods.Get().Namespace(namespace).Resource("pods").VersionedParams(&options, a.parameters).Do(ctx).Into(&all)
	return &all, err
}

func (a api) watch(ctx context.Context, namespace string, options metav1.ListOptions) (watch.Interface, error) {
	options.Watch = true
	return a.pods.Get().Namespace(namespace).Resource("pods").VersionedParams(&options, a.parameters).Watch(ctx)
}

func (a api) get(ctx context.Context, namespace, name string) (*corev1.Pod, error) {
	var pod corev1.Pod
	err := a.pods.Get().Namespace(namespace).Resource("pods").Name(name).Do(ctx).Into(&pod)
	return &pod, err
}

// of returns a request about a part of a pod.
func (a api) of(f found, part string) *rest.Request {
	return a.pods.Post().Namespace(f.namespace).Resource("pods").Name(f.name).SubResource(part)
}
