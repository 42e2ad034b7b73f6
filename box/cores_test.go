package box

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

func TestReadCores(t *testing.T) {
	sys := t.TempDir()
	for path, text := range map[string]string{
		"cpu/online":                             "0-3,6-7\n",
		"cpu/cpu0/topology/thread_siblings_list": "0,2\n",
		"cpu/cpu1/topology/thread_siblings_list": "1,3\n",
		"cpu/cpu2/topology/thread_siblings_list": "0,2\n",
		"cpu/cpu3/topology/thread_siblings_list": "1,3\n",
		"cpu/cpu6/topology/thread_siblings_list": "6-7\n",
		"cpu/cpu7/topology/thread_siblings_list": "6-7\n",
		"node/node0/cpulist":                     "0-3\n",
		"node/node1/cpulist":                     "6-7\n",
	} {
		path = filepath.Join(sys, "devices/system", path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadCores(sys)
	want := []Core{{0, []int{0, 2}}, {0, []int{1, 3}}, {1, []int{6, 7}}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	if _, err := ReadCores(t.TempDir()); err == nil {
		t.Error("a box without cpus is no error")
	}
}

func TestReadCoresOfThisBox(t *testing.T) {
	cores, err := ReadCores("/sys")
	if err != nil || CountCPUs(cores) == 0 {
		t.Errorf("got %v, %v", cores, err)
	}
}

func TestCPULists(t *testing.T) {
	for list, want := range map[string][]int{"": nil, "0": {0}, "0-2,7": {0, 1, 2, 7}, "x,4": {4}} {
		if got := ParseCPUs(list); !slices.Equal(got, want) {
			t.Errorf("%q: got %v, want %v", list, got, want)
		}
	}
	if got := FormatCPUs([]int{8, 1, 0, 2, 10}); got != "0-2,8,10" {
		t.Errorf("got %s", got)
	}
}
