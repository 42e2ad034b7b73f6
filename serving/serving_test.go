package serving

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/front"
	"github.com/berth-ssh/berth/state"
)

// envFront makes this program a front.
const envFront = "BERTH_TEST_FRONT"

// A front is this program again.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == envFront {
		if err := front.Run(slog.New(slog.DiscardHandler)); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// logWatch calls seen with each line of a log.
type logWatch func(line string)

func (w logWatch) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

// An admin compares the fingerprint with what ssh shows at the first login.
func TestServeLogsItsFingerprint(t *testing.T) {
	dir := t.TempDir() + "/state"
	policy, err := auth.NewPolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var serving string
	log := slog.New(slog.NewTextHandler(logWatch(func(line string) {
		if strings.Contains(line, "msg=serving") {
			serving = line
			stop()
		}
	}), nil))
	settings := config.Config{Listen: "127.0.0.1:0", State: dir, Docker: "unix:///nowhere", Policy: policy}
	if err := Run(ctx, settings, Options{Path: "/nowhere/gateway.yaml", Front: []string{envFront}}, nil, log); err != nil {
		t.Fatal(err)
	}
	st, err := state.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := "host_key=" + ssh.FingerprintSHA256(st.HostKey().PublicKey()); !strings.Contains(serving, want) {
		t.Errorf("%q, want %s in it", serving, want)
	}
}

// systemd takes the gateway to be started once its port is open, and to be
// stopping from when it was told to.
func TestServeTellsSystemd(t *testing.T) {
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	told.SetReadDeadline(time.Now().Add(10 * time.Second))
	t.Setenv("NOTIFY_SOCKET", told.LocalAddr().String())
	policy, err := auth.NewPolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	settings := config.Config{Listen: "127.0.0.1:0", State: t.TempDir() + "/state", Docker: "unix:///nowhere", Policy: policy}
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, settings, Options{Path: t.TempDir() + "/gateway.yaml", Front: []string{envFront}}, nil, slog.New(slog.DiscardHandler))
	}()
	message := make([]byte, 100)
	for _, want := range []string{"READY=1", "STOPPING=1"} {
		n, err := told.Read(message)
		if got := string(message[:n]); got != want || err != nil {
			t.Errorf("systemd is told %q, %v, want %q", got, err, want)
		}
		stop()
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
