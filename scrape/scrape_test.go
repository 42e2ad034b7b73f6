package scrape

import (
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// The attack: whoever reaches the box over the network reads how many people do what.
func TestAttackNumbersFromElsewhere(t *testing.T) {
	for address, here := range map[string]bool{
		"127.0.0.1:9222": true, "127.9.9.9:1": true, "[::1]:9222": true, "localhost:9222": true, "unix:/run/berth.sock": true,
		"": false, ":9222": false, "0.0.0.0:9222": false, "[::]:9222": false, "10.0.0.7:9222": false, "gpu-box:9222": false,
		"localhost.example.org:9222": false, "127.0.0.1": false, "127.0.0.1:0": false, "127.0.0.1:70000": false, "127.0.0.1:http": false,
		"unix:berth.sock": false, "unix:": false, "[::ffff:10.0.0.7]:9222": false,
	} {
		if IsHere(address) != here {
			t.Errorf("%q: only this machine reaches it: %v", address, !here)
		}
	}
}

// One that was killed leaves its socket, which is replaced; that of one that answers is
// not.
func TestTheSocketOfAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: path})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	serve := func() (*Server, error) {
		return Serve(Unix+path, prometheus.NewRegistry(), func() error { return nil }, slog.New(slog.DiscardHandler))
	}
	first, err := serve()
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if _, err := serve(); err == nil || !strings.Contains(err.Error(), "another program answers at "+path) {
		t.Errorf("a second one: %v", err)
	}
}
