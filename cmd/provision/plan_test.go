package main

import (
	"context"
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/docker/go-units"
	"github.com/rogpeppe/go-internal/txtar"
	"go.yaml.in/yaml/v4"

	"berth/hosts"
)

var update = flag.Bool("update", false, "write the plans in testdata anew")

// given is what a golden case says is there; the zero value is an empty
// engine on a machine with 8 cpus, 64 GiB and no GPU.
type given struct {
	CPUs       int
	Memory     string
	GPUs       int
	Base       string // of host images
	Project    string
	Images     bool              // every image that is wanted is there
	Networks   map[string]string // name: project whose label it has
	Volumes    map[string]string
	Containers []givenContainer
}

type givenContainer struct {
	Service string   // the container of this service, as provision would make it,
	Changed string   // but for its "config" or "image"
	Gone    []string // and without these networks

	Name    string // or any other
	Project string
	Host    string
	CPUs    int

	State string // "": running
}

// A golden case is a compose file or several, what is there, and the plan or
// the error that must come of them. The first line names the files to load.
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

// unpack lays the case's files out in a directory of their own, beside the
// files that people use, and goes there.
func unpack(t *testing.T, archive *txtar.Archive) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "lab")
	for name, from := range map[string]string{"seed": "testdata/seed", "configs": "../../configs"} {
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
	o := options{base: g.Base, project: g.Project}
	o.files = strings.Fields(strings.SplitN(string(archive.Comment), "\n", 2)[0])
	project, err := loadProject(context.Background(), o)
	if err != nil {
		return errorText(err), ""
	}
	want, err := project.want(box{base: o.base, userCA: "ssh-ed25519 CA", helperDir: "/var/lib/berth/helper"})
	if err != nil {
		return errorText(err), ""
	}
	p, err := planUp(want, g.observed(want))
	if err != nil {
		return errorText(err), ""
	}
	return stable(p.String()), stable(strings.ReplaceAll(containerText(t, want), project.WorkingDir, "DIR"))
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

func (g given) observed(want desired) observed {
	memory, err := units.RAMInBytes(g.Memory)
	if err != nil {
		panic(err)
	}
	have := observed{
		machine:  resources{nanoCPUs: int64(g.CPUs) * 1e9, memory: memory, gpus: int64(g.GPUs)},
		images:   map[string]string{},
		networks: labelledWith(g.Networks),
		volumes:  labelledWith(g.Volumes),
	}
	for _, ref := range want.imageRefs() {
		if g.Images {
			have.images[ref] = "sha256:" + ref
		}
	}
	for _, c := range g.Containers {
		have.containers = append(have.containers, c.existing(want))
	}
	return have
}

func labelledWith(projects map[string]string) map[string]map[string]string {
	all := map[string]map[string]string{}
	for name, project := range projects {
		all[name] = map[string]string{}
		if project != "" {
			all[name][labelProject] = project
		}
	}
	return all
}

func (c givenContainer) existing(want desired) existing {
	e := existing{name: c.Name, state: c.State, running: c.State == "", labels: map[string]string{}}
	if e.running {
		e.state = "running"
	}
	if c.Project != "" {
		e.labels[labelProject], e.labels[labelService] = c.Project, c.Name
	}
	if c.Host != "" {
		e.labels[hosts.LabelHost] = c.Host
	}
	e.reserved.nanoCPUs = int64(c.CPUs) * 1e9
	for _, s := range want.services {
		if s.name != c.Service {
			continue
		}
		e.name, e.labels = s.container, s.config.Labels
		e.labels[labelImage] = "sha256:" + s.image.ref
		for _, n := range s.networks {
			if !slices.Contains(c.Gone, n.Network) {
				e.networks = append(e.networks, n.Network)
			}
		}
		if c.Changed != "" {
			e.labels = maps.Clone(e.labels)
			e.labels["berth."+c.Changed] = "another"
		}
	}
	return e
}

// containerText is what the engine is told to create, less what is empty.
func containerText(t *testing.T, want desired) string {
	t.Helper()
	all := map[string]any{}
	for _, s := range want.services {
		all[s.container] = map[string]any{"Config": s.config, "HostConfig": s.hostConfig, "Networks": s.networks}
	}
	text, err := json.Marshal(all) // as it goes to the engine
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

// filled is a JSON value without what is empty in it; nil where nothing is left.
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

// stable hides the hashes, which change with the image's files.
func stable(text string) string {
	return regexp.MustCompile(`:( ?)"?[0-9a-f]{12}\b"?`).ReplaceAllString(text, ":${1}HASH")
}
