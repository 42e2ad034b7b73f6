package engine

import (
	"bytes"
	"context"
	"crypto/rand"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/test/harness"
)

// Project is a project on the engine that tests use. It leaves nothing behind
// but the host image, which the next test wants again.
type Project struct {
	*testing.T
	API   *client.Client
	Name  string
	State string // directory
	Base  string // base image of the hosts
}

// NewProject returns a project with a unique name.
func NewProject(t *testing.T) Project {
	t.Helper()
	base := harness.BaseImage(t)
	api, err := client.New(client.WithHost("unix://" + harness.EngineSocket(t)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := api.Ping(t.Context(), client.PingOptions{NegotiateAPIVersion: true}); err != nil {
		harness.Missing(t, err.Error())
	}
	p := Project{t, api, "pt" + strings.ToLower(rand.Text()[:8]), filepath.Join(t.TempDir(), "state"), base}
	t.Cleanup(p.clear)
	return p
}

// File writes a compose file of the project, whose hosts have names that no other
// project has.
func (p Project) File(text string) string {
	p.Helper()
	var file map[string]any
	if err := yaml.Load([]byte(text), &file); err != nil {
		p.Fatal(err)
	}
	services, _ := file["services"].(map[string]any)
	for name, value := range services {
		service, _ := value.(map[string]any)
		if service == nil {
			service = map[string]any{}
		}
		ours, _ := service["x-berth"].(map[string]any)
		if ours == nil {
			ours = map[string]any{}
		}
		ours["host"] = p.Host(name)
		service["x-berth"], services[name] = ours, service
	}
	named, err := yaml.Marshal(file)
	if err != nil {
		p.Fatal(err)
	}
	path := filepath.Join(p.TempDir(), "compose.yaml")
	harness.Write(p.T, path, 0o644, string(named))
	return path
}

// Host returns the name of a service's host.
func (p Project) Host(service string) string { return service + "-" + p.Name }

// In runs a script in a service's container as root, by the engine, and returns its
// output without the last newline.
func (p Project) In(service, script string) string { return p.InAs("root", service, script) }

// InAs is In with another account.
func (p Project) InAs(account, service, script string) string {
	p.Helper()
	created, err := p.API.ExecCreate(p.Context(), p.Inspect(service).ID, client.ExecCreateOptions{
		User: account, Cmd: []string{"sh", "-c", script}, AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		p.Fatal(err)
	}
	attached, err := p.API.ExecAttach(p.Context(), created.ID, client.ExecAttachOptions{})
	if err != nil {
		p.Fatal(err)
	}
	defer attached.Close()
	var out bytes.Buffer
	if _, err := stdcopy.StdCopy(&out, &out, attached.Reader); err != nil {
		p.Fatal(err)
	}
	return strings.TrimSpace(out.String())
}

// Containers returns the names of the project's containers.
func (p Project) Containers() []string {
	p.Helper()
	own := make(client.Filters).Add("label", "berth.project="+p.Name)
	list, err := p.API.ContainerList(p.Context(), client.ContainerListOptions{All: true, Filters: own})
	if err != nil {
		p.Fatal(err)
	}
	var names []string
	for _, c := range list.Items {
		names = append(names, c.Names...)
	}
	return names
}

// Provision returns the program under test, for this project.
func (p Project) Provision(args ...string) *exec.Cmd {
	return exec.CommandContext(p.Context(), harness.Program("provision"), append(args, "-p", p.Name, "--state", p.State, "--base", p.Base)...)
}

// Inspect returns a service's container as the engine describes it.
func (p Project) Inspect(service string) container.InspectResponse {
	p.Helper()
	result, err := p.API.ContainerInspect(p.Context(), p.Name+"-"+service+"-1", client.ContainerInspectOptions{})
	if err != nil {
		p.Fatal(err)
	}
	return result.Container
}

// SSH runs a command in a host by the host's own sshd, and returns its output. Like
// the gateway, it logs in with a certificate of the user CA. It does not check the
// host key.
func (p Project) SSH(service, account, command string) string {
	p.Helper()
	key := harness.MakeKey(p.T, p.TempDir(), "signed")
	harness.Must(p.T, exec.Command("ssh-keygen", "-q", "-s", filepath.Join(p.State, "user_ca"), "-I", "test", "-n", account, "-V", "+1m", key+".pub"))
	var address string
	for _, n := range p.Inspect(service).NetworkSettings.Networks {
		address = n.IPAddress.String()
	}
	return harness.Must(p.T, exec.Command("ssh", "-F", "none", "-i", key, "-l", account, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=10", address, command))
}

// clear removes what the project has at the engine, by its label and, for
// images, by its name.
func (p Project) clear() {
	ctx := context.Background() // the test's own has ended
	own := make(client.Filters).Add("label", "berth.project="+p.Name)
	check := func(err error) {
		if err != nil {
			p.Error(err)
		}
	}
	containers, err := p.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: own})
	check(err)
	for _, c := range containers.Items {
		_, err := p.API.ContainerRemove(ctx, c.ID, client.ContainerRemoveOptions{Force: true})
		check(err)
	}
	networks, err := p.API.NetworkList(ctx, client.NetworkListOptions{Filters: own})
	check(err)
	for _, n := range networks.Items {
		_, err := p.API.NetworkRemove(ctx, n.ID, client.NetworkRemoveOptions{})
		check(err)
	}
	volumes, err := p.API.VolumeList(ctx, client.VolumeListOptions{Filters: own})
	check(err)
	for _, v := range volumes.Items {
		_, err := p.API.VolumeRemove(ctx, v.Name, client.VolumeRemoveOptions{Force: true})
		check(err)
	}
	of := make(client.Filters).Add("reference", p.Name+"-*", "berth/kept:*-"+p.Name+".*")
	images, err := p.API.ImageList(ctx, client.ImageListOptions{Filters: of})
	check(err)
	for _, i := range images.Items {
		_, err := p.API.ImageRemove(ctx, i.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true})
		check(err)
	}
}
