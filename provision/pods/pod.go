package pods

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// Names that are defined elsewhere.
const (
	ContainerName = "host" // of the container that is the host

	gpuResource = "nvidia.com/gpu"
	migPrefix   = "nvidia.com/mig-"
	gpuProduct  = "nvidia.com/gpu.product" // labels of nodes, by NVIDIA's GPU feature discovery
	gpuMemory   = "nvidia.com/gpu.memory"  // in MiB

	KueueQueue = "kueue.x-k8s.io/queue-name" // label of the StatefulSet
	kaiQueue   = "kai.scheduler/queue"       // label of the pod
)

// stopGrace is how long a pod has to end by itself; it is Docker's default.
const stopGrace = 10 * time.Second

// newSet returns a StatefulSet of one pod with one container. When the template
// changes, the cluster replaces the pod, also one that never came up.
func newSet(name string, own map[string]string) *appsv1.StatefulSet {
	one, no := int32(1), false
	return &appsv1.StatefulSet{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "StatefulSet"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: maps.Clone(own)},
		Spec: appsv1.StatefulSetSpec{
			Replicas:            &one,
			Selector:            &metav1.LabelSelector{MatchLabels: own},
			PodManagementPolicy: appsv1.ParallelPodManagement,
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: maps.Clone(own)},
				Spec: corev1.PodSpec{
					Containers:                   []corev1.Container{{Name: ContainerName}},
					AutomountServiceAccountToken: &no, // people in a host get no access to the cluster
					EnableServiceLinks:           &no,
				},
			},
		},
	}
}

// labels sets the labels that make the pod a host, and those of the files.
func (b *builder) labels() {
	set, on := b.host.Set, map[string]string{}
	for key, value := range b.service.Labels {
		if key == labels.Project || key == labels.Service {
			continue
		}
		if wrong := wrongLabel(key, value); wrong != "" {
			b.refuse("labels", "%s: %s; make it one of annotations", key, wrong)
		}
		on[key] = value
	}
	on[labels.Host] = b.needs.Host
	on[labels.Route] = cmp.Or(b.needs.Route, labels.RouteExec)
	if b.needs.Account != "" {
		on[labels.Account] = b.needs.Account
	}
	b.textFacts("labels", on)
	if b.needs.Route == "" { // provision's default
		delete(b.host.Facts, "labels."+labels.Route)
	}
	if wrong := wrongLabel(labels.Host, b.needs.Host); wrong != "" {
		b.refuse(compose.Extension+".host", "%s", wrong)
	}
	if wrong := wrongLabel(labels.Account, b.needs.Account); wrong != "" {
		b.refuse(compose.Extension+".account", "%s", wrong)
	}
	set.Labels[labels.Host] = b.needs.Host
	if queue := b.needs.Cluster.Queue; queue != "" {
		set.Labels[KueueQueue] = queue
		on[kaiQueue] = queue
		b.fact(compose.Extension+".cluster.queue", queue)
	}
	maps.Copy(on, set.Spec.Template.Labels) // these win: the files cannot change whose host it is
	set.Spec.Template.Labels = on
	for key := range b.service.Annotations {
		if wrong := wrongLabel(key, ""); wrong != "" {
			b.refuse("annotations", "%s", wrong)
		}
	}
	if len(b.service.Annotations) > 0 {
		set.Spec.Template.Annotations = maps.Clone(map[string]string(b.service.Annotations))
		b.textFacts("annotations", b.service.Annotations)
	}
}

// variableName matches what every cluster accepts as the name of a variable. Before
// version 1.32 others are ignored.
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// environment collects the variables for the Secret. The device plugin decides which
// GPUs a pod sees. A pod without GPUs sees none, even if its image asks for all.
func (b *builder) environment() {
	for name, value := range b.service.Environment {
		if value == nil || name == compose.EnvVisible {
			continue
		}
		if !variableName.MatchString(name) {
			b.refuse("environment", "%q is no name of a variable to every cluster; it has letters, digits and _", name)
		}
		b.host.Variables[name] = *value
	}
	if b.needs.GPUs.None() {
		b.box.Env = append(b.box.Env, corev1.EnvVar{Name: compose.EnvVisible, Value: "void"})
	}
	if names := b.needs.GPUs.Capabilities; !b.needs.GPUs.None() && b.host.Variables[compose.EnvCapabilities] == "" {
		more := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return name == "" || name == "gpu" || name == "nvidia" })
		if len(more) > 0 {
			all := slices.Concat([]string{"compute", "utility"}, more)
			slices.Sort(all)
			value := strings.Join(slices.Compact(all), ",")
			b.box.Env = append(b.box.Env, corev1.EnvVar{Name: compose.EnvCapabilities, Value: value})
			b.fact("gpus.capabilities", value)
		}
	}
}

