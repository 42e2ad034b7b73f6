package compose

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The attack: the content of an env_file becomes visible, for example because it is a
// link to /etc/shadow, or does not parse. Only the container may see it.
func TestAttackByAFileOfVariables(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{
		"shadow": "root:$y$j9T$SEKRIT$SEKRITtoo:19000:0:99999:7:::\ndaemon:*:19000:0\n",
		"name":   "FINE=1\nSEKRIT!!\n", "space": "SEKRIT key=1\n", "quote": "A='SEKRIT\nB=1\n", "template": "A=SEKRIT${SEKRIT-\n", "wanted": "A=${SEKRIT:?SEKRIT}\n",
		"compose.yaml": "services: {a: {image: \"one${ASKED_FOR}\"}}",
	} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("shadow", "link"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"shadow": "has a $ before what is no variable", "link": "has a $ before what is no variable", "name": "name:2: not NAME=value",
		"space": "space:1: not NAME=value", "quote": "quote:3: not NAME=value", "template": "template: not NAME=value", "wanted": "wanted: not NAME=value",
	} {
		for _, key := range []string{"env_file", "label_file"} {
			text := filepath.Join(t.TempDir(), "compose.yaml")
			here, _ := filepath.Abs(name)
			if err := os.WriteFile(text, []byte("services: {a: {image: one, "+key+": "+here+"}}"), 0o644); err != nil {
				t.Fatal(err)
			}
			shows(t, Options{Files: []string{text}, Project: "lab"}, want)
		}
		shows(t, Options{EnvFiles: []string{name}, Project: "lab"}, want)
	}
	shows(t, Options{Project: "lab"}, `The "ASKED_FOR" variable is not set`)
}

// shows checks that people see this text after a load, and no secret.
func shows(t *testing.T, o Options, want string) {
	t.Helper()
	project, err := Load(t.Context(), o)
	seen := ""
	if err != nil {
		seen = err.Error()
	} else {
		seen = strings.Join(project.warnings, "\n")
	}
	if !strings.Contains(seen, want) || strings.Contains(seen, "SEKRIT") || strings.Contains(seen, "j9T") {
		t.Errorf("%v: seen is %q, want %q", o, seen, want)
	}
}

// The attack: a Dockerfile is a link to a file that only root can read. A build's
// errors show lines of it, and import shows its base image.
func TestAttackByADockerfileThatIsALink(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"context/below", "elsewhere"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"context/real", "context/below/Dockerfile", "elsewhere/shadow"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("FROM x"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"out": "../elsewhere/shadow", "over": "out", "dir": "../elsewhere", "within": "real"} {
		if err := os.Symlink(to, filepath.Join(dir, "context", link)); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"out": "leads out of", "over": "leads out of", "dir/shadow": "leads out of", "below": "is no file", "none": "there is no",
		"within": "", "real": "", "below/Dockerfile": "", "../elsewhere/shadow": "", "../context/out": "leads out of",
	} {
		text := "services: {a: {build: {context: " + dir + "/context, dockerfile: " + name + "}}}"
		_, err := loaded(t, text).Want(Site{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
