package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// addContext makes a context as docker context create does.
func addContext(t *testing.T, dir, name, meta string) {
	t.Helper()
	sum := sha256.Sum256([]byte(name))
	path := filepath.Join(dir, "contexts", "meta", hex.EncodeToString(sum[:]))
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "meta.json"), []byte(meta), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Whoever chose an engine for the docker command has chosen it for provision too.
func TestDockerContextsAreFollowed(t *testing.T) {
	dir := t.TempDir()
	addContext(t, dir, "rootless", `{"Name":"rootless","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/user/1000/docker.sock","SkipTLSVerify":false}}}`)
	addContext(t, dir, "far", `{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376"}}}`)
	addContext(t, dir, "unchecked", `{"Name":"unchecked","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}`)
	addContext(t, dir, "empty", `{"Name":"empty","Endpoints":{}}`)
	addContext(t, dir, "broken", `{`)
	for _, c := range []struct{ host, environment, config, want string }{
		{"", "", "", "unix:///var/run/docker.sock"},
		{"", "", `{"auths":{}}`, "unix:///var/run/docker.sock"},
		{"", "", `not json`, "unix:///var/run/docker.sock"},
		{"", "", `{"currentContext":"rootless"}`, "unix:///run/user/1000/docker.sock"},
		{"", "far", `{"currentContext":"rootless"}`, "tcp://far:2376"},
		{"", "default", `{"currentContext":"rootless"}`, "unix:///var/run/docker.sock"},
		{"unix:///srv/d.sock", "far", `{"currentContext":"rootless"}`, "unix:///srv/d.sock"},
		{"", "gone", "", "there is no Docker context gone"},
		{"", "../../x", "", "there is no Docker context ../../x"},
		{"", "unchecked", "", "does not check the engine's certificate"},
		{"", "empty", "", "names no engine"},
		{"", "broken", "", "the Docker context broken: "},
	} {
		t.Setenv("DOCKER_CONFIG", dir)
		t.Setenv("DOCKER_HOST", c.host)
		t.Setenv("DOCKER_CONTEXT", c.environment)
		if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(c.config), 0o600); err != nil {
			t.Fatal(err)
		}
		got := ""
		if engine, err := Connect(Address{}); err != nil {
			got = err.Error()
		} else {
			got = engine.DaemonHost()
		}
		if got != c.want && !(strings.Contains(c.want, " ") && strings.Contains(got, c.want)) {
			t.Errorf("%+v: got %s", c, got)
		}
	}
	if engine, err := Connect(Address{URL: "unix:///srv/named.sock"}); err != nil || engine.DaemonHost() != "unix:///srv/named.sock" {
		t.Errorf("an address that is given: %v", err)
	}
}