// process sets the command, and the account that runs it.
func (b *builder) process() {
	c := b.service
	b.box.Image = c.Image
	b.fact("image", c.Image)
	b.box.ImagePullPolicy = b.pullPolicy()
	b.box.Command, b.box.Args = literal(c.Entrypoint), literal(c.Command)
	if c.Entrypoint != nil && len(c.Entrypoint) == 0 { // empty: the image's entrypoint is not used
		b.box.Command, b.box.Args = literal(c.Command), nil
		if len(c.Command) == 0 {
			b.refuse("entrypoint", "an empty one needs a command: nothing would run")
		}
		b.fact("entrypoint", "none")
	}
	b.listFact("entrypoint", c.Entrypoint)
	b.listFact("command", c.Command)
	b.box.WorkingDir = c.WorkingDir
	b.fact("working_dir", c.WorkingDir)
	b.box.TTY, b.box.Stdin = c.Tty, c.StdinOpen
	b.yesFact("tty", c.Tty)
	b.yesFact("stdin_open", c.StdinOpen)
	if c.Init != nil && *c.Init { // the pod's first process reaps what others leave
		b.pod.ShareProcessNamespace = c.Init
		b.fact("init", "true")
	}
	grace := stopGrace
	if c.StopGracePeriod != nil {
		grace = time.Duration(*c.StopGracePeriod)
		b.fact("stop_grace_period", grace.String())
	}
	seconds := int64(grace.Round(time.Second).Seconds())
	b.pod.TerminationGracePeriodSeconds = &seconds
	b.pod.SchedulerName = b.needs.Cluster.Scheduler
	b.fact(compose.Extension+".cluster.scheduler", b.needs.Cluster.Scheduler)
}

func (b *builder) pullPolicy() corev1.PullPolicy {
	switch policy := b.service.PullPolicy; policy {
	case types.PullPolicyAlways:
		b.fact("pull_policy", policy)
		return corev1.PullAlways
	case types.PullPolicyNever:
		b.fact("pull_policy", policy)
		return corev1.PullNever
	case "", types.PullPolicyMissing, types.PullPolicyIfNotPresent:
	default:
		b.refuse("pull_policy", "%s: a cluster knows always, missing and never", policy)
	}
	return corev1.PullIfNotPresent
}

// literal escapes words so that the cluster takes them as they are: it would replace
// $(NAME) by a variable.
func literal(words []string) []string {
	var all []string
	for _, word := range words {
		all = append(all, strings.ReplaceAll(word, "$", "$$"))
	}
	return all
}

// resources sets the requests, by which the cluster places pods, and the limits.
// Without a reservation the request is 0; the cluster would use the limit.
func (b *builder) resources() {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	reserved, limits := b.needs.Reserved, b.needs.Limits
	r.Requests[corev1.ResourceCPU] = *resource.NewMilliQuantity(reserved.NanoCPUs/1e6, resource.DecimalSI)
	r.Requests[corev1.ResourceMemory] = *resource.NewQuantity(reserved.Memory, resource.BinarySI)
	if limits.NanoCPUs != 0 {
		r.Limits[corev1.ResourceCPU] = *resource.NewMilliQuantity(limits.NanoCPUs/1e6, resource.DecimalSI)
	}
	if limits.Memory != 0 {
		r.Limits[corev1.ResourceMemory] = *resource.NewQuantity(limits.Memory, resource.BinarySI)
	}
	b.box.Resources = r
	for _, a := range []struct {
		key  string
		n    int64
		text func(int64) string
	}{
		{"reservations.cpus", reserved.NanoCPUs, box.CPUs}, {"limits.cpus", limits.NanoCPUs, box.CPUs},
		{"reservations.memory", reserved.Memory, box.Bytes}, {"limits.memory", limits.Memory, box.Bytes},
	} {
		if a.n != 0 {
			b.fact(a.key, a.text(a.n))
		}
	}
	if limits.NanoCPUs != 0 && reserved.NanoCPUs > limits.NanoCPUs || limits.Memory != 0 && reserved.Memory > limits.Memory {
		b.refuse("deploy.resources", "it reserves more than its limit")
	}
}

