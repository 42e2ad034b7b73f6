package box

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var record = flag.String("record", "", "write what nvidia-smi says on this box into this file, as a sample for testdata/nvidia-smi")

// TestRecordThisBox makes a sample of a real box, see scripts/gpu-check. What
// tells one box from another is replaced.
func TestRecordThisBox(t *testing.T) {
	if *record == "" {
		t.Skip("only with -record FILE")
	}
	report, err := nvidiaSMI(t.Context(), smiTimeout, "-q", "-x")
	if err != nil {
		t.Fatal(err)
	}
	list, err := nvidiaSMI(t.Context(), smiTimeout, "-L")
	if err != nil {
		t.Fatal(err)
	}
	sample, err := disguised(report, list)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*record, txtar.Format(sample), 0o644); err != nil {
		t.Fatal(err)
	}
}

// disguised is a sample without what identifies its box, and what is read of it.
func disguised(report, list []byte) (*txtar.Archive, error) {
	d := disguise{}
	report, list = []byte(d.text(string(report))), []byte(d.text(string(list)))
	inventory, err := ParseInventory(report, list)
	if err != nil {
		return nil, err
	}
	want, err := json.MarshalIndent(inventory, "", "  ")
	if err != nil {
		return nil, err
	}
	return &txtar.Archive{Files: []txtar.File{{Name: "q-x", Data: report}, {Name: "L", Data: list}, {Name: "want", Data: append(want, '\n')}}}, nil
}

// disguise gives each name that identifies something another one, and the same
// name always the same. Its keys are a kind and a name.
type disguise map[[2]string]string

func (d disguise) of(kind, name, format string) string {
	key := [2]string{kind, strings.ToLower(name)}
	if d[key] == "" {
		n := 0
		for other := range d {
			if other[0] == kind {
				n++
			}
		}
		d[key] = fmt.Sprintf(format, n)
	}
	return d[key]
}

// secrets are the elements of the report that tell one box from another.
const secrets = "serial|chassis_serial_number|pdi|gpu_fabric_guid|host_id|tray_index|slot_number|peer_type|module_id|process_name|command_line"

func (d disguise) text(text string) string {
	text = regexp.MustCompile(`<timestamp>[^<]*<`).ReplaceAllString(text, "<timestamp>Thu Jan  1 00:00:00 1970<")
	text = regexp.MustCompile(`(?i)\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`).ReplaceAllStringFunc(text, func(uuid string) string {
		return d.of("uuid", uuid, "%08x-1111-2222-3333-444444444444")
	})
	text = regexp.MustCompile(`(?i)\b[0-9a-f]{8}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]\b`).ReplaceAllStringFunc(text, func(address string) string {
		return d.of("pci", address, "00000000:%02X:00.0")
	})
	text = regexp.MustCompile(`<(pci_bus|pci_device|pci_domain|pci_sub_system_id)>[^<]*<`).ReplaceAllString(text, "<$1>0<")
	return regexp.MustCompile(`<(`+secrets+`)>([^<]*)<`).ReplaceAllStringFunc(text, func(element string) string {
		tag, value, _ := strings.Cut(strings.TrimSuffix(element, "<"), ">")
		if value == "" || strings.Contains(value, "N/A") || strings.Contains(value, "Not ") {
			return element
		}
		return tag + ">" + d.of(tag, value, strings.TrimPrefix(tag, "<")+"-%d") + "<"
	})
}

func TestARecordedSampleTellsNothingOfItsBox(t *testing.T) {
	const report = `<nvidia_smi_log><timestamp>Mon Nov 23 12:00:00 2026</timestamp><driver_version>550.127.08</driver_version>
<gpu id="00000000:1B:00.0"><product_name>NVIDIA H100</product_name><serial>1654922006536</serial><pdi>0x8d0a2f3b</pdi><minor_number>3</minor_number>
<uuid>GPU-6ad6a8f0-9c1b-4f6e-8a63-0f8d6a3e7b11</uuid><pci><pci_bus>1B</pci_bus><pci_bus_id>00000000:1B:00.0</pci_bus_id></pci>
<processes><process_info><pid>5120</pid><process_name>/home/anna/secret-project/train</process_name><used_memory>8 MiB</used_memory></process_info>
<process_info><pid>5121</pid><process_name>/home/anna/secret-project/train</process_name><used_memory>9 MiB</used_memory></process_info>
<process_info><pid>5122</pid><process_name>[Not Found]</process_name></process_info></processes></gpu></nvidia_smi_log>`
	const list = "GPU 0: NVIDIA H100 (UUID: GPU-6ad6a8f0-9c1b-4f6e-8a63-0f8d6a3e7b11)\n"
	sample, err := disguised([]byte(report), []byte(list))
	if err != nil {
		t.Fatal(err)
	}
	text := string(txtar.Format(sample))
	for _, secret := range []string{"6ad6a8f0", "0f8d6a3e7b11", "1654922006536", "8d0a2f3b", "1B:00", ">1B<", "anna", "secret", "2026"} {
		if strings.Contains(text, secret) {
			t.Errorf("it tells %s:\n%s", secret, text)
		}
	}
	const uuid = "GPU-00000000-1111-2222-3333-444444444444"
	if strings.Count(text, uuid) != 3 || strings.Count(text, ">process_name-0<") != 2 || !strings.Contains(text, "[Not Found]") || !strings.Contains(text, "<minor_number>3<") {
		t.Errorf("the same name is not always the same, or too much is gone:\n%s", text)
	}
}

// What nvidia-smi and the kernel say in another way must agree.
func TestReadInventoryOfThisBox(t *testing.T) {
	inventory, err := ReadInventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(inventory.GPUs) == 0 {
		t.Skip("no GPU here")
	}
	table, err := nvidiaSMI(t.Context(), smiTimeout, "--query-gpu=index,uuid,name,memory.total,mig.mode.current", "--format=csv,noheader,nounits")
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for i, gpu := range inventory.GPUs {
		mig := "Disabled"
		if gpu.MIG {
			mig = "Enabled"
		}
		fmt.Fprintf(&got, "%d, %s, %s, %d, %s\n", i, gpu.UUID, gpu.Model, gpu.Memory>>20, mig)
		if !gpu.MIG && len(gpu.Instances) > 0 || gpu.Temperature < 0 || len(inventory.Resolve(gpu.UUID)) == 0 {
			t.Errorf("%+v", gpu)
		}
		t.Logf("%+v", gpu)
	}
	if want := strings.ReplaceAll(string(table), "[N/A]", "Disabled"); got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
	checkMinors(t, inventory)
}

// checkMinors compares with the kernel's driver, which tells of each card that it
// has, in a container too.
func checkMinors(t *testing.T, inventory Inventory) {
	t.Helper()
	files, err := filepath.Glob("/proc/driver/nvidia/gpus/*/information")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // not for everyone
		}
		uuid := regexp.MustCompile(`GPU UUID:\s+(GPU-\S+)`).FindSubmatch(text)
		minor := regexp.MustCompile(`Device Minor:\s+(\d+)`).FindSubmatch(text)
		if uuid == nil || minor == nil {
			continue
		}
		for _, gpu := range inventory.GPUs {
			if gpu.UUID == string(uuid[1]) && gpu.Minor >= 0 && fmt.Sprint(gpu.Minor) != string(minor[1]) {
				t.Errorf("%s has minor number %d, and the kernel says %s", gpu.UUID, gpu.Minor, minor[1])
			}
		}
	}
}
