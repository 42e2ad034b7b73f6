package config

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/berth-ssh/berth/test/harness"
)

// Settings for which each of several gateways would decide differently are refused,
// with their line.
func TestWhatDoesNotGoWithGivenKeys(t *testing.T) {
	t.Setenv("DOCKER_HOST", "")
	const users = "users:\n  dev: {keys: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINr702E6d/Tw4stB5/DlsS1v96LVVYnwsUka9Y8sKic1]}\n"
	for text, want := range map[string]string{
		"docker: none\nclusters: {lab: {}}\n":                                                  "",
		"docker: none\nclusters: {lab: {namespaces: [team-a]}}\n":                              "",
		"clusters: {lab: {}}\n":                                                                ":1: docker must be none beside keys: ",
		"docker: unix:///var/run/docker.sock\n":                                                ":2: docker must be none beside keys: ",
		"docker: none\nboxes: {a100: {docker: 'ssh://a100'}}\n":                                ":3: boxes do not go with keys: ",
		"docker: none\nclusters: {lab: {namespaces: [team-a, team-b]}}\n":                      ":3: clusters must be of one namespace beside keys: ",
		"docker: none\nclusters: {lab: , other: }\n":                                           ":3: clusters must be of one namespace beside keys: ",
		"docker: none\nlogin:\n  - {with: [key]}\n  - {users: [dev], with: [key, key+totp]}\n": ":5: with: totp is no step beside keys: ",
	} {
		path := filepath.Join(t.TempDir(), "gateway.yaml")
		harness.Write(t, path, 0o600, "keys: /etc/berth-keys\n"+text+users)
		_, err := Load(path)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", text, err)
		case want != "" && (err == nil || !strings.HasPrefix(strings.TrimPrefix(err.Error(), path), want)):
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

// The example for gateways in a cluster is valid as it stands, except that it has no
// users.
func TestExampleOfACluster(t *testing.T) {
	c, err := Load("../configs/kubernetes/gateway.yaml")
	if err != nil || c.Keys == "" || len(c.Clusters) != 1 || len(c.Warnings) != 1 {
		t.Errorf("%v, %+v", err, c)
	}
}
