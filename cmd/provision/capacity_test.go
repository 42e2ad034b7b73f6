package main

import (
	"slices"
	"testing"
)

func TestRefusals(t *testing.T) {
	const cpu, gib = 1e9, 1 << 30
	machine := resources{nanoCPUs: 8 * cpu, memory: 32 * gib, gpus: 2}
	reserves := func(name string, cpus float64, memory, gpus int64) wantedService {
		return wantedService{name: name, reserved: resources{int64(cpus * cpu), memory * gib, gpus}}
	}
	for _, c := range []struct {
		name     string
		taken    resources
		services []wantedService
		want     []string
	}{
		{name: "all of it", services: []wantedService{reserves("a", 4, 16, 1), reserves("b", 4, 16, 1)}},
		{name: "nothing, where nothing is left", taken: machine, services: []wantedService{reserves("a", 0, 0, 0)}},
		{
			name:     "a little more than all",
			services: []wantedService{reserves("a", 4, 16, 1), reserves("b", 4.5, 17, 2)},
			want: []string{
				"b: reserves 4.5 cpus, but 4 of the machine's 8 are left",
				"b: reserves 17GiB of memory, but 16GiB of the machine's 32GiB are left",
				"b: reserves 2 gpus, but 1 of the machine's 2 are left",
			},
		},
		{
			name:     "what does not fit leaves room for the next",
			services: []wantedService{reserves("a", 9, 0, 0), reserves("b", 8, 0, 0)},
			want:     []string{"a: reserves 9 cpus, but the machine has 8"},
		},
		{
			name:     "what others have",
			taken:    resources{gpus: 2},
			services: []wantedService{reserves("a", 1, 1, 1)},
			want:     []string{"a: reserves 1 gpu, but none of the machine's 2 are left"},
		},
		{
			name:     "every gpu, then one more",
			services: []wantedService{reserves("a", 0, 0, allGPUs), reserves("b", 0, 0, 1)},
			want:     []string{"b: reserves 1 gpu, but none of the machine's 2 are left"},
		},
		{
			name: "limits",
			services: []wantedService{
				{name: "a", limits: resources{nanoCPUs: 16 * cpu, memory: 64 * gib}},
				{name: "b", limits: resources{memory: gib}, reserved: resources{memory: 2 * gib}},
			},
			want: []string{
				"a: is limited to 16 cpus, but the machine has 8",
				"b: reserves 2GiB of memory, but is limited to 1GiB",
			},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := refusals(machine, c.taken, c.services); !slices.Equal(got, c.want) {
				t.Errorf("got  %q\nwant %q", got, c.want)
			}
		})
	}
}

func TestEveryGPUOfAMachineWithoutOneIsRefused(t *testing.T) {
	got := refusals(resources{}, resources{}, []wantedService{{name: "a", reserved: resources{gpus: allGPUs}}})
	if want := []string{"a: reserves 1 gpu, but the machine has none"}; !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
