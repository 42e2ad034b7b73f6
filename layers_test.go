package berth_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/berth-ssh/berth"

// arrows are the imports between our packages, by their folders, that the design
// allows.
var arrows = map[string][]string{
	".":                  nil,
	"audit":              {"printable"},
	"audit/files":        nil,
	"auth":               nil,
	"backup":             {"labels"},
	"bench":              nil,
	"box":                {"auth", "labels", "printable"},
	"calls":              nil,
	"cmd/gateway":        {"auth", "backup", "box", "config", "control", "demo", "directory", "front", "helper", "hosts", "hosts/configured", "labels", "logqueue", "openid", "packaging", "people", "printable", "recording", "release", "reload", "rotation", "screen", "selftest", "serving", "setup", "sftpd", "state", "totp"},
	"cmd/provision":      {"box", "config", "docker", "hosts", "hosts/docker", "hosts/owners", "image", "labels", "people", "printable", "provision/apply", "provision/cluster", "provision/compose", "provision/doctor", "provision/metrics", "provision/migrate", "provision/plan", "provision/pods", "provision/progress", "release", "scrape", "state"},
	"config":             {"audit", "auth", "directory", "hosts", "keysource", "labels", "openid", "recording", "scrape", "state", "trust"},
	"configs":            nil,
	"control":            nil,
	"demo":               {"auth", "docker", "labels", "screen", "state"},
	"directory":          {"auth", "trust"},
	"docker":             {"printable", "trust"},
	"front":              {"audit", "auth", "calls", "front/messages", "gateway", "helper", "hosts", "keeper", "machine", "proxy", "recording"},
	"front/messages":     {"auth", "gateway", "helper/messages", "hosts", "keeper", "strangers"},
	"fronts":             {"audit", "auth", "calls", "front/messages", "gateway", "helper", "hosts", "keeper", "recording", "strangers"},
	"gate":               {"auth", "machine", "sshconn"},
	"gateway":            {"audit", "auth", "gate", "hosts", "keeper", "labels", "logqueue", "machine", "memory", "printable", "recorder", "recording", "session", "sshconn", "strangers", "wire"},
	"helper":             {"helper/descriptors", "helper/messages", "helper/streams", "labels", "machine"},
	"helper/descriptors": {"helper/messages", "machine", "sshconn"},
	"helper/messages":    {"machine", "printable"},
	"helper/streams":     {"helper/messages", "machine", "sshconn"},
	"hosts":              {"labels", "machine", "trust"},
	"hosts/boxes":        {"hosts", "labels", "state"},
	"hosts/configured":   {"docker", "hosts", "hosts/boxes", "hosts/docker", "hosts/kube", "hosts/local", "labels", "state"},
	"hosts/docker":       {"docker", "helper", "hosts", "hosts/hostkeys", "hosts/owners", "hosts/pool", "labels", "state"},
	"hosts/hostkeys":     {"hosts", "state"},
	"hosts/kube":         {"helper", "hosts", "hosts/hostkeys", "hosts/owners", "hosts/pool", "kubernetes", "labels", "machine", "printable", "state"},
	"hosts/local":        {"helper", "hosts", "hosts/pool", "labels"},
	"hosts/owners":       {"hosts", "labels", "printable", "state"},
	"hosts/pool":         {"helper", "hosts", "machine"},
	"image":              nil,
	"keysource":          {"auth", "state"},
	"keeper":             {"audit", "auth", "hosts", "labels", "printable", "recording"},
	"kubernetes":         {"labels", "printable"},
	"labels":             nil,
	"ledger":             {"box"},
	"logqueue":           nil,
	"machine":            {"sshconn"},
	"memory":             nil,
	"metrics":            {"audit", "scrape"},
	"openid":             {"auth", "printable", "state", "trust"},
	"operator":           {"control", "gateway", "people", "printable", "strangers"},
	"packaging":          nil,
	"patches":            nil,
	"patches/make":       {"patches"},
	"people":             {"control"},
	"printable":          nil,
	"provision/apply":    {"box", "docker", "image", "labels", "ledger", "printable", "provision/compose", "provision/plan", "provision/progress"},
	"provision/cluster":  {"kubernetes", "labels", "printable", "provision/compose", "provision/plan", "provision/pods", "provision/progress"},
	"provision/compose":  {"box", "image", "labels", "ledger"},
	"provision/doctor":   {"box", "docker", "image", "provision/apply", "provision/compose", "provision/plan"},
	"provision/metrics":  {"box", "ledger", "provision/apply", "provision/plan", "scrape"},
	"provision/migrate":  {"auth", "image", "provision/compose"},
	"provision/plan":     {"box", "image", "labels", "ledger", "printable", "provision/compose"},
	"provision/pods":     {"box", "labels", "ledger", "provision/compose"},
	"provision/progress": {"printable"},
	"proxy":              nil,
	"recorder":           {"audit", "audit/files", "machine", "sshconn"},
	"recording":          nil,
	"release":            {"patches"},
	"reload":             {"auth", "config"},
	"rotation":           {"control", "serving", "state"},
	"scrape":             nil,
	"screen":             nil,
	"selftest":           {"auth", "config", "gateway", "hosts", "hosts/configured", "keeper", "selftest/checks", "state"},
	"selftest/checks":    {"labels", "printable", "screen"},
	"serving":            {"audit", "auth", "config", "control", "directory", "front/messages", "fronts", "gateway", "hosts", "hosts/configured", "keeper", "keysource", "memory", "metrics", "openid", "operator", "patches", "recording", "release", "reload", "scrape", "state", "takeover", "totp"},
	"session":            {"machine", "sshconn"},
	"setup":              {"auth", "config", "docker", "labels", "packaging"},
	"sftpd":              nil,
	"sshconn":            nil,
	"state":              nil,
	"strangers":          nil,
	"takeover":           {"control"},
	"totp":               {"state"},
	"trust":              nil,
	"wire":               nil,
}

