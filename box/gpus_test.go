package box

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden files in testdata again")

func TestParseInventory(t *testing.T) {
	samples, err := filepath.Glob("testdata/nvidia-smi/*.txtar")
	if err != nil || len(samples) == 0 {
		t.Fatal("no samples in testdata/nvidia-smi")
	}
	for _, path := range samples {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, report, list := readSample(t, path)
			inventory, err := ParseInventory(report, list)
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.MarshalIndent(inventory, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			want := &archive.Files[2]
			if *update {
				want.Data = append(got, '\n')
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if string(got)+"\n" != string(want.Data) {
				t.Errorf("got %s\nwant %s", got, want.Data)
			}
		})
	}
}

// readSample is what nvidia-smi -q -x and nvidia-smi -L said on one machine.
func readSample(t testing.TB, path string) (archive *txtar.Archive, report, list []byte) {
	t.Helper()
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return archive, archive.Files[0].Data, archive.Files[1].Data
}

func TestADriverThatComplainsIsAnError(t *testing.T) {
	smi(t, "#!/bin/sh\necho NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver.; exit 9\n")
	_, err := ReadInventory(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "could not communicate with the NVIDIA driver.") {
		t.Errorf("got %v", err)
	}
}

// Some drivers say that a card has fallen off the bus as if it were no error.
func TestALostCardIsAnError(t *testing.T) {
	smi(t, "#!/bin/sh\necho 'Unable to determine the device handle for GPU0000:17:00.0: Unknown Error'\n")
	_, err := ReadInventory(t.Context())
	if err == nil || err.Error() != "nvidia-smi -q -x: Unable to determine the device handle for GPU0000:17:00.0: Unknown Error" {
		t.Errorf("got %v", err)
	}
}

func smi(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func FuzzParseInventory(f *testing.F) {
	samples, err := filepath.Glob("testdata/nvidia-smi/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range samples {
		_, report, list := readSample(f, path)
		f.Add(report, list)
	}
	f.Fuzz(func(t *testing.T, report, list []byte) {
		inventory, err := ParseInventory(report, list)
		if err != nil {
			return
		}
		for _, gpu := range inventory.GPUs {
			if !strings.HasPrefix(gpu.UUID, "GPU-") || gpu.Memory < 0 || gpu.Utilisation < -1 {
				t.Errorf("%+v", gpu)
			}
		}
	})
}
