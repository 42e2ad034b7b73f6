package cluster

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/plan"
	"github.com/berth-ssh/berth/provision/pods"
	"github.com/berth-ssh/berth/test/harness"
)

// after returns what exists after a plan was carried out, in a namespace whose server
// adds fields to objects.
func (o Observed) after(t *testing.T, p Plan) Observed {
	t.Helper()
	for _, a := range p.Actions {
		switch {
		case a.Op == plan.OpRemove && a.Secret != nil:
			o.Secrets = slices.DeleteFunc(slices.Clone(o.Secrets), func(s corev1.Secret) bool { return s.Name == a.Name })
		case a.Op == plan.OpRemove && a.Claim != nil:
			o.Claims = slices.DeleteFunc(slices.Clone(o.Claims), func(s corev1.PersistentVolumeClaim) bool { return s.Name == a.Name })
		case a.Op == plan.OpRemove:
			o.Sets = slices.DeleteFunc(slices.Clone(o.Sets), func(s appsv1.StatefulSet) bool { return s.Name == a.Name })
			o.Pods = slices.DeleteFunc(slices.Clone(o.Pods), func(s corev1.Pod) bool { return s.Name == pods.PodOf(a.Name) })
		case a.Secret != nil:
			o.Secrets = append(o.Secrets, *a.Secret)
		case a.Claim != nil:
			o.Claims = slices.DeleteFunc(slices.Clone(o.Claims), func(s corev1.PersistentVolumeClaim) bool { return s.Name == a.Name })
			o.Claims = append(o.Claims, *a.Claim)
		default:
			o = o.withSet(*withDefaults(a.Set))
		}
	}
	return o
}

// withSet returns o with this StatefulSet in the place of the one with its name, and
// with its pod.
func (o Observed) withSet(set appsv1.StatefulSet) Observed {
	o.Sets = slices.DeleteFunc(slices.Clone(o.Sets), func(s appsv1.StatefulSet) bool { return s.Name == set.Name })
	o.Sets = append(o.Sets, set)
	o.Pods = slices.DeleteFunc(slices.Clone(o.Pods), func(s corev1.Pod) bool { return s.Name == pods.PodOf(set.Name) })
	if !isStopped(&set) {
		o.Pods = append(o.Pods, podOf(o.Namespace, set))
	}
	return o
}

func podOf(namespace string, set appsv1.StatefulSet) corev1.Pod {
	pod := corev1.Pod{ObjectMeta: *set.Spec.Template.ObjectMeta.DeepCopy(), Spec: *set.Spec.Template.Spec.DeepCopy()}
	pod.Name, pod.Namespace, pod.Spec.NodeName = pods.PodOf(set.Name), namespace, "node1"
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: pods.ContainerName, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}}
	return pod
}

// withDefaults returns a StatefulSet as an API server and an admission webhook would
// change it.
func withDefaults(set *appsv1.StatefulSet) *appsv1.StatefulSet {
	set = set.DeepCopy()
	limit, grace := int32(10), corev1.DefaultSchedulerName
	set.Spec.RevisionHistoryLimit = &limit
	set.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}
	set.Labels["webhook.example.com/seen"] = "yes"
	pod := &set.Spec.Template.Spec
	pod.RestartPolicy, pod.SchedulerName, pod.DNSPolicy = corev1.RestartPolicyAlways, grace, corev1.DNSClusterFirst
	pod.SecurityContext = &corev1.PodSecurityContext{}
	pod.Tolerations = []corev1.Toleration{{Key: "gpu", Operator: corev1.TolerationOpExists}}
	pod.Containers[0].TerminationMessagePath = "/dev/termination-log"
	metav1.SetMetaDataAnnotation(&set.Spec.Template.ObjectMeta, "webhook.example.com/injected", "yes")
	return set
}

var update = flag.Bool("update", false, "write the plans in testdata again")