// dockerClients may import the Docker client: the side of the gateway that
// does not parse the network, and provision, which is about Docker's objects.
// Tests start engines of their own.
var dockerClients = []string{"docker", "hosts/docker", "provision/apply", "provision/doctor", "setup", "cmd/provision", "test/harness/engine"}

// dockerTypes may import the types of the engine's API, but not the client, and
// so can ask the engine nothing. They say what a container is to be, and what is
// to become of one, and the API's structures are the only whole list of that.
var dockerTypes = []string{"provision/compose", "provision/plan"}

// testArrows are those of the packages that test, with their tests: a scenario
// meets the product as people do, by its programs, and imports none of it.
var testArrows = map[string][]string{
	"test/accounts":       {"test/harness"},
	"test/attack":         {"test/harness", "test/harness/peer"},
	"test/boxes":          {"test/harness", "test/harness/engine"},
	"test/change":         {"test/harness"},
	"test/clients":        {"test/harness"},
	"test/files":          {"test/harness"},
	"test/foreign":        {"test/harness"},
	"test/forwards":       {"test/harness"},
	"test/gpu":            {"test/harness", "test/harness/engine"},
	"test/harness":        nil,
	"test/harness/engine": {"test/harness"},
	"test/harness/idp":    {"test/harness"},
	"test/harness/peer":   nil,
	"test/identity":       {"test/harness", "test/harness/idp"},
	"test/images":         {"test/harness"},
	"test/install":        {"test/harness"},
	"test/life":           {"test/harness", "test/harness/engine"},
	"test/kube":           {"test/harness"},
	"test/load":           {"test/harness"},
	"test/migration":      {"test/harness", "test/harness/engine"},
	"test/monitor":        {"test/harness", "test/harness/engine"},
	"test/owner":          {"test/harness"},
	"test/parity":         {"test/harness", "test/harness/engine"},
	"test/peers":          {"test/harness"},
	"test/placement":      {"test/harness"},
	"test/sessions":       {"test/harness"},
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
			ours, isOurs := strings.CutPrefix(imported, module+"/")
			if isOurs && !slices.Contains(allowed, ours) {
				t.Errorf("%s must not import %s", p.ImportPath, ours)
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
		if p.ImportPath != "." && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// listPackages returns our packages, by their folders.
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
		p.ImportPath = path.Join(".", strings.TrimPrefix(p.ImportPath, module))
		packages = append(packages, p)
	}
}

// The side that parses the network cannot even name what speaks to an engine.
func TestTheGatewayHasNoWayToAnEngine(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "./gateway", "./front").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for _, dependency := range strings.Fields(string(out)) {
		if strings.Contains(dependency, "/moby/") || strings.Contains(dependency, "/docker/") || strings.HasPrefix(dependency, "k8s.io/") || dependency == module+"/docker" || strings.HasPrefix(dependency, module+"/hosts/") {
			t.Errorf("gateway or front depends on %s", dependency)
		}
	}
}
