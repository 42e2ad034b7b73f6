package compose

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/docker/go-units"

	"github.com/berth-ssh/berth/ledger"
)

// Cluster is the content of x-berth.cluster: settings of a host that is a pod of a
// cluster.
type Cluster struct {
	Class      string // storage class of its volumes; "": the cluster's default
	Storage    int64  // bytes of each of its volumes; 0: not given
	Queue      string // of Kueue or of KAI; "": none
	Scheduler  string // that places it; "": the cluster's own
	Privileged bool   // it may be root on its node
}

const knownCluster = "class, privileged, queue, scheduler, storage"

// objectName matches what Kubernetes accepts as a name.
var objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$`)

// setCluster parses x-berth.cluster. It returns what is wrong with it, or "".
func setCluster(c *Cluster, value any) (wrong string) {
	keys, isMap := value.(map[string]any)
	if !isMap {
		return "holds keys (" + knownCluster + "), such as {class: fast, storage: 100G}"
	}
	for key, value := range keys {
		if wrong := c.set(key, value); wrong != "" {
			return wrong
		}
	}
	return ""
}

func (c *Cluster) set(key string, value any) (wrong string) {
	text := fmt.Sprint(value)
	names := map[string]*string{"class": &c.Class, "queue": &c.Queue, "scheduler": &c.Scheduler}
	switch name, isName := names[key]; {
	case isName:
		if *name = text; !objectName.MatchString(text) {
			return fmt.Sprintf("has a name as %s, as kubectl shows it, not %q", key, text)
		}
	case key == "storage":
		amount, err := units.RAMInBytes(text)
		if c.Storage = amount; err != nil || amount <= 0 {
			return fmt.Sprintf("has an amount as storage, such as 100G, not %q", text)
		}
	case key == "privileged":
		on, isBool := value.(bool)
		if c.Privileged = on; !isBool {
			return "has privileged: true or false"
		}
	default:
		return fmt.Sprintf("has no key %s; it knows %s", key, knownCluster)
	}
	return ""
}

// Needs are what a service needs, independent of engine or cluster.
type Needs struct {
	Host     string
	Route    string // "": nobody says
	Account  string // "": nobody says
	Limits   ledger.Amounts
	Reserved ledger.Amounts
	GPUs     GPUs
	Shm      int64 // bytes of /dev/shm
	NoImage  bool  // the files name no image, so it would get the host image
	Cluster  Cluster
}

// NeedsOf returns what a service needs. Its error names the file and, if known, the
// line.
func (p *Project) NeedsOf(c types.ServiceConfig, base string) (Needs, error) {
	s, err := SettingsOf(c, p.Sources)
	if err != nil {
		return Needs{}, err
	}
	gpus, err := wantGPUs(c, s)
	if err != nil {
		return Needs{}, fmt.Errorf("%s%s: %w", p.Sources.Where("services", c.Name), c.Name, err)
	}
	limits := limitsOf(c)
	return Needs{
		Host:     cmp.Or(s.Host, c.Name),
		Route:    s.route,
		Account:  s.account,
		Limits:   limits,
		Reserved: reservationsOf(c),
		GPUs:     gpus,
		Shm:      shmSize(c, limits.Memory),
		NoImage:  c.Image == "" || c.Image == plainHostImage(cmp.Or(s.Base, base)),
		Cluster:  s.cluster,
	}, nil
}

// InOrder returns the active services, each after those it depends on, and warnings
// about the files as a whole. It fails if no service is active.
func (p *Project) InOrder() (services []types.ServiceConfig, warnings []string, err error) {
	if err := p.nothingAsked(); err != nil {
		return nil, nil, err
	}
	unsupported, err := p.unsupported()
	if err != nil {
		return nil, nil, err
	}
	for _, name := range p.startOrder() {
		services = append(services, p.Services[name])
	}
	return services, append(p.withoutChoice(p.warnings), unsupported...), nil
}

// IsSocket reports whether a path has the name of a container engine's socket, which
// a host gets only if the files ask for it by name.
func IsSocket(path string) bool { return slices.Contains(socketNames, filepath.Base(path)) }
