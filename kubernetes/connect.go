package kubernetes

import (
	"errors"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Load reads where a cluster's API server is, and who asks it: of a context of a
// kubeconfig ("": its current one), or of the cluster that this program runs in where
// the file is "". It returns the namespace of that, too, and asks nobody. The API server's
// log shows the agent.
func Load(kubeconfig, context, agent string) (config *rest.Config, namespace string, err error) {
	loading := &clientcmd.ClientConfigLoadingRules{ExplicitPath: kubeconfig}
	from := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(loading, &clientcmd.ConfigOverrides{CurrentContext: context})
	config, err = from.ClientConfig()
	if clientcmd.IsEmptyConfig(err) || errors.Is(err, rest.ErrNotInCluster) {
		err = errors.New("it has no kubeconfig, and this program runs in no cluster")
	}
	if err != nil {
		return nil, "", err
	}
	config.UserAgent = agent
	config.QPS = -1 // people wait for each call
	namespace, _, err = from.Namespace()
	return config, namespace, err
}

// Client returns a client of one group of the API, whose types add knows.
func Client(config *rest.Config, group schema.GroupVersion, add func(*runtime.Scheme) error) (rest.Interface, runtime.ParameterCodec, error) {
	scheme := runtime.NewScheme()
	if err := add(scheme); err != nil {
		return nil, nil, err
	}
	own := rest.CopyConfig(config)
	own.APIPath, own.GroupVersion = "/apis", &group
	if group.Group == "" {
		own.APIPath = "/api"
	}
	own.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(own)
	return client, runtime.NewParameterCodec(scheme), err
}
