package cluster

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/pods"
)

// Plan has the steps from what is in a namespace to what is wanted. The embedded
// [plan.Plan] is what people read; Actions has the object that each step creates or
// changes.
type Plan struct {
	plan.Plan
	Actions []Action
}

// Action is the object with which a step is carried out.
type Action struct {
	plan.Step
	Set    *appsv1.StatefulSet // as it is wanted; for a removal, as it was observed
	Secret *corev1.Secret
	Claim  *corev1.PersistentVolumeClaim
	Whole  bool // recreate the StatefulSet itself, not only its pod: the API server cannot change such a field
}

func (p *Plan) add(a Action) {
	p.Steps = append(p.Steps, a.Step)
	p.Actions = append(p.Actions, a)
}

const absent = "does not exist"

// Up compares what is wanted with what exists, and returns the steps between them.
// Its error has a line for each conflict.
func Up(want pods.Wanted, have Observed, o plan.Options) (Plan, error) {
	var p Plan
	p.Warnings = slices.Concat(want.Warnings, adopted(want, have), strangers(want, have))
	if lines := slices.Concat(conflicts(want, have), drift(want, have)); len(lines) > 0 {
		return p, errors.New(strings.Join(lines, "\n"))
	}
	p.claims(want, have)
	for _, h := range want.Hosts {
		p.host(want.Project, h, have, o)
	}
	for _, h := range want.Hosts {
		set, there := have.Set(h.Set.Name)
		if !there || p.changes(h.Set.Name) {
			continue
		}
		if s := have.StateOf(set); s.Why != "" {
			p.Notes = append(p.Notes, fmt.Sprintf("%s: %s", h.Name, s.Why))
		}
	}
	return p, nil
}

// changes reports whether a step changes this StatefulSet.
func (p *Plan) changes(set string) bool {
	return slices.ContainsFunc(p.Steps, func(s plan.Step) bool { return s.Kind == plan.KindSet && s.Name == set })
}

// claims adds steps that create missing claims, and enlarge those that are too small.
func (p *Plan) claims(want pods.Wanted, have Observed) {
	for _, v := range want.Volumes {
		is, there := have.claim(v.Name)
		switch {
		case v.External:
		case !there:
			cause := fmt.Sprintf("%s; %s of %s", absent, storage(v.Claim), classText(v.Claim))
			for _, h := range want.Hosts {
				if at := pods.Claims(h.Set.Spec.Template.Spec)[v.Name]; at != "" {
					cause += fmt.Sprintf(", empty, whatever the image of %s has at %s", h.Service, at)
				}
			}
			p.add(Action{Step: plan.Step{Op: plan.OpCreate, Kind: plan.KindVolume, Name: v.Name, Cause: cause}, Claim: v.Claim})
		case v.Sized && is.Labels[labels.Project] == want.Project && storageOf(is).Cmp(*storageOf(v.Claim)) < 0:
			larger := is.DeepCopy()
			larger.Spec.Resources.Requests[corev1.ResourceStorage] = *storageOf(v.Claim)
			cause := fmt.Sprintf("%s.cluster.storage: %s → %s", compose.Extension, storage(is), storage(v.Claim))
			p.add(Action{Step: plan.Step{Op: plan.OpUpdate, Kind: plan.KindVolume, Name: v.Name, Cause: cause}, Claim: larger})
		}
	}
}

