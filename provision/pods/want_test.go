package pods

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/berth-ssh/berth/provision/compose"
)

var update = flag.Bool("update", false, "write what is wanted in testdata again")

// A case has compose files, and the objects that must be made of them.
func TestWhatIsMadeOfComposeFiles(t *testing.T) {
	cases, err := filepath.Glob("testdata/want/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatal("no cases")
	}
	for _, path := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			golden(t, path, func(archive *txtar.Archive) map[string]string {
				wanted, err := Want(project(t, archive), "debian")
				if err != nil {
					return map[string]string{"want": err.Error() + "\n"}
				}
				return map[string]string{"want": wanted.text(t)}
			})
		})
	}
}

// golden compares the results of a case's files with the expected ones, or writes
// these again.
func golden(t *testing.T, path string, make func(*txtar.Archive) map[string]string) {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got := make(archive)
	for i, file := range archive.Files {
		text, isGolden := got[file.Name]
		if !isGolden || text == string(file.Data) {
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

// project loads the compose files of a case in a new directory.
func project(t *testing.T, archive *txtar.Archive) *compose.Project {
	t.Helper()
	t.Chdir(t.TempDir())
	var o compose.Options
	for _, file := range archive.Files {
		if !strings.Contains(file.Name, ".") {
			continue
		}
		if err := os.WriteFile(file.Name, file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(file.Name, ".yaml") {
			o.Files = append(o.Files, file.Name)
		}
	}
	o.Base = "debian"
	if !strings.Contains(string(archive.Files[0].Data), "name:") {
		o.Project = "lab"
	}
	p, err := compose.Load(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (w Wanted) text(t *testing.T) string {
	t.Helper()
	var text strings.Builder
	for _, warning := range w.Warnings {
		fmt.Fprintf(&text, "warning: %s\n", warning)
	}
	for _, v := range w.Volumes {
		fmt.Fprintf(&text, "volume %s, external %t, sized %t: %s\n", v.Name, v.External, v.Sized, inJSON(v.Claim))
	}
	for _, h := range w.Hosts {
		fmt.Fprintf(&text, "host %s of service %s\nvariables: %s\nfacts: %s\n", h.Name, h.Service, inJSON(h.Variables), Annotation(h.Facts))
		var set bytes.Buffer
		if err := json.Indent(&set, []byte(inJSON(h.Set)), "", " "); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&text, set.String())
	}
	return text.String()
}

// The example makes pods of the seed's file.
func TestTheExampleMakesPodsOfAFileForABox(t *testing.T) {
	files := []string{"../../cmd/provision/testdata/seed/docker-compose.yml", "../../configs/compose.cluster.yaml"}
	p, err := compose.Load(t.Context(), compose.Options{Files: files, Project: "lab", Base: "debian"})
	if err != nil {
		t.Fatal(err)
	}
	want, err := Want(p, "debian")
	if err != nil || len(want.Hosts) != 2 || len(want.Volumes) != 2 {
		t.Fatalf("%v; %d hosts, %d volumes", err, len(want.Hosts), len(want.Volumes))
	}
	if claim := want.Volumes[0].Claim; *claim.Spec.StorageClassName != "fast" || claim.Spec.Resources.Requests.Storage().String() != "200Gi" {
		t.Errorf("%s", inJSON(claim))
	}
}

// A new key that provision carries out on an engine must get its place here, too.
func TestEveryKeyOfAServiceHasItsPlace(t *testing.T) {
	var service types.ServiceConfig
	placed := carriedOut()
	for _, r := range slices.Concat(impossible(service), withoutConsent(service, false), otherwise(service, "")) {
		key, _, _ := strings.Cut(r.key, ".")
		placed = append(placed, key)
	}
	placed = append(placed, "cap_add", "security_opt")
	for _, key := range compose.ServiceKeys() {
		if !slices.Contains(placed, key) {
			t.Errorf("%s is neither carried out nor refused", key)
		}
	}
}
