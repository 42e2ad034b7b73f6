package compose

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/types"
)

func TestContextLeavesOutWhatDockerignoreNames(t *testing.T) {
	dir := lay(t, map[string]string{
		"Dockerfile": "FROM x", "app/main": "", "app/log.txt": "", "keep/a": "", "keep/b": "", "secret": "",
		".dockerignore": "Dockerfile\n# notes\nsecret\n**/*.txt\nkeep\n!keep/b\n",
	})
	got := names(t, contextOf(t, &types.BuildConfig{Context: dir, Dockerfile: "Dockerfile"}))
	want := []string{".dockerignore", "Dockerfile", "app", "app/main", "keep/b"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestContextTakesADockerfileFromElsewhere(t *testing.T) {
	dir := lay(t, map[string]string{"in/a": "", "Other": "FROM x"})
	for _, build := range []types.BuildConfig{{Dockerfile: "../Other"}, {DockerfileInline: "FROM x"}} {
		build.Context = filepath.Join(dir, "in")
		got := names(t, contextOf(t, &build))
		if want := []string{".berth.Dockerfile", "a"}; !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}

func TestContextIsTheSameUntilAFileChanges(t *testing.T) {
	dir := lay(t, map[string]string{"Dockerfile": "FROM x", "a": "one"})
	build := &types.BuildConfig{Context: dir, Dockerfile: "Dockerfile"}
	first := contextOf(t, build)
	past := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Join(dir, "a"), past, past); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, contextOf(t, build)) {
		t.Error("another context for another time of the same file")
	}
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("two"), 0o644); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, contextOf(t, build)) {
		t.Error("the same context for another file")
	}
}

// A file that grows while it is read does not break the build: it is cut. The
// kernel's own files have more content than their size says.
func TestAFileThatGrowsWhileItIsRead(t *testing.T) {
	var out bytes.Buffer
	if err := writeContext(&out, "/proc/sys/kernel/random", Dockerfile{"Dockerfile", []byte("FROM x")}); err != nil {
		t.Error(err)
	}
}

// A directory of the build context that a host writes to gives another image each
// time.
func TestDirectoriesOfTheContextThatHostsWriteInto(t *testing.T) {
	dir := lay(t, map[string]string{"Dockerfile": "FROM x", ".dockerignore": "out\n", "conf": "", "compose.yaml": `services:
  one: {build: ., volumes: ["./work:/work", "./out:/out", "./ro:/ro:ro", "./conf:/conf", ".:/all", "/srv:/srv"]}
  two: {image: x, volumes: ["./data/two:/data"]}
`})
	p, err := Load(t.Context(), Options{Files: []string{filepath.Join(dir, "compose.yaml")}})
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.Want(Site{})
	if err != nil {
		t.Fatal(err)
	}
	const warning = "one: its build context has data/two, work, which hosts write into, so each change there builds its image again; name it in .dockerignore if the build does not need it"
	if !slices.Equal(want.Warnings, []string{warning}) {
		t.Errorf("got %q", want.Warnings)
	}
}

func TestMissingDockerfileIsNamed(t *testing.T) {
	_, err := DockerfileOf(&types.BuildConfig{Context: t.TempDir(), Dockerfile: "Nowhere"})
	if err == nil || !strings.Contains(err.Error(), "Nowhere to build from") {
		t.Errorf("got %v", err)
	}
}

func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func contextOf(t *testing.T, build *types.BuildConfig) []byte {
	t.Helper()
	df, err := DockerfileOf(build)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := writeContext(&out, build.Context, df); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func names(t *testing.T, context []byte) []string {
	t.Helper()
	var all []string
	for r := tar.NewReader(bytes.NewReader(context)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(all)
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, header.Name)
	}
}
