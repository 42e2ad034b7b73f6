package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/test/harness"
)

// What the classic builder refuses is built, and what it builds too.
func TestBuildsUseBuildKit(t *testing.T) {
	l := newLab(t)
	build := func(lines ...string) (string, error) {
		return l.run("build", "-f", l.File(fmt.Sprintf("services: {own: {build: {dockerfile_inline: %q}}}",
			"FROM "+os.Getenv("BERTH_BASE_IMAGE")+"\n"+strings.Join(lines, "\n"))))
	}
	const mount = "RUN --mount=type=tmpfs,target=/scratch touch /scratch/here"
	if _, err := build(mount); err != nil {
		t.Error(err)
	}
	_, err := build(mount, "RUN echo first; echo no compiler; exit 4")
	want := "build image " + l.Name + "-own:"
	if err == nil || !strings.HasPrefix(err.Error(), want) ||
		!strings.HasSuffix(err.Error(), "3/3] RUN echo first; echo no compiler; exit 4: exit code: 4\n  | first\n  | no compiler") {
		t.Errorf("got  %v\nwant %s… and the failing step", err, want)
	}
	if _, err := build("RUNS true"); err == nil || !strings.Contains(err.Error(), ": dockerfile parse error") || strings.Contains(err.Error(), "failed to") {
		t.Errorf("got %v", err)
	}
	t.Setenv("DOCKER_BUILDKIT", "0")
	if _, err := build(mount, "RUN true"); err == nil || !strings.Contains(err.Error(), "requires BuildKit") {
		t.Errorf("without BuildKit: %v", err)
	}
	t.Setenv("DOCKER_BUILDKIT", "perhaps")
	if _, err := build(mount, "RUN date"); err == nil || !strings.HasSuffix(err.Error(), `DOCKER_BUILDKIT is 0 or 1, not "perhaps"`) {
		t.Errorf("got %v", err)
	}
}

// A build context changes with what is written into it. Where that makes the same image, the
// host loses nothing, and nobody is asked.
func TestAnotherContextOfTheSameImageCostsNothing(t *testing.T) {
	l := newLab(t)
	file := l.File(`services: {own: {build: {context: ., dockerfile_inline: "FROM ` + os.Getenv("BERTH_BASE_IMAGE") + `\nCMD [\"sleep\", \"1000\"]"}, stop_grace_period: 0s}}`)
	l.mustRun("up", "-f", file)
	before := l.Inspect("own").ID
	harness.Write(t, path.Join(path.Dir(file), "result"), 0o644, "written")
	out, err := l.run("up", "-f", file)
	if err != nil || l.Inspect("own").ID != before || !strings.Contains(out, "its Dockerfile or build context changed") || !strings.Contains(out, "the images are there; what is left to do:\nnothing to do") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Docker Hub and others want a token of whoever pulls, who may be nobody.
func TestABuildPullsFromARegistryThatWantsToKnowWho(t *testing.T) {
	l := newLab(t)
	if !docker.IsLocal(l.API) {
		t.Skip("the engine is elsewhere, and does not reach this test's registry")
	}
	registry := httptest.NewServer(new(registryOfOne))
	defer registry.Close()
	base := strings.TrimPrefix(registry.URL, "http://") + "/" + l.Name + "-base"
	l.mustRun("build", "-f", l.File("services: {own: {build: {dockerfile_inline: \"FROM "+base+"\\nENV A=b\"}}}"))
}

// registryOfOne is a registry of one image, an empty file, which gives it to
// whoever shows a token, and a token to everyone.
type registryOfOne struct{}

func (*registryOfOne) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const token = "somebody"
	var layer bytes.Buffer
	files := tar.NewWriter(&layer)
	files.WriteHeader(&tar.Header{Name: "empty"})
	files.Close()
	config := fmt.Appendf(nil, `{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}`, digest(layer.Bytes()))
	const kind = "application/vnd.docker.distribution.manifest.v2+json"
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"%s",`+
		`"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":%d,"digest":"%s"},`+
		`"layers":[{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":%d,"digest":"%s"}]}`,
		kind, len(config), digest(config), layer.Len(), digest(layer.Bytes()))
	content := manifest
	switch path.Base(r.URL.Path) {
	case "token":
		content = []byte(`{"token":"` + token + `"}`)
	case digest(config):
		content = config
	case digest(layer.Bytes()):
		content = layer.Bytes()
	default:
		w.Header().Set("Content-Type", kind)
		w.Header().Set("Docker-Content-Digest", digest(manifest))
	}
	if path.Base(r.URL.Path) != "token" && r.Header.Get("Authorization") != "Bearer "+token {
		w.Header().Set("WWW-Authenticate", `Bearer realm="http://`+r.Host+`/token",service="test",scope="repository:base:pull"`)
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

func digest(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }
