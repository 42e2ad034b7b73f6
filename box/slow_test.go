package box

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// stubDriver puts an nvidia-smi into the PATH that waits until the returned function is
// called, and then answers.
func stubDriver(t *testing.T) (answer func()) {
	t.Helper()
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := syscall.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\n[ $1 = -L ] && exit\nread line <" + gate + "\necho '<nvidia_smi_log><gpu><uuid>GPU-1</uuid></gpu></nvidia_smi_log>'\n"
	if err := os.WriteFile(filepath.Join(dir, "nvidia-smi"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return func() {
		file, err := os.OpenFile(gate, os.O_WRONLY, 0) // waits until it is read
		if err != nil {
			t.Error(err)
			return
		}
		defer file.Close()
		file.WriteString("\n")
	}
}

func TestASlowDriverIsWaitedFor(t *testing.T) {
	for slow, want := range map[time.Duration]bool{0: true, time.Minute: false} {
		answer := stubDriver(t)
		go answer()
		got, err := readInventory(t.Context(), time.Minute, slow)
		if err != nil || len(got.GPUs) != 1 || got.Slow != want {
			t.Errorf("slow from %s: %+v, %v", slow, got, err)
		}
	}
	if smiTimeout != time.Minute || smiSlow >= 8*time.Second {
		t.Error("eight seconds are slow, and only a minute is too long")
	}
}

func TestADriverThatHangs(t *testing.T) {
	stubDriver(t)
	if _, err := readInventory(t.Context(), 50*time.Millisecond, time.Minute); err == nil || !strings.Contains(err.Error(), "does not answer in 50ms") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := readInventory(ctx, time.Minute, time.Minute); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
