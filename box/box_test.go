package box

import (
	"slices"
	"testing"
)

// able is a box whose toolkit keeps containers to their GPU memory.
func able() Box {
	return Box{
		Engine:    Engine{CDI: []string{"nvidia.com/gpu=GPU-1"}, CgroupV2: true},
		Inventory: Inventory{CUDA: "13.4"},
		Toolkit:   "1.20.1",
	}
}

func TestWhereABudgetIsOnlyAPromise(t *testing.T) {
	whole, part := Device{UUID: "GPU-1"}, Device{UUID: "MIG-1", Profile: "1g.10gb"}
	for want, c := range map[string]struct {
		lacks func(*Box)
		on    Device
	}{
		"":                                  {func(*Box) {}, whole},
		"the driver limits no MIG instance": {func(*Box) {}, part},
		"the engine knows the GPU by no CDI name":      {func(b *Box) { b.CDI = nil }, whole},
		"it takes cgroup v2":                           {func(b *Box) { b.CgroupV2 = false }, whole},
		"it takes a driver for CUDA 13.4":              {func(b *Box) { b.CUDA = "13.3" }, whole},
		"it takes the NVIDIA container toolkit 1.20.1": {func(b *Box) { b.Toolkit = "1.20.0" }, whole},
	} {
		b := able()
		c.lacks(&b)
		if got := b.Unlimited([]Device{c.on}); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestAtLeast(t *testing.T) {
	for _, c := range []struct {
		version, least string
		want           bool
	}{
		{"13.4", "13.4", true}, {"13.10", "13.4", true}, {"14.0", "13.4", true}, {"1.20.1", "1.20.1", true}, {"28.2.2", "28.2", true},
		{"13.3", "13.4", false}, {"12.9", "13.4", false}, {"1.20", "1.20.1", false}, {"", "20.10", false}, {"N/A", "13.4", false}, {"1.20.0-rc.2", "1.20.1", false},
	} {
		if got := AtLeast(c.version, c.least); got != c.want {
			t.Errorf("%q at least %q: %v", c.version, c.least, got)
		}
	}
}

func TestWhatANameMeans(t *testing.T) {
	i := Inventory{GPUs: []GPU{
		{UUID: "GPU-aaaa-1", Minor: 1},
		{UUID: "GPU-bbbb-1", Minor: 0, MIG: true, Instances: []MIGInstance{{UUID: "MIG-b0", Profile: "1g.10gb"}, {UUID: "MIG-b1", Profile: "1g.10gb"}}},
	}}
	for name, want := range map[string][]string{
		"all": {"GPU-aaaa-1", "MIG-b0", "MIG-b1"}, "0": {"GPU-aaaa-1"}, "1": {"MIG-b0", "MIG-b1"}, "1:1": {"MIG-b1"}, "nvidia.com/gpu=1:0": {"MIG-b0"},
		"GPU-b": {"MIG-b0", "MIG-b1"}, "MIG-b1": {"MIG-b1"}, "nvidia.com/gpu=all": {"GPU-aaaa-1", "MIG-b0", "MIG-b1"},
		"": nil, "GPU-": nil, "-1": nil, "2": nil, "0:0": nil, "1:2": nil, "1:x": nil, "vendor.com/net=all": nil,
	} {
		var got []string
		for _, d := range i.Resolve(name) {
			got = append(got, d.UUID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", name, got, want)
		}
	}
	if first := i.First(1 << 40); len(first) != 3 {
		t.Errorf("more cards than there are: %v", first)
	}
	if first := i.First(-1); first != nil {
		t.Errorf("less than none: %v", first)
	}
}

func TestABoxElsewhereCannotBeCounted(t *testing.T) {
	if b := Read(t.Context(), Engine{Elsewhere: true}); b.NoGPUs == "" || b.NoCores == "" {
		t.Errorf("got %+v", b)
	}
}
