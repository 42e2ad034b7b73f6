package compose

import (
	"os"
	"slices"
	"testing"
)

// Errors of compose-go are shown in plain words, with the line.
func TestMistakesAreExplained(t *testing.T) {
	for _, c := range []struct{ wrote, told string }{
		{"gpus: 2", `compose.yaml:4: services.one.gpus: write all, or a list such as [{count: 2}]`},
		{"ports: 80:80", `compose.yaml:4: services.one.ports must be a list: begin each item with "- "`},
		{"user: 1000", `compose.yaml:4: services.one.user must be a text: put it in quotes`},
		{"command: 5", `compose.yaml:4: services.one.command must be a text or a list: put it in quotes`},
		{"restart: maybe", `compose.yaml:2: one: restart is no, always, unless-stopped, on-failure or on-failure:3, not "maybe"`},
		{"cpus: four", `compose.yaml:4: services.one.cpus: "four" is no number`},
		{"tty: perhaps", `compose.yaml:4: services.one.tty: "perhaps" is neither true nor false`},
		{"networks: [foo]", `compose.yaml:2: service "one" refers to undefined network foo; add it under networks: of the file`},
		{"ports: ['1:99999']", `compose.yaml:4: invalid containerPort: 99999`},
		{"extends: {file: no.yml, service: x}", `compose.yaml:4: open no.yml: no such file or directory`},
		{"volumes: ['m:/models']", `compose.yaml:2: one: volume m:/models: a name of one letter is a drive of Windows; give the volume a longer one`},
		{"volumes: ['./a:b']", `compose.yaml:2: one: volume target b is no absolute path in the container`},
		{"deploy:\n      resources:\n        reservations:\n          devices:\n            - driver: nvidia", `compose.yaml:8: services.one.deploy.resources.reservations.devices.0 needs capabilities: [gpu]`},
		{"deploy:\n      resources:\n        reservations:\n          devices:\n            - capabilities: gpu", `compose.yaml:8: services.one.deploy.resources.reservations.devices.0.capabilities must be a list, such as [gpu]`},
		{"deploy:\n      resources:\n        reservations:\n          devices:\n            - count: x\n              capabilities: [gpu]", `compose.yaml:8: services.one.deploy.resources.reservations.devices.0.count: invalid value "x", the only value allowed is 'all' or a number`},
		{"deploy:\n      resources:\n        limits:\n          cpu: 4", `compose.yaml:7: services.one.deploy.resources.limits.cpu: compose knows no such key`},
	} {
		t.Run(c.wrote, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := os.WriteFile("compose.yaml", []byte("services:\n  one:\n    image: x\n    "+c.wrote+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			project, err := Load(t.Context(), Options{Files: []string{"compose.yaml"}, Project: "lab"})
			if err == nil {
				_, err = project.Want(Site{})
			}
			if err == nil || err.Error() != c.told {
				t.Errorf("got  %v\nwant %s", err, c.told)
			}
		})
	}
}

// A warning has its line, and the path of its file relative to the current directory.
func TestWarningsOfComposeHaveAPlace(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("compose.yaml", []byte("version: '3'\nservices:\n  one:\n    image: x\n    tty: yes\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	project, err := Load(t.Context(), Options{Files: []string{"compose.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		`compose.yaml: the attribute ` + "`version`" + ` is obsolete, it will be ignored, please remove it to avoid potential confusion`,
		`compose.yaml:5: "yes" for boolean is not supported by YAML 1.2, please use ` + "`true`",
	}
	if !slices.Equal(project.warnings, want) {
		t.Errorf("got %q", project.warnings)
	}
}
