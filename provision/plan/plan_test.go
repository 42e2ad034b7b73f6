package plan

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/image"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/provision/compose"
)

var update = flag.Bool("update", false, "write the plans in testdata again")

// given is what exists in a golden case. The zero value is an empty engine on a
// machine with 8 cpus, 64 GiB and no GPU.
type given struct {
	CPUs       int
	Memory     string
	GPUs       []givenGPU
	Threads    int    // of each core; the cores are divided between two NUMA nodes
	NoGPUs     string // why the GPUs cannot be counted
	CDI        bool   // the engine knows the GPUs by CDI names
	CUDA       string // version of the driver's CUDA
	Toolkit    string
	Base       string // of host images
	Project    string
	Profiles   []string
	Force      bool
	Fresh      bool
	Upgrade    bool
	NoKeep     string
	Images     bool                  // every wanted image exists
	Older      []string              // ids of other images that exist
	Says       map[string]givenImage // settings of images for their containers
	Networks   map[string]string     // name: project whose label it has
	Volumes    map[string]string
	Containers []givenContainer

	NetworkStates map[string]NetworkState
	VolumeStates  map[string]VolumeState
}

type givenImage struct{ Env, Entrypoint, Cmd []string }

type givenGPU struct {
	Model  string
	Memory string
	MIG    []string // profiles of its MIG instances
	Broken string   // the recovery action that its driver reports
}

type givenContainer struct {
	Service string            // the container of this service, as provision would create it,
	Was     map[string]string // but for these facts and limits; "image": of another image
	Gone    []string          // and without these networks
	On      map[string]string // ids of the networks to which it is attached
	Compose bool              // and created by docker compose
	Older   bool              // and created by a version whose hosts were entered by sshd, and without peers

	Unmounted string            // a volume that is not mounted in it
	Mounted   map[string]string // additional volumes, by path
	Called    string            // its name, if it is another
	Replaces  string            // the id of the container that it was created to replace

	Name    string // instead of Service: any other container
	Project string
	Host    string

	Privileged bool

	CPUs     int      // held
	Memory   string   // held
	GPUs     []int    // held, by index
	Budget   string   // of each of them
	Users    []string // people on it
	Pinned   []int
	Restarts bool

	State string // "": running
	Done  bool
}

// A golden case has one or more compose files, what exists, and the expected plan or
// error. Its first line names the files to load.
func TestPlan(t *testing.T) {
	cases, err := filepath.Glob("testdata/plan/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases in testdata/plan")
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) { testPlan(t, path) })
	}
}

