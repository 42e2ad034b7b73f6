package engine_test

import (
	"context"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/test/harness"
	"github.com/berth-ssh/berth/test/harness/engine"
)

func TestMain(m *testing.M) { harness.Main(m) }

// A project leaves nothing behind, and its host is entered as the gateway does.
func TestProjectLeavesNothingBehind(t *testing.T) {
	var name string
	t.Run("project", func(t *testing.T) {
		p := engine.NewProject(t)
		name = p.Name
		harness.Must(t, p.Provision("up", "-f", p.File("services: {master: {environment: {A: one}}}"), "--yes"))
		harness.Must(t, p.Provision("up", "-f", p.File("services: {master: {}}"), "--yes")) // which keeps what was written
		if got := p.SSH("master", "developer", "hostname; id -un"); got != p.Host("master")+"\ndeveloper\n" {
			t.Errorf("over ssh: %q", got)
		}
	})
	api, err := client.New(client.WithHost("unix://" + harness.EngineSocket(t)))
	if err != nil {
		t.Fatal(err)
	}
	volumes, err := api.VolumeList(context.Background(), client.VolumeListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range volumes.Items {
		if strings.HasPrefix(v.Name, name) {
			t.Errorf("left behind: volume %s", v.Name)
		}
	}
	images, err := api.ImageList(context.Background(), client.ImageListOptions{Filters: make(client.Filters).Add("reference", "berth/kept:*-"+name+".*")})
	if err != nil || len(images.Items) > 0 {
		t.Errorf("left behind: images %+v, %v", images.Items, err)
	}
	containers, err := api.ContainerList(context.Background(), client.ContainerListOptions{All: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range containers.Items {
		if c.Labels["berth.project"] == name {
			t.Errorf("left behind: container %v", c.Names)
		}
	}
}
