package packaging

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Debian 12 has a Go that cannot read our go.mod and says so in a riddle: make
// says first what is needed. A Go since 1.21 fetches what it lacks.
func TestAnOldGoIsToldWhatIsNeeded(t *testing.T) {
	for version, good := range map[string]bool{
		"go version go1.19.8 linux/amd64": false,
		"go version go1.4 linux/amd64":    false,
		"go version go1.21.0 linux/amd64": true,
		"go version go1.26.8 linux/amd64": true,
		"go version go1.27rc1 linux/arm":  true,
		"go version devel go1.28-abcdef":  true,
	} {
		dir := t.TempDir()
		program := "#!/bin/sh\necho '" + version + "'\n"
		if err := os.WriteFile(filepath.Join(dir, "go"), []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		command := exec.Command("../scripts/need-go")
		command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		out, err := command.CombinedOutput()
		told := strings.Contains(string(out), "building Berth needs Go 1.26 or newer") && strings.Contains(string(out), dir+"/go is go1.")
		if good != (err == nil) || good == told {
			t.Errorf("%s: %v\n%s", version, err, out)
		}
	}
}

// A release is built with a Go whose standard library is safe, where it can be had; with
// another one it says so, and is built all the same.
func TestAReleaseTakesASafeGo(t *testing.T) {
	for _, here := range []struct {
		has, may, fetched string
		want              string
		warns             bool
	}{
		{has: "go1.26.8", may: "auto", fetched: "exit 0", want: "go1.26.10+auto"},
		{has: "go1.26.8", may: "auto", fetched: "exit 1", want: "auto", warns: true},
		{has: "go1.26.8", may: "local", fetched: "exit 0", want: "local", warns: true},
		{has: "go1.26.10", may: "local", fetched: "exit 1", want: "local"},
		{has: "go1.27.1", may: "auto", fetched: "exit 0", want: "go1.27.3+auto"},
		{has: "go1.27rc1", may: "auto", fetched: "exit 1", want: "auto", warns: true},
		{has: "go1.27.4", may: "local", fetched: "exit 1", want: "local"},
		{has: "go1.28.0", may: "auto", fetched: "exit 1", want: "auto"},
	} {
		dir := t.TempDir()
		program := "#!/bin/sh\ncase \"$*\" in\n'env GOVERSION') echo " + here.has + ";;\n'env GOTOOLCHAIN') echo " + here.may +
			";;\nversion) [ \"$GOTOOLCHAIN+auto\" = '" + here.want + "' ] && " + here.fetched + ";;\nesac\n"
		if err := os.WriteFile(filepath.Join(dir, "go"), []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		command := exec.Command("../scripts/safe-go")
		command.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
		var warning bytes.Buffer
		command.Stderr = &warning
		out, err := command.Output()
		if err != nil || string(out) != here.want+"\n" || here.warns != strings.Contains(warning.String(), "publish nothing") {
			t.Errorf("%+v: %v, %q, %q", here, err, out, warning.String())
		}
	}
}
