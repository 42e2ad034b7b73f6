package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"

	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/labels"
)

// Namespace is a namespace of a cluster in which provision creates hosts.
type Namespace struct {
	Name string

	config     *rest.Config
	core, apps group
}

// group is an API group with its client.
type group struct {
	rest.Interface
	parameters runtime.ParameterCodec
}

// The resources that provision works with.
const (
	resourceSets    = "statefulsets"
	resourcePods    = "pods"
	resourceSecrets = "secrets"
	resourceVolumes = "persistentvolumeclaims"
	resourceEvents  = "events"
)

// Open returns a namespace of a cluster that is found as by [kubernetes.Load]; an
// empty namespace stands for that of the kubeconfig. It makes no request.
func Open(kubeconfig, kubeContext, namespace string) (*Namespace, error) {
	config, own, err := kubernetes.Load(kubeconfig, kubeContext, "berth-provision")
	if err != nil {
		return nil, err
	}
	if namespace == "" {
		namespace = own
	}
	n := &Namespace{Name: namespace, config: config}
	if n.core.Interface, n.core.parameters, err = kubernetes.Client(config, corev1.SchemeGroupVersion, corev1.AddToScheme); err != nil {
		return nil, err
	}
	n.apps.Interface, n.apps.parameters, err = kubernetes.Client(config, appsv1.SchemeGroupVersion, appsv1.AddToScheme)
	return n, err
}

// of returns a resource's group.
func (n *Namespace) of(resource string) group {
	if resource == resourceSets {
		return n.apps
	}
	return n.core
}

func (n *Namespace) list(ctx context.Context, namespace, resource string, options metav1.ListOptions, into runtime.Object) error {
	of := n.of(resource)
	return explain(of.Get().Namespace(namespace).Resource(resource).VersionedParams(&options, of.parameters).Do(ctx).Into(into))
}

func (n *Namespace) create(ctx context.Context, resource string, object runtime.Object) error {
	return explain(n.of(resource).Post().Namespace(n.Name).Resource(resource).Body(object).Do(ctx).Error())
}

// change replaces an object by a changed copy of what was observed. If the object has
// changed since, it writes nothing and returns an error that says so.
func (n *Namespace) change(ctx context.Context, resource, name string, object runtime.Object) error {
	err := n.of(resource).Put().Namespace(n.Name).Resource(resource).Name(name).Body(object).Do(ctx).Error()
	if apierrors.IsConflict(err) {
		return errors.New("it was changed meanwhile by somebody else; run up again")
	}
	return explain(err)
}

// remove removes an object with everything that the cluster has made of it, if it
// exists and still has this uid.
func (n *Namespace) remove(ctx context.Context, resource, name string, uid types.UID) error {
	options := &metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationForeground)}
	if uid != "" {
		options.Preconditions = metav1.NewUIDPreconditions(string(uid))
	}
	err := n.of(resource).Delete().Namespace(n.Name).Resource(resource).Name(name).Body(options).Do(ctx).Error()
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) { // the name belongs to another object now
		return nil
	}
	return explain(err)
}

// isThere reports whether an object exists.
func (n *Namespace) isThere(ctx context.Context, resource, name string) (bool, error) {
	err := n.of(resource).Get().Namespace(n.Name).Resource(resource).Name(name).Do(ctx).Error()
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, explain(err)
}

// explain returns an error of the API server with what to do about it.
func explain(err error) error {
	switch {
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w; configs/kubernetes/role-provision.yaml has what provision needs to be allowed", err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the cluster does not know who this is: %w; see kubectl auth whoami", err)
	}
	if unreachable, ok := errors.AsType[*url.Error](err); ok {
		return fmt.Errorf("the API server %s does not answer: %w", kubernetes.Line(hostIn(unreachable.URL)), unreachable.Err)
	}
	return err
}

// hostIn returns the host, with its port, of an address.
func hostIn(address string) string {
	at, err := url.Parse(address)
	if err != nil {
		return address
	}
	return at.Host
}

