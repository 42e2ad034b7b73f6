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
	"berth":                    nil,
	"berth/audit":              nil,
	"berth/audit/files":        nil,
	"berth/auth":               nil,
	"berth/backup":             {"berth/labels"},
	"berth/bench":              nil,
	"berth/box":                {"berth/auth", "berth/labels", "berth/printable"},
	"berth/cmd/gateway":        {"berth/auth", "berth/backup", "berth/box", "berth/config", "berth/control", "berth/demo", "berth/helper", "berth/hosts", "berth/hosts/configured", "berth/labels", "berth/logqueue", "berth/packaging", "berth/people", "berth/printable", "berth/recording", "berth/release", "berth/reload", "berth/screen", "berth/selftest", "berth/serving", "berth/setup", "berth/sftpd", "berth/state", "berth/totp"},
	"berth/cmd/provision":      {"berth/box", "berth/config", "berth/docker", "berth/hosts", "berth/hosts/docker", "berth/image", "berth/labels", "berth/people", "berth/printable", "berth/provision/apply", "berth/provision/compose", "berth/provision/doctor", "berth/provision/migrate", "berth/provision/plan", "berth/release", "berth/state"},
	"berth/config":             {"berth/audit", "berth/auth", "berth/hosts", "berth/keysource", "berth/labels", "berth/recording", "berth/state"},
	"berth/configs":            nil,
	"berth/control":            nil,
	"berth/demo":               {"berth/auth", "berth/docker", "berth/labels", "berth/screen", "berth/state"},
	"berth/docker":             {"berth/printable"},
	"berth/gate":               {"berth/auth", "berth/machine", "berth/sshconn"},
	"berth/gateway":            {"berth/audit", "berth/auth", "berth/gate", "berth/hosts", "berth/labels", "berth/logqueue", "berth/machine", "berth/printable", "berth/recorder", "berth/recording", "berth/session", "berth/sshconn", "berth/strangers", "berth/wire"},
	"berth/helper":             {"berth/helper/descriptors", "berth/helper/messages", "berth/helper/streams", "berth/labels", "berth/machine"},
	"berth/helper/descriptors": {"berth/helper/messages", "berth/machine", "berth/sshconn"},
	"berth/helper/messages":    {"berth/machine", "berth/printable"},
	"berth/helper/streams":     {"berth/helper/messages", "berth/machine", "berth/sshconn"},
	"berth/hosts":              {"berth/labels", "berth/machine"},
	"berth/hosts/boxes":        {"berth/hosts", "berth/labels", "berth/state"},
	"berth/hosts/configured":   {"berth/docker", "berth/hosts", "berth/hosts/boxes", "berth/hosts/docker", "berth/hosts/kube", "berth/hosts/local", "berth/state"},
	"berth/hosts/docker":       {"berth/docker", "berth/helper", "berth/hosts", "berth/hosts/hostkeys", "berth/hosts/pool", "berth/labels", "berth/printable", "berth/state"},
	"berth/hosts/hostkeys":     {"berth/hosts", "berth/state"},
	"berth/hosts/kube":         {"berth/helper", "berth/hosts", "berth/hosts/hostkeys", "berth/hosts/pool", "berth/labels", "berth/machine", "berth/printable", "berth/state"},
	"berth/hosts/local":        {"berth/helper", "berth/hosts", "berth/hosts/pool", "berth/labels"},
	"berth/hosts/pool":         {"berth/helper", "berth/hosts", "berth/machine"},
	"berth/image":              nil,
	"berth/keysource":          {"berth/auth"},
	"berth/labels":             nil,
	"berth/ledger":             {"berth/box"},
	"berth/logqueue":           nil,
	"berth/machine":            {"berth/sshconn"},
	"berth/metrics":            {"berth/audit"},
	"berth/operator":           {"berth/control", "berth/gateway", "berth/people", "berth/printable"},
	"berth/packaging":          nil,
	"berth/patches":            nil,
	"berth/patches/make":       {"berth/patches"},
	"berth/people":             {"berth/control"},
	"berth/printable":          nil,
	"berth/provision/apply":    {"berth/box", "berth/docker", "berth/image", "berth/labels", "berth/ledger", "berth/printable", "berth/provision/compose", "berth/provision/plan"},
	"berth/provision/compose":  {"berth/box", "berth/image", "berth/labels", "berth/ledger"},
	"berth/provision/doctor":   {"berth/box", "berth/docker", "berth/image", "berth/provision/apply", "berth/provision/compose", "berth/provision/plan"},
	"berth/provision/migrate":  {"berth/auth", "berth/image", "berth/provision/compose"},
	"berth/provision/plan":     {"berth/box", "berth/image", "berth/labels", "berth/ledger", "berth/printable", "berth/provision/compose"},
	"berth/proxy":              nil,
	"berth/recorder":           {"berth/audit", "berth/audit/files", "berth/machine", "berth/sshconn"},
	"berth/recording":          nil,
	"berth/release":            {"berth/patches"},
	"berth/reload":             {"berth/config", "berth/gateway"},
	"berth/screen":             nil,
	"berth/selftest":           {"berth/auth", "berth/config", "berth/gateway", "berth/hosts", "berth/hosts/configured", "berth/selftest/checks", "berth/state"},
	"berth/selftest/checks":    {"berth/labels", "berth/printable", "berth/screen"},
	"berth/serving":            {"berth/audit", "berth/auth", "berth/config", "berth/control", "berth/gateway", "berth/hosts", "berth/hosts/configured", "berth/keysource", "berth/metrics", "berth/operator", "berth/patches", "berth/proxy", "berth/recording", "berth/release", "berth/reload", "berth/state", "berth/takeover", "berth/totp"},
	"berth/session":            {"berth/machine", "berth/sshconn"},
	"berth/setup":              {"berth/auth", "berth/config", "berth/docker", "berth/labels", "berth/packaging"},
	"berth/sftpd":              {"berth/sshconn"},
	"berth/sshconn":            nil,
	"berth/state":              nil,
	"berth/strangers":          nil,
	"berth/takeover":           {"berth/control"},
	"berth/totp":               nil,
	"berth/wire":               nil,
}

// dockerClients may import the Docker client: the side of the gateway that
// does not parse the network, and provision, which is about Docker's objects.
// Tests start engines of their own.
var dockerClients = []string{"berth/docker", "berth/hosts/docker", "berth/provision/apply", "berth/provision/doctor", "berth/setup", "berth/cmd/provision", "berth/test/harness/engine"}

// dockerTypes may import the types of the engine's API, but not the client, and
// so can ask the engine nothing. They say what a container is to be, and what is
// to become of one, and the API's structures are the only whole list of that.
var dockerTypes = []string{"berth/provision/compose", "berth/provision/plan"}

// testArrows are those of the packages that test, with their tests: a scenario
// meets the product as people do, by its programs, and imports none of it.
var testArrows = map[string][]string{
	"berth/test/accounts":       {"berth/test/harness"},
	"berth/test/attack":         {"berth/test/harness", "berth/test/harness/peer"},
	"berth/test/boxes":          {"berth/test/harness", "berth/test/harness/engine"},
	"berth/test/change":         {"berth/test/harness"},
	"berth/test/clients":        {"berth/test/harness"},
	"berth/test/files":          {"berth/test/harness"},
	"berth/test/foreign":        {"berth/test/harness"},
	"berth/test/forwards":       {"berth/test/harness"},
	"berth/test/gpu":            {"berth/test/harness", "berth/test/harness/engine"},
	"berth/test/harness":        nil,
	"berth/test/harness/engine": {"berth/test/harness"},
	"berth/test/harness/peer":   nil,
	"berth/test/identity":       {"berth/test/harness"},
	"berth/test/images":         {"berth/test/harness"},
	"berth/test/install":        {"berth/test/harness"},
	"berth/test/life":           {"berth/test/harness", "berth/test/harness/engine"},
	"berth/test/kube":           {"berth/test/harness"},
	"berth/test/load":           {"berth/test/harness"},
	"berth/test/migration":      {"berth/test/harness", "berth/test/harness/engine"},
	"berth/test/owner":          {"berth/test/harness"},
	"berth/test/parity":         {"berth/test/harness", "berth/test/harness/engine"},
	"berth/test/peers":          {"berth/test/harness"},
	"berth/test/placement":      {"berth/test/harness"},
	"berth/test/sessions":       {"berth/test/harness"},
}

type goPackage struct {
	ImportPath  string
	Doc         string
	Imports     []string
	TestImports []string
}

func TestArrowsPointDown(t *testing.T) {
	for _, p := range listPackages(t) {
		allowed, known := arrows[p.ImportPath]
		if tests, isTest := testArrows[p.ImportPath]; isTest {
			allowed, known = tests, true
			p.Imports = append(p.Imports, p.TestImports...)
		}
		if !known {
			t.Errorf("%s is not in the design: say here what it may import", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if strings.HasPrefix(imported, "berth/") && !slices.Contains(allowed, imported) {
				t.Errorf("%s must not import %s", p.ImportPath, imported)
			}
			isType := strings.HasPrefix(imported, "github.com/moby/moby/api/types") && slices.Contains(dockerTypes, p.ImportPath)
			if strings.HasPrefix(imported, "github.com/moby/moby") && !isType && !slices.Contains(dockerClients, p.ImportPath) {
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
	out, err := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,TestImports", "./...").Output()
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

// The side that parses the network cannot even name what speaks to an engine.
func TestTheGatewayHasNoWayToAnEngine(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./gateway").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, dependency := range strings.Fields(string(out)) {
		if strings.Contains(dependency, "/moby/") || strings.Contains(dependency, "/docker/") || strings.HasPrefix(dependency, "k8s.io/") || dependency == "berth/docker" || strings.HasPrefix(dependency, "berth/hosts/") {
			t.Errorf("gateway depends on %s", dependency)
		}
	}
}