func testPlan(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	path, err = filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	unpack(t, archive)
	got := map[string]string{}
	got["plan"], got["containers"] = planText(t, archive)
	for i, file := range archive.Files {
		text, golden := got[file.Name]
		if !golden || text == string(file.Data) {
			continue
		}
		if !*update {
			t.Errorf("%s: got\n%s\nwant\n%s", file.Name, text, file.Data)
		}
		archive.Files[i].Data = []byte(text)
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// unpack writes the case's files into a new directory, beside files that people use,
// and changes to that directory.
func unpack(t *testing.T, archive *txtar.Archive) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lab")
	text := string(txtar.Format(archive))
	for name, from := range map[string]string{"seed": "../../cmd/provision/testdata/seed", "configs": "../../configs"} {
		if !strings.Contains(text, name+"/") {
			continue // the case itself has a build's content
		}
		if err := os.CopyFS(filepath.Join(dir, name), os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := txtar.Write(archive, dir); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
}

func planText(t *testing.T, archive *txtar.Archive) (text, containers string) {
	g := readGiven(t)
	project, want, err := wantedIn(t, archive)
	if err != nil {
		return errorText(err), ""
	}
	have := g.observed(want)
	p, err := Up(want, have, Options{Force: g.Force, Fresh: g.Fresh, Upgrade: g.Upgrade})
	if err != nil {
		return errorText(err), ""
	}
	return stable(p.String()), stable(strings.ReplaceAll(containerText(t, want, have), project.WorkingDir, "DIR"))
}

// wantedIn loads the files of an unpacked case.
func wantedIn(t *testing.T, archive *txtar.Archive) (*compose.Project, compose.Wanted, error) {
	g := readGiven(t)
	o := compose.Options{Base: g.Base, Project: g.Project, Profiles: g.Profiles}
	o.Files = strings.Fields(strings.SplitN(string(archive.Comment), "\n", 2)[0])
	project, err := compose.Load(context.Background(), o)
	if err != nil {
		return nil, compose.Wanted{}, err
	}
	want, err := project.Want(compose.Site{Base: o.Base, UserCA: "ssh-ed25519 CA", HelperDir: "/var/lib/berth/helper", StateDir: "/var/lib/berth", Today: time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)})
	return project, want, err
}

func readGiven(t *testing.T) given {
	t.Helper()
	g := given{CPUs: 8, Memory: "64GiB", Base: "debian:12", Project: "lab"}
	text, err := os.ReadFile("given")
	if os.IsNotExist(err) || len(text) == 0 {
		return g
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Load(text, &g, yaml.WithKnownFields()); err != nil {
		t.Fatalf("given: %v", err)
	}
	return g
}

func (g given) observed(want compose.Wanted) Observed {
	have := Observed{
		Box:      g.box(),
		NoKeep:   g.NoKeep,
		Images:   map[string]string{},
		Networks: labelledWith(g.Networks),
		Volumes:  labelledWith(g.Volumes),
	}
	for _, ref := range want.ImageRefs() {
		if g.Images {
			have.Images[ref] = "sha256:" + ref
		}
	}
	for _, id := range g.Older {
		have.Images[id] = id
	}
	have.NetworkStates, have.VolumeStates = g.NetworkStates, g.VolumeStates
	have.ImageConfigs = map[string]ImageConfig{}
	for ref, says := range g.Says {
		have.ImageConfigs[ref] = ImageConfig(says)
	}
	want = have.fit(want)
	for _, c := range g.Containers {
		have.Containers = append(have.Containers, c.existing(want, have.Box))
	}
	return have
}

func (g given) box() box.Box {
	b := box.Box{Engine: box.Engine{NanoCPUs: int64(g.CPUs) * 1e9, Memory: inRAM(g.Memory), CgroupV2: true}, Toolkit: g.Toolkit, NoGPUs: g.NoGPUs}
	b.CUDA = g.CUDA
	for cpu := 0; g.Threads > 0 && cpu < g.CPUs; cpu += g.Threads {
		c := box.Core{Node: 2 * cpu / g.CPUs}
		for thread := range g.Threads {
			c.CPUs = append(c.CPUs, cpu+thread)
		}
		b.Cores = append(b.Cores, c)
	}
	for i, gpu := range g.GPUs {
		card := box.GPU{UUID: fmt.Sprintf("GPU-%d", 1000+i), Model: gpu.Model, Memory: inRAM(gpu.Memory), Minor: i, MIG: gpu.MIG != nil, Recovery: gpu.Broken}
		for k, profile := range gpu.MIG {
			instance := box.MIGInstance{UUID: fmt.Sprintf("MIG-%d%d", 1000+i, k), Profile: profile, Memory: 10 << 30}
			card.Instances = append(card.Instances, instance)
		}
		b.GPUs = append(b.GPUs, card)
	}
	for _, d := range b.Devices() {
		if g.CDI {
			b.CDI = append(b.CDI, box.CDIPrefix+d.UUID)
		}
	}
	return b
}

func inRAM(text string) int64 {
	if text == "" {
		return 0
	}
	n, err := units.RAMInBytes(text)
	if err != nil {
		panic(err)
	}
	return n
}

func labelledWith(projects map[string]string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for name, project := range projects {
		all[name] = map[string]string{}
		if project != "" {
			all[name][labels.Project] = project
		}
	}
	return all
}

func (c givenContainer) existing(want compose.Wanted, b box.Box) Container {
	e := Container{ID: c.Name + c.Service, Name: c.Name, State: c.State, Done: c.Done, Running: c.State == "", Restarts: c.Restarts, Users: c.Users, Labels: map[string]string{}}
	if e.Running {
		e.State = "running"
	}
	if c.Project != "" {
		e.Labels[labels.Project], e.Labels[labels.Service] = c.Project, c.Name
	}
	if c.Host != "" {
		e.Labels[labels.Host] = c.Host
	}
	e.NetworkIDs = c.On
	for _, s := range want.Services {
		if s.Name == c.Service {
			c.likeService(&e, s, want.Project)
		}
	}
	e.HostConfig.Privileged = e.HostConfig.Privileged || c.Privileged
	e.Claim = ledger.Claim{Holder: e.Holder(), Amounts: ledger.Amounts{NanoCPUs: int64(c.CPUs) * 1e9, Memory: inRAM(c.Memory)}, Pinned: c.Pinned}
	for _, i := range c.GPUs {
		uuid := "GPU-of-old"
		if i < len(b.Devices()) {
			uuid = b.Devices()[i].UUID
		}
		e.Claim.GPUs = append(e.Claim.GPUs, box.Hold{UUID: uuid, Budget: inRAM(c.Budget)})
		e.HostConfig.DeviceRequests = append(e.HostConfig.DeviceRequests, requestFor(b, compose.GPUs{}, []box.Device{{UUID: uuid}}))
	}
	return e
}

func (c givenContainer) likeService(e *Container, s compose.Service, project string) {
	e.Name, e.Labels, e.HostConfig = s.Container, maps.Clone(s.Config.Labels), s.HostConfig
	e.Labels[labels.Image] = "sha256:" + s.Image.Ref
	e.ImageID = "sha256:" + s.Image.Ref
	for path, volume := range c.Mounted {
		e.Mounts = append(e.Mounts, container.MountPoint{Type: mount.TypeVolume, Name: volume, Destination: path})
	}
	for _, m := range s.HostConfig.Mounts {
		if m.Source != c.Unmounted {
			e.Mounts = append(e.Mounts, container.MountPoint{Type: m.Type, Name: m.Source, Destination: m.Target})
		}
	}
	for _, n := range s.Networks {
		if !slices.Contains(c.Gone, n.Network) {
			e.Networks = append(e.Networks, n.Network)
		}
	}
	f := factsOf(s, Marks{}.digestOf)
	for key, value := range c.Was {
		switch key {
		case "image":
			e.Labels[labels.Image], e.ImageID = value, value
		case "limits.memory":
			e.HostConfig.Memory = inRAM(value)
		case "limits.cpus":
			e.HostConfig.NanoCPUs = int64(value[0]-'0') * 1e9
		case "restart":
			e.HostConfig.RestartPolicy.Name = container.RestartPolicyMode(value)
		default:
			f[key] = value
			if value == "" {
				delete(f, key)
			}
		}
	}
	if c.Older {
		e.Labels[labels.Route] = labels.RouteSshd
		e.HostConfig.Mounts = slices.DeleteFunc(slices.Clone(e.HostConfig.Mounts), func(m mount.Mount) bool { return m.Target == image.Peers })
	}
	e.Labels[labels.Config] = f.label()
	if c.Called != "" {
		e.Name, e.ID = c.Called, c.Called
	}
	if c.Replaces != "" {
		e.Labels[labels.Replaces] = c.Replaces
	}
	if v := s.Image.Variant(); v != "" {
		e.Labels[labels.Variant] = v
	}
	if c.Compose {
		e.Labels = map[string]string{labels.ComposeProject: project, labels.ComposeService: s.Name}
	}
}

// containerText returns what the engine is told to create, without empty values.
func containerText(t *testing.T, want compose.Wanted, have Observed) string {
	t.Helper()
	all := map[string]any{}
	want = have.fit(want)
	fates := fatesOf(want, have, Options{})
	settle(fates, have.books(fates), have.Box)
	for _, f := range fates {
		s := f.service
		s.Config.Labels = maps.Clone(s.Config.Labels)
		s.Config.Labels[labels.Config] = "FACTS"
		all[s.Container] = map[string]any{"Config": s.Config, "HostConfig": s.HostConfig, "Networks": s.Networks}
	}
	text, err := json.Marshal(all) // as it is sent to the engine
	if err != nil {
		t.Fatal(err)
	}
	var sent any
	if err := json.Unmarshal(text, &sent); err != nil {
		t.Fatal(err)
	}
	text, err = yaml.Marshal(filled(sent))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// filled returns a JSON value without its empty parts; nil if nothing is left.
func filled(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			if v[key] = filled(below); v[key] == nil {
				delete(v, key)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			if _, isMap := v[i].(map[string]any); isMap {
				v[i] = filled(v[i])
			}
		}
		if len(v) == 0 {
			return nil
		}
	case string, bool, float64:
		if v == "" || v == false || v == 0.0 {
			return nil
		}
	}
	return value
}

func errorText(err error) string { return err.Error() + "\n" }

// stable replaces the hashes, which change with the image's files.
func stable(text string) string {
	return regexp.MustCompile(`:( ?)"?[0-9a-f]{12}\b"?`).ReplaceAllString(text, ":${1}HASH")
}
