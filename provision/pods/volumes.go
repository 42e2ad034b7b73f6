package pods

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/compose"
)

// defaultStorage is the size of a volume if none is given: a claim must have one.
const defaultStorage = 10 << 30

// addVolumes adds the named volumes, as claims, and returns the claims' names by the
// volumes' keys. Class and size come from x-berth.cluster of the services that mount
// a volume.
func (w *Wanted) addVolumes(p *compose.Project, services []types.ServiceConfig) (map[string]string, error) {
	names, keys := map[string]string{}, map[string]string{}
	var errs []error
	for _, key := range p.VolumeNames() {
		volume := p.Volumes[key]
		place := p.Sources.Where("volumes", key)
		name, err := claimName(volume)
		if err == nil && keys[name] != "" {
			err = fmt.Errorf("volume %s would be claim %s, as volume %s is; rename one", key, name, keys[name])
		}
		if err == nil {
			err = impossibleVolume(volume)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s%s: %w", place, key, err))
			continue
		}
		names[key], keys[name] = name, key
		made, err := w.volume(p, key, name, services)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		w.Volumes = append(w.Volumes, made)
	}
	return names, errors.Join(errs...)
}

// claimName returns the name of a volume's claim. An external volume has the name
// that its owner gave it.
func claimName(v types.VolumeConfig) (string, error) {
	name := v.Name
	if !bool(v.External) {
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
	}
	if wrong := validation.IsDNS1123Subdomain(name); len(wrong) > 0 {
		return "", fmt.Errorf("%s is no name of a PersistentVolumeClaim: %s", name, wrong[0])
	}
	return name, nil
}

func impossibleVolume(v types.VolumeConfig) error {
	switch {
	case bool(v.External):
		return nil
	case v.Driver != "" && v.Driver != "local":
		return fmt.Errorf("driver %s: a storage class makes the volumes of a cluster: x-berth.cluster: {class: NAME} at the service that mounts it", v.Driver)
	case len(v.DriverOpts) > 0:
		return errors.New("driver_opts: a storage class makes the volumes of a cluster; for a directory of a node or of NFS make a PersistentVolume and its claim, and name that with external: true")
	}
	return nil
}

// volume returns a claim with the class and size on which its services agree. If
// several of them mount it, it can be used from several nodes.
func (w *Wanted) volume(p *compose.Project, key, name string, services []types.ServiceConfig) (Volume, error) {
	v := p.Volumes[key]
	mode := corev1.ReadWriteOnce
	var of compose.Cluster
	var first string
	for _, service := range services {
		if !slices.ContainsFunc(service.Volumes, func(m types.ServiceVolumeConfig) bool { return m.Type == types.VolumeTypeVolume && m.Source == key }) {
			continue
		}
		needs, err := p.NeedsOf(service, "")
		if err != nil {
			return Volume{}, nil // the service's own error says it
		}
		own := needs.Cluster
		if first != "" && (own.Class != of.Class || own.Storage != of.Storage) {
			return Volume{}, fmt.Errorf("%s%s: services %s and %s have volume %s, of another class or storage each", p.Sources.Where("services", service.Name, compose.Extension, "cluster"), service.Name, first, service.Name, key)
		}
		if first != "" {
			mode = corev1.ReadWriteMany
		}
		of, first = own, service.Name
	}
	claim := &corev1.PersistentVolumeClaim{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{labels.Project: w.Project}},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{mode},
			Resources: corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceStorage: *resource.NewQuantity(cmp.Or(of.Storage, defaultStorage), resource.BinarySI),
			}},
		},
	}
	if of.Class != "" {
		claim.Spec.StorageClassName = &of.Class
	}
	for key, value := range v.Labels {
		if wrong := wrongLabel(key, value); wrong != "" {
			return Volume{}, fmt.Errorf("%s%s: label %s: %s", p.Sources.Where("volumes", key, "labels"), key, key, wrong)
		}
		if key != labels.Project {
			claim.Labels[key] = value
		}
	}
	return Volume{Name: name, External: bool(v.External), Claim: claim, Sized: of.Storage != 0}, nil
}

// mounts mounts the service's volumes and /dev/shm.
func (b *builder) mounts() {
	shm := false
	for _, v := range b.service.Volumes {
		switch v.Type {
		case types.VolumeTypeVolume:
			b.mountVolume(v)
		case types.VolumeTypeTmpfs:
			size := int64(0)
			if v.Tmpfs != nil {
				size = int64(v.Tmpfs.Size)
				if v.Tmpfs.Mode != 0 {
					b.refuse("volumes", "%s: mode: all accounts of a pod may write in its tmpfs", v.Target)
				}
			}
			shm = shm || v.Target == "/dev/shm"
			b.mountMemory(v.Target, size)
		case types.VolumeTypeBind:
			b.refuseBind(v)
		default:
			b.refuse("volumes", "%s: provision mounts no %s", v.Target, v.Type)
		}
	}
	for _, entry := range b.service.Tmpfs {
		target, options, _ := strings.Cut(entry, ":")
		shm = shm || target == "/dev/shm"
		b.mountMemory(target, b.tmpfsSize(target, options))
	}
	if !shm {
		b.addMount(corev1.VolumeMount{Name: "shm", MountPath: "/dev/shm"}, inMemory(b.needs.Shm))
		b.numberFact("shm_size", int64(b.service.ShmSize))
	}
}