// host adds the steps for a host: its StatefulSet must exist, be as the files say,
// and have its pod.
func (p *Plan) host(project string, h pods.Host, have Observed, o plan.Options) {
	is, there := have.Set(h.Set.Name)
	secret, isNew := have.secretFor(project, h)
	want := complete(h, secret)
	var changes []string
	if there {
		changes = since(h, is, have)
	}
	switch cause := strings.Join(changes, ", "); {
	case !there:
		p.secret(secret, isNew)
		p.add(Action{Step: plan.Step{Op: plan.OpCreate, Kind: plan.KindSet, Name: want.Name, Cause: absent}, Set: want})
	case cause != "" && len(have.Users[pods.PodOf(is.Name)]) > 0 && !o.Force:
		p.Kept = append(p.Kept, plan.Kept{Kind: plan.KindPod, Container: pods.PodOf(is.Name), Cause: cause, Users: have.Users[pods.PodOf(is.Name)]})
		return // and its former Secret stays
	case cause != "":
		if HasRun(have.Pod(is)) {
			p.Lost = append(p.Lost, h.Name)
		}
		p.secret(secret, isNew)
		p.add(Action{Step: plan.Step{Op: plan.OpRecreate, Kind: plan.KindSet, Name: want.Name, Cause: cause}, Set: merged(is, want), Whole: len(fixed(is, want)) > 0})
	case isStopped(is):
		started := is.DeepCopy()
		*started.Spec.Replicas = 1
		p.add(Action{Step: plan.Step{Op: plan.OpStart, Kind: plan.KindSet, Name: want.Name, Cause: "stopped"}, Set: started})
	}
	used := ""
	if secret != nil {
		used = secret.Name
	}
	for _, s := range have.secretsOf(project, h.Service) {
		if s.Name != used {
			p.add(Action{Step: plan.Step{Op: plan.OpRemove, Kind: plan.KindSecret, Name: s.Name, Cause: "its variables are no longer those of " + h.Service}, Secret: s.DeepCopy()})
		}
	}
}

func (p *Plan) secret(s *corev1.Secret, isNew bool) {
	if isNew {
		p.add(Action{Step: plan.Step{Op: plan.OpCreate, Kind: plan.KindSecret, Name: s.Name, Cause: absent}, Secret: s})
	}
}

// secretFor returns the Secret with a host's variables, and whether it must be
// created; nil if the host has none. A Secret is never changed: other variables are
// put into another Secret, so that a pod that is not replaced yet keeps its own.
func (o Observed) secretFor(project string, h pods.Host) (s *corev1.Secret, isNew bool) {
	if len(h.Variables) == 0 {
		return nil, false
	}
	own := o.secretsOf(project, h.Service)
	for _, s := range own {
		if maps.Equal(textsOf(s), h.Variables) {
			return &s, false
		}
	}
	yes := true
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: nextSecret(h.Set.Name, own), Labels: map[string]string{labels.Project: project, labels.Service: h.Service}},
		Immutable:  &yes,
		Data:       bytesOf(h.Variables),
	}, true
}

func textsOf(s corev1.Secret) map[string]string {
	texts := map[string]string{}
	for name, value := range s.Data {
		texts[name] = string(value)
	}
	return texts
}

func bytesOf(texts map[string]string) map[string][]byte {
	all := map[string][]byte{}
	for name, value := range texts {
		all[name] = []byte(value)
	}
	return all
}

// complete returns the StatefulSet with the name of its Secret and with its facts.
func complete(h pods.Host, secret *corev1.Secret) *appsv1.StatefulSet {
	set := h.Set.DeepCopy()
	set.Annotations = map[string]string{labels.Config: pods.Annotation(h.Facts)}
	if secret != nil {
		set.Spec.Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{
			SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret.Name}},
		}}
	}
	return set
}

// since returns the changes since a StatefulSet was created that make it necessary to
// replace its pod.
func since(h pods.Host, is *appsv1.StatefulSet, have Observed) []string {
	facts := pods.ReadFacts(is.Annotations[labels.Config])
	if facts == nil {
		return []string{plan.OfAnother}
	}
	changes := plan.Changes(facts, h.Facts)
	variables := func(texts map[string]string) map[string]string {
		all := map[string]string{}
		for name, value := range texts {
			all["environment."+name] = value
		}
		return all
	}
	was, name := map[string]string{}, secretOf(is)
	i := slices.IndexFunc(have.Secrets, func(s corev1.Secret) bool { return s.Name == name })
	switch {
	case i >= 0:
		was = textsOf(have.Secrets[i])
	case name != "":
		return append(changes, "its Secret "+name+" is gone")
	}
	return slices.Concat(changes, plan.Changes(variables(was), variables(h.Variables)), fixed(is, h.Set))
}

// fixed returns the differences of a StatefulSet that the API server cannot change.
func fixed(is, want *appsv1.StatefulSet) []string {
	var lines []string
	add := func(key string, differs bool) {
		if differs {
			lines = append(lines, key+" of the StatefulSet, which is recreated for it")
		}
	}
	add("selector", is.Spec.Selector == nil || !maps.Equal(is.Spec.Selector.MatchLabels, want.Spec.Selector.MatchLabels) || len(is.Spec.Selector.MatchExpressions) > 0)
	add("podManagementPolicy", is.Spec.PodManagementPolicy != want.Spec.PodManagementPolicy)
	add("serviceName", is.Spec.ServiceName != want.Spec.ServiceName)
	add("volumeClaimTemplates", len(is.Spec.VolumeClaimTemplates) != len(want.Spec.VolumeClaimTemplates))
	return lines
}