// gpus asks the device plugin for GPUs, and the scheduler for nodes with suitable
// ones.
func (b *builder) gpus() {
	w := b.needs.GPUs
	if w.None() || w.Count < 0 || len(w.IDs) > 0 {
		return
	}
	name := corev1.ResourceName(gpuResource)
	if w.MIG != "" {
		name = corev1.ResourceName(migPrefix + w.MIG)
		if wrong := wrongLabel(string(name), ""); wrong != "" {
			b.refuse(extension("gpu"), "mig: %s: %s", w.MIG, wrong)
		}
	}
	count := *resource.NewQuantity(w.Count, resource.DecimalSI)
	b.box.Resources.Requests[name], b.box.Resources.Limits[name] = count, count
	fact := fmt.Sprintf("%d %s", w.Count, name)
	if w.Model != "" {
		b.pod.NodeSelector = map[string]string{gpuProduct: w.Model}
		if wrong := wrongLabel(gpuProduct, w.Model); wrong != "" {
			b.refuse(extension("gpu"), "model: %s; write it as the label %s of a node has it: kubectl get nodes -L %s", wrong, gpuProduct, gpuProduct)
		}
		fact += " of " + w.Model
	}
	if w.Memory > 0 {
		b.pod.Affinity = withGPUMemory(w.Memory)
		fact += " with " + box.Bytes(w.Memory)
	}
	b.fact("gpus", fact)
}

// withGPUMemory returns the affinity for nodes whose GPUs have at least so many
// bytes.
func withGPUMemory(bytes int64) *corev1.Affinity {
	const mib = 1 << 20
	less := strconv.FormatInt((bytes+mib-1)/mib-1, 10)
	return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
		RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: gpuMemory, Operator: corev1.NodeSelectorOpGt, Values: []string{less}}},
		}}},
	}}
}

// security sets the user and the rights of the container.
func (b *builder) security() {
	c := b.service
	own, of := &corev1.SecurityContext{}, &corev1.PodSecurityContext{}
	if c.Privileged {
		own.Privileged = &c.Privileged
		b.fact("privileged", "true")
	}
	if c.ReadOnly {
		own.ReadOnlyRootFilesystem = &c.ReadOnly
		b.fact("read_only", "true")
	}
	if len(c.CapAdd)+len(c.CapDrop) > 0 {
		own.Capabilities = &corev1.Capabilities{Add: capabilities(c.CapAdd), Drop: capabilities(c.CapDrop)}
		b.listFact("cap_add", c.CapAdd)
		b.listFact("cap_drop", c.CapDrop)
	}
	for _, option := range c.SecurityOpt {
		if no := false; isNoNewPrivileges(option) {
			own.AllowPrivilegeEscalation = &no
			b.fact("security_opt", "no-new-privileges")
		}
	}
	if c.User != "" {
		user, group, _ := strings.Cut(c.User, ":")
		own.RunAsUser, own.RunAsGroup = b.id("user", user), b.id("user", group)
		b.fact("user", c.User)
	}
	for _, group := range c.GroupAdd {
		if id := b.id("group_add", group); id != nil {
			of.SupplementalGroups = append(of.SupplementalGroups, *id)
		}
	}
	b.listFact("group_add", c.GroupAdd)
	for _, name := range slices.Sorted(maps.Keys(c.Sysctls)) {
		of.Sysctls = append(of.Sysctls, corev1.Sysctl{Name: name, Value: c.Sysctls[name]})
	}
	b.textFacts("sysctls", c.Sysctls)
	if (*own != corev1.SecurityContext{}) {
		b.box.SecurityContext = own
	}
	if len(of.SupplementalGroups)+len(of.Sysctls) > 0 {
		b.pod.SecurityContext = of
	}
	if c.Runtime != "" && c.Runtime != "runc" {
		b.pod.RuntimeClassName = &b.service.Runtime
		b.fact("runtime", c.Runtime)
	}
}