// Observe returns what is in the namespace, without objects that are being deleted.
// It also finds the users of the pods of a project, or of all that provision made if
// project is "".
func (n *Namespace) Observe(ctx context.Context, project string) (Observed, error) {
	o := Observed{Namespace: n.Name, Failures: map[string]string{}}
	var allSets appsv1.StatefulSetList
	var allSecrets corev1.SecretList
	var allClaims corev1.PersistentVolumeClaimList
	err := n.list(ctx, n.Name, resourceSets, metav1.ListOptions{}, &allSets)
	if err == nil {
		err = n.list(ctx, n.Name, resourceSecrets, metav1.ListOptions{LabelSelector: labels.Project}, &allSecrets)
	}
	if err == nil {
		err = n.list(ctx, n.Name, resourceVolumes, metav1.ListOptions{}, &allClaims)
	}
	if err != nil {
		return o, err
	}
	o.Sets = slices.DeleteFunc(allSets.Items, func(s appsv1.StatefulSet) bool { return s.DeletionTimestamp != nil })
	o.Secrets = slices.DeleteFunc(allSecrets.Items, func(s corev1.Secret) bool { return s.DeletionTimestamp != nil })
	o.Claims = slices.DeleteFunc(allClaims.Items, func(c corev1.PersistentVolumeClaim) bool { return c.DeletionTimestamp != nil })
	if o.Pods, err = n.pods(ctx); err != nil {
		return o, err
	}
	o.Users = n.usersOf(ctx, o, project)
	for _, set := range o.Of(project) {
		if !isStopped(&set) && o.Pod(&set) == nil {
			o.Failures[set.Name] = n.failure(ctx, &set)
		}
	}
	return o, nil
}

// pods returns the pods of all namespaces, or only of this one if others may not be
// listed.
func (n *Namespace) pods(ctx context.Context) ([]corev1.Pod, error) {
	var all corev1.PodList
	err := n.list(ctx, metav1.NamespaceAll, resourcePods, metav1.ListOptions{}, &all)
	if apierrors.IsForbidden(err) {
		err = n.list(ctx, n.Name, resourcePods, metav1.ListOptions{}, &all)
	}
	return all.Items, err
}

// failure returns why a StatefulSet's pod cannot be created, such as a quota or a
// policy; "" if no reason is known.
func (n *Namespace) failure(ctx context.Context, set *appsv1.StatefulSet) string {
	var all corev1.EventList
	of := "involvedObject.kind=StatefulSet,involvedObject.name=" + set.Name + ",reason=FailedCreate"
	if n.list(ctx, n.Name, resourceEvents, metav1.ListOptions{FieldSelector: of}, &all) != nil {
		return ""
	}
	why, latest := "", time.Time{}
	for _, e := range all.Items {
		if e.InvolvedObject.UID == set.UID && e.LastTimestamp.After(latest) {
			why, latest = kubernetes.Line(e.Message), e.LastTimestamp.Time
		}
	}
	return why
}

// exec runs a command in a pod's host with these streams, and returns when it has
// ended.
func (n *Namespace) exec(ctx context.Context, pod, container string, streams remotecommand.StreamOptions, command ...string) error {
	url := n.core.Post().Namespace(n.Name).Resource(resourcePods).Name(pod).SubResource("exec").VersionedParams(&corev1.PodExecOptions{
		Container: container, Command: command, Stdin: streams.Stdin != nil, Stdout: streams.Stdout != nil, Stderr: streams.Stderr != nil,
	}, n.core.parameters).URL()
	return kubernetes.Exec(ctx, n.config, url, streams)
}

// Logs returns what a host's container wrote. The caller must close it.
func (n *Namespace) Logs(ctx context.Context, pod string, options corev1.PodLogOptions) (io.ReadCloser, error) {
	stream, err := n.core.Get().Namespace(n.Name).Resource(resourcePods).Name(pod).SubResource("log").VersionedParams(&options, n.core.parameters).Stream(ctx)
	return stream, explain(err)
}
