package kube

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/berth-ssh/berth/hosts"
)

// api is the API server of a cluster, as far as pods go.
type api struct {
	config     *rest.Config
	pods       rest.Interface
	parameters runtime.ParameterCodec
}

// connect reads where the cluster is. It asks nobody.
func connect(c hosts.Cluster) (api, []string, error) {
	loading := &clientcmd.ClientConfigLoadingRules{ExplicitPath: c.Kubeconfig}
	from := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, &clientcmd.ConfigOverrides{CurrentContext: c.Context})
	config, err := from.ClientConfig()
	if clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster) {
		err = errors.New("it has no kubeconfig, and this gateway runs in no cluster")
	}
	if err != nil {
		return api{}, nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	namespaces := c.Namespaces
	if len(namespaces) == 0 {
		own, _, err := from.Namespace()
		if err != nil {
			return api{}, nil, fmt.Errorf("cluster %s: %w", c.Name, err)
		}
		namespaces = []string{own}
	}
	a, err := newAPI(config)
	if err != nil {
		return api{}, nil, fmt.Errorf("cluster %s: %w", c.Name, err)
	}
	return a, namespaces, nil
}

func newAPI(config *rest.Config) (api, error) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		return api{}, err
	}
	config.UserAgent = "berth-gateway"
	config.QPS = -1 // people log in, one exec each
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	pods, err := rest.RESTClientFor(config)
	return api{config, pods, runtime.NewParameterCodec(scheme)}, err
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

// of is a request about a part of a pod.
func (a api) of(f found, part string) *rest.Request {
	return a.pods.Post().Namespace(f.namespace).Resource("pods").Name(f.name).SubResource(part)
}
