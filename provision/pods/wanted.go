package pods

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// Wanted is what ought to exist in a namespace. It follows from the compose files
// only, never from what exists already.
type Wanted struct {
	Project  string
	Hosts    []Host   // each after those that it depends on
	Volumes  []Volume // by name
	Disabled []string // services whose profiles are not active
	Warnings []string
}

// Host is a service. Each has a StatefulSet of one pod and is one host.
type Host struct {
	Service   string
	Name      string              // the name in a login
	Set       *appsv1.StatefulSet // without the Secret's name, which depends on what exists
	Variables map[string]string   // of its environment, for the Secret
	Facts     map[string]string   // without the variables
}

// Volume is a named volume. Each is one claim.
type Volume struct {
	Name     string // of the claim
	External bool   // not created by this project
	Claim    *corev1.PersistentVolumeClaim
	Sized    bool // the files give its size
}

// builder turns one compose service into objects. It collects refusals and warnings.
type builder struct {
	*compose.Project
	service types.ServiceConfig
	needs   compose.Needs
	volumes map[string]string // names of claims, by the volume's key

	host     Host
	pod      *corev1.PodSpec // of host
	box      *corev1.Container
	refused  []error
	warnings []string
}

// refuse records that a key of the service cannot be carried out.
func (b *builder) refuse(key, format string, args ...any) {
	place := b.Sources.Where(append([]string{"services", b.service.Name}, strings.Split(key, ".")...)...)
	b.refused = append(b.refused, fmt.Errorf("%s%s: %s: %s", place, b.service.Name, key, fmt.Sprintf(format, args...)))
}

func (b *builder) warn(format string, args ...any) {
	b.warnings = append(b.warnings, b.service.Name+": "+fmt.Sprintf(format, args...))
}

// Want returns what a project needs of a namespace. base is the base of host images,
// which a cluster cannot build. Its error has a line, with the place in the files,
// for each thing that a cluster cannot do.
func Want(p *compose.Project, base string) (Wanted, error) {
	services, warnings, err := p.InOrder()
	if err != nil {
		return Wanted{}, err
	}
	w := Wanted{Project: p.Name, Disabled: p.DisabledServiceNames(), Warnings: warnings}
	if wrong := wrongLabel(labels.Project, p.Name); wrong != "" {
		return Wanted{}, fmt.Errorf("project %s: %s; choose another name with -p", p.Name, wrong)
	}
	var refused []error
	volumes, err := w.addVolumes(p, services)
	refused = append(refused, err)
	for _, service := range services {
		b := &builder{Project: p, service: service, volumes: volumes}
		if b.needs, err = p.NeedsOf(service, base); err != nil {
			refused = append(refused, err)
			continue
		}
		b.build()
		refused = append(refused, b.refused...)
		w.Warnings = append(w.Warnings, b.warnings...)
		w.Hosts = append(w.Hosts, b.host)
	}
	refused = append(refused, w.twice(p)...)
	return w, errors.Join(refused...)
}

// twice returns an error for any two hosts, and any two objects, with the same name.
func (w Wanted) twice(p *compose.Project) []error {
	var errs []error
	hosts, sets := map[string]string{}, map[string]string{}
	for _, h := range w.Hosts {
		place := p.Sources.Where("services", h.Service)
		if other, taken := hosts[h.Name]; taken {
			errs = append(errs, fmt.Errorf("%sservices %s and %s are both host %s; a name is one host's", place, other, h.Service, h.Name))
		}
		if other, taken := sets[h.Set.Name]; taken && h.Set.Name != "" {
			errs = append(errs, fmt.Errorf("%sservices %s and %s would both be StatefulSet %s; rename one", place, other, h.Service, h.Set.Name))
		}
		hosts[h.Name], sets[h.Set.Name] = h.Service, h.Service
	}
	return errs
}

// build makes the objects of the service.
func (b *builder) build() {
	c := b.service
	name, err := nameOf(b.Name, c.Name)
	if err != nil {
		b.refuse("", "%v", err)
	}
	b.host = Host{Service: c.Name, Name: b.needs.Host, Variables: map[string]string{}, Facts: map[string]string{}}
	b.host.Set = newSet(name, map[string]string{labels.Project: b.Project.Name, labels.Service: c.Name})
	b.pod = &b.host.Set.Spec.Template.Spec
	b.box = &b.pod.Containers[0]
	b.check(PodOf(name))
	b.labels()
	b.environment()
	b.process()
	b.resources()
	b.gpus()
	b.security()
	b.network()
	b.probe()
	b.mounts()
}

// PodOf returns the name of a StatefulSet's pod.
func PodOf(set string) string { return set + "-0" }

// check applies the rules: it refuses, or warns.
func (b *builder) check(pod string) {
	c := b.service
	if b.needs.NoImage && c.Build == nil && c.Provider == nil {
		b.refuse("image", "it has none, and Berth's host image is built on a box; name an image that the cluster can pull")
	}
	for _, r := range slices.Concat(impossible(c), impossibleGPUs(c, b.needs.GPUs), impossibleSettings(c), withoutConsent(c, b.needs.Cluster.Privileged)) {
		if r.is {
			b.refuse(r.key, "%s", r.why)
		}
	}
	for _, r := range otherwise(c, pod) {
		if r.is {
			b.warn("%s: %s", r.key, r.why)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.DependsOn)) {
		if on := c.DependsOn[name]; on.Condition != types.ServiceConditionStarted {
			b.refuse("depends_on."+name, "a pod waits for no other one to be %s; let its command wait", strings.TrimPrefix(on.Condition, "service_"))
		}
	}
	for _, p := range c.Ports {
		if p.Target == compose.SSHPort {
			b.warn("port %s left out: the gateway is the way in", cmp.Or(p.Published, "22"))
			continue
		}
		b.refuse("ports", "%d: a pod publishes no port of its node; ssh -L reaches it through the gateway, and a Service publishes it", p.Target)
	}
}