// A case is a project as it was first created, and the plan for its changed files.
// The comment names the users of a pod.
func TestPlans(t *testing.T) {
	cases, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			have := made(t, archive, "first.yaml")
			if _, users, has := strings.Cut(string(archive.Comment), "lab-master-0: "); has {
				have.Users = map[string][]string{"lab-master-0": {strings.TrimSpace(users)}}
			}
			for i, file := range archive.Files {
				of, isPlan := map[string]string{"plan": "second.yaml", "plan of another project": "third.yaml"}[file.Name]
				if !isPlan {
					continue
				}
				archive.Files[i].Data = []byte(planText(t, wanted(t, archive, of), have))
				if got := string(archive.Files[i].Data); got != string(file.Data) && !*update {
					t.Errorf("%s: got\n%swant\n%s", file.Name, got, file.Data)
				}
			}
			if *update {
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func planText(t *testing.T, want pods.Wanted, have Observed) string {
	t.Helper()
	p, err := Up(want, have, plan.Options{})
	if err != nil {
		return err.Error() + "\n"
	}
	if again, err := Up(want, have.after(t, p), plan.Options{}); err != nil || len(again.Steps)+len(again.Kept) > len(p.Kept) {
		t.Errorf("carried out, and then: %v\n%s", err, again)
	}
	return p.String() + p.Loss() + "\n"
}

// made returns what exists after the first up.
func made(t *testing.T, archive *txtar.Archive, name string) Observed {
	t.Helper()
	empty := Observed{Namespace: "team-a"}
	p, err := Up(wanted(t, archive, name), empty, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return empty.after(t, p)
}

// wanted returns what a compose file of an archive wants.
func wanted(t *testing.T, archive *txtar.Archive, name string) pods.Wanted {
	t.Helper()
	i := slices.IndexFunc(archive.Files, func(f txtar.File) bool { return f.Name == name })
	file := filepath.Join(t.TempDir(), name)
	harness.Write(t, file, 0o600, string(archive.Files[i].Data))
	project, err := compose.Load(t.Context(), compose.Options{Files: []string{file}, Base: "debian"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := pods.Want(project, "debian")
	if err != nil {
		t.Fatal(err)
	}
	return want
}

// lab returns a project of one host, and what exists after its up.
func lab(t *testing.T, service string) (pods.Wanted, Observed) {
	t.Helper()
	archive := txtar.Parse([]byte("-- first.yaml --\nname: lab\nservices: {master: {" + service + "}}\nvolumes: {data: }\n"))
	return wanted(t, archive, "first.yaml"), made(t, archive, "first.yaml")
}

func mustPlan(t *testing.T, want pods.Wanted, have Observed) Plan {
	t.Helper()
	p, err := Up(want, have, plan.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAStoppedHostIsStarted(t *testing.T) {
	want, have := lab(t, "image: a")
	*have.Sets[0].Spec.Replicas = 0
	have.Pods = nil
	p := mustPlan(t, want, have)
	if p.String() != "start  statefulset lab-master  stopped\n" || *p.Actions[0].Set.Spec.Replicas != 1 {
		t.Errorf("%s", p)
	}
}

// When a field changes that the API server cannot change, the StatefulSet is
// recreated, and no volume is removed.
func TestWhatCannotBeChangedIsMadeAgain(t *testing.T) {
	want, have := lab(t, "image: a, volumes: ['data:/data']")
	have.Sets[0].Spec.Selector.MatchLabels = map[string]string{"app": "older"}
	p := mustPlan(t, want, have)
	if p.String() != "recreate  statefulset lab-master  selector of the StatefulSet, which is recreated for it\n" || !p.Actions[0].Whole {
		t.Errorf("%s", p)
	}
}

// If up is killed after it has created a Secret, the next one uses that Secret, and
// leaves none behind.
func TestASecretIsMadeOnceForTheSameVariables(t *testing.T) {
	want, have := lab(t, "image: a, environment: {TOKEN: one}")
	want.Hosts[0].Variables["TOKEN"] = "two"
	p := mustPlan(t, want, have)
	killed := p
	killed.Actions = p.Actions[:1]
	have = have.after(t, killed)
	again := mustPlan(t, want, have)
	if text := again.String(); text != "recreate  statefulset lab-master  environment.TOKEN changed\nremove    secret lab-master-1     its variables are no longer those of master\n" {
		t.Errorf("%s", text)
	}
	if left := have.after(t, again).Secrets; len(left) != 1 || left[0].Name != "lab-master-2" || secretOf(again.Actions[0].Set) != "lab-master-2" {
		t.Errorf("left: %v", left)
	}
}

// The value of a variable is only in a Secret, and in nothing that others may read.
func TestNoSecretIsInAPodsSpec(t *testing.T) {
	want, _ := lab(t, "image: a, environment: {TOKEN: very-secret}")
	p := mustPlan(t, want, Observed{Namespace: "team-a"})
	for _, a := range p.Actions {
		if a.Set != nil && strings.Contains(a.Set.String(), "very-secret") {
			t.Errorf("%s", a.Set.String())
		}
	}
	if strings.Contains(p.String(), "very-secret") {
		t.Errorf("%s", p)
	}
}

// A host that waits for GPUs says who has them.
func TestWhoHoldsWhatTheSchedulerMisses(t *testing.T) {
	want, have := lab(t, "image: a, gpus: [{count: 2}]")
	waiting := &have.Pods[0]
	waiting.Spec.NodeName, waiting.Status = "", corev1.PodStatus{Conditions: []corev1.PodCondition{{
		Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/2 nodes are available: 2 Insufficient nvidia.com/gpu. preemption: none.",
	}}}
	holder := func(namespace, name string, on map[string]string) corev1.Pod {
		pod := *waiting.DeepCopy()
		pod.Namespace, pod.Name, pod.Labels, pod.Spec.NodeName = namespace, name, on, "node2"
		return pod
	}
	done := holder("team-a", "done", nil)
	done.Status.Phase = corev1.PodSucceeded
	have.Pods = append(have.Pods, done, holder("team-b", "job", nil), holder("team-a", "lab-b-0", map[string]string{labels.Host: "b", labels.Project: "other"}))
	p := mustPlan(t, want, have)
	const why = "master: waits for a node: 0/2 nodes are available: 2 Insufficient nvidia.com/gpu.; nvidia.com/gpu: held by host b of project other (2, node2), pod job of namespace team-b (2, node2)\n"
	if p.String() != why {
		t.Errorf("got  %swant %s", p, why)
	}
	want.Hosts[0].Facts["gpus"] = "1 nvidia.com/gpu"
	if p := mustPlan(t, want, have); len(p.Steps) != 1 || p.Loss() != "" {
		t.Errorf("nothing was written in a pod that never ran: %s%s", p, p.Loss())
	}
}

func TestDown(t *testing.T) {
	_, have := lab(t, "image: a, environment: {A: b}, volumes: ['data:/data']")
	have.Users = map[string][]string{"lab-master-0": {"anna"}}
	have.Pods = append(have.Pods, corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "backup"}, Spec: corev1.PodSpec{
		Volumes: []corev1.Volume{{VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "lab-data"}}}}}})
	const hosts = "remove  statefulset lab-master  down\nremove  secret lab-master-1     down\n"
	if p := Down("lab", have, nil, false); p.String() != hosts+"in use: master: anna\nvolumes stay, with their data: lab-data\n" {
		t.Errorf("%s", p)
	}
	if p := Down("lab", have, nil, true); p.String() != hosts+"in use: master: anna\nvolume lab-data stays: pod backup, which is not of this project, has it\n" {
		t.Errorf("%s", p)
	}
	have.Pods = have.Pods[:1]
	if p := Down("lab", have, nil, true); !slices.Equal(p.Volumes, []string{"lab-data"}) || p.Loss() != "removes what was written in master outside its volumes, and removes with their data the volumes lab-data" {
		t.Errorf("%s; %s", p, p.Loss())
	}
	if p := Down("lab", have, have.Of("lab"), false); p.String() != hosts+"in use: master: anna\n" {
		t.Errorf("one host: %s", p)
	}
	if p := Down("other", have, nil, true); len(p.Steps) != 0 {
		t.Errorf("another project's: %s", p)
	}
}
