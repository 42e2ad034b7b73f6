package apply

import (
	"slices"
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/labels"
	"github.com/berth-ssh/berth/provision/plan"
)

// mixedBox returns a box with a card whose device node has another number than its
// index, a partitioned card, and a third one.
func mixedBox() box.Box {
	return box.Box{Inventory: box.Inventory{GPUs: []box.GPU{
		{UUID: "GPU-aaaa-1", Minor: 2},
		{UUID: "GPU-bbbb-1", Minor: 1, MIG: true, Instances: []box.MIGInstance{{UUID: "MIG-b0", Profile: "1g.10gb"}, {UUID: "MIG-b1", Profile: "1g.10gb"}}},
		{UUID: "GPU-cccc-1", Minor: 0},
	}}}
}

func TestWhatAContainerSees(t *testing.T) {
	gpu := [][]string{{"gpu"}}
	every := []string{"GPU-aaaa-1", "MIG-b0", "MIG-b1", "GPU-cccc-1"}
	request := func(r container.DeviceRequest) container.HostConfig {
		return container.HostConfig{Resources: container.Resources{DeviceRequests: []container.DeviceRequest{r}}}
	}
	node := func(path string) container.HostConfig {
		return container.HostConfig{Resources: container.Resources{Devices: []container.DeviceMapping{{PathOnHost: path}}}}
	}
	nvidia := container.HostConfig{Runtime: "nvidia"}
	for name, c := range map[string]struct {
		host container.HostConfig
		env  string
		want []string
	}{
		"nothing":                            {},
		"a count: the first ones":            {host: request(container.DeviceRequest{Count: 2, Capabilities: gpu}), want: every[:3]},
		"every one":                          {host: request(container.DeviceRequest{Count: -1, Capabilities: gpu}), want: every},
		"an index":                           {host: request(container.DeviceRequest{DeviceIDs: []string{"2"}, Capabilities: gpu}), want: every[3:]},
		"an instance's index":                {host: request(container.DeviceRequest{DeviceIDs: []string{"1:1"}, Capabilities: gpu}), want: every[2:3]},
		"a partitioned card":                 {host: request(container.DeviceRequest{DeviceIDs: []string{"GPU-bbbb-1"}, Capabilities: gpu}), want: every[1:3]},
		"the beginning of a UUID":            {host: request(container.DeviceRequest{DeviceIDs: []string{"GPU-c"}, Capabilities: gpu}), want: every[3:]},
		"a CDI name":                         {host: request(container.DeviceRequest{Driver: "cdi", DeviceIDs: []string{"nvidia.com/gpu=MIG-b0"}}), want: every[1:2]},
		"a list in one text":                 {host: request(container.DeviceRequest{DeviceIDs: []string{"0, 2"}, Capabilities: gpu}), want: []string{"GPU-aaaa-1", "GPU-cccc-1"}},
		"a GPU of another maker":             {host: request(container.DeviceRequest{Driver: "amd", Count: 1, Capabilities: gpu})},
		"another's CDI name":                 {host: request(container.DeviceRequest{Driver: "cdi", DeviceIDs: []string{"vendor.com/net=all"}})},
		"an index that is not there":         {host: request(container.DeviceRequest{DeviceIDs: []string{"9"}, Capabilities: gpu})},
		"a device node, by its minor number": {host: node("/dev/nvidia2"), want: every[:1]},
		"the control node":                   {host: node("/dev/nvidiactl")},
		"all of /dev":                        {host: node("/dev"), want: every},
		"/dev, and a rule for GPUs":          {host: container.HostConfig{Binds: []string{"/dev:/dev"}, Resources: container.Resources{DeviceCgroupRules: []string{"c 195:* rmw"}}}, want: every},
		"/dev, and a rule for others":        {host: container.HostConfig{Binds: []string{"/dev:/dev"}, Resources: container.Resources{DeviceCgroupRules: []string{"c 81:* rmw"}}}},
		"a rule without /dev":                {host: container.HostConfig{Resources: container.Resources{DeviceCgroupRules: []string{"a *:* rwm"}}}},
		"privileged":                         {host: container.HostConfig{Privileged: true}, want: every},
		"the runtime's variable":             {host: nvidia, env: "NVIDIA_VISIBLE_DEVICES=0,GPU-cccc-1", want: []string{"GPU-aaaa-1", "GPU-cccc-1"}},
		"the runtime's void":                 {host: nvidia, env: "NVIDIA_VISIBLE_DEVICES=void"},
		"the variable without the runtime":   {host: container.HostConfig{Runtime: "runc"}, env: "NVIDIA_VISIBLE_DEVICES=all"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range visible(mixedBox(), &container.Config{Env: []string{c.env}}, &c.host) {
				got = append(got, d.UUID)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// The number in a label counts at least as 0, and at most as what the box has.
func TestAttackByNumbersInLabels(t *testing.T) {
	b := box.Box{Engine: box.Engine{NanoCPUs: 8e9, Memory: 64 << 30}, Inventory: box.Inventory{GPUs: []box.GPU{{UUID: "GPU-a", Memory: 80 << 30}}}}
	for text, want := range map[string][2]int64{
		"-99000000000": {0, 0}, "99999999999999999999": {0, 0}, "9000000000000000000": {8e9, 80 << 30}, "1e9": {0, 0}, "4000000000": {4e9, 4e9},
	} {
		host := container.HostConfig{Resources: container.Resources{
			MemoryReservation: 1 << 60, DeviceRequests: []container.DeviceRequest{{Count: 1, Driver: "nvidia"}},
		}}
		e := plan.Container{Labels: map[string]string{labels.CPUs: text, labels.GPUMemory: text}}
		c := claimOf(b, e, &container.Config{}, &host)
		if c.NanoCPUs != want[0] || len(c.GPUs) != 1 || c.GPUs[0].Budget != want[1] || c.Memory != 64<<30 {
			t.Errorf("%s: %+v", text, c)
		}
	}
}

// A privileged host of provision sees every GPU, but holds only what it asked for.
func TestWhatAPrivilegedHostHolds(t *testing.T) {
	host := container.HostConfig{Privileged: true, Resources: container.Resources{
		DeviceRequests: []container.DeviceRequest{{Driver: "nvidia", DeviceIDs: []string{"GPU-cccc-1"}}},
	}}
	for project, want := range map[string]int{"lab": 1, "": 4, "unused": 0} {
		e := plan.Container{Labels: map[string]string{labels.Project: project}}
		if project == "unused" {
			e.Labels[labels.GPUMemory] = labels.NoGPU
		}
		if c := claimOf(mixedBox(), e, &container.Config{}, &host); len(c.GPUs) != want {
			t.Errorf("project %q: %v", project, c.GPUs)
		}
	}
}
