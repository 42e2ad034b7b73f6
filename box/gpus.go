package box

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Inventory is what the NVIDIA driver shows on this box.
type Inventory struct {
	Driver string // version; "" where there is none
	CUDA   string // the newest version that the driver runs
	GPUs   []GPU  // in nvidia-smi's order, so a GPU's place is its index
	Slow   bool   `json:"-"` // it takes seconds to answer
}

// GPU is a card. Only its UUID stays the same for ever: an index moves when a
// card is added or fails.
type GPU struct {
	UUID        string
	Model       string
	Minor       int   // its device is /dev/nvidia<Minor>; -1 where unknown
	Memory      int64 // bytes; 0 where unknown, as the next
	MemoryUsed  int64
	Utilisation int // percent; -1 where unknown, as the next
	Temperature int // degrees Celsius
	MIG         bool
	Instances   []MIGInstance // its parts, where it is partitioned
	Processes   []GPUProcess
	Recovery    string // what the driver asks for before it works again, such as Reset; "" where it works
}

// MIGInstance is a part of a partitioned card.
type MIGInstance struct {
	UUID    string
	Profile string // such as 1g.10gb
	Memory  int64
}

// GPUProcess is a process with memory on a GPU, by its id on this box.
type GPUProcess struct {
	PID    int
	Name   string
	Memory int64

	Instance string // UUID of the MIG instance that it is on; "" where it is none
}

// A driver without persistence mode starts the cards for each question anew, which
// takes some seconds for each; a sick one answers never.
const (
	smiTimeout = time.Minute
	smiSlow    = 5 * time.Second
)

// ReadInventory asks nvidia-smi. Without a driver there are no GPUs, which is
// no error; a driver that does not answer within a minute is one.
func ReadInventory(ctx context.Context) (Inventory, error) {
	return readInventory(ctx, smiTimeout, smiSlow)
}

func readInventory(ctx context.Context, timeout, slow time.Duration) (Inventory, error) {
	began := time.Now()
	report, err := nvidiaSMI(ctx, timeout, "-q", "-x")
	if errors.Is(err, exec.ErrNotFound) {
		return Inventory{}, driverWithoutTool()
	}
	if err != nil {
		return Inventory{}, err
	}
	took := time.Since(began)
	list, err := nvidiaSMI(ctx, timeout, "-L")
	if err != nil {
		return Inventory{}, err
	}
	inventory, err := ParseInventory(report, list)
	inventory.Slow = took > slow
	return inventory, err
}

func nvidiaSMI(ctx context.Context, timeout time.Duration, args ...string) ([]byte, error) {
	limit, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	command := exec.CommandContext(limit, "nvidia-smi", args...)
	command.WaitDelay = time.Second
	out, err := command.Output()
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case limit.Err() != nil:
		return nil, fmt.Errorf("nvidia-smi does not answer in %s: the driver hangs; see dmesg for Xid errors", timeout)
	case errors.Is(err, exec.ErrNotFound):
		return nil, err
	case err != nil:
		line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n") // it complains on stdout
		return nil, fmt.Errorf("nvidia-smi %s: %w: %s", strings.Join(args, " "), err, line)
	}
	return out, nil
}

// SlowHint says what makes a slow driver answer at once.
const SlowHint = "nvidia-smi takes long to answer, as the driver starts the GPUs for each question: nvidia-smi -pm 1 (persistence mode) keeps them ready"

func driverWithoutTool() error {
	if _, err := os.Stat("/proc/driver/nvidia/gpus"); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return errors.New("the NVIDIA driver is loaded, but there is no nvidia-smi to ask what it has: install nvidia-utils of the same version")
}

// smiReport is what is read of nvidia-smi -q -x. Every value may also be N/A,
// [Not Supported] or the like, so they are texts.
type smiReport struct {
	Driver string `xml:"driver_version"`
	CUDA   string `xml:"cuda_version"`
	GPUs   []struct {
		UUID   string    `xml:"uuid"`
		Model  string    `xml:"product_name"`
		Minor  string    `xml:"minor_number"`
		MIG    string    `xml:"mig_mode>current_mig"`
		Memory smiMemory `xml:"fb_memory_usage"`
		Util   string    `xml:"utilization>gpu_util"`
		Temp   string    `xml:"temperature>gpu_temp"`
		Parts  []struct {
			Index  string    `xml:"index"`
			Memory smiMemory `xml:"fb_memory_usage"`
			smiInstance
		} `xml:"mig_devices>mig_device"`
		Processes []struct {
			PID    string `xml:"pid"`
			Name   string `xml:"process_name"`
			Memory string `xml:"used_memory"`
			smiInstance
		} `xml:"processes>process_info"`
		Recovery string `xml:"gpu_recovery_action"`             // drivers from 560 on
		Reset    string `xml:"gpu_reset_status>reset_required"` // and before
	} `xml:"gpu"`
}