// id parses the number of a user or group; nil if there is none.
func (b *builder) id(key, text string) *int64 {
	root := int64(0)
	if text == "root" {
		return &root
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case text == "":
		return nil
	case err != nil || n < 0:
		b.refuse(key, "%s: a pod takes numbers alone, since it does not know the image's names; write the number that id -u says in the image", text)
		return nil
	}
	return &n
}

func capabilities(names []string) []corev1.Capability {
	var all []corev1.Capability
	for _, name := range names {
		all = append(all, corev1.Capability(strings.TrimPrefix(strings.ToUpper(name), "CAP_")))
	}
	return all
}

func isNoNewPrivileges(option string) bool {
	name, value, given := strings.Cut(strings.Replace(option, ":", "=", 1), "=")
	return name == "no-new-privileges" && (!given || value == "true")
}

// network sets how the pod resolves names.
func (b *builder) network() {
	c := b.service
	if len(c.DNS)+len(c.DNSSearch)+len(c.DNSOpts) > 0 {
		b.pod.DNSConfig = &corev1.PodDNSConfig{Nameservers: c.DNS, Searches: c.DNSSearch}
		for _, option := range c.DNSOpts {
			name, value, has := strings.Cut(option, ":")
			one := corev1.PodDNSConfigOption{Name: name}
			if has {
				one.Value = &value
			}
			b.pod.DNSConfig.Options = append(b.pod.DNSConfig.Options, one)
		}
		if len(c.DNS) > 0 {
			b.pod.DNSPolicy = corev1.DNSNone
		}
		b.listFact("dns", c.DNS)
		b.listFact("dns_search", c.DNSSearch)
		b.listFact("dns_opt", c.DNSOpts)
	}
	for _, name := range slices.Sorted(maps.Keys(c.ExtraHosts)) {
		for _, address := range c.ExtraHosts[name] {
			if address == "host-gateway" {
				b.refuse("extra_hosts", "%s: a pod has no host-gateway; write the node's or a Service's address", name)
			}
			b.pod.HostAliases = append(b.pod.HostAliases, corev1.HostAlias{IP: address, Hostnames: []string{name}})
		}
		b.listFact("extra_hosts."+name, c.ExtraHosts[name])
	}
}

// probe turns the healthcheck into the pod's readiness probe. The cluster's times are
// whole seconds.
func (b *builder) probe() {
	h := b.service.HealthCheck
	if h == nil || h.Disable || len(h.Test) == 0 || h.Test[0] == "NONE" {
		return
	}
	command := h.Test[1:]
	if h.Test[0] == "CMD-SHELL" {
		command = append([]string{"sh", "-c"}, command...)
	}
	retries := int32(3)
	if h.Retries != nil {
		retries = int32(*h.Retries)
	}
	b.box.ReadinessProbe = &corev1.Probe{
		ProbeHandler:        corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: command}},
		InitialDelaySeconds: wholeSeconds(h.StartPeriod, 0),
		PeriodSeconds:       wholeSeconds(h.Interval, 30),
		TimeoutSeconds:      wholeSeconds(h.Timeout, 30),
		FailureThreshold:    retries,
	}
	b.listFact("healthcheck.test", h.Test)
	for key, d := range map[string]*types.Duration{"interval": h.Interval, "timeout": h.Timeout, "start_period": h.StartPeriod} {
		if d != nil {
			b.fact("healthcheck."+key, time.Duration(*d).String())
		}
	}
	if h.Retries != nil {
		b.numberFact("healthcheck.retries", int64(retries))
	}
}

// wholeSeconds returns a time in seconds, rounded up.
func wholeSeconds(d *types.Duration, otherwise int32) int32 {
	if d == nil {
		return otherwise
	}
	return int32((time.Duration(*d) + time.Second - 1) / time.Second)
}