// merged returns an existing StatefulSet with provision's fields as they are wanted.
// Fields that others have set stay.
func merged(is, want *appsv1.StatefulSet) *appsv1.StatefulSet {
	set := is.DeepCopy()
	delete(set.Labels, pods.KueueQueue)
	maps.Copy(set.Labels, want.Labels)
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	maps.Copy(set.Annotations, want.Annotations)
	set.Spec.Template = *want.Spec.Template.DeepCopy()
	set.Spec.Selector = want.Spec.Selector.DeepCopy()
	set.Spec.PodManagementPolicy, set.Spec.ServiceName = want.Spec.PodManagementPolicy, want.Spec.ServiceName
	set.Spec.VolumeClaimTemplates = nil
	set.Spec.Replicas = want.Spec.Replicas
	return set
}

// Down returns the steps that remove a project's hosts, or only these hosts. Volumes
// are data: they stay, unless withVolumes is true.
func Down(project string, have Observed, only []appsv1.StatefulSet, withVolumes bool) Plan {
	var p Plan
	sets := only
	if only == nil {
		sets = have.Of(project)
	}
	for _, set := range sets {
		if users := have.Users[pods.PodOf(set.Name)]; len(users) > 0 {
			p.Notes = append(p.Notes, "in use: "+HostOf(&set)+": "+strings.Join(users, ", "))
		}
		if HasRun(have.Pod(&set)) {
			p.Lost = append(p.Lost, HostOf(&set))
		}
		p.add(Action{Step: plan.Step{Op: plan.OpRemove, Kind: plan.KindSet, Name: set.Name, Cause: "down"}, Set: set.DeepCopy()})
		for _, s := range have.secretsOf(set.Labels[labels.Project], set.Labels[labels.Service]) {
			p.add(Action{Step: plan.Step{Op: plan.OpRemove, Kind: plan.KindSecret, Name: s.Name, Cause: "down"}, Secret: s.DeepCopy()})
		}
	}
	if only != nil {
		return p
	}
	p.orphans(project, have)
	p.volumesOf(project, have, withVolumes)
	return p
}

// orphans adds steps that remove Secrets of a project that no StatefulSet uses.
func (p *Plan) orphans(project string, have Observed) {
	for _, s := range have.Secrets {
		taken := slices.ContainsFunc(p.Actions, func(a Action) bool { return a.Secret != nil && a.Secret.Name == s.Name })
		if s.Labels[labels.Project] == project && !taken {
			p.add(Action{Step: plan.Step{Op: plan.OpRemove, Kind: plan.KindSecret, Name: s.Name, Cause: "down"}, Secret: s.DeepCopy()})
		}
	}
}

func (p *Plan) volumesOf(project string, have Observed, remove bool) {
	var names []string
	for _, c := range have.Claims {
		if c.Labels[labels.Project] != project {
			continue
		}
		user := have.otherUser(project, c.Name)
		switch {
		case remove && user != "":
			p.Notes = append(p.Notes, "volume "+c.Name+" stays: pod "+user+", which is not of this project, has it")
		case remove:
			p.Volumes = append(p.Volumes, c.Name)
			p.add(Action{Step: plan.Step{Op: plan.OpRemove, Kind: plan.KindVolume, Name: c.Name, Cause: "down"}, Claim: c.DeepCopy()})
		default:
			names = append(names, c.Name)
		}
	}
	if len(names) > 0 && len(p.Steps) > 0 {
		slices.Sort(names)
		p.Notes = append(p.Notes, "volumes stay, with their data: "+strings.Join(names, " "))
	}
}

// otherUser returns a pod of the namespace that mounts a claim and does not belong to
// the project; "" if there is none.
func (o Observed) otherUser(project, claim string) string {
	for _, pod := range o.Pods {
		mounts := slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
			return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
		})
		if pod.Namespace == o.Namespace && mounts && pod.Labels[labels.Project] != project {
			return pod.Name
		}
	}
	return ""
}