// smiInstance is where on a partitioned card something is.
type smiInstance struct {
	GPU     string `xml:"gpu_instance_id"`
	Compute string `xml:"compute_instance_id"`
}

type smiMemory struct {
	Total string `xml:"total"`
	Used  string `xml:"used"`
}

// ParseInventory reads what nvidia-smi -q -x reports. The names of MIG
// instances are in nvidia-smi -L alone.
func ParseInventory(report, list []byte) (Inventory, error) {
	if text := strings.TrimSpace(string(report)); !strings.HasPrefix(text, "<") {
		complaint, _, _ := strings.Cut(text, "\n")
		return Inventory{}, fmt.Errorf("nvidia-smi -q -x: %s", complaint)
	}
	var read smiReport
	if err := xml.NewDecoder(bytes.NewReader(report)).Decode(&read); err != nil {
		return Inventory{}, fmt.Errorf("nvidia-smi -q -x: not the report that it should be: %w", err)
	}
	found := Inventory{Driver: strings.TrimSpace(read.Driver), CUDA: strings.TrimSpace(read.CUDA)}
	instances := parseInstances(list)
	for i, r := range read.GPUs {
		gpu := GPU{
			UUID: strings.TrimSpace(r.UUID), Model: strings.TrimSpace(r.Model), Minor: number(r.Minor, -1),
			Memory: mebibytes(r.Memory.Total), MemoryUsed: mebibytes(r.Memory.Used),
			Utilisation: number(r.Util, -1), Temperature: number(r.Temp, -1), MIG: r.MIG == "Enabled",
			Recovery: recovery(r.Recovery, r.Reset, r.Temp),
		}
		if !strings.HasPrefix(gpu.UUID, "GPU-") {
			return Inventory{}, fmt.Errorf("nvidia-smi -q -x: GPU %d has no UUID", i)
		}
		uuids := map[smiInstance]string{}
		for _, part := range r.Parts {
			if instance, ok := instances[gpu.UUID][part.Index]; ok {
				instance.Memory = mebibytes(part.Memory.Total)
				gpu.Instances = append(gpu.Instances, instance)
				uuids[part.smiInstance] = instance.UUID
			}
		}
		for _, p := range r.Processes {
			if pid := number(p.PID, 0); pid > 0 {
				gpu.Processes = append(gpu.Processes, GPUProcess{pid, strings.TrimSpace(p.Name), mebibytes(p.Memory), uuids[p.smiInstance]})
			}
		}
		found.GPUs = append(found.GPUs, gpu)
	}
	return found, nil
}

// parseInstances reads nvidia-smi -L: by the card's UUID, then by the
// instance's index on it.
func parseInstances(list []byte) map[string]map[string]MIGInstance {
	card := regexp.MustCompile(`^GPU \d+: .*\(UUID: (GPU-[^)\s]+)\)`)
	part := regexp.MustCompile(`^\s+MIG (\S+)\s+Device\s+(\d+): \(UUID: (MIG-[^)\s]+)\)`)
	all, uuid := map[string]map[string]MIGInstance{}, ""
	for line := range strings.Lines(string(list)) {
		if m := card.FindStringSubmatch(line); m != nil {
			uuid = m[1]
			all[uuid] = map[string]MIGInstance{}
		}
		if m := part.FindStringSubmatch(line); m != nil && uuid != "" {
			all[uuid][m[2]] = MIGInstance{UUID: m[3], Profile: m[1]}
		}
	}
	return all
}

// recovery is what the driver asks for, "" for nothing. A driver that knows the
// question by another name, or not at all, says so in many words.
func recovery(action, reset, temperature string) string {
	switch action = strings.TrimSpace(action); {
	case slices.Contains([]string{"Reset", "Reboot", "Drain P2P", "Drain and Reset"}, action):
		return action
	case strings.TrimSpace(reset) == "Yes", strings.Contains(temperature, "requires reset"):
		return "Reset"
	}
	return ""
}

// number is the integer that a value such as "34 C" begins with.
func number(text string, unknown int) int {
	first, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	n, err := strconv.Atoi(first)
	if err != nil || n < 0 {
		return unknown
	}
	return n
}

// mebibytes is a value such as "81559 MiB" in bytes.
func mebibytes(text string) int64 {
	return int64(min(number(text, 0), 1<<30)) << 20
}
