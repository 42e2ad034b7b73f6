package main

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"berth/auth"
	"berth/config"
	"berth/state"
)

// logWatch calls seen with each line of a log.
type logWatch func(line string)

func (w logWatch) Write(p []byte) (int, error) {
	w(string(p))
	return len(p), nil
}

// An admin compares the fingerprint with what ssh shows at the first login.
func TestServeLogsItsFingerprint(t *testing.T) {
	dir := t.TempDir() + "/state"
	policy, err := auth.NewPolicy([]auth.User{{Name: "dev", Password: hash(t)}})
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
	if err := serve(ctx, "/nowhere/gateway.yaml", settings, nil, 0, log); err != nil {
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