// refuseBind refuses a directory of the node, except the socket of an engine, which
// is left out on boxes, too.
func (b *builder) refuseBind(v types.ServiceVolumeConfig) {
	if compose.IsSocket(v.Source) {
		b.warn("%s left out: a pod does not get its node's engine", v.Source)
		return
	}
	b.refuse("volumes", "%s is a directory of whoever runs provision, and a pod may be on any node; make it a named volume", compose.ShortPath(v.Source))
}

func (b *builder) mountVolume(v types.ServiceVolumeConfig) {
	if v.Source == "" {
		b.refuse("volumes", "%s: a volume without a name would be lost with its pod; give it one", v.Target)
		return
	}
	claim := b.volumes[v.Source]
	if claim == "" {
		return // it is refused elsewhere
	}
	mount := corev1.VolumeMount{Name: v.Source, MountPath: v.Target, ReadOnly: v.ReadOnly}
	fact := claim
	if v.ReadOnly {
		fact += ":ro"
	}
	if v.Volume != nil && v.Volume.Subpath != "" {
		mount.SubPath = v.Volume.Subpath
		fact += " " + v.Volume.Subpath
	}
	b.fact("volumes."+v.Target, fact)
	b.addMount(mount, corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim}})
}

// mountMemory mounts a directory in memory, which counts against the memory limit. A
// size of 0 allows all of that limit.
func (b *builder) mountMemory(target string, size int64) {
	b.fact("tmpfs."+target, strconv.FormatInt(size, 10))
	b.addMount(corev1.VolumeMount{Name: "tmpfs-" + path.Base(target), MountPath: target}, inMemory(size))
}

func inMemory(size int64) corev1.VolumeSource {
	dir := &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}
	if size > 0 {
		dir.SizeLimit = resource.NewQuantity(size, resource.BinarySI)
	}
	return corev1.VolumeSource{EmptyDir: dir}
}

func (b *builder) tmpfsSize(target, options string) (size int64) {
	for option := range strings.SplitSeq(options, ",") {
		name, value, _ := strings.Cut(option, "=")
		switch name {
		case "", "rw", "exec", "nosuid", "nodev":
		case "size":
			amount, err := units.RAMInBytes(value)
			if err != nil {
				b.refuse("tmpfs", "%s: %q is no size", target, value)
			}
			size = amount
		default:
			b.refuse("tmpfs", "%s: %s: a pod's tmpfs has a size, and no other option", target, option)
		}
	}
	return size
}

// addMount adds a mount. Its volume gets a name that Kubernetes accepts. A volume
// that is mounted several times is added to the pod once.
func (b *builder) addMount(m corev1.VolumeMount, from corev1.VolumeSource) {
	same := func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && from.PersistentVolumeClaim != nil && *v.PersistentVolumeClaim == *from.PersistentVolumeClaim
	}
	if i := slices.IndexFunc(b.pod.Volumes, same); i >= 0 {
		m.Name = b.pod.Volumes[i].Name
	} else {
		m.Name = b.volumeName(m.Name)
		b.pod.Volumes = append(b.pod.Volumes, corev1.Volume{Name: m.Name, VolumeSource: from})
	}
	b.box.VolumeMounts = append(b.box.VolumeMounts, m)
}

func (b *builder) volumeName(like string) string {
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(like)), "-")
	name = cmp.Or(name[:min(len(name), 50)], "volume")
	taken := map[string]bool{}
	for _, v := range b.pod.Volumes {
		taken[v.Name] = true
	}
	for n, first := 2, name; taken[name]; n++ {
		name = fmt.Sprintf("%s-%d", first, n)
	}
	return name
}

// Claims returns the claims that a pod mounts, each with its path.
func Claims(pod corev1.PodSpec) map[string]string {
	at := map[string]string{}
	for _, v := range pod.Volumes {
		if v.PersistentVolumeClaim == nil {
			continue
		}
		for _, m := range pod.Containers[0].VolumeMounts {
			if m.Name == v.Name {
				at[v.PersistentVolumeClaim.ClaimName] = m.MountPath
			}
		}
	}
	return at
}
