package cluster

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/berth-ssh/berth/kubernetes"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/pods"
)

// conflicts returns a line for each object of the namespace that conflicts with the
// project.
func conflicts(want pods.Wanted, have Observed) []string {
	var lines []string
	for _, h := range want.Hosts {
		is, there := have.Set(h.Set.Name)
		if there && (is.Labels[labels.Project] != want.Project || is.Labels[labels.Service] != h.Service) {
			lines = append(lines, fmt.Sprintf("%s: a StatefulSet %s is there already, and not of this service; take another project name with -p", h.Service, h.Set.Name))
		}
		lines = append(lines, namesakes(want.Project, h, have)...)
	}
	for _, v := range want.Volumes {
		if _, there := have.claim(v.Name); v.External && !there {
			lines = append(lines, fmt.Sprintf("volume %s is external, and namespace %s has no PersistentVolumeClaim of this name", v.Name, have.Namespace))
		}
	}
	return lines
}

// namesakes returns a line for each other pod or StatefulSet that has a host's name:
// a login with that name could enter either of them.
func namesakes(project string, h pods.Host, have Observed) []string {
	const give = "give one of them another name with " + compose.Extension + ".host"
	var lines []string
	isOwn := func(on map[string]string) bool {
		return on[labels.Project] == project && on[labels.Service] == h.Service
	}
	for _, set := range have.Sets {
		if set.Labels[labels.Host] == h.Name && !isOwn(set.Labels) {
			lines = append(lines, fmt.Sprintf("%s: host %s is StatefulSet %s already, of project %s; %s", h.Service, h.Name, set.Name, cmp.Or(kubernetes.Line(set.Labels[labels.Project]), "none"), give))
		}
	}
	for _, pod := range have.Pods {
		if pod.Namespace == have.Namespace && pod.Labels[labels.Host] == h.Name && pod.Labels[labels.Project] == "" {
			lines = append(lines, fmt.Sprintf("%s: host %s is pod %s already, which provision did not make; %s", h.Service, h.Name, pod.Name, give))
		}
	}
	return lines
}

// drift returns a line for each claim of the project that differs from the files. A
// cluster changes nothing of a claim but its size, and only to a larger one.
func drift(want pods.Wanted, have Observed) []string {
	const copyIt = "a cluster changes no volume: give the new one another name (name: under volumes), and copy what is in this one"
	var lines []string
	for _, v := range want.Volumes {
		is, there := have.claim(v.Name)
		if !there || v.External || is.Labels[labels.Project] != want.Project {
			continue
		}
		if class := v.Claim.Spec.StorageClassName; class != nil && (is.Spec.StorageClassName == nil || *is.Spec.StorageClassName != *class) {
			lines = append(lines, fmt.Sprintf("volume %s: %s.cluster.class: %s → %s; %s", v.Name, compose.Extension, classText(is), classText(v.Claim), copyIt))
		}
		if v.Sized && storageOf(is).Cmp(*storageOf(v.Claim)) > 0 {
			lines = append(lines, fmt.Sprintf("volume %s: %s.cluster.storage: %s → %s; no volume becomes smaller: %s", v.Name, compose.Extension, storage(is), storage(v.Claim), copyIt))
		}
		if mode := v.Claim.Spec.AccessModes[0]; mode == corev1.ReadWriteMany && !slices.Contains(is.Spec.AccessModes, mode) {
			lines = append(lines, fmt.Sprintf("volume %s: several services have it now, and it was made for one node; %s", v.Name, copyIt))
		}
	}
	return lines
}

// adopted returns a warning for each claim of the project that provision did not
// make.
func adopted(want pods.Wanted, have Observed) []string {
	var lines []string
	for _, v := range want.Volumes {
		is, there := have.claim(v.Name)
		if !there || v.External {
			continue
		}
		switch of := is.Labels[labels.Project]; of {
		case want.Project:
		case "":
			lines = append(lines, fmt.Sprintf("volume %s was not made by provision; it is used with the data it has", v.Name))
		default:
			lines = append(lines, fmt.Sprintf("volume %s is of project %s; it is used with the data it has, and stays when this project goes", v.Name, kubernetes.Line(of)))
		}
	}
	return lines
}

// strangers returns a warning for each StatefulSet of the project that is not in the
// files.
func strangers(want pods.Wanted, have Observed) []string {
	var lines []string
	for _, set := range have.Of(want.Project) {
		service := set.Labels[labels.Service]
		meant := slices.ContainsFunc(want.Hosts, func(h pods.Host) bool { return h.Set.Name == set.Name })
		if !meant && !slices.Contains(want.Disabled, service) {
			lines = append(lines, fmt.Sprintf("host %s stays, though the files have no service %s for it; berth-provision down %s removes it", HostOf(&set), kubernetes.Line(service), HostOf(&set)))
		}
	}
	return lines
}

func storageOf(c *corev1.PersistentVolumeClaim) *resource.Quantity {
	return c.Spec.Resources.Requests.Storage()
}

func storage(c *corev1.PersistentVolumeClaim) string { return storageOf(c).String() }

func classText(c *corev1.PersistentVolumeClaim) string {
	if c.Spec.StorageClassName == nil || *c.Spec.StorageClassName == "" {
		return "the cluster's default class"
	}
	return "class " + *c.Spec.StorageClassName
}
