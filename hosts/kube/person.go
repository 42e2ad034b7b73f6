package kube

import (
	"context"
	"fmt"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/kubernetes"
)

// ofCluster is the prefix of the names of the cluster's own components, which no
// person has.
const ofCluster = "system:"

// permitted returns the name by which the cluster knows the person who enters a host;
// "" if it knows only the gateway. At each login it asks the cluster whether that
// person may run commands in the pod, since the helper that runs them may have been
// started long ago.
func (s *Source) permitted(ctx context.Context, host hosts.Host, f found) (person string, err error) {
	if s.names == "" {
		return "", nil
	}
	person = strings.Replace(s.names, hosts.PersonIn, host.Person, 1)
	if host.Person == "" || strings.HasPrefix(person, ofCluster) {
		return "", hosts.NewUnreachable(host.Name, fmt.Sprintf("is not entered: %q is no person of cluster %s", person, s.cluster), nil)
	}
	status, err := s.api.mayExec(ctx, person, f)
	switch {
	case err != nil:
		return "", hosts.Soon(hosts.NewUnreachable(host.Name, fmt.Sprintf("is not entered: cluster %s does not say whether %s may: %s", s.cluster, person, kubernetes.Line(err.Error())), err), s.patience(f))
	case !status.Allowed:
		why := fmt.Sprintf("is not entered: cluster %s does not let %s run commands in pod %s (create pods/exec)", s.cluster, person, f.pod())
		if status.Reason != "" {
			why += ": " + kubernetes.Line(status.Reason)
		}
		return "", hosts.NewUnreachable(host.Name, why, nil)
	}
	return person, nil
}

// as returns the connection in a person's name; "" is the gateway itself.
func (a api) as(person string) *rest.Config {
	if person == "" {
		return a.config
	}
	config := rest.CopyConfig(a.config)
	config.Impersonate.UserName = person
	return config
}

// mayExec asks the cluster, in a person's name, what that person may do.
func (a api) mayExec(ctx context.Context, person string, f found) (authorizationv1.SubjectAccessReviewStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	review := authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: f.namespace, Verb: "create", Resource: "pods", Subresource: "exec", Name: f.name},
	}}
	client, _, err := kubernetes.Client(a.as(person), authorizationv1.SchemeGroupVersion, authorizationv1.AddToScheme)
	if err != nil {
		return review.Status, err
	}
	err = client.Post().Resource("selfsubjectaccessreviews").Body(&review).Do(ctx).Into(&review)
	return review.Status, err
}
