package apply

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/go-units"
	"github.com/moby/moby/api/types/image"
	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/provision/compose"
	"github.com/berth-ssh/berth/provision/progress"
)

// What was written in a container is carried over as an image: the container's image,
// with one more layer. The engine allows at most 125 layers, so from time to time all
// of them are merged into one.
const (
	keptRepository = "berth/kept"
	maxLayers      = 100
)

// keep makes an image of a stopped container and returns the image's name, which
// contains the host's. The image has the settings of the image that the container was
// created from, not those of the container, which are not to be the next one's.
func (e *Executor) keep(ctx context.Context, s compose.Service, id string) (string, error) {
	defer e.Progress.Tick("carries over what was written in it")()
	old, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return "", err
	}
	of, err := e.API.ImageInspect(ctx, s.Image.Ref)
	if err != nil {
		return "", err
	}
	is, err := e.API.ImageInspect(ctx, old.Container.Image)
	if err != nil {
		return "", err
	}
	write := e.commit
	if len(is.RootFS.Layers) >= maxLayers {
		write = e.flatten
	}
	written, err := write(ctx, id)
	if err != nil {
		return "", err
	}
	defer e.API.ImageRemove(context.WithoutCancel(ctx), written, client.ImageRemoveOptions{})
	return e.withConfig(ctx, s.Host, written, of.InspectResponse)
}

// commit makes an image of a container, with one more layer, and returns the image's
// id.
func (e *Executor) commit(ctx context.Context, id string) (string, error) {
	result, err := e.API.ContainerCommit(ctx, id, client.ContainerCommitOptions{NoPause: true})
	return result.ID, err
}

// flatten makes an image of a container, with a single layer, and returns the image's
// id.
func (e *Executor) flatten(ctx context.Context, id string) (string, error) {
	files, err := e.API.ContainerExport(ctx, id, client.ContainerExportOptions{})
	if err != nil {
		return "", err
	}
	defer files.Close()
	source := client.ImageImportSource{Source: &counter{files, e.Progress, 0}, SourceName: "-"}
	result, err := e.API.ImageImport(ctx, source, "", client.ImageImportOptions{})
	if err != nil {
		return "", err
	}
	defer result.Close()
	said, err := io.ReadAll(result)
	if err != nil {
		return "", err
	}
	var last struct{ Status, Error string }
	if err := json.Unmarshal(said[bytes.LastIndexByte(bytes.TrimSpace(said), '\n')+1:], &last); err != nil {
		return "", err
	}
	if last.Error != "" {
		return "", errors.New(last.Error)
	}
	return last.Status, nil
}

// counter shows how much has been read.
type counter struct {
	io.Reader
	progress *progress.Progress
	n        int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	c.progress.Say(units.BytesSize(float64(c.n)))
	return n, err
}

// withConfig makes an image with the layers of one image and the settings of another,
// and returns its name. It sends no layers, since the engine has them.
func (e *Executor) withConfig(ctx context.Context, host, layers string, of image.InspectResponse) (string, error) {
	has, err := e.API.ImageInspect(ctx, layers)
	if err != nil {
		return "", err
	}
	ref := keptRepository + ":" + host + "." + randomTag()
	archive, err := archiveOf(ref, of, has.RootFS.Layers)
	if err != nil {
		return "", err
	}
	result, err := e.API.ImageLoad(ctx, archive, client.ImageLoadWithQuiet(true))
	if err != nil {
		return "", err
	}
	defer result.Close()
	said, err := io.ReadAll(result)
	if err != nil {
		return "", err
	}
	if _, err := e.API.ImageInspect(ctx, ref); err != nil { // the load's stream may have reported an error
		return "", fmt.Errorf("the engine takes no image of ours: %s", strings.TrimSpace(string(said)))
	}
	return ref, nil
}

// archiveOf returns an image as docker save writes it, without the layers' files.
func archiveOf(ref string, of image.InspectResponse, layers []string) (io.Reader, error) {
	type rootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	}
	config := map[string]any{
		"architecture": of.Architecture, "os": of.Os, "config": of.Config, "created": time.Now().UTC(),
		"rootfs": rootFS{"layers", layers},
	}
	var files []string
	for i := range layers {
		files = append(files, fmt.Sprintf("%d/layer.tar", i))
	}
	manifest := []map[string]any{{"Config": "config.json", "RepoTags": []string{ref}, "Layers": files}}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for _, file := range []struct {
		name  string
		value any
	}{{"config.json", config}, {"manifest.json", manifest}} {
		text, err := json.Marshal(file.value)
		if err != nil {
			return nil, err
		}
		if err := w.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(text))}); err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	return &archive, w.Close()
}

func randomTag() string {
	var random [8]byte
	rand.Read(random[:])
	return hex.EncodeToString(random[:])
}

// imageOf returns the name of the image that a container was created from; "" if the
// container is gone.
func (e *Executor) imageOf(ctx context.Context, id string) string {
	result, err := e.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil || result.Container.Config == nil {
		return ""
	}
	return result.Container.Config.Image
}

// forget removes an image of what was carried over, after its container is gone. The
// engine refuses that as long as the image is still used.
func (e *Executor) forget(ctx context.Context, ref string) {
	if strings.HasPrefix(ref, keptRepository+":") {
		e.API.ImageRemove(ctx, ref, client.ImageRemoveOptions{})
	}
}

// fill copies a directory of a stopped container to the same path in one that has
// never been started, into the volume there.
func (e *Executor) fill(ctx context.Context, from, to, dir string) error {
	files, err := e.API.CopyFromContainer(ctx, from, client.CopyFromContainerOptions{SourcePath: dir + "/."})
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer files.Content.Close()
	content := &counter{files.Content, e.Progress, 0}
	_, err = e.API.CopyToContainer(ctx, to, client.CopyToContainerOptions{DestinationPath: dir, Content: content})
	return err
}
