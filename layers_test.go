package berth_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// arrows are the imports between our packages that the design allows.
var arrows = map[string][]string{
	"berth":               nil,
	"berth/auth":          nil,
	"berth/bench":         nil,
	"berth/cmd/gateway":   {"berth/auth", "berth/configs", "berth/gateway", "berth/helper", "berth/hosts", "berth/session", "berth/state"},
	"berth/cmd/provision": {"berth/auth", "berth/configs", "berth/hosts", "berth/image", "berth/state"},
	"berth/configs":       nil,
	"berth/gateway":       {"berth/auth", "berth/hosts", "berth/session", "berth/wire"},
	"berth/helper":        {"berth/session", "berth/wire"},
	"berth/hosts":         {"berth/helper", "berth/session", "berth/state"},
	"berth/image":         nil,
	"berth/session":       nil,
	"berth/state":         nil,
	"berth/test":          nil,
	"berth/wire":          nil,
}

// dockerClients may import the Docker client: the side of the gateway that
// does not parse the network, and provision, which is about Docker's objects.
var dockerClients = []string{"berth/hosts", "berth/cmd/provision"}

type goPackage struct {
	ImportPath string
	Doc        string
	Imports    []string
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range listPackages(t) {
		allowed, known := arrows[p.ImportPath]
		if !known {
			t.Errorf("%s is not in the design: say here what it may import", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "berth/") && !slices.Contains(allowed, imported) {
				t.Errorf("%s must not import %s", p.ImportPath, imported)
			}
			if strings.HasPrefix(imported, "github.com/moby/moby") && !slices.Contains(dockerClients, p.ImportPath) {
				t.Errorf("%s must not import the Docker client (%s)", p.ImportPath, imported)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range listPackages(t) {
		if p.ImportPath != "berth" && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var packages []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}
